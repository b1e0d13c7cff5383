"""The agent of tests.tools.fairness: users by the header `x-user`, each with the same quota."""

import asyncio
from collections.abc import AsyncIterator

from starlette.requests import HTTPConnection

from agent_asgi import AgentApp, AgentRouter, Quota, ResponsesRequest, Usage

QUOTA = Quota(concurrent_runs=4, runs_per_minute=60, tokens_per_minute=100_000)
WORD_SECONDS = 0.01

router = AgentRouter()


@router.stream
async def speak(request: ResponsesRequest) -> AsyncIterator[str | Usage]:
    """Say five words in 50 ms, as a quick model does."""
    for _ in range(5):
        await asyncio.sleep(WORD_SECONDS)
        yield "word "
    yield Usage(input_tokens=10, output_tokens=5)


async def by_header(request: HTTPConnection) -> str | None:
    """Return the user that the header names."""
    return request.headers.get("x-user")


app = AgentApp(router, authenticate=by_header, quota=QUOTA)
"""Its store is that of AGENT_ASGI_STORE."""
