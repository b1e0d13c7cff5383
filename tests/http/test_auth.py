"""Authentication by any callable and by middleware, and which user a run has."""

import asyncio
import logging
import socket
import threading
from collections.abc import Callable
from typing import Any

import openai
import pytest
from starlette.applications import Starlette
from starlette.authentication import (
    AuthCredentials,
    AuthenticationBackend,
    BaseUser,
    SimpleUser,
    UnauthenticatedUser,
)
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.authentication import AuthenticationMiddleware
from starlette.requests import HTTPConnection
from starlette.routing import Mount
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from agent_asgi import AgentApp, AgentError, AgentRouter, Context, ResponsesRequest
from agent_asgi.testing import AgentClient, Answer
from tests.support.apps import ask_unstarted, started
from tests.support.asking import ANN, TOKENS, WRONG, bearer, fetch
from tests.support.calling import connect

Serve = Callable[[Any], str]
BODY = {"input": "x"}
CLAIMS = {"input": "x", "user": "bob", "context": {"user_id": "bob"}}


def whoami() -> AgentRouter:
    """Make an agent that returns its user and what authentication stored in the state."""
    router = AgentRouter()

    @router.invoke
    async def who(request: ResponsesRequest, context: Context) -> str:
        return f"{context.user} {context.state.get('role', '')}".strip()

    return router


def post(app: ASGIApp, body: Any = BODY, path: str = "/responses", **headers: str) -> Answer:
    """Send an app one request."""
    return ask_unstarted(app, path, body, headers)


def said(answer: Answer) -> str:
    """Return what the agent said."""
    assert answer.status == 200, answer.body
    text: str = answer.json()["output"][0]["content"][0]["text"]
    return text


def test_a_sync_callable_runs_in_a_thread() -> None:
    threads = list[threading.Thread]()

    def by_key(request: HTTPConnection) -> str | None:
        threads.append(threading.current_thread())
        request.state.role = "admin"
        return request.headers.get("x-key")

    app = AgentApp(whoami(), authenticate=by_key)
    assert said(post(app, **{"x-key": "ann"})) == "ann admin"
    assert threading.main_thread() not in threads
    answer = post(app)
    assert (answer.status, answer.headers["www-authenticate"]) == (401, "Bearer")


def test_async_callables_stay_on_the_loop() -> None:
    threads = list[threading.Thread]()

    async def asked(request: HTTPConnection) -> BaseUser:
        threads.append(threading.current_thread())
        return SimpleUser("ann")

    assert said(post(AgentApp(whoami(), authenticate=asked))) == "ann"
    assert threads == [threading.main_thread()]
    assert said(post(AgentApp(whoami(), authenticate=lambda request: asked(request)))) == "ann"


