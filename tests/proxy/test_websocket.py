"""The reverse proxy: WebSockets, with a real server on both sides."""

import asyncio
import contextlib
import json
import queue
import socket
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import websockets.exceptions as gone
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect
from websockets.asyncio.server import ServerConnection
from websockets.asyncio.server import serve as serve_websockets
from websockets.sync.client import ClientConnection, connect

from agent_asgi.proxy import ReverseProxy
from tests.support.asking import ANN, TOKENS, WAIT, bearer, fetch, knock
from tests.support.calling import Serve, until
from tests.support.servers import Server, unheard_port
from tests.support.upstream import error_of, fronted, hosted, opened, read_head, says, values

HMR = "vite-hmr"


def ws(url: str, path: str = "/", **options: Any) -> ClientConnection:
    """Open a WebSocket."""
    return connect(url.replace("http", "ws", 1) + path, max_size=None, **options)


async def echo(socket: WebSocket) -> None:
    """Send what the handshake contained, then echo each message; "close CODE REASON" closes."""
    offered = socket.scope["subprotocols"]
    cookie = (b"set-cookie", b"seen=1"), (b"set-cookie", b"twice=1")
    await socket.accept(offered[-1] if offered else None, headers=list(cookie))
    scope = socket.scope
    headers = [[each.decode("latin-1") for each in pair] for pair in scope["headers"]]
    path, query = scope["raw_path"].decode(), scope["query_string"].decode()
    await socket.send_json({"headers": headers, "path": path, "query": query})
    with contextlib.suppress(WebSocketDisconnect):
        while True:
            message = await socket.receive()
            if message["type"] == "websocket.disconnect":
                closed.append((message["code"], message.get("reason")))
                return
            text = message.get("text")
            if text is None:
                await socket.send_bytes(message["bytes"])
            elif text.startswith("close"):
                _, code, reason = text.split(" ", 2)
                await socket.close(int(code), reason)
                return
            else:
                await socket.send_text(text)


closed = list[tuple[int, str | None]]()


async def refusing(socket: WebSocket) -> None:
    """Refuse the handshake with an HTTP answer."""
    await socket.send_denial_response(JSONResponse({"no": "way"}, 418, {"x-why": "tea"}))


def front() -> Starlette:
    """Create a front end with WebSockets."""
    routes = [WebSocketRoute("/refused", refusing), WebSocketRoute("/{path:path}", echo)]
    return Starlette(routes=routes)


@pytest.fixture(scope="module", params=[hosted, fronted])
def url(request: pytest.FixtureRequest) -> Iterator[str]:
    """Serve a proxy in front of a front end for the module; return its URL."""
    behind = Server(front())
    proxy = Server(request.param(behind.url))
    yield proxy.url
    proxy.stop()
    behind.stop()


@contextlib.contextmanager
def speaks(handler: Callable[[ServerConnection], Any], **options: Any) -> Iterator[str]:
    """Run a server of the websockets library in a thread; yield its URL."""
    urls, ended = queue.Queue[str](), threading.Event()

    async def run() -> None:
        async with serve_websockets(handler, "127.0.0.1", 0, **options) as server:
            urls.put(f"http://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}")
            await asyncio.to_thread(ended.wait, 60)

    thread = threading.Thread(target=lambda: asyncio.run(run()), daemon=True)
    thread.start()
    yield urls.get(timeout=10)
    ended.set()
    thread.join(15)


def test_handshake(url: str) -> None:
    headers = {
        "cookie": "a=1; name=caf\u00e9",
        "authorization": "Bearer x",
        "x-forwarded-for": "evil",
        "x-mine": "1",
    }
    path = "/a%20b;c=1/%7E//?token=a%2Bb&a=1&a=2"
    with ws(url, path, subprotocols=["other", HMR], additional_headers=headers) as client:
        assert client.subprotocol == HMR
        assert client.response is not None
        cookies = client.response.headers.get_all("set-cookie")
        assert cookies == ["seen=1", "twice=1"]
        seen = json.loads(client.recv(WAIT))
    assert seen["path"] + "?" + seen["query"] == path
    assert values(seen, "host") == [url.removeprefix("http://")]
    assert values(seen, "x-forwarded-host") == [url.removeprefix("http://")]
    assert values(seen, "x-forwarded-proto") == ["http"]
    assert values(seen, "authorization") == ["Bearer x"]
    assert values(seen, "cookie") == ["a=1; name=caf\u00c3\u00a9"]  # UTF-8 bytes read as Latin-1
    assert values(seen, "x-mine") == ["1"]
    assert values(seen, "sec-websocket-protocol") == [f"other, {HMR}"]


