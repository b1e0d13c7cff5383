"""A request leaves nothing that only the garbage collector could free."""

import asyncio
import gc
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import pytest

from agent_asgi import AgentApp, AgentRouter, ResponsesRequest
from agent_asgi.testing import AgentClient

ASKED = 20


async def at_once(request: ResponsesRequest) -> str:
    return "Hello."


async def waiting(request: ResponsesRequest) -> AsyncIterator[str]:
    for word in ("It", " waits", "."):
        await asyncio.sleep(0.001)
        yield word


def in_thread(request: ResponsesRequest) -> str:
    return "Hello from a thread."


@pytest.fixture
def garbage() -> Any:
    """Yield the list of what the collector finds, once the test makes it keep that."""
    gc.collect()
    gc.disable()
    yield gc.garbage
    gc.set_debug(0)
    gc.garbage.clear()
    gc.enable()


@pytest.mark.parametrize("more", [{}, {"stream": True}, {"background": True}], ids=str)
@pytest.mark.parametrize("handler", [at_once, waiting, in_thread])
def test_a_request_leaves_no_circles(
    handler: Any, more: dict[str, bool], garbage: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    router = AgentRouter()
    router.invoke(handler)
    app = AgentApp(router)

    async def main() -> None:
        async with app.lifespan():
            client = AgentClient(app)
            for _ in range(3):  # let one-time objects be created
                await client.post("/responses", {"input": "hi", **more})
            await asyncio.sleep(0.3)
            gc.collect()  # and removed: what is kept once would be found again
            gc.set_debug(gc.DEBUG_SAVEALL)
            for _ in range(ASKED):
                answer = await client.post("/responses", {"input": "hi", **more})
                assert answer.status == 200
            await asyncio.sleep(0.3)
            gc.collect()

    asyncio.run(main())
    kinds = Counter(type(each).__name__ for each in garbage)
    assert len(garbage) < ASKED, kinds
