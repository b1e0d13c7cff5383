"""The agent of tests/tools/roll: it counts, writes each number to a file, and resumes.

It uses only what the released version (commit 765044e) has too.
"""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

from agent_asgi import AgentApp, AgentRouter, Context, Limits, ResponsesRequest, Timeouts

STEPS = {True: int(os.environ["ROLL_RUN_STEPS"]), False: int(os.environ["ROLL_STREAM_STEPS"])}
PAUSE = float(os.environ["ROLL_PAUSE"])
EFFECTS = Path(os.environ["ROLL_EFFECTS"])
TIMEOUTS = Timeouts(
    heartbeat=1,
    stalled=60,  # no process dies, but a busy machine may delay a heartbeat
    rescue=float(os.environ["ROLL_RESCUE"]),
    drain_lead=float(os.environ["ROLL_LEAD"]),
    drain=float(os.environ["ROLL_DRAIN"]),
)

router = AgentRouter("counter")


@router.stream
async def count(request: ResponsesRequest, context: Context) -> AsyncIterator[str]:
    """Record the effect of each number once, across all attempts."""
    said = [event for event in context.previous_events if event["type"].endswith("text.delta")]
    for number in range(len(said), STEPS[bool(request.background)]):
        with EFFECTS.open("a") as file:  # noqa: ASYNC230  a line is written at once
            file.write(f"{context.response_id} {number}\n")
        yield f"{context.attempt}:{number} "
        await asyncio.sleep(PAUSE)


app = AgentApp(router, timeouts=TIMEOUTS, limits=Limits(worker_concurrency=200))
