"""Access to each endpoint and method by token, what strangers learn, and where tokens appear."""

import itertools
import json
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.requests import HTTPConnection
from starlette.routing import Route, Router, WebSocketRoute

from agent_asgi import AgentApp, AgentRouter, ResponsesRequest
from agent_asgi.observability.logging import HandshakeFilter
from agent_asgi.store.conversation_store import ConversationStore
from agent_asgi.store.open import open_store
from tests.support.asking import ANN, BOB, TOKENS, WRONG, Reply, fetch, knock
from tests.support.calling import QUICK, Json, Serve
from tests.support.endpoints import BODY, PROTOCOLS, PUSH, SENT, TABLE, VERSION, Row
from tests.support.servers import Server
from tests.support.traces import traces

ITEM = "msg_of_ann"


def one() -> AgentRouter:
    """Make an agent that has every endpoint."""
    router = AgentRouter("one")

    @router.stream
    async def reply(request: ResponsesRequest) -> AsyncIterator[Any]:
        if request.input_text == "fail":
            raise RuntimeError("It fails.")
        yield {"type": "message", "id": ITEM, "role": "assistant", "content": []}

    @router.compact
    async def compact(request: ResponsesRequest) -> Json:
        return {"type": "compaction", "encrypted_content": "x"}

    return router


def two() -> AgentRouter:
    """Make an agent that accepts any JSON."""
    router = AgentRouter("two", protocol="json")
    router.invoke(lambda request: {"said": "x"})

    @router.stream
    async def reply(request: Json) -> AsyncIterator[str]:
        yield "x"

    return router


APPS: dict[str, Callable[[], list[AgentRouter]]] = {
    "one": lambda: [one()],
    "json": lambda: [two()],
    "several": lambda: [one(), two()],
}


def routes_of(app: AgentApp) -> Iterator[tuple[str, str]]:
    """Yield the method and path of every route that an app actually serves."""
    inner: Any = app._serve
    while not isinstance(inner, Router):
        inner = inner._app
    for route in inner.routes:
        assert isinstance(route, Route | WebSocketRoute), f"{route} has no row"
        for method in ["WS"] if isinstance(route, WebSocketRoute) else sorted(route.methods or ()):
            yield method, route.path


def rows_of(method: str, path: str) -> list[Row]:
    """Return the table rows of a route."""
    for prefix in ("/one", "/two", "/v1"):
        path = path.removeprefix(prefix)
    name = f"{'GET' if method == 'HEAD' else method} {path}"
    assert name in TABLE, f"{name} has no row in the table"
    return TABLE[name]


def made(url: str) -> str:
    """Create a response as the owner; return its id."""
    reply = fetch(url, "POST", "/responses", ANN, BODY)
    assert reply.status == 200
    return reply.body.partition(b'"id":"')[2].partition(b'"')[0].decode()


def talk(url: str) -> str:
    """Create a conversation with one item as the owner; return its id."""
    body = {"items": [{"role": "user", "content": "x", "id": ITEM}]}
    reply = fetch(url, "POST", "/conversations", ANN, body)
    assert reply.status == 200
    return str(json.loads(reply.body)["id"])


def reply_to(url: str, method: str, path: str, row: Row, token: str | None) -> Reply:
    """Send the row's request for something that the owner created."""
    if "/conversations/{id}" in path:
        id_ = talk(url)
    else:
        id_ = made(url) if "/responses/{id}" in path or "/tasks/{id}" in path else "one"
    if "{taskId}" in path:
        path = path.replace("{taskId}", made(url))
    path = path.replace("{id}", id_).replace("{item_id}", ITEM)
    path = path.replace("{file}", "viewer.js" if "docs" in path else "app.js")
    path += row.query
    return knock(url, path, token) if method == "WS" else fetch(url, method, path, token, row.body)


@pytest.mark.parametrize("kind", APPS)
def test_each_endpoint_by_token(serve: Serve, kind: str) -> None:
    options: Any = {"protocols": PROTOCOLS, "playground": True, "timeouts": QUICK}
    app = AgentApp(*APPS[kind](), authenticate=TOKENS, **options)
    url = serve(app)
    assert fetch(url, "GET", "/health").status == 200
    for method, path in routes_of(app):
        for row in rows_of(method, path):
            right = 404 if kind == "json" and path.endswith("models/{id}") else row.right
            other = 404 if right == 404 else row.other
            for token, status in ((None, 401), (WRONG, 401), (BOB, other), (ANN, right)):
                expected = 200 if row.free else status
                reply = reply_to(url, method, path, row, token)
                assert reply.status == expected, (method, path, row, token, reply)
                check_form(method, reply, token)


