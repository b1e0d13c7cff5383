"""The agent of tests/tools/chaos.py: it counts step by step and resumes after a crash.

Half-way it exits or panics if it is asked to.
"""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

from agent_asgi import AgentApp, AgentRouter, Context, Limits, ResponsesRequest, Timeouts

STEPS = int(os.environ.get("CHAOS_STEPS", "200"))
BEGUN = Path(os.environ.get("CHAOS_BEGUN", os.devnull))
PAUSE = float(os.environ.get("CHAOS_PAUSE", "0.01"))
TIMEOUTS = Timeouts(heartbeat=0.3, stalled=1.5, rescue=0.5, poll=1.0, drain=5.0)

router = AgentRouter("counter")


class Panic(BaseException):
    """What extensions written in Rust raise."""


@router.stream
async def count(request: ResponsesRequest, context: Context) -> AsyncIterator[str]:
    """Stream every number once, across all attempts."""
    with BEGUN.open("a") as file:  # noqa: ASYNC230  a line is written at once
        file.write(f"{context.response_id}\n")
    said = [event for event in context.previous_events if event["type"].endswith("text.delta")]
    for number in range(len(said), STEPS):
        if number == STEPS // 2 and request.input_text == "exit":
            sys.exit(3)
        if number == STEPS // 2 and request.input_text == "panic":
            raise Panic
        yield f"{context.attempt}:{number} "
        await asyncio.sleep(PAUSE)


app = AgentApp(router, timeouts=TIMEOUTS, limits=Limits(max_attempts=1000))