def test_messages_of_both_kinds(url: str) -> None:
    with ws(url) as client:
        assert "headers" in str(client.recv(WAIT))
        assert client.subprotocol is None
        for message in ("", "x", "é" * 1000, b"", b"\x00\xff", b"x" * 5_000_000):
            client.send(message)
            assert client.recv(WAIT) == message


@pytest.mark.parametrize(
    ("code", "reason"), [(1000, ""), (1001, "bye"), (1011, "it broke"), (4000, "é"), (3000, "")]
)
def test_close_codes_both_ways(url: str, code: int, reason: str) -> None:
    with ws(url) as client:
        client.recv(WAIT)
        client.send(f"close {code} {reason}")
        with pytest.raises(gone.ConnectionClosed) as raised:
            client.recv(WAIT)
        assert raised.value.rcvd is not None
        assert (raised.value.rcvd.code, raised.value.rcvd.reason) == (code, reason)
    closed.clear()
    with ws(url) as client:
        client.recv(WAIT)
        client.close(code, reason)
    until(lambda: closed)
    assert closed == [(code, reason)]


def test_a_client_that_vanishes_is_going_away(url: str) -> None:
    closed.clear()
    client = ws(url)
    client.recv(WAIT)
    client.socket.shutdown(socket.SHUT_RDWR)
    until(lambda: closed)
    assert closed[0][0] == 1001
    client.close()


def test_a_close_without_a_code_is_a_normal_one(serve: Serve) -> None:
    async def handler(connection: ServerConnection) -> None:
        await connection.recv()
        connection.protocol.send_close()  # without a code
        connection.transport.write(b"".join(connection.protocol.data_to_send()))

    with speaks(handler) as behind:
        with ws(serve(hosted(behind))) as client:
            client.send("x")
            with pytest.raises(gone.ConnectionClosedOK) as raised:
                client.recv(WAIT)
        assert raised.value.rcvd is not None
        assert raised.value.rcvd.code == 1000


def test_a_front_end_that_breaks_off_breaks_off(
    serve: Serve, capfd: pytest.CaptureFixture[str]
) -> None:
    async def handler(connection: ServerConnection) -> None:
        await connection.recv()
        connection.transport.abort()

    with speaks(handler) as behind:
        with ws(serve(fronted(behind))) as client:
            client.send("x")
            with pytest.raises(gone.ConnectionClosedError) as raised:
                client.recv(WAIT)
        assert raised.value.rcvd is None  # Vite's client needs this to reconnect later
    assert "broke off" in capfd.readouterr().err


def test_a_refusal_is_passed_on(url: str) -> None:
    with pytest.raises(gone.InvalidStatus) as raised:
        ws(url, "/refused")
    answer = raised.value.response
    assert (answer.status_code, answer.headers["x-why"]) == (418, "tea")
    assert answer.body == b'{"no":"way"}'


def test_a_refusal_where_the_server_can_only_close(serve: Serve) -> None:
    app, sent = ReverseProxy(serve(front())), list[Any]()

    async def receive() -> Any:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "websocket", "path": "/refused", "query_string": b"", "headers": []}
    asyncio.run(app(scope, receive, send))
    assert sent == [{"type": "websocket.close"}]


def test_redirects_are_not_followed(serve: Serve) -> None:
    with speaks(lambda _: asyncio.sleep(0)) as elsewhere:
        location = elsewhere.replace("http", "ws", 1).encode()
        moved = b"HTTP/1.1 302 Found\r\ncontent-length: 0\r\nlocation: %b\r\n\r\n" % location
        with says(moved) as (behind, _):
            with pytest.raises(gone.InvalidStatus) as raised:
                connect(serve(hosted(behind)).replace("http", "ws", 1), max_size=None).recv(WAIT)
    assert raised.value.response.status_code == 302


def test_failures_have_a_status(serve: Serve) -> None:
    with unheard_port() as port:
        nobody = serve(fronted(f"http://127.0.0.1:{port}"))
        assert error_of(knock(nobody, "/x")) == (502, "bad_gateway")
    with says(b"nonsense\r\n\r\n") as (behind, _):
        assert error_of(knock(serve(hosted(behind)), "/x")) == (502, "bad_gateway")
    done = threading.Event()
    with says(lambda _: (done.wait(10), None)[1]) as (behind, _):
        slow = serve(hosted(behind, timeout=0.3))
        assert error_of(knock(slow, "/x")) == (504, "gateway_timeout")
        done.set()
    allowed = serve(hosted(nobody, paths=("/hmr",)))
    assert error_of(knock(allowed, "/x")) == (404, "not_found")


