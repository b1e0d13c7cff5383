"""Which web pages may use an app, what browsers are told, and rejected WebSockets."""

import asyncio
import itertools
import json
from collections.abc import Callable
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import HTTPConnection
from starlette.routing import Mount
from starlette.types import Message, Scope

from agent_asgi import AgentApp, AgentError, AgentRouter, ResponsesRequest
from tests.support.asking import ANN, TOKENS, WRONG, Reply, bearer, fetch, knock

Serve = Callable[[Any], str]
PAGE, EVIL = "https://app.example.com", "https://evil.example.com"
ASKING = {
    "access-control-request-method": "POST",
    "access-control-request-headers": "authorization,content-type,x-session-id",
}


def counted(**options: Any) -> tuple[AgentApp, list[str]]:
    """Make an app, and a list of the inputs its agent received."""
    router, runs = AgentRouter(), list[str]()

    @router.invoke
    async def count(request: ResponsesRequest) -> str:
        runs.append(request.input_text)
        return "done"

    return AgentApp(router, **options), runs


def post(url: str, kind: str | None, origin: str | None, path: str = "/responses") -> Reply:
    """Send a body that would run the agent, as a page from an origin would."""
    given = {"content-type": kind, "origin": origin}
    headers = {name: value for name, value in given.items() if value is not None}
    return fetch(url, "POST", path, None, {"input": "x"} if kind else None, headers)


SIMPLE = [
    "text/plain",
    "text/plain;charset=UTF-8",
    "Text/Plain ; x=application/json",
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=x",
    None,
]
PATHS = ["/responses", "/v1/responses", "/invocations", "/responses/compact", "/nothing"]


def test_a_foreign_page_runs_nothing(serve: Serve) -> None:
    app, runs = counted()
    url = serve(app)
    origins = [EVIL, "null", "http://localhost:1", "http://127.0.0.1"]
    for origin, kind, path in itertools.product(origins, SIMPLE, PATHS):
        reply = post(url, kind, origin, path)
        assert (reply.status, reply.error["code"]) == (403, "origin_not_allowed")
        assert reply.error["type"] == "permission_error"
        assert reply.headers["x-request-id"]
        assert "access-control-allow-origin" not in reply.headers
    assert runs == []


def test_all_others_run_as_ever(serve: Serve) -> None:
    app, runs = counted()
    url = serve(app)
    assert post(url, "text/plain", None).status == 200  # not a browser
    assert post(url, "text/plain", url).status == 200  # the app's own page
    assert post(url, "application/json", EVIL).status == 200  # needs a preflight request
    for method in ("GET", "HEAD", "OPTIONS"):
        assert fetch(url, method, "/models", None, None, {"origin": EVIL}).status in (200, 405)
    assert len(runs) == 3


def test_cancel_and_delete_below_a_hosts_cors(serve: Serve) -> None:
    """The host decides; a browser sends no DELETE that it has not asked for."""
    app, _ = counted()
    cors = Middleware(CORSMiddleware, allow_origins=[PAGE], allow_methods=["*"])
    url = serve(Starlette(routes=[Mount("/agents", app)], middleware=[cors], lifespan=app.lifespan))
    page = {"origin": PAGE}
    body = {"input": "x", "background": True}
    made = fetch(url, "POST", "/agents/responses", None, body, page)
    path = f"/agents/responses/{json.loads(made.body)['id']}"
    for method, target in (("POST", f"{path}/cancel"), ("DELETE", path)):
        reply = fetch(url, method, target, None, None, page)
        assert (reply.status, reply.headers["access-control-allow-origin"]) == (200, PAGE)
    asked = page | {"access-control-request-method": "DELETE"}
    assert fetch(url, "OPTIONS", path, None, None, asked | {"origin": EVIL}).status == 400


def test_no_cors_by_default(serve: Serve) -> None:
    app, _ = counted(authenticate=TOKENS)
    url = serve(app)
    preflight = fetch(url, "OPTIONS", "/responses", None, None, {"origin": PAGE, **ASKING})
    plain = fetch(url, "GET", "/models", ANN, None, {"origin": PAGE})
    assert (preflight.status, plain.status) == (401, 200)
    for reply in (preflight, plain):
        assert not [name for name in reply.headers if name.startswith("access-control")]


