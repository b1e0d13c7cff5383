"""Context variables that a handler sets stay in its run."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextvars import ContextVar
from typing import Any

import pytest

from agent_asgi import AgentApp, AgentRouter, ResponsesRequest
from agent_asgi.testing import AgentClient
from tests.support.calling import Serve
from tests.support.websocket_client import connect, turn

seen: ContextVar[str] = ContextVar("seen", default="nothing")


async def function(request: ResponsesRequest) -> str:
    """Return what is set, and set another value."""
    before = seen.get()
    seen.set(request.input_text)
    return before


async def generator(request: ResponsesRequest) -> AsyncIterator[str]:
    """Yield what is set, and set another value."""
    yield seen.get()
    seen.set(request.input_text)
    await asyncio.sleep(0)
    yield ""


def called(request: ResponsesRequest) -> Awaitable[str]:
    """Set a value when it is called, before its coroutine begins."""
    before = seen.get()
    seen.set(request.input_text)
    return asyncio.sleep(0, before)


HANDLERS = pytest.mark.parametrize("handler", [function, generator, called])


def router_of(handler: Callable[..., Any]) -> AgentRouter:
    """Return an agent whose requests of both kinds have one handler."""
    router = AgentRouter()
    router.invoke(handler)
    router.stream(handler)
    return router


@HANDLERS
def test_the_next_turn_of_a_websocket_does_not_see_them(serve: Serve, handler: Any) -> None:
    with connect(serve(AgentApp(router_of(handler)))) as socket_:
        for number in range(3):
            response = turn(socket_, f"turn {number}")
            assert response["output"][0]["content"][0]["text"] == "nothing"


@HANDLERS
@pytest.mark.parametrize("stream", [False, True])
def test_the_next_pipelined_request_does_not_see_them(
    serve: Serve, handler: Any, stream: bool
) -> None:
    host, port = serve(AgentApp(router_of(handler))).removeprefix("http://").split(":")
    body = b'{"input":"secret","stream":%b}' % (b"true" if stream else b"false")
    head = b"POST /responses HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
    request = head + b"content-length: %d\r\n\r\n" % len(body) + body
    last = request.replace(b"host: x", b"host: x\r\nconnection: close")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(request * 2 + last)
        answers = b""
        while chunk := connection.recv(65536):
            answers += chunk
    assert answers.count(b"HTTP/1.1 200 OK") == 3
    assert answers.count(b'"text":"nothing"') >= 3
    assert b'"text":"secret"' not in answers


def test_the_caller_does_not_see_them() -> None:
    async def main() -> None:
        seen.set("the host's")
        answer = await AgentClient(AgentApp(router_of(function))).post("/responses", {"input": "x"})
        assert answer.output_text == "the host's"
        assert seen.get() == "the host's"

    asyncio.run(main())


def test_a_generator_that_is_closed_resets_its_own() -> None:
    """A token can only be used in the context in which it was made."""
    router = AgentRouter()
    problems: list[ValueError | None] = []

    @router.stream
    async def answer(request: ResponsesRequest) -> AsyncIterator[str]:
        token = seen.set("inside")
        try:
            while True:
                yield "more "
                await asyncio.sleep(0.01)
        finally:
            try:
                seen.reset(token)
            except ValueError as error:
                problems.append(error)
            problems.append(None)

    async def main() -> None:
        client = AgentClient(AgentApp(router))
        async with asyncio.timeout(10):
            async with client.stream("/responses", {"input": "x", "stream": True}) as answer:
                async for _ in answer.frames():
                    await answer.disconnect()
            while not problems:
                await asyncio.sleep(0.01)

    asyncio.run(main())
    assert problems == [None]
