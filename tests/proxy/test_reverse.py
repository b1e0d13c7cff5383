"""The reverse proxy: requests and answers pass unchanged, with a real server on both sides."""

import asyncio
import contextlib
import gzip
import hashlib
import json
import re
import resource
import socket
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from urllib.parse import unquote

import httpx2
import pytest
from fastapi import FastAPI
from hypothesis import example, given, settings
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message

from agent_asgi import AgentApp
from agent_asgi.proxy import ReverseProxy
from agent_asgi.testing import AgentClient
from tests.support.asking import ANN, TOKENS, fetch
from tests.support.calling import Serve, connect, until
from tests.support.scrape import by, scrape
from tests.support.servers import Server, unheard_port
from tests.support.upstream import (
    echo,
    error_of,
    exchange,
    fronted,
    get,
    hosted,
    opened,
    read_head,
    says,
    told,
    tutor,
    values,
)

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


def head_of(answer: bytes) -> list[bytes]:
    """Return the lines of an answer's head."""
    return answer.partition(b"\r\n\r\n")[0].split(b"\r\n")


@pytest.fixture(scope="module")
def echoing() -> Iterator[str]:
    """Serve a proxy in front of an echo server for the module; return its URL."""
    front = Server(echo())
    proxy = Server(hosted(front.url))
    yield proxy.url
    proxy.stop()
    front.stop()


def test_a_front_end_and_agents_on_one_port(serve: Serve) -> None:
    url = serve(fronted(serve(echo())))
    client = connect(url)
    assert client.responses.create(input="x").output_text == "You asked: x"
    with client.responses.stream(model="tutor", input="x") as stream:
        assert stream.get_final_response().output_text == "You asked: x"
    for path in ("/", "/index.html", "/responses/x/y", "/v2/responses"):
        assert told(url, get(path))["path"] == path
    posted = fetch(url, "POST", "/api/chat", None, {"a": 1})
    assert json.loads(json.loads(posted.body)["body"]) == {"a": 1}
    assert posted.headers["x-request-id"].startswith("req_")
    assert error_of(fetch(url, "PUT", "/responses")) == (405, "invalid_request")  # ours win
    assert error_of(fetch(url, "GET", "/models/none")) == (404, "model_not_found")
    assert json.loads(fetch(url, "GET", "/health").body)["status"] == "healthy"


def test_answers_of_the_front_end_count_as_no_refusals(serve: Serve) -> None:
    app = fronted(serve(echo()))
    url = serve(app)
    assert [fetch(url, "GET", f"/status/{each}").status for each in (404, 500)] == [404, 500]
    assert not by(scrape(url), "refused_total", "why")
    assert fetch(url, "GET", "/models/none").status == 404
    assert by(scrape(url), "refused_total", "why") == {"model_not_found": 1}


def test_the_front_end_stands_behind_authentication_and_origins(serve: Serve) -> None:
    url = serve(fronted(serve(echo()), authenticate=TOKENS))
    assert error_of(fetch(url, "GET", "/")) == (401, "unauthenticated")
    assert fetch(url, "GET", "/", ANN).status == 200
    foreign = {"origin": "https://evil.example", "content-type": "text/plain"}
    refused = fetch(url, "POST", "/api/chat", ANN, headers=foreign)
    assert error_of(refused) == (403, "origin_not_allowed")


def test_what_a_fallback_has_beside_the_playground_is_behind_authentication(
    serve: Serve, tmp_path: Path
) -> None:
    (tmp_path / "playground" / "own").mkdir(parents=True)
    for each in ("secret.txt", "playground/own/secret.txt"):
        (tmp_path / each).write_text("secret")
    files = StaticFiles(directory=tmp_path, html=True)
    url = serve(AgentApp(tutor(), fallback=files, authenticate=TOKENS, playground=True))
    for path in ("/playground/../secret.txt", "/playground/own/secret.txt", "/playground/"):
        assert exchange(url, get(path)).startswith(b"HTTP/1.1 401")
    assert fetch(url, "GET", "/secret.txt", ANN).body == b"secret"
    assert fetch(url, "GET", "/playground/app.js").status == 200


