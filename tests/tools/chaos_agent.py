"""The agent of tests/tools/chaos.py: it counts step by step and resumes after a crash."""

import asyncio
import os
from collections.abc import AsyncIterator

from agent_asgi import AgentApp, AgentRouter, Context, Limits, ResponsesRequest, Timeouts

STEPS = int(os.environ.get("CHAOS_STEPS", "200"))
PAUSE = float(os.environ.get("CHAOS_PAUSE", "0.01"))
TIMEOUTS = Timeouts(heartbeat=0.3, stalled=1.5, rescue=0.5, poll=1.0, drain=5.0)

router = AgentRouter("counter")


@router.stream
async def count(request: ResponsesRequest, context: Context) -> AsyncIterator[str]:
    """Stream every number once, across all attempts."""
    said = [event for event in context.previous_events if event["type"].endswith("text.delta")]
    for number in range(len(said), STEPS):
        yield f"{context.attempt}:{number} "
        await asyncio.sleep(PAUSE)


app = AgentApp(router, timeouts=TIMEOUTS, limits=Limits(max_attempts=1000))
