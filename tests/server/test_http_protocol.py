"""`HttpProtocol` after a complete head: trailers, blank lines, bodies of answered requests."""

import asyncio
import contextlib
import socket
import time
from collections.abc import AsyncIterator, Iterator
from http.client import HTTPResponse
from typing import Any

import pytest
from websockets.sync.client import connect as connect_to

from agent_asgi import AgentApp, AgentRouter, ResponsesRequest
from agent_asgi.server import http_protocol as protocol
from agent_asgi.server.http_protocol import MAX_HEAD, HttpProtocol
from tests.support.calling import until
from tests.support.echo import echo
from tests.support.raw_http import connections, post, rest_of
from tests.support.servers import serving

CHUNKED = b"POST /responses HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n"
HEALTH = b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\n"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "HEAD_SECONDS", 0.3)


def answer(opened: socket.socket) -> bytes:
    """Read one answer that has a length, and nothing after it."""
    with HTTPResponse(opened) as reply:
        reply.begin()
        reply.read()
        return b"HTTP/1.1 %d" % reply.status


def parts(opened: socket.socket, sent: bytes, pause: float = 0.02) -> Iterator[None]:
    """Send the same bytes repeatedly until the connection is closed."""
    with contextlib.suppress(ConnectionError):
        for _ in range(200):
            opened.sendall(sent)
            time.sleep(pause)
            yield


@pytest.mark.parametrize("more", [b"a: b\r\n" * 2000, b"a" * 12_000], ids=["many", "one"])
def test_trailers_without_end_are_cut(more: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """uvicorn keeps them among the request's headers, without a limit."""
    monkeypatch.setattr(protocol, "HEAD_SECONDS", 60)
    with serving(AgentApp(echo()), http=HttpProtocol) as server:
        for path in (b"/responses", b"/nowhere"):  # one reads its body, the other has answered
            with connections(server.url) as (opened,):
                opened.sendall(CHUNKED.replace(b"/responses", path) + b"0\r\n")
                assert len(list(parts(opened, more))) <= MAX_HEAD // len(more) + 3
        until(lambda: not server.state.connections and not server.state.tasks)


def test_trailers_that_are_small_are_taken() -> None:
    sent = CHUNKED + b'e\r\n{"input": "x"}\r\n0\r\na: b\r\n\r\n'
    with serving(AgentApp(echo()), http=HttpProtocol, timeout_keep_alive=1) as server:
        with connections(server.url) as (opened,):
            opened.sendall(sent * 3)
            assert rest_of(opened).count(OK) == 3


@pytest.mark.parametrize("drip", [b"\r\n", b"\n"])
def test_blank_lines_hold_no_connection(drip: bytes) -> None:
    with serving(AgentApp(echo()), http=HttpProtocol) as server:
        with connections(server.url) as (opened,):
            opened.sendall(HEALTH)
            assert answer(opened) == b"HTTP/1.1 200"
            opened.sendall(drip)  # only one, because it ends uvicorn's own wait
            assert rest_of(opened).startswith(b"HTTP/1.1 408 ")
        with connections(server.url) as (opened,):
            opened.sendall(HEALTH)
            assert answer(opened) == b"HTTP/1.1 200"
            assert len(list(parts(opened, drip))) < 100


@pytest.mark.parametrize("begin", [post(b"").replace(b": 0", b": 100000000"), CHUNKED])
def test_the_rest_of_an_answered_body_holds_no_connection(begin: bytes) -> None:
    with serving(AgentApp(echo()), http=HttpProtocol) as server:
        with connections(server.url) as (opened,):
            opened.sendall(begin.replace(b"/responses", b"/nowhere"))
            assert answer(opened) == b"HTTP/1.1 404"
            assert len(list(parts(opened, b"1\r\nx\r\n"))) < 100
        until(lambda: not server.state.connections)


def test_the_rest_of_an_answered_body_may_be_large_and_the_next_request_comes() -> None:
    body = b"x" * 1_000_000
    with serving(AgentApp(echo()), http=HttpProtocol, timeout_keep_alive=1) as server:
        with connections(server.url) as (opened,):
            opened.sendall(post(body, path=b"/nowhere")[:200])
            assert answer(opened) == b"HTTP/1.1 404"
            opened.sendall(post(body, path=b"/nowhere")[200:] + HEALTH)
            opened.settimeout(5)
            assert OK in rest_of(opened)


def test_who_keeps_a_connection_alive_is_left_to_uvicorn() -> None:
    """Valid requests, one after another, for longer than a head may take."""
    whole = post(b'{"input": "x"}')
    with serving(AgentApp(echo()), http=HttpProtocol, timeout_keep_alive=1) as server:
        with connections(server.url) as (opened,):
            for sent in (HEALTH, whole, HEALTH):
                opened.sendall(sent)
                assert answer(opened) == b"HTTP/1.1 200"
                time.sleep(0.4)
            opened.sendall(HEALTH)
            answered = time.monotonic()
            got = rest_of(opened)
            assert got.startswith(OK)
            assert got.count(b"HTTP/1.1 ") == 1
            assert time.monotonic() - answered > 0.8


def test_a_body_that_is_read_takes_its_time() -> None:
    body = b'{"input": "%s"}' % (b"x" * 200_000)
    sent = post(body)
    with serving(AgentApp(echo()), http=HttpProtocol) as server:
        with connections(server.url) as (opened,):
            opened.sendall(HEALTH)
            assert answer(opened) == b"HTTP/1.1 200"
            for begin in range(0, len(sent), 40_000):
                opened.sendall(sent[begin : begin + 40_000])
                time.sleep(0.1)
            assert answer(opened) == b"HTTP/1.1 200"


def test_streams_and_web_sockets_last() -> None:
    router = AgentRouter()

    @router.stream
    async def slow(request: ResponsesRequest) -> AsyncIterator[Any]:
        for _ in range(4):
            yield "word "
            await asyncio.sleep(0.2)

    with serving(AgentApp(router), http=HttpProtocol) as server:
        with connections(server.url) as (opened,):
            opened.sendall(HEALTH)
            assert answer(opened) == b"HTTP/1.1 200"
            opened.sendall(post(b'{"input": "x", "stream": true}', b"connection: close"))
            assert b"data: [DONE]" in rest_of(opened)
        for before in (b"", HEALTH, HEALTH + b"\r\n"):
            with connections(server.url) as (opened,):
                if before:
                    opened.sendall(before)
                    assert answer(opened) == b"HTTP/1.1 200"
                url = server.url.replace("http", "ws") + "/responses"
                with connect_to(url, sock=opened) as socket_:
                    time.sleep(0.5)
                    socket_.send('{"type": "response.create", "input": "x"}')
                    assert '"response.created"' in str(socket_.recv(5))
