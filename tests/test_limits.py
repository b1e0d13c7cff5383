"""What is read of a request, and what else may come to an app."""

import asyncio
from typing import Any

import pytest
from conftest import started

from agent_asgi import AgentApp, AgentError, AgentRouter, Limits, ResponsesRequest
from agent_asgi.testing import AgentClient


def app(**options: Any) -> AgentApp:
    """Make an app whose agent says what it heard."""
    router = AgentRouter()

    @router.invoke
    async def say(request: ResponsesRequest) -> str:
        return str(request.input)

    return AgentApp(router, **options)


def send_parts(target: AgentApp, parts: list[dict[str, Any]]) -> list[Any]:
    """Send a body in parts, without a length; give the messages of the answer."""

    async def main() -> list[Any]:
        inbox: asyncio.Queue[Any] = asyncio.Queue()
        for part in parts:
            await inbox.put(part)
        sent: list[Any] = []

        async def send(message: Any) -> None:
            sent.append(message)

        scope = AgentClient(target)._scope("POST", "/responses", {}, 0)
        scope["headers"] = [(b"x-request-id", b"")]
        async with started(target):
            await asyncio.wait_for(target(scope, inbox.get, send), 10)
        return sent

    return asyncio.run(main())


def part(body: bytes, *, more: bool = True) -> dict[str, Any]:
    """Give a message that carries a part of a body."""
    return {"type": "http.request", "body": body, "more_body": more}


def test_a_body_in_parts() -> None:
    sent = send_parts(app(), [part(b'{"input": '), part(b'"x'), part(b'y"}', more=False)])
    assert sent[0]["status"] == 200
    assert b'"text":"xy"' in sent[1]["body"]
    assert (b"x-request-id", b"") not in sent[0]["headers"]


def test_a_body_that_grows_too_large_is_refused_at_once() -> None:
    sent = send_parts(app(limits=Limits(max_body_bytes=10)), [part(b"x" * 8), part(b"x" * 8)])
    assert sent[0]["status"] == 413


def test_a_body_without_a_length_that_is_too_large() -> None:
    target = app(limits=Limits(max_body_bytes=10))
    assert send_parts(target, [part(b"x" * 20, more=False)])[0]["status"] == 413


def test_a_client_that_leaves_before_its_body_has_come() -> None:
    assert send_parts(app(), [part(b"{"), {"type": "http.disconnect"}]) == []


def test_a_websocket_elsewhere_is_closed() -> None:
    async def main() -> list[Any]:
        sent: list[Any] = []
        scope = AgentClient(app())._scope("GET", "/health", {}, 0) | {"type": "websocket"}

        async def receive() -> Any:
            return {"type": "websocket.connect"}

        async def send(message: Any) -> None:
            sent.append(message)

        await app()(scope, receive, send)
        return sent

    assert asyncio.run(main())[0]["type"] == "websocket.close"


def test_a_middleware_that_fails_is_a_500_in_our_form() -> None:
    class Fails:
        def __init__(self, inner: Any) -> None:
            self.inner = inner

        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            raise ValueError("a secret")

    from starlette.middleware import Middleware

    client = AgentClient(app(middleware=[Middleware(Fails)]))

    async def main() -> Any:
        async with client.stream("/responses", {"input": "x"}) as answer:
            async for _ in answer.bodies():
                pass
            seen.append(answer)

    seen: list[Any] = []
    with pytest.raises(ValueError, match="a secret"):
        asyncio.run(main())
    assert seen[0].status == 500
    assert seen[0].json()["error"]["type"] == "server_error"
    assert b"a secret" not in seen[0].body


@pytest.mark.parametrize("status", [200, 600])
def test_an_error_has_an_errors_status(status: int) -> None:
    with pytest.raises(ValueError, match="status must be from 400 to 599"):
        AgentError("x", status)


@pytest.mark.parametrize("kind", ["response.failed", "error"])
def test_a_failure_that_a_handler_passes_on(kind: str) -> None:
    router = AgentRouter()
    error = {"code": "rate_limit", "message": "Too fast."}

    @router.stream
    async def passes(request: ResponsesRequest) -> Any:
        yield "so far"
        if kind == "error":
            yield {"type": "error", **error}
        else:
            yield {"type": "response.failed", "response": {"output": [], "error": error}}

    answer = asyncio.run(AgentClient(AgentApp(router)).post("/responses", {"input": "x"}))
    body = answer.json()
    assert (answer.status, body["status"], body["error"]) == (200, "failed", error)
