"""The app under fire: agents that never fail, so that whatever fails is the framework."""

import json
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import Any

import msgspec

from agent_asgi import AgentApp, AgentRouter, Context, FunctionCall, Limits, ResponsesRequest
from fuzz.harness import live

MAX_BODY = 64 * 1024


class Point(msgspec.Struct):
    """A place."""

    x: float
    name: str = ""


def echo(name: str) -> AgentRouter:
    """Make an agent that says what it got, and calls a tool where it must."""
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
    """Give the tool that a request demands a call of; any declared one will do where it may be."""
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
    """Make a "json" agent that gives its body back."""
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
    """Make a "json" agent that asks for a struct."""
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
    return AgentApp(*routers, limits=Limits(max_body_bytes=MAX_BODY))


def app() -> AbstractAsyncContextManager[AgentApp]:
    """Run the app for the length of a block."""
    return live(make())
