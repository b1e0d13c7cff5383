"""Limits on a run's output."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from agent_asgi import AgentApp, AgentRouter, Limits, ResponsesRequest
from agent_asgi.testing import AgentClient, Answer
from tests.support.apps import ask_unstarted
from tests.support.traces import traces


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("path", ["/responses", "/invocations"])
def test_a_handler_that_gives_too_many_outputs(stream: bool, path: str) -> None:
    router = AgentRouter()

    @router.stream
    async def babble(request: ResponsesRequest) -> AsyncIterator[str]:
        while True:
            yield "bla "

    answer = ask_unstarted(
        AgentApp(router, limits=Limits(max_outputs=50)),
        path,
        {"input": "x", "stream": stream},
    )
    check_too_large(answer, stream)
    assert answer.body.count(b"bla ") == 0 or b"bla " * 51 in answer.body.replace(b'"', b"")


@pytest.mark.parametrize("stream", [False, True])
def test_a_handler_that_never_waits_and_gives_too_much(stream: bool) -> None:
    """It yields to the event loop, and ends at the limit."""
    router = AgentRouter()

    @router.stream
    async def babble(request: ResponsesRequest) -> AsyncIterator[Any]:
        while True:
            yield "bla " * 100
            yield {"type": "acme:note", "text": "x" * 100}

    app = AgentApp(router, limits=Limits(max_output_bytes=2_000_000))
    turns = 0

    async def main() -> Answer:
        nonlocal turns
        asking = asyncio.create_task(
            AgentClient(app).post("/responses", {"input": "x", "stream": stream})
        )
        while not asking.done():
            turns += 1
            await asyncio.sleep(0)
        return asking.result()

    check_too_large(asyncio.run(main()), stream)
    assert turns > 5
    trace = traces(cause="output_too_large")[-1]
    assert trace.info.tags["agent_asgi.status"] == "failed"


def test_what_a_handler_yields_while_it_is_being_closed_is_dropped() -> None:
    router = AgentRouter()
    seen: list[str] = []

    @router.stream
    async def stubborn(request: ResponsesRequest) -> AsyncIterator[str]:
        yield "bla " * 1000
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            seen.append("cancelled")
            yield "too late"

    app = AgentApp(router, limits=Limits(max_output_bytes=1000))
    answer = ask_unstarted(app, "/responses", {"input": "x", "stream": True})
    check_too_large(answer, stream=True)
    assert seen == ["cancelled"]
    assert b"too late" not in answer.body


def check_too_large(answer: Answer, stream: bool) -> None:
    """Check that the client is told why the output ends."""
    if stream:
        failed = answer.events()[-1]["response"]
        assert (failed["status"], failed["error"]["code"]) == ("failed", "output_too_large")
    else:
        assert answer.status == 500
        assert answer.json()["error"]["code"] == "output_too_large"
        assert answer.headers["x-should-retry"] == "false"


def test_as_many_outputs_as_allowed() -> None:
    router = AgentRouter(protocol="json")

    @router.stream
    async def count(request: dict[str, Any]) -> AsyncIterator[int]:
        for number in range(50):
            yield number

    @router.invoke
    async def long(request: dict[str, Any]) -> str:
        return "x" * 1000

    app = AgentApp(router, limits=Limits(max_outputs=50, max_output_bytes=900))
    assert ask_unstarted(app, "/invocations", {"stream": True}).body.endswith(
        b"data: 49\n\ndata: [DONE]\n\n"
    )
    check_too_large(ask_unstarted(app, "/invocations", {}), stream=False)
