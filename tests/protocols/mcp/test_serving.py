"""MCP: where it is served, to whom, and when it starts."""

import asyncio
import json
import subprocess
import sys
from typing import Any

import msgspec
import pytest
from jsonschema import Draft202012Validator
from mcp import Client
from starlette.applications import Starlette
from starlette.routing import Mount

from agent_asgi import AgentApp, AgentRouter, Limits, ResponsesRequest
from agent_asgi.protocols import MCP
from agent_asgi.protocols.mcp.tools import tool_of
from agent_asgi.testing import AgentClient
from tests.support.apps import started
from tests.support.asking import ANN, TOKENS, fetch
from tests.support.calling import Serve

LIST = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
ACCEPT = {"accept": "application/json, text/event-stream"}
RESOURCE = "https://agents.example/mcp"


def hello(name: str = "agent", **options: Any) -> AgentRouter:
    """Return an agent that says hello."""
    router = AgentRouter(name, **options)

    @router.invoke
    async def say(request: ResponsesRequest) -> str:
        return "Hello."

    return router


def names(url: str) -> list[str]:
    """Return the names of a server's tools."""

    async def main() -> list[str]:
        async with asyncio.timeout(30), Client(url) as client:
            return [tool.name for tool in (await client.list_tools()).tools]

    return asyncio.run(main())


def test_a_mounted_app_needs_no_lifespan(serve: Serve) -> None:
    app = AgentApp(hello("one"), hello("two"), protocols=[MCP(path="/tools")])
    url = serve(Starlette(routes=[Mount("/agents", app)]))
    assert names(f"{url}/agents/tools") == ["one", "two"]


def test_an_app_can_start_again_and_in_another_event_loop() -> None:
    app = AgentApp(hello(), protocols=[MCP()])

    async def listed() -> int:
        async with started(app):
            return (await AgentClient(app).post("/mcp", LIST, headers=ACCEPT)).status

    for _ in range(2):
        assert asyncio.run(listed()) == 200


def test_an_app_of_one_json_agent_speaks_it_too(serve: Serve) -> None:
    router = AgentRouter("adder", protocol="json")
    router.invoke(lambda body: body)
    assert names(serve(AgentApp(router, protocols=[MCP()])) + "/mcp") == ["adder"]


class Node(msgspec.Struct):
    """A tree."""

    children: "list[Node]" = []


class Leaf(msgspec.Struct):
    """An end of a tree."""

    nodes: list[Node]


@pytest.mark.parametrize("kind", [Node, Leaf])
def test_the_schema_of_a_tool_has_what_it_refers_to(kind: type[Any]) -> None:
    router = AgentRouter("tree", protocol="json")

    async def take(body: Any) -> Any:
        return body

    take.__annotations__ |= {"body": kind, "return": kind}
    router.invoke(take)
    tool = tool_of(router)
    for schema in (tool.input_schema, tool.output_schema):
        assert schema is not None
        Draft202012Validator.check_schema(schema)
        values: Any = {"nodes": [{"children": []}], "children": [{"children": []}]}
        Draft202012Validator(schema).validate(values)
        assert not Draft202012Validator(schema).is_valid({"nodes": [1], "children": [1]})


def test_the_handlers_may_follow_the_app(serve: Serve) -> None:
    router = AgentRouter("late", protocol="json")
    app = AgentApp(router, protocols=[MCP()])
    router.invoke(lambda body: body)
    assert names(serve(app) + "/mcp") == ["late"]


def test_a_name_that_no_tool_can_have_is_refused() -> None:
    with pytest.raises(ValueError, match="the name of a tool"):
        AgentApp(hello("ü"), protocols=[MCP()])


def test_a_router_cannot_have_the_name_of_the_path() -> None:
    with pytest.raises(ValueError, match="reserved"):
        AgentApp(hello("tools"), hello("two"), protocols=[MCP(path="/tools")])