@pytest.mark.parametrize("host", [Starlette, FastAPI])
def test_mounted(serve: Serve, host: type[Starlette]) -> None:
    proxy = ReverseProxy(serve(echo()))
    nested = ReverseProxy(serve(echo()) + "/base/")
    app = host(lifespan=proxy.lifespan)
    app.mount("/ui é", proxy)
    app.mount("/agents", AgentApp(tutor(), fallback=nested))
    url = serve(app)
    assert told(url, get("/ui%20%C3%A9/a%20b"))["path"] == "/a%20b"
    assert told(url, get("/%75i%20%c3%a9/%7Ea//b/"))["path"] == "/%7Ea//b/"
    assert told(url, get("/ui%20%C3%A9/"))["path"] == "/"
    assert told(url, get("/agents/x?y"))["path"] == "/base/x"
    assert connect(url + "/agents").responses.create(input="x").output_text == "You asked: x"


PCHAR = "abcXYZ019-_~!$&'()*+,;=:@"
BYTE = st.integers(0, 255).filter(lambda each: each != 10)  # Starlette's Mount reads lines
ENCODED = BYTE.map(lambda each: f"%{each:02x}") | BYTE.map("%{:02X}".format)
WORD = st.lists(st.sampled_from(PCHAR) | ENCODED, max_size=8).map("".join)
DOTS = re.compile(r"(^|[/\\])\.\.?([/\\;]|$)")
"""A segment that leads to another path, once its word has been decoded: it is refused."""


@settings(max_examples=25, deadline=None)
@given(path=st.lists(WORD, max_size=4), query=st.lists(st.tuples(WORD, WORD), max_size=4))
@example(path=["%2e"], query=[])
def test_path_and_query_arrive_byte_for_byte(
    echoing: str, path: list[str], query: list[tuple[str, str]]
) -> None:
    sent = "/x" + "/".join(["", *path]), "&".join(f"{name}={value}" for name, value in query)
    request = get("?".join(sent) if sent[1] else sent[0])
    if any(DOTS.search(unquote(unquote(unquote(word)))) for word in path):
        assert exchange(echoing, request).startswith(b"HTTP/1.1 404")
        return
    seen = told(echoing, request)
    assert (seen["path"], seen["query"]) == sent


def test_repeated_query_keys_are_kept(echoing: str) -> None:
    seen = told(echoing, get("/search?a=1&a=2&b&a=%20+&&=;"))
    assert seen["query"] == "a=1&a=2&b&a=%20+&&=;"


VALUE = st.text(st.characters(min_codepoint=33, max_codepoint=255, exclude_characters="\x7f"))


@settings(max_examples=25, deadline=None)
@given(headers=st.lists(VALUE.filter(lambda text: not any(128 <= ord(c) < 161 for c in text))))
def test_header_values_arrive_byte_for_byte(echoing: str, headers: list[str]) -> None:
    seen = told(echoing, get("/", *(f"X-Any: {each}" for each in headers)))
    assert values(seen, "x-any") == headers


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "OPTIONS", "POST"])
def test_methods_and_bodies(echoing: str, method: str) -> None:
    for body, framing in (
        (b"abc", "content-length: 3"),
        (b"3\r\nabc\r\n0\r\n\r\n", "transfer-encoding: chunked"),
    ):
        seen = told(echoing, get("/", framing, method=method) + body)
        assert (seen["method"], seen["body"]) == (method, "abc")
    seen = told(echoing, get("/", method=method))
    assert seen["body"] == ""


def test_hop_by_hop_headers_of_a_request_are_dropped(echoing: str) -> None:
    seen = told(
        echoing,
        get(
            "/",
            "Connection: X-Mine, keep-alive",
            *("Keep-Alive: 5", "TE: trailers", "Trailer: x", "Upgrade: h2c", "X-Mine: 1"),
            *("Proxy-Connection: x", "Proxy-Authorization: secret", "Expect: 100-continue"),
            *("Authorization: Bearer x", "Cookie: a=1", "Accept-Encoding: br", "X-Kept: 1"),
        ),
    )
    names = [name for name, _ in seen["headers"]]
    kept = ["host", "authorization", "cookie", "accept-encoding", "x-kept"]
    assert sorted(names) == sorted(
        [*kept, "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto"]
    )


