"""An agent that counts slowly and takes time to clean up."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator

from agent_asgi import AgentRouter, Context, ResponsesRequest

SLOW = 0.1


class Seen:
    """When a handler's clean-up began and ended, on the loop's clock."""

    def __init__(self) -> None:
        self.began = 0.0
        self.ended = 0.0
        self.cause: str | None = None
        self.done = threading.Event()


def counting(seen: Seen, name: str) -> AgentRouter:
    """Create an agent that streams 1,000 slow tokens and awaits in its clean-up."""
    router = AgentRouter(name)

    @router.stream
    async def count(request: ResponsesRequest, context: Context) -> AsyncIterator[str]:
        try:
            for number in range(1000):
                yield f"{number} "
                await asyncio.sleep(0.01)
        finally:
            seen.began = time.monotonic()
            seen.cause = context.cancelled.cause
            await asyncio.sleep(SLOW)
            seen.ended = time.monotonic()
            seen.done.set()

    return router