@pytest.mark.parametrize("sync", [True, False])
@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (AgentError("Not you.", 403, "blocked", headers={"x-why": "1"}), 403, "blocked"),
        (HTTPException(503, "Not now.", headers={"x-why": "1"}), 503, "server_error"),
        (HTTPException(401, "Not so.", headers={"x-why": "1"}), 401, "authentication_error"),
        (RuntimeError("a secret"), 500, "server_error"),
    ],
)
def test_what_it_raises(
    error: Exception, status: int, code: str, sync: bool, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(request: HTTPConnection) -> str:
        raise error

    async def refuse_later(request: HTTPConnection) -> str:
        raise error

    answer = post(AgentApp(whoami(), authenticate=refuse if sync else refuse_later, debug=True))
    assert (answer.status, answer.json()["error"]["code"]) == (status, code)
    assert "secret" not in answer.body.decode()
    logged = [each for each in caplog.records if each.levelno == logging.ERROR]
    if status == 500:
        assert [each.getMessage() for each in logged] == [
            "Authentication failed; the request is refused."
        ]
    else:
        assert answer.headers["x-why"] == "1"
        assert not logged


class Odd:
    """A user without a name."""

    is_authenticated = True
    identity = ""
    display_name = ""


@pytest.mark.parametrize("given", ["", 3, {"sub": "ann"}, Odd()])
def test_what_is_no_principal_is_a_fault_of_the_server(given: Any) -> None:
    assert post(AgentApp(whoami(), authenticate=lambda _: given)).status == 500


def test_an_unauthenticated_principal_is_none() -> None:
    app = AgentApp(whoami(), authenticate=lambda _: UnauthenticatedUser())
    assert post(app).status == 401


class Account(BaseUser):
    """A user whose name is not its identity."""

    is_authenticated = True
    display_name = "Ann"
    identity = "ann@example.com"


def test_the_user_of_a_run_is_the_identity() -> None:
    app = AgentApp(whoami(), authenticate=lambda _: Account())
    assert said(post(app, CLAIMS)) == "ann@example.com"
    assert said(post(AgentApp(whoami(), authenticate=TOKENS), CLAIMS, **bearer(ANN))) == "ann"
    assert said(post(AgentApp(whoami()), CLAIMS)) == "bob"


class ByHeader(AuthenticationBackend):
    """Trusts the `x-user` header."""

    async def authenticate(self, conn: HTTPConnection) -> tuple[AuthCredentials, BaseUser] | None:
        """Return the user, or None if the header is missing."""
        name = conn.headers.get("x-user")
        return None if name is None else (AuthCredentials(), SimpleUser(name))


NAMED = Middleware(AuthenticationMiddleware, backend=ByHeader())


def test_what_middleware_knows_is_not_asked() -> None:
    asked = list[str]()

    def nobody(request: HTTPConnection) -> None:
        asked.append(request.headers.get("x-user", ""))

    own = AgentApp(whoami(), authenticate=nobody, middleware=[NAMED])
    agents = AgentApp(whoami(), authenticate=nobody)
    host = Starlette(routes=[Mount("/a", app=agents)], middleware=[NAMED])
    for app, root in ((own, ""), (host, "/a")):
        assert said(post(app, path=f"{root}/responses", **{"x-user": "ann"})) == "ann"
        assert post(app, path=f"{root}/responses").status == 401
        assert post(app, path=f"{root}/nothing").status == 401
        assert post(app, path=f"{root}/nothing", **{"x-user": "ann"}).status == 404
    assert asked == [""] * 4


@pytest.mark.parametrize("root", ["", "/agents"])
@pytest.mark.parametrize("middleware", [[], [NAMED]])
def test_probes_are_for_all_and_nothing_else(root: str, middleware: list[Middleware]) -> None:
    agents = AgentApp(whoami(), authenticate=TOKENS, middleware=middleware)
    app: Any = Starlette(routes=[Mount(root, app=agents)], lifespan=agents.lifespan)

    async def statuses(paths: list[str]) -> set[int]:
        async with started(agents):
            return {(await AgentClient(app).get(root + each)).status for each in paths}

    assert asyncio.run(statuses(["/health", "/ready", "/ping"])) == {200}
    others = ["/health/", "/ready/x", "/v1/health", "/agent/health", "//ping", "/Health", "/models"]
    assert asyncio.run(statuses([*others, "/nothing", "/responses/x"])) == {401}


def test_the_body_of_a_refused_request_is_not_read(serve: Serve) -> None:
    async def main() -> list[Message]:
        sent = list[Message]()

        async def receive() -> Message:
            raise AssertionError("it is read")

        async def send(message: Message) -> None:
            sent.append(message)

        scope = AgentClient(app)._scope("POST", "/responses", {}, 5)
        await app(scope, receive, send)
        return sent

    app = AgentApp(whoami(), authenticate=TOKENS)
    assert asyncio.run(main())[0]["status"] == 401
    port = int(serve(app).rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port), 10) as raw:
        raw.sendall(b"POST /responses HTTP/1.1\r\nhost: a\r\ncontent-length: 1073741824\r\n\r\n{")
        assert raw.recv(20).startswith(b"HTTP/1.1 401 ")


def test_the_openai_client(serve: Serve) -> None:
    url = serve(AgentApp(whoami(), authenticate=TOKENS))
    with connect(url, api_key=ANN) as client:
        assert client.responses.create(input="x").output_text == "ann"
    posts = list[str]()
    hooks: Any = {"request": [lambda request: posts.append(request.method)]}
    patient = openai.DefaultHttpxClient(event_hooks=hooks)
    with connect(url, api_key=WRONG, max_retries=3, http_client=patient) as client:
        with pytest.raises(openai.AuthenticationError, match=r"The token is not valid\.") as raised:
            client.responses.create(input="x")
        assert (raised.value.code, raised.value.type) == ("invalid_token", "authentication_error")
    assert posts == ["POST"]


def test_middleware_sees_the_request_first(serve: Serve) -> None:
    """Answers from the user's own middleware need no token: authentication is innermost."""
    seen = list[str]()

    class Look:
        def __init__(self, app: ASGIApp) -> None:
            self.app = app

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            seen.append(scope["path"])
            await self.app(scope, receive, send)

    url = serve(AgentApp(whoami(), authenticate=TOKENS, middleware=[Middleware(Look)]))
    assert fetch(url, "POST", "/responses", WRONG, BODY).status == 401
    assert fetch(url, "POST", "/responses", ANN, BODY).status == 200
    assert seen.count("/responses") == 2