def test_authentication_and_where_to_get_a_token(serve: Serve) -> None:
    protocol = MCP(
        resource=RESOURCE,
        authorization_servers=["https://issuer.example"],
        scopes=["agents"],
    )
    url = serve(AgentApp(hello(), protocols=[protocol], authenticate=TOKENS))
    refused = fetch(url, "POST", "/mcp", None, LIST, ACCEPT)
    assert refused.status == 401
    document = "https://agents.example/.well-known/oauth-protected-resource/mcp"
    assert refused.headers["www-authenticate"] == f'Bearer resource_metadata="{document}"'
    wrong = fetch(url, "POST", "/mcp", "wrong", LIST, ACCEPT)
    challenge = f'Bearer error="invalid_token", resource_metadata="{document}"'
    assert wrong.headers["www-authenticate"] == challenge
    assert fetch(url, "GET", "/agent/info").headers["www-authenticate"] == "Bearer"
    metadata = fetch(url, "GET", "/.well-known/oauth-protected-resource/mcp")
    assert json.loads(metadata.body) == {
        "resource": RESOURCE,
        "authorization_servers": ["https://issuer.example"],
        "scopes_supported": ["agents"],
    }
    assert fetch(url, "POST", "/mcp", ANN, LIST, ACCEPT).status == 200


def test_without_a_resource_there_is_no_document(serve: Serve) -> None:
    url = serve(AgentApp(hello(), protocols=[MCP()]))
    assert fetch(url, "GET", "/.well-known/oauth-protected-resource/mcp").status == 404
    assert fetch(url, "GET", "/mcp").status == 405


@pytest.mark.parametrize(
    "options",
    [
        {"resource": RESOURCE},
        {"authorization_servers": ["https://issuer.example"]},
        {
            "resource": "https://agents.example/other",
            "authorization_servers": ["https://a.example"],
        },
        {"resource": "mcp", "authorization_servers": ["https://a.example"]},
    ],
)
def test_a_resource_that_cannot_be_is_refused(options: Any) -> None:
    with pytest.raises(ValueError, match="MCP: "):
        MCP(**options)


def test_the_apps_limits_bound_a_body(serve: Serve) -> None:
    url = serve(AgentApp(hello(), protocols=[MCP()], limits=Limits(max_body_bytes=100)))
    reply = fetch(url, "POST", "/mcp", None, LIST | {"params": {"x": "y" * 100}}, ACCEPT)
    error = json.loads(reply.body)["error"]
    assert (reply.status, error["code"]) == (413, -32600)
    assert error["data"]["code"] == "request_too_large"


def test_nothing_is_imported_that_is_not_switched_on() -> None:
    code = (
        "import sys; from agent_asgi import AgentApp, AgentRouter; import agent_asgi.protocols; "
        "AgentApp(AgentRouter()); "
        "assert not {'mcp', 'mcp_types', 'agent_asgi.protocols.agui'} & sys.modules.keys()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("headers", [{}, {"mcp-protocol-version": "2026-07-28"}])
@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"[]", -32600),
        (b"5", -32600),
        (b"{}", -32600),
        (b'{"jsonrpc":"2.0"}', -32600),
        (b'{"jsonrpc":"2.0","id":1,"method":5}', -32600),
        (b'{"jsonrpc":"2.0","id":1,"method":"tools/list","params":[]}', -32600),
        (b"{", -32700),
    ],
)
def test_a_body_that_is_no_message(body: bytes, code: int, headers: dict[str, str]) -> None:
    sent = ACCEPT | {"content-type": "application/json"} | headers
    app = AgentApp(hello(), protocols=[MCP()])
    answer = asyncio.run(AgentClient(app).post("/mcp", body, headers=sent))
    found = answer.json()
    assert (answer.status, found["jsonrpc"], found["id"]) == (400, "2.0", None)
    assert found["error"]["code"] == code
    assert found["error"]["data"]["message"] == found["error"]["message"]
    assert b"pydantic" not in answer.body
