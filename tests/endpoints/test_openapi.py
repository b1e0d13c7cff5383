"""The OpenAPI document: valid, complete, and consistent with the answers."""

import asyncio
from typing import Any, Literal

import calculator
import msgspec
import pydantic
import pytest
from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match
from openapi_spec_validator import validate
from starlette.applications import Starlette
from starlette.routing import BaseRoute, Mount, Route, WebSocketRoute

from agent_asgi import AgentApp, AgentError, AgentRouter, Limits, ResponsesRequest
from agent_asgi.testing import AgentClient, Answer
from tests.support.apps import started
from tests.support.outputs import OUTPUTS, REQUEST, giving

Json = dict[str, Any]


class Point(msgspec.Struct):
    """A place."""

    x: float
    kind: Literal["a", "b"] = "a"


class Order(pydantic.BaseModel):
    """An order in a shop."""

    goods: list[str]
    place: "Place"


class Place(pydantic.BaseModel):
    """The delivery address."""

    town: str


def agent(name: str = "agent", **options: Any) -> AgentRouter:
    """Make an agent that says hello."""
    router = AgentRouter(name, **options)

    @router.invoke
    async def hello(request: ResponsesRequest) -> str:
        return "Hello."

    return router


def typed(name: str, wanted: Any, protocol: Any = "json") -> AgentRouter:
    """Make an agent whose handler takes a type."""
    router = AgentRouter(name, protocol=protocol)

    async def take(request: Any) -> str:
        return "taken"

    take.__annotations__["request"] = wanted
    router.invoke(take)
    return router


APPS: dict[str, list[AgentRouter]] = {
    "one": [agent(description="Says `hello`.")],
    "several": [agent("tutor"), agent("coder"), typed("shop", Order)],
    "json": [typed("agent", dict)],
    "struct": [typed("map", Point)],
    "pydantic": [typed("shop", Order)],
    "only json": [typed("a", Point), typed("a_b", dict)],
    "alike": [agent("a-b"), agent("a_b"), agent("server"), agent("a_v1"), agent("a"), agent("a%b")],
    "both": [typed("ü", Order, "responses")],
}


async def calls(app: AgentApp, *asked: tuple[str, Any]) -> list[Answer]:
    """Send requests one after another; those without a body are GETs."""
    async with started(app):
        client = AgentClient(app)
        return [
            await (client.get(path) if body is None else client.post(path, body))
            for path, body in asked
        ]


def told(app: AgentApp) -> Json:
    """Return an app's document."""
    answer = asyncio.run(calls(app, ("/openapi.json", None)))[0]
    assert answer.headers["content-type"] == "application/json"
    found: Json = answer.json()
    return found


def routes_of(app: AgentApp) -> list[BaseRoute]:
    """Return the routes of an app as instrumentation finds them in a request's scope."""
    scope: Json = {"type": "http", "method": "GET", "path": "/health", "headers": []}

    async def ask() -> None:
        async def drop(message: Any) -> None:
            pass

        await app(scope, asyncio.Queue[Any]().get, drop)

    asyncio.run(ask())
    routes: list[BaseRoute] = scope["router"].routes
    return routes


def check(body: Any, schema: Json, found: Json) -> None:
    """Check a value against a schema from a document."""
    whole = {"components": found["components"], "allOf": [schema]}
    error = best_match(Draft202012Validator(whole).iter_errors(body))
    assert error is None, f"{error.json_path}: {error.message}: {body}"


def fits(body: Any, found: Json, path: str) -> bool:
    """Return whether a document allows a body."""
    schema = found["paths"][path]["post"]["requestBody"]["content"]["application/json"]["schema"]
    whole = {"components": found["components"], "allOf": [schema]}
    return Draft202012Validator(whole).is_valid(body)


def check_answer(answer: Answer, found: Json, path: str, method: str = "post") -> None:
    """Check an answer against the document's entry for its operation."""
    about = found["paths"][path][method]["responses"]
    assert str(answer.status) in about, (answer.status, answer.body)
    said = about[str(answer.status)]
    kind = answer.headers["content-type"].partition(";")[0]
    schema = said["content"][kind]["schema"]
    if kind == "text/event-stream":
        schema = schema["properties"]["data"]["anyOf"][1]["contentSchema"]
    for body in answer.events() if kind == "text/event-stream" else [answer.json()]:
        check(body, schema, found)
    assert "x-request-id" in answer.headers


