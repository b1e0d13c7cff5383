"""Helpers for tests of the reverse proxy: a front end that echoes, one that sends given bytes, a
client that sends given bytes, and an app that hosts the proxy.
"""

import contextlib
import json
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Mount, Route

from agent_asgi import AgentApp, AgentRouter, ResponsesRequest
from agent_asgi.proxy import ReverseProxy
from tests.support.asking import WAIT, Reply

METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
Answer = bytes | Callable[[socket.socket], None]


def tutor() -> AgentRouter:
    """Answer with a greeting."""
    router = AgentRouter("tutor")

    @router.stream
    async def reply(request: ResponsesRequest) -> AsyncIterator[str]:
        yield f"You asked: {request.input_text}"

    return router


def hosted(url: str, **options: Any) -> Starlette:
    """Mount a proxy in a separate Starlette app."""
    proxy = ReverseProxy(url, **options)
    return Starlette(routes=[Mount("/", proxy)], lifespan=proxy.lifespan)


def fronted(url: str, **options: Any) -> AgentApp:
    """Create an agent app with a front end behind it."""
    return AgentApp(tutor(), fallback=ReverseProxy(url), **options)


async def _echo(request: Request) -> Response:
    body = await request.body()
    scope = request.scope
    return JSONResponse(
        {
            "method": request.method,
            "path": scope["raw_path"].decode("latin-1"),
            "query": scope["query_string"].decode("latin-1"),
            "headers": [[each.decode("latin-1") for each in pair] for pair in scope["headers"]],
            "body": body.decode("latin-1"),
        }
    )


async def _cookies(request: Request) -> Response:
    response = JSONResponse({"cookie": request.headers.get("cookie")})
    response.set_cookie("session", request.query_params.get("for", "nobody"))
    response.set_cookie("theme", "dark")
    return response


async def _status(request: Request) -> Response:
    status = int(request.path_params["status"])
    location = {"location": "http://elsewhere.example/"} if 300 <= status < 400 else {}
    return Response(None if status in (204, 304) else "x", status, location)


async def _count(request: Request) -> Response:
    async def lines() -> AsyncIterator[str]:
        size = 0
        async for part in request.stream():
            size += len(part)
            yield f"{size}\n"

    return StreamingResponse(lines())


def echo() -> Starlette:
    """Create a front end that echoes what it receives."""
    return Starlette(
        routes=[
            Route("/cookies", _cookies),
            Route("/status/{status}", _status),
            Route("/count", _count, methods=["POST"]),
            Route("/{path:path}", _echo, methods=METHODS),
        ]
    )


@contextlib.contextmanager
def says(*answers: Answer) -> Iterator[tuple[str, list[bytes]]]:
    """Run a server that answers each connection in turn with the given bytes, or by a function that
    gets the socket; yield its URL and the request heads it received.
    """
    heads = list[bytes]()
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(WAIT)

        def run() -> None:
            for answer in answers:
                with contextlib.suppress(OSError):
                    connection, _ = server.accept()
                    with connection:
                        connection.settimeout(WAIT)
                        heads.append(read_head(connection))
                        if callable(answer):
                            answer(connection)
                        else:
                            connection.sendall(answer)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}", heads
        with contextlib.suppress(OSError):
            server.shutdown(socket.SHUT_RDWR)  # wakes a pending accept()
        thread.join(WAIT)


def read_head(connection: socket.socket) -> bytes:
    """Read up to the blank line."""
    head = b""
    while b"\r\n\r\n" not in head and (part := connection.recv(1)):
        head += part
    return head


def opened(url: str) -> socket.socket:
    """Open a connection to a server."""
    host, _, port = url.removeprefix("http://").partition(":")
    return socket.create_connection((host, int(port)), timeout=WAIT)


def exchange(url: str, request: bytes) -> bytes:
    """Send bytes and read until the connection ends."""
    with opened(url) as connection:
        connection.sendall(request)
        answer = b""
        while part := connection.recv(65536):
            answer += part
        return answer


def get(path: str, *headers: str, method: str = "GET") -> bytes:
    """Return a request without a body that closes the connection after the answer."""
    lines = [f"{method} {path} HTTP/1.1", "host: agents.example", "connection: close", *headers]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def told(url: str, request: bytes) -> Any:
    """Send bytes to an echo server; return what it received."""
    answer = exchange(url, request).removeprefix(b"HTTP/1.1 100 Continue\r\n\r\n")
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200"), head
    return json.loads(body)


def values(echoed: Any, name: str) -> list[str]:
    """Return the values of a header that an echo server received."""
    return [value for key, value in echoed["headers"] if key == name]


def error_of(reply: Reply) -> tuple[int, str]:
    """Return status and code of an error."""
    return reply.status, reply.error["code"]
