"""The agent of tests.tools.followers: silent runs, and runs that say the time at a fixed rate."""

import asyncio
import os
import time
from collections.abc import AsyncIterator

from agent_asgi import AgentApp, AgentRouter, Limits, ResponsesRequest

SILENT_SECONDS = 3600.0

router = AgentRouter()


@router.stream
async def speak(request: ResponsesRequest) -> AsyncIterator[str]:
    """Say a word and be silent, or say the time, as in "20 10": 20 times a second for 10 s."""
    yield "begun "
    rate, _, seconds = request.input_text.partition(" ")
    if rate == "silent":
        await asyncio.sleep(SILENT_SECONDS)
        return
    due = time.monotonic() + 1  # until all follow
    for _ in range(int(float(rate) * float(seconds))):
        due += 1 / float(rate)
        await asyncio.sleep(due - time.monotonic())
        yield f"at={time.monotonic():.6f} "


app = AgentApp(router, limits=Limits(worker_concurrency=int(os.environ["FOLLOWERS_WORKERS"])))
"""Its store is that of AGENT_ASGI_STORE."""
