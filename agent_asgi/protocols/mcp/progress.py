"""The steps of a run as lines of text, for MCP's progress notifications. Pure."""

from ...schema import events as e
from ..base import Encoder

_STEPS = {"reasoning": "Thinking", "message": "Writing"}
_CALLS = ("function_call", "mcp_call", "custom_tool_call")


class ProgressEncoder(Encoder):
    """Writes a line for each step of a run: thinking, a call of a tool, writing."""

    def write(self, event: e.AnyEvent, buffer: bytearray) -> None:
        if isinstance(event, e.OutputItemAdded):
            kind = event.item["type"]
            step = _STEPS.get(kind)
            if kind in _CALLS:
                step = f"Calling {event.item.get('name')}"
            if step is not None:
                buffer += line(step)


def line(text: str) -> bytes:
    """Return a text as one line."""
    return " ".join(text.split()).encode("utf-8", "replace") + b"\n"