@pytest.mark.parametrize("kind", APPS)
def test_the_document_is_valid(kind: str) -> None:
    app = AgentApp(*APPS[kind])
    found = told(app)
    validate(found)
    assert found["openapi"] == "3.1.0"
    for router in app.routers:
        assert router.name in [each["name"] for each in found["tags"]]
        assert router.description or "An agent." in found["info"]["description"]


@pytest.mark.parametrize("kind", APPS)
def test_every_route_is_in_the_document_once_and_no_other(kind: str) -> None:
    app = AgentApp(*APPS[kind])
    routes = routes_of(app)
    here = {
        (each.path, method.lower())
        for each in routes
        if isinstance(each, Route)
        for method in each.methods or ()
    }
    paths = told(app)["paths"]
    there = [(path, method) for path, methods in paths.items() for method in methods]
    short = [(path.replace("/v1", ""), method) for path, method in there if "/v1/" in path]
    assert len({*there, *short}) == len(there) + len(short)
    tags = {path: each["tags"] for path, methods in paths.items() for each in methods.values()}
    for path, names in tags.items():
        assert len(names) == 1, path  # viewers list an operation below each of its tags
        if len(app.routers) > 1 and path.split("/")[1] in [each.name for each in app.routers]:
            assert names == [path.split("/")[1]]
    assert {*there, *short} == {each for each in here if each[1] != "head"}
    for route in routes:
        if isinstance(route, WebSocketRoute) and "/v1/" in route.path:
            assert "WebSocket" in paths[route.path]["post"]["description"]


@pytest.mark.parametrize("kind", APPS)
def test_operations_have_names_of_their_own(kind: str) -> None:
    paths = told(AgentApp(*APPS[kind]))["paths"]
    names = [each["operationId"] for methods in paths.values() for each in methods.values()]
    assert len(names) == len(set(names))
    for methods in paths.values():
        for operation in methods.values():
            for answer in operation["responses"].values():
                for link in answer.get("links", {}).values():
                    assert link["operationId"] in names


@pytest.mark.parametrize("path", ["/v1/responses", "/invocations"])
@pytest.mark.parametrize("stream", [False, True], ids=["json", "stream"])
@pytest.mark.parametrize("kind", OUTPUTS)
def test_what_is_answered_fits(kind: str, stream: bool, path: str) -> None:
    app = giving(OUTPUTS[kind])
    body = {**REQUEST, "stream": stream}
    answer, document = asyncio.run(calls(app, (path, body), ("/openapi.json", None)))
    assert fits(body, document.json(), path)
    check_answer(answer, document.json(), path)


def test_what_the_example_agent_answers_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_MODEL", raising=False)
    monkeypatch.delenv(
        "OTEL_SDK_DISABLED", raising=False
    )  # with it set, the spans that the agent starts would disable MLflow for good
    found = told(calculator.app)
    question = {"input": "12 * (3 + 4)", "model": "calculator"}

    async def main() -> None:
        async with started(calculator.app):
            client = AgentClient(calculator.app)
            answer = await client.post("/v1/responses", question)
            check_answer(answer, found, "/v1/responses")
            one, id_ = "/v1/responses/{id}", answer.json()["id"]
            at = f"/v1/responses/{id_}"
            for more in ("", "?stream=true", "?stream=true&starting_after=3", "?stream=perhaps"):
                check_answer(await client.get(at + more), found, one, "get")
            for more in ("", "?limit=1&order=asc", "?limit=0", "?after=nothing"):
                items = await client.get(f"{at}/input_items{more}")
                check_answer(items, found, f"{one}/input_items", "get")
            check_answer(await client.post(f"{at}/cancel", {}), found, f"{one}/cancel")
            short = await client.post("/responses/compact", question)
            check_answer(short, found, "/v1/responses/compact")
            paths = ("/agent/info", "/health", "/ready", "/ping", "/openapi.json")
            for path in ("/v1/models", *paths):
                check_answer(await client.get(path), found, path, "get")
            for id_ in ("calculator", "nobody"):
                check_answer(await client.get(f"/models/{id_}"), found, "/v1/models/{id}", "get")
            async with client.stream(at, None, method="DELETE") as gone:
                assert [each async for each in gone.bodies()]
            check_answer(gone, found, one, "delete")
            check_answer(await client.get(at), found, one, "get")

    asyncio.run(main())


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"{", 400),
        ({"input": 1}, 400),
        ({"input": "x", "previous_response_id": "resp_none"}, 400),
        ({"input": "x" * 3000}, 413),
        ({"input": "raise"}, 500),
        ({"input": "quota"}, 418),
    ],
)
def test_errors_fit(body: Any, status: int) -> None:
    router = AgentRouter()

    @router.invoke
    async def fail(request: ResponsesRequest) -> str:
        if request.input_text == "quota":
            raise AgentError("Later.", 418, headers={"retry-after": "7"})
        raise ValueError

    app = AgentApp(router, limits=Limits(max_body_bytes=2000))
    answer, found = asyncio.run(calls(app, ("/responses", body), ("/openapi.json", None)))
    about = found.json()["paths"]["/v1/responses"]["post"]["responses"]
    assert answer.status == status
    assert (str(status) in about) is (status != 418)
    said = about.get(str(status), about["default"])
    check(answer.json(), said["content"]["application/json"]["schema"], found.json())
    for name in ("retry-after", "x-should-retry"):
        assert name not in answer.headers or name in said["headers"]


