"""Encoding responses as invocations, and events with the names of Agent Bricks' templates. Pure."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from ...errors import AgentFailed
from ...schema import codec
from ...schema import events as e
from ...schema.responses import Response
from ..base import Encoder

Json = dict[str, Any]
STATUS = {
    "queued": "queued",
    "in_progress": "active",
    "completed": "completed",
    "incomplete": "completed",
    "failed": "failed",
    "cancelled": "failed",
}
"""The status of an invocation, by the status of its response."""


def messages_of(item: Json) -> Iterator[Json]:
    """Yield the messages of an item that is finished."""
    kind = item["type"]
    if kind == "message":
        yield _assistant(_content(item["content"]))
    elif kind == "function_call":
        yield _calling(item, item["call_id"])
    elif kind == "mcp_call":
        yield _calling(item, item["id"])
        yield _result(item)
    elif kind == "function_call_output":
        yield {"role": "tool", "tool_call_id": item["call_id"], "content": item["output"]}
    elif kind != "mcp_approval_request":
        yield _assistant([item])


def interrupts_of(output: Sequence[Json]) -> Iterator[Json]:
    """Yield the events of what waits for a person: approvals, in one event, and questions."""
    requests = [item for item in output if item["type"] == "mcp_approval_request"]
    if requests:
        actions = [
            {"name": item["name"], "args": parsed(item["arguments"]), "call_id": item["id"]}
            for item in requests
        ]
        value = {"action_requests": actions}
        yield {"type": "interrupt", "id": requests[0]["id"], "value": value}
    for item in questions_of(output):
        value = parsed(item["arguments"])
        yield {"type": "interrupt", "id": item["call_id"], "value": value}


def questions_of(output: Sequence[Json]) -> list[Json]:
    """Return the calls without an output, which only a person can answer."""
    answered = {item["call_id"] for item in output if item["type"] == "function_call_output"}
    calls = [item for item in output if item["type"] == "function_call"]
    return [item for item in calls if item["call_id"] not in answered]


def parsed(arguments: str) -> Any:
    """Return the arguments of a call; a text that is not JSON is the only argument."""
    try:
        return msgspec.json.decode(arguments)
    except msgspec.DecodeError:
        return {"arguments": arguments}


class InvocationEncoder(Encoder):
    """Writes a run's events as numbered frames.

    Args:
        response: The response.
        id: The invocation's id.
        after: The number of the last event that is left out. Default 0: none is.
        urls: Members of the answer that the run was accepted. Default none.
    """

    def __init__(
        self, response: Response, id: str, after: int = 0, urls: Mapping[str, str] | None = None
    ) -> None:
        self._response = response
        self._id = id
        self._after = after
        self._urls = dict(urls or {})
        self._number = 0
        self._calls: dict[str, Json] = {}  # the agent's own, by the ids of their items

    def body(self, encoded: bytes | None) -> bytes:
        """Return the answer of an invocation that has ended, or of one in the background.

        Raises:
            AgentFailed: The agent failed, and the client has waited for it.
        """
        error = self._response.error
        if error is not None and not self._urls:
            raise AgentFailed(error.message, error.code)
        return codec.encode(self.state() | self._urls)

    def state(self) -> Json:
        """Return the invocation's state."""
        response = self._response
        state: Json = {"id": self._id, "status": STATUS[response.status or "queued"]}
        if state["status"] == "completed":
            items = [message for item in response.output for message in messages_of(item)]
            waiting = list(interrupts_of(response.output))
            status = "interrupted" if waiting else response.status
            state["output"] = {"output": [*items, *waiting], "status": status}
        elif state["status"] == "failed":
            error = response.error
            state["error"] = "The run was cancelled." if error is None else error.message
        return state

    def write(self, event: e.AnyEvent, buffer: bytearray) -> None:
        rule = _RULES.get(type(event))
        if rule is not None:
            rule(self, event, buffer)

    def _delta(self, event: e.OutputTextDelta | e.RefusalDelta, buffer: bytearray) -> None:
        data = {"type": "delta", "content": event.delta, "id": event.item_id}
        self._add(data, buffer)

    def _added(self, event: e.OutputItemAdded, buffer: bytearray) -> None:
        if event.item["type"] == "mcp_call":
            self._calls[event.item["id"]] = event.item

    def _called(self, event: e.McpArgumentsDone, buffer: bytearray) -> None:
        """Write a call of the agent's own tool before the tool is executed."""
        call = self._calls.get(event.item_id)
        if call is not None and "arguments" in call:
            call = self._calls.pop(event.item_id) | {"arguments": event.arguments}
            self._add_message(_calling(call, event.item_id), buffer)

    def _item(self, event: e.OutputItemDone, buffer: bytearray) -> None:
        item = event.item
        is_called = item["type"] == "mcp_call" and self._calls.pop(item["id"], None) is None
        for message in [_result(item)] if is_called else messages_of(item):
            self._add_message(message, buffer)

    def _vendor(self, event: e.VendorEvent, buffer: bytearray) -> None:
        self._add(event.fields, buffer)

    def _error(self, event: e.ErrorEvent, buffer: bytearray) -> None:
        data = {"type": "error", "code": event.code, "message": event.message}
        self._add(data, buffer)

    def _begin(self, _: e.ResponseInProgress, buffer: bytearray) -> None:
        self._add({"type": "run.started"}, buffer)

    def _end(self, _: e.ResponseEvent, buffer: bytearray) -> None:
        status = self._response.status
        if status == "cancelled":
            data = {"type": "error", "code": "cancelled", "message": "The run was cancelled."}
            self._add(data, buffer)
        elif status != "failed":
            for interrupt in interrupts_of(self._response.output):
                self._add(interrupt, buffer)
        self._add({"type": f"run.{STATUS[status]}"}, buffer)

    def _add_message(self, message: Json, buffer: bytearray) -> None:
        self._add({"type": "message", "message": message}, buffer)

    def _add(self, data: Mapping[str, Any], buffer: bytearray) -> None:
        self._number += 1
        if self._number > self._after:
            head = f"id: {self._number}\nevent: {data['type']}\n".encode()
            buffer += head + b"data: " + codec.encode(data) + b"\n\n"


