"""Every answer has exactly one `x-request-id`, whoever made it."""

import asyncio
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, WebSocketRoute
from starlette.types import Message, Receive, Scope, Send
from starlette.websockets import WebSocket
from websockets.sync.client import connect

from agent_asgi import AgentApp, AgentError, AgentRouter, ResponsesRequest
from agent_asgi.proxy import ReverseProxy
from agent_asgi.testing import AgentClient
from tests.support.servers import serving
from tests.support.upstream import tutor

OWN = [("x-request-id", "upstream-1"), ("X-Request-ID", "upstream-2")]


async def _page(request: Request) -> Response:
    response = Response("hi")
    response.raw_headers += [(name.lower().encode(), value.encode()) for name, value in OWN]
    return response


async def _socket(websocket: WebSocket) -> None:
    await websocket.accept(headers=[(b"x-request-id", b"upstream")])
    await websocket.close()


def upstream() -> Starlette:
    """A front end whose answers have ids of its own."""
    return Starlette(routes=[Route("/page", _page), WebSocketRoute("/socket", _socket)])


@pytest.fixture
def url() -> Iterator[str]:
    """An app with a proxy to a real front end."""
    with serving(upstream()) as front:
        with serving(AgentApp(tutor(), fallback=ReverseProxy(front.url))) as server:
            yield server.url


def test_through_the_proxy(url: str) -> None:
    answer = httpx2.get(f"{url}/page", headers={"x-request-id": "mine"})
    assert answer.headers.get_list("x-request-id") == ["mine"]
    with connect(url.replace("http", "ws", 1) + "/socket") as ws:
        assert ws.response is not None
        (id_,) = ws.response.headers.get_all("x-request-id")
        assert id_.startswith("req_")


def test_of_another_fallback_and_of_a_handlers_error() -> None:
    router = AgentRouter()

    @router.invoke
    async def fail(request: ResponsesRequest) -> str:
        raise AgentError("no", 418, headers={"X-Request-Id": "handler"})

    async def fallback(scope: Scope, receive: Receive, send: Send) -> None:
        headers = [(name.encode(), value.encode()) for name, value in OWN]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"hi"})

    async def ids(path: str, body: Any) -> list[bytes]:
        seen: list[bytes] = []
        app = AgentApp(router, fallback=fallback)

        async def spy(scope: Scope, receive: Receive, send: Send) -> None:
            async def look(message: Message) -> None:
                if message["type"] == "http.response.start":
                    pairs = message["headers"]
                    seen.extend(value for name, value in pairs if name.lower() == b"x-request-id")
                await send(message)

            await app(scope, receive, look)

        await AgentClient(spy).post(path, body, headers={"x-request-id": "mine"})
        return seen

    assert asyncio.run(ids("/elsewhere", {})) == [b"mine"]
    assert asyncio.run(ids("/responses", {"input": "x"})) == [b"mine"]