MESSAGE: Json = {"role": "user", "content": "hi"}
BODIES: list[tuple[Any, bool]] = [
    ({"input": "hi"}, True),
    ({"input": [MESSAGE]}, True),
    ({"input": [MESSAGE | {"type": None}]}, True),
    ({"input": [MESSAGE | {"type": "message"}]}, True),
    ({"input": [{"type": "acme:thing", "role": 5}]}, True),
    ({"input": [{"type": "image_call", "n": 1}]}, True),
    ({"input": [MESSAGE | {"content": [{"type": "new_part", "a": 1}]}]}, True),
    ({"input": [{"type": "reasoning", "summary": [{"text": "hm"}]}]}, True),
    ({"input": "hi", "unknown": {"a": 1}}, True),
    ({"input": "hi", "tools": [{"type": "web_search"}], "tool_choice": {"type": "x"}}, True),
    ({"input": "hi", "metadata": {"k": "v" * 512}}, True),
    ({"input": None, "previous_response_id": "resp_none"}, True),
    ({"previous_response_id": "resp_none"}, True),
    ({"input": "hi", "stream": None}, True),
    ({}, False),
    ([], False),
    ({"input": None}, False),
    ({"input": [MESSAGE | {"role": "king"}]}, False),
    ({"input": [{"content": "hi"}]}, False),
    ({"input": [MESSAGE | {"type": ""}]}, False),
    ({"input": [{"type": "reasoning", "summary": [{"type": "text", "text": "hm"}]}]}, False),
    ({"input": "hi", "background": True, "store": False}, False),
    ({"input": [{"type": "function_call", "name": "f"}]}, False),
    ({"input": [MESSAGE | {"content": [{"text": "hi"}]}]}, False),
    ({"input": [MESSAGE | {"content": [{"type": "input_text"}]}]}, False),
    ({"input": "hi", "tools": [{"type": "function", "name": "a b"}]}, False),
    ({"input": "hi", "tools": [{"type": "function", "name": "f\n"}]}, False),
    ({"input": "hi", "tool_choice": "perhaps"}, False),
    ({"input": "hi", "tool_choice": {}}, False),
    ({"input": "hi", "metadata": {"k": "v" * 513}}, False),
    ({"input": "hi", "metadata": {str(n): "" for n in range(17)}}, False),
    ({"input": "hi", "metadata": {"k" * 65: ""}}, False),
    ({"generate": False}, True),
    ({"prompt_cache_options": {"prewarm": True}}, True),
    ({"generate": True}, False),
    ({"input": "hi", "prompt": {"version": "1"}}, False),
    ({"input": "hi", "stream": "false"}, False),
    ({"input": "hi", "temperature": 2.1}, False),
]


