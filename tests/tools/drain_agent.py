"""The agents of drain.py and tests/server/test_shutdown.py; the input controls what they do."""

import asyncio
import contextlib
import json
import os
import time
from collections.abc import AsyncIterator

from sse_starlette.sse import EventSourceResponse
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route

from agent_asgi import AgentApp, AgentRouter, Context, Limits, ResponsesRequest, Timeouts

TIMEOUTS = Timeouts(heartbeat=0.2, stalled=60, rescue=0.2, poll=0.2, cleanup=0.5, tracing=60)
TIMES = json.loads(os.environ.get("DRAIN_TIMES", "{}"))
PAUSE = 0.05

counter = AgentRouter("counter")
threads = AgentRouter("threads")


@counter.stream
async def reply(request: ResponsesRequest, context: Context) -> AsyncIterator[str]:
    """Count for some seconds, or misbehave."""
    what = request.input_text
    if what == "stubborn":
        while True:
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(3600)
    if what == "block":
        time.sleep(3600)  # noqa: ASYNC251  misbehaves on purpose
    if what == "first attempt":
        yield f"attempt {context.attempt}"
        await asyncio.sleep(3600 if context.attempt == 1 else 0)
        return
    for number in range(round(float(what) / PAUSE)):
        yield f"{number} "
        await asyncio.sleep(PAUSE)


@threads.invoke
def never(request: ResponsesRequest) -> str:
    """Never return."""
    time.sleep(3600)
    return ""


app = AgentApp(
    counter,
    threads,
    timeouts=Timeouts(
        **{**{name: getattr(TIMEOUTS, name) for name in TIMEOUTS.__slots__}, **TIMES}
    ),
    limits=Limits(worker_concurrency=4),
)


async def ticks(_: Request) -> Response:
    """Stream forever, as a host app may do next to its agents."""

    async def each() -> AsyncIterator[str]:
        while True:
            yield "tick"
            await asyncio.sleep(PAUSE)

    return EventSourceResponse(each())


host = Starlette(routes=[Route("/ticks", ticks), Mount("/", app=app)], lifespan=app.lifespan)
