"""Servers that a chat cannot talk to, and what it says of them."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, StreamingResponse
from starlette.routing import Mount, Route

from agent_asgi import AgentApp, AgentRouter, BearerTokens
from tests.server.chat.conftest import Say
from tests.support import talker
from tests.support.servers import free_port

Serve = Callable[[Any], str]
FRAME = b'data: {"type": "response.created", "response": {"id": "r", "status": "in_progress"}}\n\n'
LAST = b'data: {"type": "error", "code": "tired", "message": "No more."}\n\n'


def server_of(answer: Callable[[Request], Any]) -> Starlette:
    """Return a server with one model and an answer."""

    async def models(_: Request) -> JSONResponse:
        return JSONResponse({"data": [{"id": "m"}]})

    async def respond(request: Request) -> Any:
        return answer(request)

    routes = [Route("/v1/models", models), Route("/v1/responses", respond, methods=["POST"])]
    return Starlette(routes=routes)


async def frames(*parts: bytes, fails: bool = False) -> AsyncIterator[bytes]:
    for part in parts:
        yield part
        await asyncio.sleep(0)
    if fails:
        raise RuntimeError("cut")


def test_nobody_listens(say: Say) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    refused = f"agent-asgi: Cannot reach {url}: [Errno 111] Connection refused."
    say(url, "Hi", ends=refused)


def test_an_address_of_another_kind(say: Say) -> None:
    ends = "agent-asgi: 'ftp://127.0.0.1' must begin with http:// or https://."
    say("ftp://127.0.0.1", ends=ends)


def test_an_agent_that_is_not_there(serve: Serve, say: Say) -> None:
    ends = "agent-asgi: There is no agent 'owl'. Agents: talker, parrot."
    say(serve(talker.app), options=("--agent", "owl"), ends=ends)


def test_no_agent_that_speaks_responses(serve: Serve, say: Say) -> None:
    router = AgentRouter("json", protocol="json")
    router.invoke(lambda request: request)
    ends = "agent-asgi: The server has no agent that speaks the Responses API."
    say(serve(AgentApp(router)), ends=ends)


def test_a_server_of_something_else(serve: Serve, say: Say) -> None:
    async def page(_: Request) -> PlainTextResponse:
        return PlainTextResponse("hello")

    url = serve(Starlette(routes=[Route("/models", page)]))
    reason = "Expecting value: line 1 column 1 (char 0)"
    say(url, ends=f"agent-asgi: {url}/models is no JSON: {reason}.")
    url = serve(Starlette(routes=[Route("/models", lambda _: JSONResponse({"models": []}))]))
    say(url, ends=f"agent-asgi: {url}/models lists no models.")
    say(f"{url}/v1", ends="agent-asgi: HTTP 404 Not Found.")


def test_a_token(serve: Serve, say: Say) -> None:
    url = serve(AgentApp(talker.talker, authenticate=BearerTokens({"secret": "ann"})))
    ends = "agent-asgi: Authentication required. (unauthenticated) Pass --token."
    say(url, ends=ends)
    assert say(url, "Hi", options=("--token", "secret")) == "Turn 1: Hi\n"


def test_a_mounted_app_and_a_prefix(serve: Serve, say: Say) -> None:
    url = serve(Starlette(routes=[Mount("/agents", talker.single)]))
    assert say(f"{url}/agents/", "Hi") == "Turn 1: Hi\n"
    assert say(f"{url}/agents/v1", "Hi") == "Turn 1: Hi\n"


@pytest.mark.parametrize(
    ("answer", "shown"),
    [
        (lambda _: JSONResponse({"output": []}), "Error: {url}/responses does not stream."),
        (lambda _: JSONResponse({"error": "no"}, 500), "Error: HTTP 500 Internal Server Error."),
        (lambda _: events(frames(FRAME)), "Error: The answer broke off."),
        (lambda _: events(frames(FRAME, fails=True)), "Error: The answer broke off"),  # FIN or RST
        (lambda _: events(frames(b"data: {oh\n\n")), "Error: The answer broke off: Expecting"),
        (lambda _: events(frames(FRAME, LAST)), "Error: No more. (tired)"),
    ],
)
def test_an_answer_that_is_none(
    serve: Serve, say: Say, answer: Callable[[Request], Any], shown: str
) -> None:
    url = serve(server_of(answer)) + "/v1"
    assert say(url, "Hi", ends=1).startswith(shown.format(url=url))


def events(parts: AsyncIterator[bytes]) -> StreamingResponse:
    return StreamingResponse(parts, media_type="text/event-stream")


def test_a_redirect_does_not_get_the_token(serve: Serve, say: Say) -> None:
    seen: list[str | None] = []

    async def models(request: Request) -> JSONResponse:
        seen.append(request.headers.get("authorization"))
        return JSONResponse({"data": []})

    other = serve(Starlette(routes=[Route("/models", models)]))

    async def away(_: Request) -> RedirectResponse:
        return RedirectResponse(f"{other}/models")

    url = serve(Starlette(routes=[Route("/models", away)]))
    none = "agent-asgi: The server has no agent that speaks the Responses API."
    say(url, options=("--token", "secret"), ends=none)
    assert seen == [None]


def test_an_item_of_a_type_not_known_here_is_shown(serve: Serve, say: Say) -> None:
    item = b'data: {"type": "response.output_item.done", "item": {"type": "acme:map", "n": 1}}\n\n'
    end = FRAME.replace(b"created", b"completed").replace(b"in_progress", b"completed")
    shown = say(serve(server_of(lambda _: events(frames(FRAME, item, end)))) + "/v1", "Hi")
    assert shown == '{"type": "acme:map", "n": 1}\n'


def test_an_incomplete_answer_says_why(serve: Serve, say: Say) -> None:
    end = (
        b'data: {"type": "response.incomplete", "response": {"id": "r", "status": "incomplete", '
        b'"incomplete_details": {"reason": "max_output_tokens"}}}\n\n'
    )
    shown = say(serve(server_of(lambda _: events(frames(FRAME, end)))) + "/v1", "Hi")
    assert shown == "(incomplete: max_output_tokens)\n"


def test_the_page_of_a_trace(serve: Serve, say: Say) -> None:
    async def models(_: Request) -> JSONResponse:
        return JSONResponse({"data": [{"id": "m"}]})

    async def settings(_: Request) -> JSONResponse:
        return JSONResponse(
            {"agents": [{"name": "m", "traces": "https://mlflow.example.com/#/traces?id="}]}
        )

    async def respond(_: Request) -> StreamingResponse:
        answer = events(frames(FRAME.replace(b"in_progress", b"completed")))
        answer.headers["x-mlflow-trace-id"] = "tr-1"
        return answer

    routes = [
        Route("/models", models),
        Route("/playground.json", settings),
        Route("/responses", respond, methods=["POST"]),
    ]
    shown = say(serve(Starlette(routes=routes)), "Hi", "/trace")
    assert shown == "https://mlflow.example.com/#/traces?id=tr-1\n"
