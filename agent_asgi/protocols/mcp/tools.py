"""The agents as tools of MCP: their names, their arguments, their results."""

import re
from typing import Any

from mcp_types import Tool, ToolAnnotations

from ...agents.handler import Handler
from ...agents.router import AgentRouter

Schema = dict[str, Any]
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_TEXT: Schema = {"type": "string"}
_INPUT: Schema = {
    "type": "object",
    "properties": {
        "input": _TEXT | {"description": "The message to the agent."},
        "previous_response_id": _TEXT
        | {"description": "The `response_id` of an earlier result, to continue from it."},
    },
    "required": ["input"],
}
_OUTPUT: Schema = {
    "type": "object",
    "properties": {
        "text": _TEXT | {"description": "The agent's answer."},
        "response_id": _TEXT | {"description": "The id with which the agent can be asked again."},
    },
    "required": ["text"],
}


def check_name(router: AgentRouter) -> None:
    """Check that an agent's name can be the name of a tool.

    Raises:
        ValueError: It cannot.
    """
    if not _NAME.fullmatch(router.name):
        raise ValueError(
            f"MCP: the agent name {router.name!r} cannot be the name of a tool, which has 1 to 64 "
            "letters, digits, '_', '-' and '.'."
        )


def tool_of(router: AgentRouter) -> Tool:
    """Return an agent as a tool."""
    schemas: tuple[Schema, Schema | None] = (_INPUT, _OUTPUT)
    if router.protocol == "json":
        takes, gives = router.schemas
        schemas = (takes or {"type": "object"}, gives)
    return Tool(
        name=router.name,
        description=router.description or f"The agent {router.name}.",
        input_schema=schemas[0],
        output_schema=schemas[1],
        annotations=ToolAnnotations(open_world_hint=True),
    )


def handler_of(router: AgentRouter, *, stream: bool) -> Handler:
    """Return the handler of a "json" router's calls.

    Args:
        router: The router.
        stream: Whether the client wants to see progress.

    Raises:
        AgentError: The router has no handler.
    """
    has_both = len({"invoke", "stream"} & router.handlers.keys()) == 2
    return router.handler_for(stream if has_both else "stream" in router.handlers)