def test_what_a_caller_says_of_itself_is_replaced(serve: Serve) -> None:
    claims = [f"X-Forwarded-{each}: evil.example" for each in ("For", "Host")]
    claims.append("X_Forwarded_For: evil.example")
    user = "X-Forwarded-User: ann"  # set by the platform's proxy to name the user
    sent = get("/", *claims, "X-Forwarded-Proto: https", "Forwarded: for=evil.example", user)
    app = hosted(serve(echo()))
    for trusts, client, scheme in (
        (False, "127.0.0.1", "http"),
        (True, "evil.example", "https"),  # the server is configured to trust its client
    ):
        server = Server(app, proxy_headers=trusts)
        seen = told(server.url, sent)
        server.stop()
        assert values(seen, "x-forwarded-for") == [client]
        assert values(seen, "x-forwarded-proto") == [scheme]
        assert values(seen, "x-forwarded-host") == values(seen, "host") == ["agents.example"]
        assert values(seen, "x-forwarded-user") == ["ann"]
        assert values(seen, "forwarded") == values(seen, "x_forwarded_for") == []


def test_a_way_without_host_and_client(serve: Serve) -> None:
    front = serve(echo())
    app = ReverseProxy(front)
    scope = {"type": "http", "method": "GET", "path": "/é", "query_string": b"", "headers": []}
    messages, asked = list[Message](), list[bool]()

    async def receive() -> Message:
        if asked:
            await asyncio.Event().wait()
        asked.append(True)
        return {"type": "http.request"}

    async def send(message: Message) -> None:
        messages.append(message)

    async def call() -> None:
        async with app.lifespan():
            await app(scope, receive, send)

    asyncio.run(call())
    seen = json.loads(b"".join(each.get("body", b"") for each in messages))
    assert seen["path"] == "/%C3%A9"
    assert values(seen, "host") == [front.removeprefix("http://")]
    assert values(seen, "x-forwarded-for") == values(seen, "x-forwarded-host") == []


def test_cookies_are_kept_apart_and_nowhere(serve: Serve) -> None:
    url = serve(hosted(serve(echo())))
    answer = exchange(url, get("/cookies?for=ann"))
    cookies = [each for each in head_of(answer) if each.startswith(b"set-cookie:")]
    assert [each.partition(b";")[0] for each in cookies] == [
        b"set-cookie: session=ann",
        b"set-cookie: theme=dark",
    ]
    assert told(url, get("/cookies?for=bob"))["cookie"] is None
    assert told(url, get("/cookies", "cookie: a=1; b=2"))["cookie"] == "a=1; b=2"


def test_encoded_bodies_are_untouched(serve: Serve) -> None:
    body = gzip.compress(b"x" * 10_000)

    async def packed(request: Request) -> Response:
        kind = request.query_params["kind"]
        return Response(body, headers={"content-encoding": kind, "etag": '"1"'})

    url = serve(hosted(serve(Starlette(routes=[Route("/", packed)]))))
    for kind in ("gzip", "br", "zstd"):
        answer = exchange(url, get(f"/?kind={kind}", "accept-encoding: gzip, br"))
        assert answer.partition(b"\r\n\r\n")[2] == body
        assert f"content-encoding: {kind}".encode() in head_of(answer)
        assert b"content-length: %d" % len(body) in head_of(answer)


def test_head_of_an_answer() -> None:
    answer = (
        b"HTTP/1.1 200 Fine\r\nDate: Mon, 01 Jan 2001 00:00:00 GMT\r\nServer: node\r\n"
        b"Connection: X-Own, close\r\nX-Own: 1\r\nKeep-Alive: timeout=5\r\n"
        b"Proxy-Authenticate: x\r\nUpgrade: h2c\r\nTrailer: X-End\r\n"
        b"Transfer-Encoding: chunked\r\nContent-Length: 9\r\n"
        b"X-Kept: 1\r\nX-Kept: \xe9\r\nContent-Type: text/plain\r\n\r\n"
        b"2\r\nok\r\n0\r\nX-End: 1\r\n\r\n"
    )
    with says(answer) as (front, _):
        server = Server(hosted(front))
        try:
            given = exchange(server.url, get("/"))
        finally:
            server.stop()
    lines = head_of(given)
    assert lines[0] == b"HTTP/1.1 200 OK"
    assert sorted(each for each in lines if not each.startswith(b"date:"))[1:] == [
        b"connection: close",
        b"content-type: text/plain",
        b"server: uvicorn",
        b"transfer-encoding: chunked",
        b"x-kept: 1",
        b"x-kept: \xe9",
    ]
    assert len([each for each in lines if each.startswith(b"date:")]) == 1
    assert given.endswith(b"\r\n\r\n2\r\nok\r\n0\r\n\r\n")


