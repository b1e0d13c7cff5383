"""How a stream is sent: batches, pings, framing, and errors that keep their status."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from typing import Any

import pytest
from starlette.types import Message

from agent_asgi import AgentApp, AgentError, AgentRouter, ResponsesRequest, Timeouts
from agent_asgi.testing import AgentClient, Stream
from tests.support.apps import started
from tests.support.stream_rules import check_stream

STREAM = {"input": "x", "stream": True}


def read_stream(app: AgentApp) -> Stream:
    """Send one request and return the whole answer."""

    async def main() -> Stream:
        async with started(app), AgentClient(app).stream("/responses", STREAM) as answer:
            async for _ in answer.bodies():
                pass
        return answer

    return asyncio.run(main())


def test_what_is_ready_together_is_one_message() -> None:
    router = AgentRouter()

    @router.stream
    async def burst(request: ResponsesRequest) -> AsyncIterator[str]:
        for _ in range(100):
            yield "token "

    answer = read_stream(AgentApp(router))
    assert len(answer.messages) == 1
    assert answer.body.endswith(b"data: [DONE]\n\n")
    assert len(check_stream(answer.events())["output"][0]["content"][0]["text"]) == 600


def test_a_cancelled_start_loses_no_event() -> None:
    router = AgentRouter()

    @router.stream
    async def slow(request: ResponsesRequest) -> AsyncIterator[str]:
        yield "hello"
        await asyncio.sleep(30)

    requests = [{"type": "http.request", "body": json.dumps(STREAM).encode()}]
    bodies: list[bytes] = []

    async def receive() -> Message:
        if not requests:
            await asyncio.Event().wait()
        return requests.pop()

    async def send(message: Message) -> None:
        bodies.append(message.get("body", b""))
        if message["type"] == "http.response.start":  # a server that writes first, and then waits
            await asyncio.sleep(0.6)

    async def main() -> None:
        async with started(AgentApp(router, timeouts=Timeouts(run=0.2))) as app:
            scope = {"type": "http", "method": "POST", "path": "/responses"}
            await app({**scope, "query_string": b"", "headers": []}, receive, send)

    asyncio.run(main())
    numbers = [int(each) for each in re.findall(rb'"sequence_number":(\d+)', b"".join(bodies))]
    assert numbers == list(range(len(numbers)))
    assert len(numbers) > 4


def test_a_token_that_comes_alone_leaves_at_once() -> None:
    router = AgentRouter()
    sent = asyncio.Event()

    @router.stream
    async def paced(request: ResponsesRequest) -> AsyncIterator[str]:
        yield "first"
        await sent.wait()  # set by the client once it has seen the token
        yield "second"

    async def main() -> list[bytes]:
        app = AgentApp(router)
        async with started(app), AgentClient(app).stream("/responses", STREAM) as answer:
            async for body in answer.bodies():
                if b'"delta":"first"' in body:
                    sent.set()
        return answer.messages

    assert len(asyncio.run(main())) == 2


def test_batches_are_bounded_and_frames_whole() -> None:
    router = AgentRouter()

    @router.stream
    async def burst(request: ResponsesRequest) -> AsyncIterator[str]:
        for _ in range(2000):
            yield "token "

    answer = read_stream(AgentApp(router))
    assert len(answer.messages) > 5
    assert all(body.endswith(b"\n\n") for body in answer.messages)
    assert all(len(body) < 40_000 for body in answer.messages[:-1])
    check_stream(answer.events())


def test_a_slow_client_slows_its_own_handler() -> None:
    router = AgentRouter()
    made = 0

    @router.stream
    async def endless(request: ResponsesRequest) -> AsyncIterator[str]:
        nonlocal made
        for _ in range(100_000):
            made += 1
            yield "token " * 10

    async def main() -> None:
        app = AgentApp(router)
        reading = asyncio.Event()
        inbox: asyncio.Queue[Any] = asyncio.Queue()
        body = json.dumps(STREAM).encode()
        await inbox.put({"type": "http.request", "body": body})

        async def send(message: Any) -> None:
            await reading.wait()

        scope = AgentClient(app)._scope("POST", "/responses", {}, len(body))
        async with started(app):
            task = asyncio.create_task(app(scope, inbox.get, send))
            await asyncio.sleep(0.3)
            assert 0 < made < 1000
            await inbox.put({"type": "http.disconnect"})
            await task

    asyncio.run(main())


@pytest.mark.parametrize("before", [True, False])
def test_pings_in_silence(before: bool) -> None:
    router = AgentRouter()

    @router.stream
    async def thinks(request: ResponsesRequest) -> AsyncIterator[str]:
        if not before:
            yield "so "
        await asyncio.sleep(0.35)
        yield "done"

    answer = read_stream(AgentApp(router, timeouts=Timeouts(ping=0.1)))
    assert 2 <= answer.body.count(b": ping\n\n") <= 4
    check_stream(answer.events())


def test_an_error_before_the_first_output_keeps_its_status() -> None:
    router = AgentRouter()

    @router.stream
    async def refuses(request: ResponsesRequest) -> AsyncIterator[str]:
        await asyncio.sleep(0.01)
        raise AgentError("Not today.", 429, "later", headers={"retry-after": "7"})
        yield ""

    answer = read_stream(AgentApp(router))
    assert answer.status == 429
    assert answer.headers["retry-after"] == "7"
    assert answer.headers["x-should-retry"] == "false"
    assert answer.json()["error"] == {
        "message": "Not today.",
        "type": "too_many_requests",
        "param": None,
        "code": "later",
    }


def test_an_error_after_a_ping_is_in_the_stream() -> None:
    router = AgentRouter()

    @router.stream
    async def fails(request: ResponsesRequest) -> AsyncIterator[str]:
        await asyncio.sleep(0.25)
        raise ValueError("a secret")
        yield ""

    answer = read_stream(AgentApp(router, timeouts=Timeouts(ping=0.1)))
    assert answer.status == 200
    check_stream(answer.events())
    assert answer.events()[-1]["type"] == "response.failed"
    assert b"a secret" not in answer.body


@pytest.mark.parametrize(
    "token", ["\n\ndata: [DONE]\n\n", "\r\nevent: x\r\n", "data: {}", "é\u2028"]
)
def test_no_token_forges_a_frame(token: str) -> None:
    router = AgentRouter()

    @router.stream
    async def forges(request: ResponsesRequest) -> AsyncIterator[str]:
        yield token

    answer = read_stream(AgentApp(router))
    assert check_stream(answer.events())["output"][0]["content"][0]["text"] == token
    assert answer.body.count(b"[DONE]\n\n") == 1


@pytest.mark.parametrize("body", [{}, {"stream": True}, {"background": True, "stream": True}])
def test_half_a_surrogate_pair_does_no_harm(body: dict[str, Any]) -> None:
    router = AgentRouter()

    @router.stream
    async def say(request: ResponsesRequest) -> AsyncIterator[str]:
        yield "a \ud83d"
        yield "\ude00 b"

    async def main() -> Any:
        async with started(AgentApp(router)) as app:
            return await AgentClient(app).post("/responses", {"input": "x", **body})

    answer = asyncio.run(main())
    response = check_stream(answer.events()) if body else answer.json()
    assert response["output"][0]["content"][0]["text"] == "a \ufffd\ufffd b"
    assert response["status"] == "completed"


def test_no_vendor_type_forges_a_frame() -> None:
    router = AgentRouter()

    @router.stream
    async def forges(request: ResponsesRequest) -> AsyncIterator[Any]:
        yield "x"
        yield {"type": "acme:x\ndata: [DONE]\n\n", "n": 1}

    answer = read_stream(AgentApp(router))
    assert answer.body.count(b"data: [DONE]\n\n") == 1
    assert answer.events()[-1]["type"] == "response.failed"


def test_an_output_that_is_not_json_fails_the_run() -> None:
    router = AgentRouter()

    @router.stream
    async def odd(request: ResponsesRequest) -> AsyncIterator[Any]:
        yield "x"
        yield {"type": "acme:x", "n": object()}

    answer = read_stream(AgentApp(router))
    check_stream(answer.events())
    assert answer.events()[-1]["type"] == "response.failed"


def test_a_client_whose_socket_breaks_cancels_the_run() -> None:
    router = AgentRouter()
    ended = []

    @router.stream
    async def count(request: ResponsesRequest) -> AsyncIterator[str]:
        try:
            for _ in range(1000):
                yield "x"
                await asyncio.sleep(0.001)
        finally:
            ended.append(True)

    async def main() -> None:
        app = AgentApp(router)
        inbox: asyncio.Queue[Any] = asyncio.Queue()
        body = json.dumps(STREAM).encode()
        await inbox.put({"type": "http.request", "body": body})
        sent = 0

        async def send(message: Any) -> None:
            nonlocal sent
            sent += 1
            if sent > 5:
                raise OSError("broken pipe")

        scope = AgentClient(app)._scope("POST", "/responses", {}, len(body))
        async with started(app):
            await asyncio.wait_for(app(scope, inbox.get, send), 5)
        assert sent == 6

    asyncio.run(main())
    assert ended == [True]
