"""Clients that send too large a head, send too slowly or read nothing leave nothing behind."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from agent_asgi import AgentApp, AgentRouter, Limits, ResponsesRequest, Timeouts
from agent_asgi.server import http_protocol
from agent_asgi.server.http_protocol import MAX_HEAD, HttpProtocol
from tests.support.calling import Serve, until
from tests.support.echo import echo
from tests.support.raw_http import answered, connections, post, rest_of
from tests.support.servers import serving


@pytest.mark.parametrize("kind", ["many", "one", "line"])
def test_a_flood_of_headers_is_a_431(kind: str) -> None:
    """uvicorn by itself keeps more than 64 MiB of them."""
    begin = {"many": b"GET / HTTP/1.1\r\n", "one": b"GET / HTTP/1.1\r\nx-a: ", "line": b"GET /"}
    more = b"x-header: 0123456789\r\n" * 20_000 if kind == "many" else b"a" * 440_000
    with serving(AgentApp(echo()), http=HttpProtocol) as server:
        got = answered(server.url, begin[kind] + more)
        assert got == b"" or got.startswith(b"HTTP/1.1 431 ")
        until(lambda: not server.state.connections)
        with connections(server.url) as (opened,):
            opened.sendall(begin[kind])
            with contextlib.suppress(ConnectionError):
                for _ in range(3):
                    opened.sendall(more[: MAX_HEAD // 2])
                    time.sleep(0.1)  # nothing more is sent once the answer arrives
            assert opened.recv(65536).startswith(b"HTTP/1.1 431 ")


def test_a_head_that_does_not_arrive_is_a_408(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_protocol, "HEAD_SECONDS", 0.2)
    whole = post(b'{"input": "x"}')
    with serving(AgentApp(echo()), http=HttpProtocol) as server:
        for sent in (b"", b"POST /res", whole + whole[:20]):
            got = answered(server.url, sent)
            assert got.count(b"HTTP/1.1 200 ") == sent.count(b'"x"')
            assert b"HTTP/1.1 408 Request Timeout\r\n" in got
        body = b'{"input": "%s"}' % (b"x" * 200_000)
        sent = post(body) * 3 + post(body, b"connection: close")
        assert answered(server.url, sent).count(b"HTTP/1.1 200 ") == 4
        assert not server.state.connections


def test_a_head_that_does_not_arrive_behind_an_unanswered_request(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A refusal would look like part of that answer, so the connection is just closed."""
    monkeypatch.setattr(http_protocol, "HEAD_SECONDS", 0.2)
    router = AgentRouter()

    @router.stream
    async def slow(request: ResponsesRequest) -> AsyncIterator[str]:
        yield "word"
        await asyncio.sleep(3600)

    with serving(AgentApp(router), http=HttpProtocol) as server:
        got = answered(server.url, post(b'{"input": "x", "stream": true}') + b"POST /")
        assert b"HTTP/1.1 200 OK" in got
        assert b"HTTP/1.1 408" not in got.partition(b"\r\n\r\n")[2]
        until(lambda: not server.state.tasks)


TIMES = Timeouts(body=0.3, write=0.3)


@pytest.mark.parametrize("begin", [post(b"x" * 100)[:-50], post(b"")[:30]])
def test_slow_senders_leave_nothing_behind(begin: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_protocol, "HEAD_SECONDS", 0.3)
    with serving(AgentApp(echo(), timeouts=TIMES), http=HttpProtocol) as server:
        with connections(server.url, 50) as opened:
            for each in opened:
                each.sendall(begin)
            until(lambda: len(server.state.connections) == 50)
            until(lambda: not server.state.connections)
            assert {each.recv(12) for each in opened} == {b"HTTP/1.1 408"}
        assert not server.state.tasks


@pytest.mark.parametrize(
    "sent",
    [
        post(b'{"input": "6000000"}'),
        post(b'{"input": "3000000", "stream": true}'),
        post(b'{"input": "400000"}') * 20,
        post(b'{"input": "200000", "stream": true}', path=b"/invocations") * 20,
    ],
    ids=["json", "stream", "many", "many streams"],
)
def test_readers_that_stop_leave_nothing_behind(sent: bytes) -> None:
    """Their answers had ended, but stayed in the server's memory forever."""
    app = AgentApp(echo(), limits=Limits(max_runs=100), timeouts=TIMES)
    with serving(app) as server, connections(server.url, 50) as opened:
        for each in opened:
            each.sendall(sent)
        until(lambda: server.state.connections)
        until(lambda: not server.state.connections and not server.state.tasks, seconds=30)
        with pytest.raises(ConnectionResetError):
            rest_of(opened[0])
        runtime: Any = app._config._runtime
        assert runtime.engine.limiters["agent"].free == 100
        assert runtime.engine.streams.free == Limits().max_streams


def test_a_reader_that_is_only_slow_gets_all_of_its_answer(serve: Serve) -> None:
    with connections(serve(AgentApp(echo(), timeouts=TIMES))) as (opened,):
        opened.sendall(post(b'{"input": "4500000"}', b"connection: close"))
        assert len(rest_of(opened, pause=0.003)) > 4_500_000
