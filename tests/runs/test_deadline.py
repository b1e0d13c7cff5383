"""Each timeout ends what it limits, and reports which one it was."""

import asyncio
import contextlib
import re
import socket
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import pytest

from agent_asgi import AgentApp, AgentRouter, Context, Limits, ResponsesRequest, Timeouts
from agent_asgi.testing import AgentClient
from tests.support.apps import ask_unstarted, started
from tests.support.calling import Serve, connect, ended, until
from tests.support.raw_http import rest_of
from tests.support.traces import traces


@contextmanager
def connected(url: str, receive_buffer: int | None = None) -> Iterator[socket.socket]:
    """Open a connection for raw bytes."""
    with socket.socket() as opened:
        if receive_buffer is not None:
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        opened.settimeout(20)
        parts = urlsplit(url)
        opened.connect((parts.hostname, parts.port))
        yield opened


def head(path: str, length: int | None) -> bytes:
    """Return the head of a POST, with a length or for a chunked body."""
    size = b"transfer-encoding: chunked" if length is None else b"content-length: %d" % length
    return b"POST %s HTTP/1.1\r\nhost: x\r\n%s\r\n\r\n" % (path.encode(), size)


def waiting(seen: list[str], **options: Any) -> AgentApp:
    """Make an app whose agent says a word and waits; record why it was cancelled."""
    router = AgentRouter(name=options.pop("name", "agent"))

    @router.stream
    async def wait(request: ResponsesRequest, context: Context) -> AsyncIterator[str]:
        try:
            yield "word"
            await asyncio.sleep(3600)
        finally:
            seen.append(str(context.cancelled.cause))

    return AgentApp(router, **options)


@pytest.mark.parametrize("length", [20, None], ids=["declared", "chunked"])
@pytest.mark.parametrize("sent", [b"", b'{"in'], ids=["none", "some"])
def test_a_body_that_does_not_arrive(serve: Serve, length: int | None, sent: bytes) -> None:
    url = serve(waiting([], timeouts=Timeouts(body=0.2)))
    with connected(url) as opened:
        chunk = sent if length or not sent else b"%x\r\n%s\r\n" % (len(sent), sent)
        opened.sendall(head("/responses", length) + chunk)
        answer = rest_of(opened)  # the server closes the connection
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b'"code":"body_timeout"' in answer
    assert b"connection: close" in answer.lower()
    assert b"x-request-id: " in answer


def test_a_slow_body_that_arrives_in_time(serve: Serve) -> None:
    body = b'{"input": "x", "background": true}'
    with connected(serve(waiting([], timeouts=Timeouts(body=10, drain=0)))) as opened:
        opened.sendall(head("/responses", len(body)))
        for at in range(0, len(body), 8):
            opened.sendall(body[at : at + 8])
            time.sleep(0.01)
        assert opened.recv(65536).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("length", [12 << 20, 1 << 30, None], ids=["12 MiB", "1 GiB", "chunked"])
def test_a_body_that_is_too_large_is_refused_while_it_comes(
    serve: Serve, length: int | None
) -> None:
    """A sender that continues briefly can still read the answer; an endless one is cut off."""
    url = serve(waiting([]))
    part = b"x" * (1 << 16)
    with connected(url) as opened:
        opened.sendall(head("/responses", length))
        total = 0
        try:
            while total < (length or 64 << 20):
                opened.sendall(part if length else b"10000\r\n" + part + b"\r\n")
                total += len(part)
            answer = rest_of(opened)
        except (BrokenPipeError, ConnectionResetError):
            assert length != 12 << 20
            assert total < 60 << 20
            return
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"connection: close" in answer.lower()


@pytest.mark.parametrize("stream", [False, True])
def test_silence_between_two_outputs(stream: bool) -> None:
    seen: list[str] = []
    app = waiting(seen, name="mute", timeouts=Timeouts(silence=0.2, run=60))
    answer = ask_unstarted(app, "/responses", {"input": "x", "stream": stream})
    error = answer.events()[-2]["error"] if stream else answer.json()["error"]
    assert (answer.status, error["code"]) == (200 if stream else 504, "silence_timeout")
    assert error["message"] == "The agent was silent for 0.2 s."
    assert seen == ["silence"]
    assert traces(agent="mute", cause="silence_timeout")


