"""Which of the client's tools an agent may call: `tool_choice`, held. Pure."""

from typing import Any

from .errors import AgentFailed, InvalidRequest
from .schema.requests import FunctionTool, ResponsesRequest


class ToolChoice:
    """What a request's `tool_choice` allows (Open Responses, "Tools").

    It holds for the functions that the client declared; an agent's own tools are its own affair.

    Args:
        request: The request.
    """

    def __init__(self, request: ResponsesRequest) -> None:
        choice = request.tool_choice
        declared = {each.name for each in request.tools or () if isinstance(each, FunctionTool)}
        allowed: set[str | None] = set(declared)
        mode = choice
        if isinstance(choice, dict) and choice["type"] == "allowed_tools":
            named = choice.get("tools")
            tools = named if isinstance(named, list) else []
            allowed = {_name(each) for each in tools if isinstance(each, dict)}
            mode = choice.get("mode", "auto")
        elif isinstance(choice, dict) and choice["type"] == "function":
            allowed = {_name(choice)}
            mode = "required"
        self._allowed = set() if mode == "none" else declared & allowed
        self._forbidden = declared - self._allowed
        self._required = mode == "required" and bool(declared)
        self._calls = 0

    def check_possible(self) -> None:
        """Hold the choice against the tools.

        Raises:
            InvalidRequest: It requires a call and allows none, so that any run would fail.
        """
        if self._required and not self._allowed:
            raise InvalidRequest("tool_choice: it names none of the `tools`.", "tool_choice")

    def check(self, name: str) -> None:
        """Hold a call against the choice.

        Raises:
            AgentFailed: The request forbids it.
        """
        if name in self._forbidden:
            raise AgentFailed(
                f"The agent called {name!r}, which the request's tool_choice forbids.",
                "tool_choice_violated",
            )

    def count(self, name: str) -> None:
        """Count a call that has been made."""
        self._calls += name in self._allowed

    def check_end(self) -> None:
        """Hold the number of calls against the choice.

        Raises:
            AgentFailed: The request requires a call, and there was none.
        """
        if self._required and not self._calls:
            raise AgentFailed(
                "The agent called no tool, which the request's tool_choice requires.",
                "tool_choice_violated",
            )


def _name(tool: dict[str, Any]) -> str | None:
    """Give a tool's name; a client may have put anything there."""
    name = tool.get("name")
    return name if isinstance(name, str) else None
