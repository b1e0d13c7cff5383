"""The agent of tests.tools.throughput: it says some words, at once or one by one."""

import asyncio
import os
from collections.abc import AsyncIterator

from agent_asgi import AgentApp, AgentRouter, Limits, ResponsesRequest, Timeouts

WORDS = int(os.environ.get("THROUGHPUT_WORDS", "10"))
PAUSE = float(os.environ.get("THROUGHPUT_PAUSE", "0"))
CONCURRENCY = int(os.environ.get("THROUGHPUT_CONCURRENCY", "20"))
TIMEOUTS = Timeouts(stalled=300, background=60)
"""A worker is stopped for longer than it may usually be silent."""

router = AgentRouter()


@router.stream
async def speak(request: ResponsesRequest) -> AsyncIterator[str]:
    """Say the words."""
    for number in range(WORDS):
        yield f"word {number} "
        if PAUSE:
            await asyncio.sleep(PAUSE)


limits = Limits(worker_concurrency=CONCURRENCY, max_queued=1_000_000)
app = AgentApp(router, limits=limits, timeouts=TIMEOUTS)
"""Its store is that of AGENT_ASGI_STORE."""