def check_form(method: str, reply: Reply, token: str | None) -> None:
    """Check what all answers have in common, and that they contain no token."""
    assert reply.headers["x-request-id"]
    assert "secret" not in f"{reply.headers} {reply.body!r}"
    if reply.status == 401:
        assert reply.headers["www-authenticate"].startswith("Bearer")
        if method != "HEAD":
            code = "unauthenticated" if token is None else "invalid_token"
            assert (reply.error["type"], reply.error["code"]) == ("authentication_error", code)


def test_each_row_is_of_a_route() -> None:
    options: Any = {"protocols": PROTOCOLS, "playground": True}
    apps = [AgentApp(*routers(), **options) for routers in APPS.values()]
    found = {id(row) for app in apps for each in routes_of(app) for row in rows_of(*each)}
    assert found == {id(row) for rows in TABLE.values() for row in rows}


@pytest.mark.parametrize("path", ["/nothing", "/v1", "/one/nothing", "/responses/a/b"])
@pytest.mark.parametrize("method", ["GET", "POST", "PATCH", "OPTIONS", "WS"])
def test_unknown_paths_tell_nothing_without_a_token(serve: Serve, method: str, path: str) -> None:
    url = serve(AgentApp(one(), authenticate=TOKENS))
    for token, status in ((None, 401), (WRONG, 401), (ANN, 403 if method == "WS" else 404)):
        assert reply_to(url, method, path, Row(), token).status == status


Calls = list[tuple[str, str]]


def recorded(store: Any) -> Calls:
    """Record a store's calls from now on."""
    calls: Calls = []
    for name in ("get", "chain", "find_items", "by_key", "delete", "want_cancel", "events"):
        setattr(store, name, _recording(name, getattr(store, name), calls))
    conversations = store.conversations
    for name in ConversationStore.__abstractmethods__:
        setattr(conversations, name, _recording(name, getattr(conversations, name), calls))
    return calls


def _recording(name: str, call: Any, calls: Calls) -> Any:
    async def record(*given: Any, **more: Any) -> Any:
        calls.append((name, repr((given, more))))
        return await call(*given, **more)

    return record


def ways(id: str, item: str) -> Iterator[tuple[str, str, Json | None, str]]:
    """Yield every way to reach a response or one of its items: method, path, body and id."""
    reference = {"type": "item_reference", "id": item}
    for begin in ("", "/v1"):
        path = f"{begin}/responses/{id}"
        for method, rest in itertools.product(
            ("GET", "HEAD"), ("", "?stream=true", "/input_items")
        ):
            yield method, path + rest, None, id
        yield "DELETE", path, None, id
        yield "POST", f"{path}/cancel", None, id
        for more in ({}, {"stream": True}, {"background": True}):
            body = {**BODY, **more}
            yield "POST", f"{begin}/responses", {**body, "previous_response_id": id}, id
            yield "POST", f"{begin}/responses", {**body, "input": [reference]}, item
        yield "POST", f"{begin}/responses/compact", {**BODY, "previous_response_id": id}, id
    yield "POST", "/invocations", {**BODY, "previous_response_id": id}, id
    for method, rest in (("GET", ""), ("POST", ":cancel"), ("GET", ":subscribe")):
        yield method, f"/a2a/tasks/{id}{rest}{VERSION}", None, id
    configs = f"/a2a/tasks/{id}/pushNotificationConfigs"
    yield "POST", f"{configs}{VERSION}", PUSH, id
    for method, rest in (("GET", ""), ("GET", "/1"), ("DELETE", "/1")):
        yield method, f"{configs}{rest}{VERSION}", None, id
    for rest in ("send", "stream"):
        body = {"message": {**SENT["message"], "taskId": id}}
        yield "POST", f"/a2a/message:{rest}{VERSION}", body, id


def conversation_ways(id: str) -> Iterator[tuple[str, str, Json | None, str]]:
    """Yield every way to reach a conversation or one of its items."""
    for begin in ("", "/v1"):
        path = f"{begin}/conversations/{id}"
        for method, rest in itertools.product(("GET", "HEAD"), ("", "/items", f"/items/{ITEM}")):
            yield method, path + rest, None, id
        yield "DELETE", f"{path}/items/{ITEM}", None, id
        yield "POST", path, {"metadata": {}}, id
        yield "POST", f"{path}/items", {"items": [{"role": "user", "content": "x"}]}, id
        yield "DELETE", path, None, id
        yield "GET", f"{begin}/conversations?after={id}", None, id
        for more in ({}, {"stream": True}, {"background": True}):
            yield "POST", f"{begin}/responses", {**BODY, **more, "conversation": id}, id