def test_answers_without_a_body(serve: Serve) -> None:
    url = serve(hosted(serve(echo())))
    head = fetch(url, "HEAD", "/x")
    assert (head.status, head.body) == (200, b"")
    assert int(head.headers["content-length"]) > 0
    for status in (204, 304):
        assert (fetch(url, "GET", f"/status/{status}").status) == status
    with says(b'HTTP/1.1 304 Not Modified\r\netag: "1"\r\ncontent-length: 9\r\n\r\n') as (front, _):
        server = Server(hosted(front))
        reply = fetch(server.url, "GET", "/")
        server.stop()
    assert (reply.status, reply.headers["etag"], reply.body) == (304, '"1"', b"")


def test_redirects_are_not_followed(serve: Serve) -> None:
    url = serve(hosted(serve(echo())))
    for status in (301, 302, 303, 307, 308):
        reply = fetch(url, "GET", f"/status/{status}")
        assert (reply.status, reply.headers["location"]) == (status, "http://elsewhere.example/")


def test_no_proxy_of_the_environment(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    url = serve(hosted(serve(echo())))
    assert told(url, get("/"))["path"] == "/"


def test_an_answer_streams(serve: Serve) -> None:
    go = threading.Event()

    async def events(_: Request) -> Response:
        async def parts() -> AsyncIterator[str]:
            yield "data: 1\n\n"
            assert await asyncio.to_thread(go.wait, 10)
            yield "data: 2\n\n"

        return StreamingResponse(parts(), media_type="text/event-stream")

    url = serve(hosted(serve(Starlette(routes=[Route("/", events)]))))
    with httpx2.stream("GET", url) as answer:
        parts = answer.iter_raw()
        assert next(parts) == b"data: 1\n\n"  # before the rest has been sent
        go.set()
        assert b"".join(parts) == b"data: 2\n\n"


def test_a_request_streams_part_by_part() -> None:
    def front(connection: socket.socket) -> None:
        connection.settimeout(10)
        while not (body := connection.recv(100)).endswith(b"a\r\n"):
            pass
        seen.append(body)
        first.set()
        while not body.endswith(b"0\r\n\r\n"):
            body += connection.recv(100)
        connection.sendall(OK)

    seen, first = list[bytes](), threading.Event()
    with says(front) as (url, heads):
        server = Server(hosted(url, timeout=0.5))
        with opened(server.url) as client:
            client.sendall(get("/", "transfer-encoding: chunked", method="POST") + b"1\r\na\r\n")
            assert first.wait(10)  # while the client has not sent the rest
            time.sleep(0.8)  # a client may be slow
            client.sendall(b"1\r\nb\r\n0\r\n\r\n")
            assert read_head(client).startswith(b"HTTP/1.1 200")
        server.stop()
    assert b"transfer-encoding: chunked" in heads[0].lower()


def test_large_bodies_both_ways(serve: Serve) -> None:
    async def back(request: Request) -> Response:
        given = [part async for part in request.stream()]

        async def parts() -> AsyncIterator[bytes]:
            for part in given:
                yield part

        return StreamingResponse(parts())

    front = Starlette(routes=[Route("/", back, methods=["POST"])])
    url = serve(AgentApp(tutor(), fallback=ReverseProxy(serve(front))))
    block = bytes(range(256)) * 4096  # together above Limits.max_body_bytes

    digest = hashlib.sha256()
    parts = (block for _ in range(16))
    with httpx2.stream("POST", url, content=parts, timeout=30) as answer:
        for part in answer.iter_raw():
            digest.update(part)
    assert digest.digest() == hashlib.sha256(block * 16).digest()


def test_a_slow_client_slows_the_front_end_down(serve: Serve) -> None:
    made = 0

    async def endless(_: Request) -> Response:
        async def parts() -> AsyncIterator[bytes]:
            nonlocal made
            while made < 2000:
                yield b"x" * 65536
                made += 1

        return StreamingResponse(parts())

    url = serve(hosted(serve(Starlette(routes=[Route("/", endless)]))))
    with opened(url) as client:
        client.sendall(get("/"))
        client.recv(100)
        until(lambda: made, lambda found: found > 5)
        before = 0
        while before < made:
            before = made
            time.sleep(0.3)
        assert made < 1000


def test_a_client_that_leaves_ends_the_request(serve: Serve) -> None:
    left, begun = threading.Event(), threading.Event()

    async def wait(request: Request) -> Response:
        async def parts() -> AsyncIterator[bytes]:
            try:
                while True:
                    begun.set()
                    yield b"x"
                    await asyncio.sleep(0.02)
            finally:
                left.set()

        if request.url.path == "/silent":
            begun.set()
            while not await request.is_disconnected():
                await asyncio.sleep(0.02)
            left.set()
        return StreamingResponse(parts())

    routes = [Route("/{any:path}", wait, methods=["GET", "POST"])]
    url = serve(fronted(serve(Starlette(routes=routes))))
    for request in (get("/silent"), get("/"), get("/silent", "content-length: 1", method="POST")):
        begun.clear()
        left.clear()
        with opened(url) as client:
            client.sendall(request + (b"x" if request.startswith(b"POST") else b""))
            assert begun.wait(10)
        assert left.wait(10)


def test_a_client_that_leaves_within_its_body_ends_the_request(serve: Serve) -> None:
    ends = list[bytes]()

    def front(connection: socket.socket) -> None:
        connection.settimeout(10)
        while part := connection.recv(100):
            ends.append(part)
        ends.append(b"")

    with says(front) as (url, _):
        server = Server(hosted(url))
        with opened(server.url) as client:
            client.sendall(get("/", "content-length: 9", method="POST") + b"abc")
            until(lambda: b"abc" in b"".join(ends))
        until(lambda: ends[-1] == b"")
        server.stop()


def test_a_front_end_that_is_not_there_is_a_502(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    with unheard_port() as port:
        front = f"http://127.0.0.1:{port}"
        url = serve(fronted(front))
        reply = fetch(url, "POST", "/api", None, {"x": 1})
    assert error_of(reply) == (502, "bad_gateway")
    assert reply.error["type"] == "server_error"
    assert front not in reply.body.decode()
    assert any(front in each.getMessage() for each in caplog.records)
    assert by(scrape(url), "refused_total", "why") == {"bad_gateway": 1}


@pytest.mark.parametrize(
    "answer", [b"", b"nonsense\r\n\r\n", b"HTTP/1.1 200 OK\r\nx: " + b"x" * 200_000]
)
def test_no_answer_of_http_is_a_502(answer: bytes) -> None:
    with says(answer) as (front, _):
        server = Server(hosted(front))
        try:
            assert error_of(fetch(server.url, "GET", "/")) == (502, "bad_gateway")
        finally:
            server.stop()


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_front_end_that_does_not_begin_is_a_504(method: str) -> None:
    done = threading.Event()
    with says(lambda _: (done.wait(10), None)[1]) as (front, _):
        server = Server(hosted(front, timeout=0.3))
        try:
            reply = fetch(server.url, method, "/", None, "x" if method == "POST" else None)
            assert error_of(reply) == (504, "gateway_timeout")
        finally:
            done.set()
            server.stop()


def test_an_answer_that_has_begun_may_take_any_time(serve: Serve) -> None:
    async def slow(_: Request) -> Response:
        async def parts() -> AsyncIterator[str]:
            yield "a"
            await asyncio.sleep(0.8)
            yield "b"

        return StreamingResponse(parts())

    url = serve(hosted(serve(Starlette(routes=[Route("/", slow)])), timeout=0.3))
    assert fetch(url, "GET", "/").body == b"ab"


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\nzz\r\n",
    ],
)
@pytest.mark.parametrize("make", [hosted, fronted])
def test_an_answer_that_breaks_off_breaks_off(
    answer: bytes, make: Callable[[str], ASGIApp], capfd: pytest.CaptureFixture[str]
) -> None:
    with says(answer) as (front, _):
        server = Server(make(front))
        try:
            given = exchange(server.url, get("/"))
        finally:
            server.stop()
    assert given.startswith(b"HTTP/1.1 200")
    assert b"ok" in given
    assert not given.endswith(b"0\r\n\r\n")
    with pytest.raises(httpx2.RemoteProtocolError), says(given) as (again, _):
        httpx2.get(again)
    assert f"ConnectionError: {front} broke off" in capfd.readouterr().err


