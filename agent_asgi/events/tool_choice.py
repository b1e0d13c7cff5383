"""`ToolChoice`: which of the client's tools an agent may and must call."""

from typing import Any

from ..errors import AgentFailed, InvalidRequest
from ..schema.requests import ResponsesRequest, each_tool
from .coerce import getter


class ToolChoice:
    """The calls that a request's `tool_choice` allows and requires (Open Responses, "Tools").

    It applies to the functions that the client declared, not to the agent's own tools.

    Args:
        request: The request.
    """

    def __init__(self, request: ResponsesRequest) -> None:
        choice = request.tool_choice
        functions = [
            (space, getter(tool)("name"))
            for space, tool in each_tool(request.tools or ())
            if getter(tool)("type") == "function"
        ]
        declared = {name for _, name in functions}
        allowed: set[str | None] = set(declared)
        mode = choice
        if isinstance(choice, dict) and choice["type"] == "allowed_tools":
            tools = choice.get("tools")
            tools = tools if isinstance(tools, list) else []
            tools = [tool for tool in tools if isinstance(tool, dict)]
            spaces = {_name(tool) for tool in tools if tool.get("type") == "namespace"}
            allowed = {_name(tool) for tool in tools}
            allowed |= {name for space, name in functions if space in spaces}
            mode = choice.get("mode", "auto")
        elif isinstance(choice, dict) and choice["type"] == "function":
            allowed = {_name(choice)}
            mode = "required"
        self._allowed = set() if mode == "none" else declared & allowed
        self._forbidden = declared - self._allowed
        self._required = mode == "required" and bool(declared)
        self._calls = 0

    def check_possible(self) -> None:
        """Check that a run can satisfy the choice.

        Raises:
            InvalidRequest: The choice requires a call but allows none.
        """
        if self._required and not self._allowed:
            raise InvalidRequest("tool_choice: must name one of the `tools`.", "tool_choice")

    def check(self, name: str) -> None:
        """Check a call by its function's name.

        Raises:
            AgentFailed: The request forbids the call.
        """
        if name in self._forbidden:
            raise AgentFailed(
                f"The agent called {name!r}, which the request's tool_choice forbids.",
                "tool_choice_violated",
            )

    def count(self, name: str) -> None:
        """Count a finished call."""
        self._calls += name in self._allowed

    def check_end(self) -> None:
        """Check the calls of a run that ends.

        Raises:
            AgentFailed: The request requires a call, but there was none.
        """
        if self._required and not self._calls:
            raise AgentFailed(
                "The agent called no tool, but the request's tool_choice requires a call.",
                "tool_choice_violated",
            )


def _name(tool: dict[str, Any]) -> str | None:
    name = tool.get("name")
    return name if isinstance(name, str) else None
