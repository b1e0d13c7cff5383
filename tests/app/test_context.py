"""The context of a run, from anywhere below its handler."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator, MutableMapping
from contextlib import asynccontextmanager
from typing import Any

import pytest
from starlette.middleware import Middleware

from agent_asgi import (
    AgentApp,
    AgentRouter,
    Context,
    ResponsesRequest,
    get_context,
    get_request_headers,
)
from agent_asgi.context import Headers
from agent_asgi.testing import AgentClient
from tests.support.apps import started


def test_headers_are_read_only_and_in_any_case() -> None:
    headers = Headers([(b"x-one", b"1"), (b"x-two", b"2"), (b"x-two", b"3")])
    assert headers["X-One"] == "1"
    assert headers.get("x-TWO") == "2"
    assert headers.get("é") is None
    assert dict(headers) == {"x-one": "1", "x-two": "2"}
    assert len(headers) == 2
    assert "x-one" in headers
    assert "1" not in repr(headers)
    assert not isinstance(headers, MutableMapping)


def test_outside_of_a_run() -> None:
    with pytest.raises(RuntimeError, match="from a running handler"):
        get_context()
    assert dict(get_request_headers()) == {}


async def coroutine(request: ResponsesRequest) -> str:
    await asyncio.sleep(0.001)
    return get_request_headers()["x-caller"]


def function(request: ResponsesRequest) -> str:
    return get_request_headers()["x-caller"]


async def agen(request: ResponsesRequest) -> AsyncIterator[str]:
    await asyncio.sleep(0.001)
    yield await asyncio.to_thread(lambda: get_context().headers["x-caller"])


def generator(request: ResponsesRequest) -> Iterator[str]:
    assert threading.current_thread() is not threading.main_thread()
    yield get_request_headers()["x-caller"]


@pytest.mark.parametrize("handler", [coroutine, function, agen, generator])
def test_headers_of_concurrent_requests_stay_apart(handler: Any) -> None:
    router = AgentRouter()
    router.stream(handler)

    async def ask(client: AgentClient, number: int) -> None:
        headers = {"x-caller": str(number)}
        answer = await client.post("/responses", {"input": "x"}, headers=headers)
        assert answer.json()["output"][0]["content"][0]["text"] == str(number)

    async def main() -> None:
        async with started(AgentApp(router)) as app:
            client = AgentClient(app)
            await asyncio.gather(*(ask(client, number) for number in range(200)))
        assert dict(get_request_headers()) == {}

    asyncio.run(main())


def test_what_a_context_tells() -> None:
    router = AgentRouter("teller")
    seen: list[Context] = []

    @router.invoke
    async def tell(request: ResponsesRequest, context: Context) -> str:
        assert get_context() is context
        seen.append(context)
        return ""

    class Stamp:
        def __init__(self, app: Any) -> None:
            self.app = app

        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            scope.setdefault("state", {})["stamp"] = 7
            await self.app(scope, receive, send)

    @asynccontextmanager
    async def lifespan(app: AgentApp) -> AsyncIterator[dict[str, Any]]:
        yield {"pool": "mine"}

    async def main() -> None:
        app = AgentApp(router, middleware=[Middleware(Stamp)], lifespan=lifespan)
        async with started(app):
            body = {"input": "x", "model": "m", "user": "ann", "context": {"user_id": "bob"}}
            answer = await AgentClient(app).post("/responses", body, headers={"x-session-id": "s"})
            assert answer.json()["id"] == seen[0].response_id

    asyncio.run(main())
    (context,) = seen
    assert (context.agent, context.model, context.attempt) == ("teller", "m", 1)
    assert (context.session_id, context.user) == ("s", "bob")
    assert context.state == {"pool": "mine", "stamp": 7}
    assert context.trace_id is not None
    assert repr(context).startswith("Context(response_id='resp_")


@pytest.mark.parametrize(
    ("body", "session"),
    [
        ({"conversation": "c1", "context": {"conversation_id": "c2"}}, "c1"),
        ({"conversation": {"id": "c1"}}, "c1"),
        ({"context": {"conversation_id": "c2"}, "custom_inputs": {"session_id": "c3"}}, "c2"),
        ({"custom_inputs": {"session_id": "c3", "thread_id": "c4"}}, "c3"),
        ({"custom_inputs": {"thread_id": "c4"}}, "c4"),
        ({}, "c5"),
    ],
)
def test_session_precedence(body: dict[str, Any], session: str) -> None:
    router = AgentRouter()
    router.invoke(lambda request: get_context().session_id)
    app = AgentApp(router)
    client = AgentClient(app, {"x-session-id": "c5"})
    post = client.post("/responses", {"input": "x", **body})
    assert asyncio.run(post).json()["output"][0]["content"][0]["text"] == session


@pytest.mark.parametrize(("headers", "session"), [({}, "a"), ({"x-session-id": "s"}, "s")])
def test_the_session_of_bedrock_agentcore(headers: dict[str, str], session: str) -> None:
    router = AgentRouter(protocol="json")
    router.invoke(lambda request: get_context().session_id)
    client = AgentClient(AgentApp(router), {"X-Amzn-Bedrock-AgentCore-Runtime-Session-Id": "a"})
    post = client.post("/invocations", {"prompt": "x"}, headers=headers)
    assert asyncio.run(post).json() == session


def test_an_authenticated_user_comes_first() -> None:
    router = AgentRouter()
    router.invoke(lambda request: get_context().user)

    class User:
        is_authenticated = True
        display_name = "the-principal"

    app = AgentApp(router)

    async def authenticated(scope: Any, receive: Any, send: Any) -> None:
        await app({**scope, "user": User()}, receive, send)

    post = AgentClient(authenticated).post("/responses", {"input": "x", "user": "ann"})
    assert asyncio.run(post).json()["output"][0]["content"][0]["text"] == "the-principal"


def test_cancelled_keeps_its_first_cause() -> None:
    async def main() -> None:
        cancelled = Context("resp_1", "agent").cancelled
        assert not cancelled.is_set()
        waiting = asyncio.create_task(cancelled.wait())
        await asyncio.sleep(0)
        cancelled.set("timeout")
        cancelled.set("shutdown")
        await waiting
        await cancelled.wait()
        assert (cancelled.is_set(), cancelled.cause) == (True, "timeout")

    asyncio.run(main())