def test_an_answer_before_the_whole_request(serve: Serve) -> None:
    def front(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 413 No\r\nconnection: close\r\ncontent-length: 2\r\n\r\nno")
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(65536):
            pass

    with says(front) as (url, _):
        server = Server(hosted(url))
        reply = fetch(server.url, "POST", "/", None, "x" * 1_000_000)
        server.stop()
    assert (reply.status, reply.body) == (413, b"no")


def test_both_lengths_are_refused_by_the_server(echoing: str) -> None:
    both = get("/", "content-length: 3", "transfer-encoding: chunked", method="POST")
    answer = exchange(echoing, both + b"0\r\n\r\nGET /evil HTTP/1.1\r\n\r\n")
    assert b"/evil" not in answer


def test_a_request_that_http_does_not_carry_is_a_400(echoing: str) -> None:
    answer = exchange(echoing, get("/", "host: other.example"))
    assert answer.startswith(b"HTTP/1.1 400")


def test_the_target_is_always_the_front_end(echoing: str) -> None:
    for target in ("http://evil.example/x", "//evil.example/x"):
        seen = told(echoing, get(target))
        assert values(seen, "host") == ["agents.example"]
        assert seen["path"].endswith("/x")
    assert exchange(echoing, get("*", method="OPTIONS")).startswith(b"HTTP/1.1 404")


@pytest.mark.parametrize("method", ["HEAD", "GET"])
def test_what_comes_after_an_answer_is_no_answer_to_another(method: str) -> None:
    more = b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\npoison"
    length = len(more) if method == "HEAD" else 2
    answer = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % length

    def front(connection: socket.socket) -> None:
        connection.sendall(answer + (b"" if method == "HEAD" else b"ok") + more)
        while connection.recv(1000):
            pass

    with says(front, OK) as (url, _):
        server = Server(hosted(url))
        try:
            exchange(server.url, get("/", method=method))
            assert b"poison" not in exchange(server.url, get("/"))
        finally:
            server.stop()


def test_streams_that_stay_open_hold_up_nobody_else(serve: Serve) -> None:
    async def events(_: Request) -> Response:
        async def parts() -> AsyncIterator[str]:
            yield "data: 1\n\n"
            await asyncio.sleep(60)

        return StreamingResponse(parts())

    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, 8192), most))  # four files per stream
    url = serve(hosted(serve(Starlette(routes=[Route("/", events), *echo().routes])), timeout=20))
    with contextlib.ExitStack() as stack:
        streams = [stack.enter_context(opened(url)) for _ in range(1010)]
        for each in streams:
            each.sendall(get("/"))
            assert read_head(each).startswith(b"HTTP/1.1 200")
        assert told(url, get("/x"))["path"] == "/x"