@pytest.mark.parametrize("named", [True, False])
def test_cors(serve: Serve, named: bool) -> None:
    app, runs = counted(authenticate=TOKENS, allowed_origins=[PAGE] if named else "*")
    url, expected = serve(app), PAGE if named else "*"
    body, page = {"input": "x"}, {"origin": PAGE}
    preflight = fetch(url, "OPTIONS", "/responses", None, None, {**page, **ASKING})
    assert preflight.status == 200
    assert (
        preflight.headers["access-control-allow-headers"]
        == (ASKING["access-control-request-headers"])
    )
    assert preflight.headers["access-control-allow-methods"] == "GET, POST, DELETE"
    replies = [
        preflight,
        fetch(url, "POST", "/responses", ANN, body, page),
        fetch(url, "POST", "/responses", ANN, {**body, "stream": True}, page),
        fetch(url, "POST", "/responses", WRONG, body, page),
        fetch(url, "POST", "/responses", ANN, {}, page),
        fetch(url, "GET", "/responses/resp_1", ANN, None, page),
        fetch(url, "POST", "/responses", ANN, body, {**page, "content-type": "text/plain"}),
    ]
    assert [each.status for each in replies] == [200, 200, 200, 401, 400, 404, 200]
    for reply in replies:
        assert reply.headers["access-control-allow-origin"] == expected
        assert reply.headers.get("access-control-allow-credentials") == ("true" if named else None)
        assert reply.headers["x-request-id"].startswith("req_")
    exposed = replies[1].headers["access-control-expose-headers"]
    assert exposed.startswith("x-request-id, x-mlflow-trace-id, retry-after, x-ratelimit-limit-")
    assert len(runs) == 3


def test_cors_for_named_origins_only(serve: Serve) -> None:
    app, runs = counted(allowed_origins=["https://other.example.com", PAGE])
    url = serve(app)
    evil = {"origin": EVIL}
    preflight = fetch(url, "OPTIONS", "/responses", None, None, {**evil, **ASKING})
    assert preflight.status == 400
    assert "access-control-allow-origin" not in preflight.headers
    assert post(url, "text/plain", EVIL).status == 403
    assert post(url, "text/plain", PAGE).status == 200
    assert "access-control-allow-origin" not in post(url, "application/json", EVIL).headers
    assert len(runs) == 2


BAD = "https://a.example/", "a.example", "", "null", "https://a.example, https://b.example"


@pytest.mark.parametrize(
    "origins", ["https://a.example", ["https://*.x"], *([each] for each in BAD)]
)
def test_bad_origins(origins: Any) -> None:
    with pytest.raises(ValueError, match="origin"):
        counted(allowed_origins=origins)


def test_a_websocket_is_for_its_own_pages_and_those_named(serve: Serve) -> None:
    closed, named, free = (
        serve(counted(**each)[0])
        for each in ({}, {"allowed_origins": [PAGE]}, {"allowed_origins": "*"})
    )
    host = closed.removeprefix("http://")
    for url, origin, status in (
        (closed, EVIL, 403),
        (closed, "null", 403),
        (closed, f"http://{host.partition(':')[0]}", 403),
        (closed, f"http://{host}", 101),
        (closed, None, 101),
        (named, EVIL, 403),
        (named, PAGE, 101),
        (free, EVIL, 101),
    ):
        reply = knock(url, "/v1/responses", None, {"origin": origin} if origin else {})
        assert reply.status == status, (url, origin)
        assert reply.headers["x-request-id"]
        if status == 403:
            assert reply.error["code"] == "origin_not_allowed"


def test_a_websocket_is_refused_by_an_answer(serve: Serve) -> None:
    def authenticate(request: HTTPConnection) -> str | None:
        if request.headers.get("authorization") == bearer(WRONG)["authorization"]:
            raise AgentError("Not you.", 403, "blocked")
        return "ann" if "authorization" in request.headers else None

    url = serve(counted(authenticate=authenticate)[0])
    nobody, blocked = knock(url, "/responses"), knock(url, "/responses", WRONG)
    assert (nobody.status, nobody.error["code"]) == (401, "unauthenticated")
    assert nobody.headers["www-authenticate"] == "Bearer"
    assert (blocked.status, blocked.error["code"]) == (403, "blocked")
    assert knock(url, "/responses", ANN).status == 101
    assert knock(url, "/nothing", None).status == 401


@pytest.mark.parametrize("extensions", [{}, {"extensions": {}}, {"extensions": None}])
def test_a_websocket_that_can_get_no_answer_is_closed(extensions: dict[str, Any]) -> None:
    sent = list[Message]()

    async def receive() -> Message:
        return {"type": "websocket.connect"}

    async def send(message: Message) -> None:
        sent.append(message)

    scope: Scope = {"type": "websocket", "path": "/responses", "headers": [], **extensions}
    asyncio.run(counted(authenticate=TOKENS)[0](scope, receive, send))
    (message,) = sent
    assert (message["type"], message["code"]) == ("websocket.close", 1008)
