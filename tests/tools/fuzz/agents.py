"""The app being fuzzed: its agents never fail, so any failure is the framework's."""

import json
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import Any

import msgspec

from agent_asgi import AgentApp, AgentRouter, Context, FunctionCall, Limits, ResponsesRequest
from agent_asgi.protocols import A2A, AGUI, MCP, AgentBricks, ChatCompletions, UIStream
from tests.tools.fuzz.harness import live

MAX_BODY = 64 * 1024


class Point(msgspec.Struct):
    """A place."""

    x: float
    name: str = ""


def echo(name: str) -> AgentRouter:
    """Make an agent that echoes its input and calls a tool if the request requires one."""
    router = AgentRouter(name, description="Says what it got", keep_headers=["x-kept"])

    @router.stream
    async def say(request: ResponsesRequest, context: Context) -> AsyncIterator[Any]:
        body = request.to_dict()
        yield f"{context.session_id} {context.user} {context.headers.get('x-kept')}"
        yield json.dumps(body, ensure_ascii=False)
        for name in demanded(body):
            yield FunctionCall(call_id="call_1", name=name, arguments="{}")

    @router.compact
    async def short(request: ResponsesRequest) -> AsyncIterator[Any]:
        yield {"type": "compaction", "encrypted_content": json.dumps(request.to_dict())}

    return router


def demanded(body: dict[str, Any]) -> list[str]:
    """Return the tool the request requires, if any; if any tool will do, the first one declared."""
    choice = body.get("tool_choice")
    tools = body.get("tools") or []
    names = [each["name"] for each in tools if each["type"] == "function"]
    if isinstance(choice, dict) and choice["type"] == "function":
        return [name for name in names if name == choice.get("name")][:1]
    if isinstance(choice, dict) and choice["type"] == "allowed_tools":
        if choice.get("mode") != "required":
            return []
        allowed = [each.get("name") for each in choice["tools"] if isinstance(each, dict)]
        return [name for name in names if name in allowed][:1]
    return names[:1] if choice == "required" else []


def anything(name: str) -> AgentRouter:
    """Make a "json" agent that returns its body."""
    router = AgentRouter(name, protocol="json")

    @router.invoke
    async def back(body: dict[str, Any]) -> Any:
        return body

    @router.stream
    async def bits(body: dict[str, Any]) -> AsyncIterator[Any]:
        for pair in body.items():
            yield pair

    return router


def typed(name: str) -> AgentRouter:
    """Make a "json" agent that takes a struct."""
    router = AgentRouter(name, protocol="json")

    @router.invoke
    async def where(point: Point) -> Any:
        return {"at": point.x, "name": point.name}

    @router.stream
    async def steps(point: Point) -> AsyncIterator[Any]:
        yield point

    return router


def make() -> AgentApp:
    """Make the app."""
    routers = (echo("echo"), echo("other"), anything("any"), typed("map"))
    a2a = A2A(push_hosts=["hooks.example.com"])
    protocols = (ChatCompletions(), UIStream(resume=True), AGUI(), a2a, MCP(), AgentBricks())
    return AgentApp(*routers, protocols=protocols, limits=Limits(max_body_bytes=MAX_BODY))


def app() -> AbstractAsyncContextManager[AgentApp]:
    """Run the app inside a block."""
    return live(make())
