"""Agents that echo their input."""

import json
from typing import Any

from agent_asgi import AgentRouter, ResponsesRequest


def echo() -> AgentRouter:
    router = AgentRouter()

    @router.invoke
    async def say(request: ResponsesRequest) -> Any:
        said = request.input_text
        return "x" * int(said) if said.isdigit() else json.dumps(request.to_dict())

    return router


def echo_router(name: str) -> AgentRouter:
    """Create an agent with a name that echoes its input."""
    router = AgentRouter(name)

    @router.invoke
    async def echo(request: ResponsesRequest) -> str:
        return f"heard {request.input_text}"

    return router
