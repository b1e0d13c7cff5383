"""The agent of the real runs: it speaks at the times of a profile; each token has its send time."""

import asyncio
import os
import time
from collections.abc import AsyncIterator

from agent_asgi import AgentApp, AgentRouter, Limits, ResponsesRequest
from tests.tools.scale.traffic import Profile, token_times

router = AgentRouter("speaker")


@router.stream
async def speak(request: ResponsesRequest) -> AsyncIterator[str]:
    """Speak as the seed in the input says; "silent" says one token."""
    if request.input_text == "silent":
        yield "token "
        return
    loop = asyncio.get_running_loop()
    began = loop.time()
    for at in token_times(Profile(), int(request.input_text)):
        await asyncio.sleep(began + at - loop.time())
        yield f"{time.time_ns()} "


app = AgentApp(
    router,
    limits=Limits(
        max_runs=20_000,
        max_streams=20_000,
        worker_concurrency=int(os.environ.get("SCALE_CONCURRENCY", "200")),
    ),
)