@pytest.mark.parametrize("value", [b"\xe9", "é".encode(), "Łukasz".encode()])
def test_any_header_value_opens(serve: Serve, value: bytes) -> None:
    url = serve(hosted(serve(front())))
    upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13"
    key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
    head = f"GET /hmr HTTP/1.1\r\nHost: agents.example\r\n{upgrade}\r\n{key}\r\nX-Name: ".encode()
    with opened(url) as client:
        client.sendall(head + value + b"\r\n\r\n")
        assert read_head(client).startswith(b"HTTP/1.1 101")


BAD_HOSTS = ["a/b?c", "a@b", "a b", "[::1", "a:b", "a:123456", "a#", "a:99999", "[::::]"]


@pytest.mark.parametrize("host", BAD_HOSTS)
def test_a_host_that_would_change_the_target_is_refused(serve: Serve, host: str) -> None:
    url = serve(hosted(serve(front())))
    reply = knock(url, "/x", headers={"host": host})
    assert reply.status == 400


def test_foreign_pages_and_strangers_are_refused(serve: Serve) -> None:
    url = serve(fronted(serve(front()), authenticate=TOKENS))
    assert error_of(knock(url, "/hmr")) == (401, "unauthenticated")
    foreign = {"origin": "https://evil.example"}
    assert error_of(knock(url, "/hmr", ANN, foreign)) == (403, "origin_not_allowed")
    with ws(url, "/hmr", additional_headers=bearer(ANN), origin=url) as client:
        assert "headers" in str(client.recv(WAIT))


def test_a_slow_client_slows_the_front_end_down(serve: Serve) -> None:
    sent = 0

    async def handler(connection: ServerConnection) -> None:
        nonlocal sent
        with contextlib.suppress(gone.ConnectionClosed):
            while sent < 2000:
                await connection.send(b"x" * 65536)
                sent += 1

    with speaks(handler, compression=None) as behind:
        server = Server(hosted(behind))
        with socket.create_connection(("127.0.0.1", int(server.url.rpartition(":")[2]))) as client:
            client.sendall(
                b"GET / HTTP/1.1\r\nhost: x\r\nupgrade: websocket\r\nconnection: upgrade\r\n"
                b"sec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
            )
            until(lambda: sent, lambda found: found > 5)
            before = 0
            while before < sent:
                before = sent
                time.sleep(0.3)
            assert sent < 1000
        server.stop()


def test_the_end_of_the_server_is_told(serve: Serve) -> None:
    server = Server(hosted(serve(front())))
    closed.clear()
    client = ws(server.url)
    client.recv(WAIT)
    server.stop()
    until(lambda: closed)
    assert closed[0][0] == 1012
    with contextlib.suppress(gone.ConnectionClosed):
        client.recv(WAIT)
    client.close()


def test_a_certificate_is_of_the_other_server_whatever_the_client_calls_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pem = certificate(tmp_path / "pem")
    monkeypatch.setenv("SSL_CERT_FILE", pem)
    front = Server(Starlette(routes=[WebSocketRoute("/", echo)]), ssl_certfile=pem)
    server = Server(hosted(front.url.replace("http://127.0.0.1", "https://localhost")))
    try:
        assert fetch(server.url, "GET", "/").status == 404  # answered by the front end
        host, _, port = server.url.removeprefix("http://").partition(":")
        connection = socket.create_connection((host, int(port)))
        with connect("ws://agents.example/", sock=connection) as client:
            assert ["host", "agents.example"] in json.loads(client.recv())["headers"]
    finally:
        server.stop()
        front.stop()


def certificate(path: Path) -> str:
    """Write a key and a self-signed certificate for localhost; return the file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    names = x509.SubjectAlternativeName([x509.DNSName("localhost")])
    now, day = datetime.now(UTC), timedelta(days=1)
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    signed = (
        builder.not_valid_before(now - day)
        .not_valid_after(now + day)
        .add_extension(names, critical=False)
        .sign(key, hashes.SHA256())
    )
    encodings = Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    path.write_bytes(key.private_bytes(*encodings) + signed.public_bytes(Encoding.PEM))
    return str(path)