def _assistant(content: Any) -> Json:
    return {"role": "assistant", "content": content}


def _content(parts: Sequence[Json]) -> Any:
    """Return a message's content: a text, unless it has more than texts."""
    plain = [part.get("text", part.get("refusal")) for part in parts]
    if any(part.get("annotations") for part in parts) or None in plain:
        return parts
    return "".join(filter(None, plain))


def _calling(call: Json, id: str) -> Json:
    called = {"name": call["name"], "args": parsed(call.get("arguments") or "{}"), "id": id}
    return _assistant("") | {"tool_calls": [called]}


def _result(call: Json) -> Json:
    output, error = call.get("output"), call.get("error")
    if error is not None:
        parts = error.get("content", ()) if isinstance(error, dict) else ()
        output = "\n".join(part["text"] for part in parts if "text" in part) or str(error)
    result = {"role": "tool", "name": call["name"], "tool_call_id": call["id"]}
    return result | {"content": output or ""}


_RULES: dict[type[Any], Callable[[InvocationEncoder, Any, bytearray], None]] = {
    e.ResponseInProgress: InvocationEncoder._begin,
    e.OutputTextDelta: InvocationEncoder._delta,
    e.RefusalDelta: InvocationEncoder._delta,
    e.OutputItemAdded: InvocationEncoder._added,
    e.McpArgumentsDone: InvocationEncoder._called,
    e.OutputItemDone: InvocationEncoder._item,
    e.VendorEvent: InvocationEncoder._vendor,
    e.ErrorEvent: InvocationEncoder._error,
    e.ResponseCompleted: InvocationEncoder._end,
    e.ResponseFailed: InvocationEncoder._end,
    e.ResponseIncomplete: InvocationEncoder._end,
}