def test_connections_are_closed() -> None:
    front = Server(echo())
    server = Server(fronted(front.url))
    for _ in range(20):
        told(server.url, get("/"))
    until(lambda: not front.state.connections)
    server.stop()
    front.stop()


def test_an_app_starts_and_ends_the_fallback(serve: Serve) -> None:
    inner = AgentApp(tutor())
    app = AgentApp(tutor(), fallback=inner)

    async def call() -> None:
        async with app.lifespan(), asyncio.timeout(60):
            while (await AgentClient(inner).get("/ready")).status != 200:
                await asyncio.sleep(0.01)  # MLflow is being set up
            assert (await AgentClient(app).get("/nothing")).status == 404
        assert (await AgentClient(inner).get("/ready")).status == 503

    asyncio.run(call())


@pytest.mark.parametrize(
    "url",
    [
        *("localhost:3000", "ftp://localhost", "http://", "http://u:p@localhost", "http://x/?a=1"),
        *("http://x/#a", "http://x:port", ""),
    ],
)
def test_bad_urls(url: str) -> None:
    with pytest.raises(ValueError, match=r"ReverseProxy: '.*' (is not|must be)"):
        ReverseProxy(url)


def test_without_the_extra_the_error_names_it() -> None:
    code = "import sys; sys.modules['httpx2'] = None; import agent_asgi.app, agent_asgi.proxy"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert "ReverseProxy needs packages that are not installed: pip install" in done.stderr
    assert "[proxy]" in done.stderr


def test_nothing_of_it_is_imported_unless_used() -> None:
    code = "import sys, agent_asgi; agent_asgi.AgentApp; assert 'httpx2' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