def test_what_is_anothers_is_as_what_is_not(serve: Serve, store_url: str) -> None:
    """Status, body, headers and store calls are the same, so timing reveals nothing either."""
    store = open_store(store_url)
    url = serve(AgentApp(one(), authenticate=TOKENS, store=store, protocols=PROTOCOLS))
    theirs, conversation = made(url), talk(url)
    nothing, no_item = "resp_" + "0" * (len(theirs) - 5), "msg_of_000"
    no_conversation = "conv_" + "0" * (len(conversation) - 5)
    calls = recorded(store)

    def told(way: tuple[str, str, Json | None, str]) -> Any:
        method, path, body, id_ = way
        calls.clear()
        reply = fetch(url, method, path, BOB, body)
        headers = {name: each for name, each in reply.headers.items() if name != "x-request-id"}
        headers.pop("date")
        work = [(name, given.replace(id_, "ID")) for name, given in calls]
        return reply.status, headers, reply.body.replace(id_.encode(), b"ID"), work

    others = [*ways(theirs, ITEM), *conversation_ways(conversation)]
    unknowns = [*ways(nothing, no_item), *conversation_ways(no_conversation)]
    for other, unknown in zip(others, unknowns, strict=True):
        answer = told(other)
        assert answer[0] in (400, 404)
        assert answer[3], "the store is asked"
        assert answer == told(unknown), other
    assert fetch(url, "GET", f"/responses/{theirs}", ANN).status == 200
    assert fetch(url, "GET", f"/conversations/{conversation}/items/{ITEM}", ANN).status == 200


def test_a_connection_goes_on_from_its_own_users_responses(serve: Serve, store_url: str) -> None:
    url = serve(AgentApp(one(), authenticate=TOKENS, store=store_url))
    told = list[bytes]()
    for id_ in (made(url), "resp_nope"):
        fields = {"previous_response_id": id_}
        reply = knock(url, "/responses", BOB, turn=fields)
        assert reply.error["code"] == "previous_response_not_found"
        told.append(reply.body.replace(id_.encode(), b"ID"))
    assert told[0] == told[1]
    mine = knock(url, "/responses", ANN, turn={"previous_response_id": made(url)})
    assert b"response.completed" in mine.body


@pytest.fixture
def all_logs(caplog: pytest.LogCaptureFixture) -> Iterator[Callable[[], None]]:
    """Yield a function that sets every logger to DEBUG."""
    changed = list[tuple[logging.Logger, int]]()

    def listen() -> None:
        for logger in [
            logging.getLogger(),
            *map(logging.getLogger, logging.root.manager.loggerDict),
        ]:
            changed.append((logger, logger.level))
            logger.setLevel(logging.DEBUG)
            if not logger.propagate:
                logger.addHandler(caplog.handler)

    logging.getLogger("uvicorn.error").addFilter(handshakes := HandshakeFilter())
    yield listen
    logging.getLogger("uvicorn.error").removeFilter(handshakes)
    for logger, level in reversed(changed):
        logger.setLevel(level)
        if not logger.propagate:
            logger.removeHandler(caplog.handler)


def test_tokens_are_in_no_log_no_trace_and_no_store(
    tracking_uri: str,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    all_logs: Callable[[], None],
) -> None:
    async def authenticate(request: HTTPConnection) -> Any:
        if "x-break" in request.headers:
            raise RuntimeError("It is broken.")
        return await TOKENS(request)

    router = one()
    router.name = "quiet"
    app = AgentApp(router, authenticate=authenticate, store=f"sqlite:///{tmp_path}/r.db")
    server = Server(app)
    all_logs()
    try:
        for token in (ANN, BOB, WRONG):
            headers = {"x-api-key": token, "cookie": f"key={token}"}
            for body in (*TABLE["POST /responses"], Row(body={"input": "fail"}), Row(body={})):
                fetch(server.url, "POST", "/responses", token, body.body, headers)
            fetch(
                server.url, "POST", "/responses", token, BODY, {**headers, "idempotency-key": "a"}
            )
            fetch(server.url, "GET", "/models", token, None, {**headers, "x-break": "1"})
            knock(server.url, "/responses", token, headers)
    finally:
        server.stop()
    served = [each for each in caplog.records if each.name != "websockets.client"]
    levels = {(each.name, each.levelname) for each in served}
    assert levels >= {
        ("agent_asgi", "DEBUG"),
        ("uvicorn.error", "DEBUG"),
        ("uvicorn.access", "INFO"),
    }
    logged = [f"{logging.Formatter().format(each)} {vars(each)}" for each in served]
    assert any("Authentication failed" in each for each in logged)
    assert [each for each in logged if "secret" in each] == []
    found = traces(agent="quiet")
    assert len(found) >= 12
    assert "secret" not in repr([each.to_dict() for each in found])
    folder = Path(tracking_uri.removeprefix("sqlite:///")).parent
    for file in (*folder.iterdir(), *tmp_path.iterdir()):
        for token in (ANN, BOB, WRONG):
            assert token.encode() not in file.read_bytes(), file