@pytest.mark.parametrize(("body", "good"), BODIES, ids=[str(each)[:60] for each, _ in BODIES])
def test_the_document_allows_what_the_server_does(body: Any, good: bool) -> None:
    app = AgentApp(agent())
    answer, found = asyncio.run(calls(app, ("/responses", body), ("/openapi.json", None)))
    assert fits(body, found.json(), "/v1/responses") is good
    unknown = b"previous_response_not_found" in answer.body
    assert (answer.status != 400 or unknown) is good, answer.body


@pytest.mark.parametrize(
    ("kind", "body", "good"),
    [
        ("struct", {"x": 1}, True),
        ("struct", {"x": 1, "stream": False}, True),
        ("struct", {"x": 1, "kind": "c"}, False),
        ("struct", {"x": 1, "stream": "yes"}, False),
        ("pydantic", {"goods": ["tea"], "place": {"town": "York"}}, True),
        ("pydantic", {"goods": ["tea"], "place": {}}, False),
        ("both", {"input": "hi", "goods": [], "place": {"town": "York"}}, True),
        ("both", {"input": "hi"}, False),
        ("json", {"anything": [1]}, True),
        ("json", [1], False),
    ],
)
def test_a_handlers_type_is_its_bodys(kind: str, body: Any, good: bool) -> None:
    app = AgentApp(*APPS[kind])
    answer, found = asyncio.run(calls(app, ("/invocations", body), ("/openapi.json", None)))
    assert fits(body, found.json(), "/invocations") is good
    assert (answer.status == 200) is good, answer.body


def test_operations_of_no_agent_ask_for_no_model_and_no_handlers_type() -> None:
    app = AgentApp(agent("a"), typed("b", Point, "responses"), single_user=True)

    async def main() -> None:
        client = AgentClient(app)
        document = (await client.get("/openapi.json")).json()
        for path in ("/v1/conversations", "/b/v1/conversations"):
            request = document["paths"][path]["post"]["requestBody"]
            assert (await client.post(path, b"")).status == 200
            assert not request["required"]
            wanted = request["content"]["application/json"]
            validator = Draft202012Validator(document | wanted["schema"])
            for body, good in (({}, True), ({"items": 5}, False)):
                answer = await client.post(path, body)
                assert (answer.status == 200) is good is validator.is_valid(body), (path, body)

    asyncio.run(main())


def test_a_body_that_chooses_the_answer_has_an_example_of_each() -> None:
    paths = told(AgentApp(*APPS["several"]))["paths"]

    def examples(path: str) -> Json:
        content: Json = paths[path]["post"]["requestBody"]["content"]["application/json"]
        return {name: each["value"] for name, each in content["examples"].items()}

    question = {"input": "What is 12 * (3 + 4)?"}
    assert examples("/v1/responses") == {
        "json": {"model": "tutor", **question},
        "stream": {"model": "tutor", "stream": True, **question},
    }
    named = examples("/tutor/invocations")
    assert named == {"json": question, "stream": {"stream": True, **question}}
    assert examples("/tutor/v1/chat/completions").keys() == {"json", "stream"}
    assert examples("/tutor/v1/responses/compact").keys() == {"json"}


def test_where_the_app_is_mounted_is_its_server() -> None:
    app = AgentApp(agent())
    host = Starlette(routes=[Mount("/agents", app=app)], lifespan=app.lifespan)

    async def main() -> Json:
        async with app.lifespan():
            found: Json = (await AgentClient(host).get("/agents/openapi.json")).json()
            return found

    assert asyncio.run(main())["servers"] == [{"url": "/agents"}]
    assert told(AgentApp(agent()))["servers"] == [{"url": "/"}]


def test_with_tokens_every_operation_but_the_probes_asks_for_one() -> None:
    app = AgentApp(agent(), authenticate=lambda _: "ann")
    found = told(app)
    validate(found)
    open_to_all = {
        path
        for path, methods in found["paths"].items()
        for each in methods.values()
        if "security" not in each
    }
    assert open_to_all == {"/health", "/ready", "/ping", "/docs", "/docs/{file}"}


@pytest.mark.parametrize("name", ["docs", "openapi.json"])
def test_no_agent_among_several_is_named_like_them(name: str) -> None:
    with pytest.raises(ValueError, match="reserved for an endpoint"):
        AgentApp(agent("other"), agent(name))