def test_several_waits_without_an_output_are_one_silence() -> None:
    router = AgentRouter()

    @router.stream
    async def mute(request: ResponsesRequest) -> AsyncIterator[str]:
        yield "word"
        for _ in range(600):
            await asyncio.sleep(0.05)
        yield "too late"

    app = AgentApp(router, timeouts=Timeouts(silence=0.3, run=60))
    answer = ask_unstarted(app, "/responses", {"input": "x"})
    assert (answer.status, answer.json()["error"]["code"]) == (504, "silence_timeout")


def test_a_handler_that_speaks_now_and_then_is_not_silent() -> None:
    router = AgentRouter()

    @router.stream
    async def slow(request: ResponsesRequest) -> AsyncIterator[str]:
        for _ in range(8):
            await asyncio.sleep(0.1)
            yield "word "

    answer = ask_unstarted(
        AgentApp(router, timeouts=Timeouts(silence=0.5)), "/responses", {"input": "x"}
    )
    assert answer.json()["output"][0]["content"][0]["text"] == "word " * 8


def test_a_run_in_all_and_a_background_run(serve: Serve) -> None:
    seen: list[str] = []
    app = waiting(seen, name="slow", timeouts=Timeouts(run=0.2, background=0.3))
    client = connect(serve(app))
    begun = client.responses.create(model="slow", input="x", background=True)
    response = ended(client, begun.id)
    assert response.error is not None
    assert (response.status, response.error.code) == ("failed", "background_timeout")
    app = waiting(seen, timeouts=Timeouts(run=0.2))
    answer = ask_unstarted(app, "/responses", {"input": "x"})
    assert answer.json()["error"]["code"] == "timeout"
    assert seen == ["timeout", "timeout"]
    assert until(lambda: traces(agent="slow", cause="background_timeout"))


@pytest.mark.parametrize("path", ["/responses", "/invocations"])
def test_a_client_that_reads_no_more(serve: Serve, path: str) -> None:
    """Its handler is cancelled and its connection closed; the trace says why."""
    seen: list[str] = []
    name = f"stalled{len(path)}"
    router = AgentRouter(name)

    @router.stream
    async def flood(request: ResponsesRequest, context: Context) -> AsyncIterator[str]:
        try:
            while True:
                yield "x" * 10_000
                await asyncio.sleep(0)
        finally:
            seen.append(str(context.cancelled.cause))

    url = serve(AgentApp(router, timeouts=Timeouts(write=0.5)))
    body = b'{"input": "x", "stream": true}'
    with connected(url, receive_buffer=4096) as opened:
        opened.sendall(head(path, len(body)) + body)
        until(lambda: seen)
        assert seen == ["client_stalled"]
        with pytest.raises(ConnectionResetError):
            rest_of(opened)
    assert until(lambda: traces(agent=name, cause="client_stalled", status="cancelled"))


def test_a_client_that_does_not_read_the_end(serve: Serve) -> None:
    """Only the ending, with all of the text, is still to be sent."""
    router = AgentRouter("last")

    @router.stream
    async def large(request: ResponsesRequest) -> AsyncIterator[str]:
        yield "x" * 8_000_000

    url = serve(AgentApp(router, timeouts=Timeouts(write=0.5)))
    body = b'{"input": "x", "stream": true}'
    with connected(url, receive_buffer=4096) as opened:
        opened.sendall(head("/responses", len(body)) + body)
        until(lambda: traces(agent="last", status="completed"))
        time.sleep(1.5)
        with pytest.raises(ConnectionResetError):
            rest_of(opened)


def test_a_follower_that_reads_no_more(serve: Serve) -> None:
    """The run continues; only its follower is disconnected."""
    router = AgentRouter("followed")

    @router.stream
    async def large(request: ResponsesRequest) -> AsyncIterator[str]:
        for _ in range(60):
            yield "x" * 100_000
            await asyncio.sleep(0.01)

    url = serve(AgentApp(router, timeouts=Timeouts(write=0.5)))
    body = b'{"input": "x", "stream": true, "background": true}'
    with connected(url, receive_buffer=4096) as opened:
        opened.sendall(head("/responses", len(body)) + body)
        until(lambda: traces(agent="followed", status="completed"), seconds=20)
        time.sleep(1)
        with pytest.raises(ConnectionResetError):
            rest_of(opened)


