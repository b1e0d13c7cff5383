"""`Calls`: the calls of a run as chunks of a UI message stream."""

from collections.abc import Container, Iterable
from typing import Any

from .chunks import OWN, Json, compact, error_text, output_of, write
from .request_schema import UIPart

CALLS = {"mcp_call": "arguments", "function_call": "arguments", "custom_tool_call": "input"}
"""The types of calls, each with the field that has its input."""
OUTPUTS = ("function_call_output", "custom_tool_call_output")
"""The types of outputs that are separate items."""


class Call:
    """A call that has begun.

    Args:
        id: Its id in the stream.
        name: The name of the tool; empty if it is not known yet.
        marks: What its chunks have in common.
        approved: Whether the client has approved it, and so has it already. Default False.

    Attributes:
        has_input: Whether the client has its input.
    """

    __slots__ = ("approved", "has_input", "id", "marks", "name")

    def __init__(self, id: str, name: str, marks: Json, *, approved: bool = False) -> None:
        self.id = id
        self.name = name
        self.marks = marks
        self.approved = self.has_input = approved


class Calls:
    """The calls of a run.

    A `function_call` is the client's if the client offers the tool, or if there is no output when
    the run ends.

    Args:
        offered: The names of the tools that the client offers.
        approved: The calls that the client has approved, which the run carries out.

    Attributes:
        answered: Whether a call of the current step has its output.
        asks: Whether the client has to execute or to approve a call.
        waiting: The ids of the calls that the agent executes at the moment.
    """

    __slots__ = ("_approved", "_calls", "_held", "_offered", "answered", "asks", "waiting")

    def __init__(self, offered: Container[str], approved: Iterable[UIPart]) -> None:
        self.answered = self.asks = False
        self.waiting: set[str] = set()
        self._offered = offered
        self._approved = list(approved)
        self._calls: dict[str, Call] = {}  # by the ids of items, and of calls
        self._held: dict[str, Json] = {}  # the finished calls of tools that are not offered

    def begin(self, item: Json, buffer: bytearray) -> None:
        """Write that a call begins."""
        name = item["name"]
        id_ = item["id"] if item["type"] == "mcp_call" else item["call_id"]
        approved = self._take_approved(name)
        is_own = item["type"] == "mcp_call" or approved is not None
        marks = OWN if is_own else self._marks(name)
        call = Call(approved or id_, name, marks, approved=approved is not None)
        self._calls[item["id"]] = self._calls[id_] = call
        if marks:
            self.waiting.add(call.id)
        if name and not call.has_input:
            write(buffer, "tool-input-start", toolCallId=call.id, toolName=name, **marks)

    def add_input(self, item_id: str, delta: str, buffer: bytearray) -> None:
        """Write more of a call's input."""
        call = self._calls.get(item_id)
        if call is not None and call.name and not call.has_input:
            write(buffer, "tool-input-delta", toolCallId=call.id, inputTextDelta=delta)

    def end_input(self, item_id: str, text: str, buffer: bytearray) -> None:
        """Write that the input of an own call is complete."""
        call = self._calls.get(item_id)
        if call is not None:
            _write_input(call, compact(text or "{}"), buffer)

    def end(self, item: Json, buffer: bytearray) -> None:
        """Write that a call is done, if it is known whose it is."""
        call = self._calls[item["id"]]
        if not call.name:
            call.name = item["name"]
            call.marks = OWN if item["type"] == "mcp_call" else self._marks(call.name)
        if item["type"] == "mcp_call":
            self.end_input(item["id"], item.get("arguments") or "", buffer)
            self._write_output(call, item, buffer)
        elif call.marks:
            self._held[item["call_id"]] = item
        else:
            self._ask(call, item, buffer)

    def answer(self, item: Json, buffer: bytearray) -> None:
        """Write an output that is a separate item."""
        call = self._calls.get(item["call_id"])
        if call is None:  # of an earlier run
            return
        call.marks = OWN
        held = self._held.pop(item["call_id"], None)
        if held is not None:
            _write_input(call, _input_of(held), buffer)
        self._write_output(call, item, buffer)

    def ask_approval(self, item: Json, buffer: bytearray) -> None:
        """Write a call that the client has to approve; its id is the approval request's."""
        call = Call(item["id"], item["name"], OWN)
        write(buffer, "tool-input-start", toolCallId=call.id, toolName=call.name, **OWN)
        _write_input(call, compact(item["arguments"]), buffer)
        write(buffer, "tool-approval-request", approvalId=call.id, toolCallId=call.id)
        self.asks = True

    def close(self, buffer: bytearray) -> None:
        """Write what is not known before the run is complete."""
        for call_id, item in self._held.items():
            self._ask(self._calls[call_id], item, buffer)
        for part in self._approved:  # carried out without a call
            write(buffer, "tool-output-available", toolCallId=part.tool_call_id, output=None, **OWN)

    def _marks(self, name: str) -> Json:
        return {} if name in self._offered else {"dynamic": True}

    def _take_approved(self, name: str) -> str | None:
        """Return the id of the next approved call of a tool; None if there is none."""
        for part in self._approved:
            if part.tool == name:
                self._approved.remove(part)
                return part.tool_call_id
        return None

    def _ask(self, call: Call, item: Json, buffer: bytearray) -> None:
        """Write that the client has to execute a call."""
        value = _input_of(item)
        if isinstance(value, str) and item["type"] != "custom_tool_call":
            about = {"toolCallId": call.id, "toolName": call.name, **call.marks}
            error = "The arguments are not valid JSON."
            write(buffer, "tool-input-error", **about, input=value, errorText=error)
        else:
            _write_input(call, value, buffer)
            self.asks = True

    def _write_output(self, call: Call, item: Json, buffer: bytearray) -> None:
        self.waiting.discard(call.id)
        self.answered = self.answered or not call.approved
        about: Json = {"toolCallId": call.id, **OWN}
        if item.get("error") is not None:
            write(buffer, "tool-output-error", **about, errorText=error_text(item["error"]))
        elif item.get("status") == "incomplete":
            write(buffer, "tool-output-error", **about, errorText="The call was cut off.")
        else:
            output = output_of(item.get("output"))
            write(buffer, "tool-output-available", **about, output=output)


def _input_of(item: Json) -> Any:
    """Return the input of a finished call, as JSON if it is valid."""
    text = item.get(CALLS[item["type"]]) or ""
    return text if item["type"] == "custom_tool_call" else compact(text or "{}")


def _write_input(call: Call, value: Any, buffer: bytearray) -> None:
    """Write the whole input of a call once."""
    if not call.has_input:
        call.has_input = True
        about = {"toolCallId": call.id, "toolName": call.name, **call.marks}
        write(buffer, "tool-input-available", **about, input=value)