def test_a_slow_client_is_no_stalled_one(serve: Serve) -> None:
    router = AgentRouter()

    @router.stream
    async def much(request: ResponsesRequest) -> AsyncIterator[str]:
        for _ in range(20):
            yield "x" * 5_000

    url = serve(AgentApp(router, timeouts=Timeouts(write=1)))
    body = b'{"input": "x", "stream": true}'
    got = b""
    with connected(url, receive_buffer=4096) as opened:
        opened.sendall(head("/responses", len(body)) + body)
        while b"[DONE]" not in got:
            got += opened.recv(1 << 17)
            time.sleep(0.05)


def flooding(text: str, times: int, **options: Any) -> AgentApp:
    """Make an app whose agent produces a lot of output at once."""
    router = AgentRouter()

    @router.stream
    async def flood(request: ResponsesRequest) -> AsyncIterator[str]:
        for _ in range(times):
            yield text
            await asyncio.sleep(0)

    return AgentApp(router, **options)


def test_a_client_that_reads_all_the_time_is_not_cut(serve: Serve) -> None:
    """The kernel asks the server for more only now and then, so acknowledged bytes count."""
    url = serve(flooding("x" * 10_000, 3000, timeouts=Timeouts(write=0.4, ping=0.2)))
    body = b'{"input": "x", "stream": true}'
    with connected(url, receive_buffer=4096) as opened:
        opened.sendall(head("/responses", len(body)) + body)
        end = time.monotonic() + 3
        while time.monotonic() < end:
            assert opened.recv(3000)
            time.sleep(0.005)


def test_no_event_is_lost_where_a_run_is_cancelled_while_its_client_is_slow(serve: Serve) -> None:
    url = serve(flooding("x" * 10_000, 3000, timeouts=Timeouts(run=0.5)))
    body = b'{"input": "x", "stream": true}'
    with connected(url, receive_buffer=4096) as opened:
        opened.sendall(head("/responses", len(body)) + body)
        time.sleep(1.5)
        got = b""
        while b"[DONE]" not in got[-50:]:
            got += opened.recv(1 << 20)
    numbers = [int(each) for each in re.findall(rb'"sequence_number":(\d+)', got)]
    assert numbers == list(range(len(numbers)))
    assert b'"code":"timeout"' in got


def test_an_ignoring_handler_whose_client_cannot_be_sent_to_is_abandoned() -> None:
    """A server with a later ASGI version raises if the client has left."""
    router = AgentRouter()

    @router.stream
    async def ignores(request: ResponsesRequest) -> AsyncIterator[str]:
        yield "word"
        for _ in range(100):
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(3600)

    app = AgentApp(router, timeouts=Timeouts(cleanup=0.2))

    async def main() -> None:
        async def send(message: Any) -> None:
            raise OSError("The client has left.")

        content = b'{"input": "x", "stream": true}'
        receive = asyncio.Queue[Any]()
        await receive.put({"type": "http.request", "body": content, "more_body": False})
        scope = AgentClient(app)._scope("POST", "/responses", {}, len(content))
        async with started(app):
            await asyncio.wait_for(app(scope, receive.get, send), 10)
            runtime = app._config.started()
            assert runtime is not None
            assert runtime.engine.limiters["agent"].free == Limits().max_runs
            assert not runtime.admission.runs

    asyncio.run(main())


@pytest.mark.parametrize("name", ["body", "run", "silence", "write", "room"])
def test_a_time_is_not_negative(name: str) -> None:
    with pytest.raises(ValueError, match=f"Timeouts: {name} must not be negative"):
        Timeouts(**{name: -1})


def test_limits_and_timeouts_are_there_for_each_app() -> None:
    assert Limits().max_runs == 5000
    assert Timeouts().write == 60
