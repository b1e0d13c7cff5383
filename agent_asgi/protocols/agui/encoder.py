"""Encoding a run's events as AG-UI's. Pure."""

from collections.abc import Callable, Collection, Iterator
from typing import Any, get_args

import msgspec
from msgspec import UNSET

from ...events.accumulator import OutputItem
from ...schema import codec
from ...schema import events as e
from ...schema.chat_messages import PARAGRAPH
from ...schema.own_calls import pair_ids
from ...schema.responses import Response
from ..base import Encoder
from . import event_schema as a
from .outcome import asks_for_approval, asks_for_input, is_interrupt, metadata, usage
from .request import RunInfo

Item = dict[str, Any]
Events = Iterator[a.AGUIEvent]
_TEXT = b'data: {"type":"TEXT_MESSAGE_CONTENT","messageId":%b,"delta":%%b}\n\n'
"""The frame of a text delta; a test compares it with what `write` makes."""
_VENDOR: dict[str, type[a.AGUIEvent]] = {
    f"agui:{str(event.__struct_config__.tag).lower()}": event
    for event in (
        a.StateSnapshot,
        a.StateDelta,
        a.ActivitySnapshot,
        a.ActivityDelta,
        a.StepStarted,
        a.StepFinished,
    )
}
"""The events that only a handler can cause, by the types that it yields."""
_ROLES: dict[Any, a.Role] = {role: role for role in get_args(a.Role)}


class AGUIEncoder(Encoder):
    """Writes a run's events as AG-UI's.

    Args:
        info: What the run input says.
        response: The response.
        offered: The names of the client's tools.
    """

    def __init__(self, info: RunInfo, response: Response, offered: Collection[str]) -> None:
        self._info = info
        self._response = response
        self._offered = offered
        self._approved = dict(info.approved)  # the approved calls that have no result yet
        self._calls: dict[str, str] = {}  # the ids of the calls, by the ids of their items
        self._repeated: set[str] = set()  # the items of calls that an earlier run has shown
        self._renamed: dict[str, str] = {}  # the ids that they were shown with, by their own
        self._streamed: set[str] = set()  # the items whose arguments or texts have begun
        self._open: dict[str, list[a.AGUIEvent]] = {}  # what ends an item, by its id
        self._parts: dict[str, int] = {}  # the latest part of each reasoning item
        self._pending: dict[str, str] = {}  # the calls without a result: their tools
        self._interrupts: list[a.Interrupt] = []
        self._steps: dict[str, None] = {}

    def write(self, event: e.AnyEvent, buffer: bytearray) -> None:
        """Append an event's frames; some events have none."""
        rule = _RULES.get(type(event))
        if rule is not None:
            frames = [b"data: %b\n\n" % codec.encode(each) for each in rule(self, event)]
            buffer += b"".join(frames)

    def text_frame(self, item: OutputItem) -> bytes:
        # `%.0a` takes the `sequence_number`, which AG-UI does not have, and writes nothing
        return b"%%.0a%b" % (_TEXT % codec.encode(item.id).replace(b"%", b"%%"))

    def _created(self, _: e.ResponseCreated) -> Events:
        info = self._info
        parent = UNSET if info.parent_run_id is None else info.parent_run_id
        yield a.RunStarted(info.thread_id, info.run_id, a.VERSION, parent)
        for id_, result in info.results.items():
            yield _result(id_, id_, result)

    def _added(self, event: e.OutputItemAdded) -> Events:
        item, id_ = event.item, event.item["id"]
        kind = item["type"]
        if kind == "message":
            yield a.TextMessageStart(id_, _ROLES.get(item.get("role"), "assistant"))
            self._open[id_] = [a.TextMessageEnd(id_)]
        elif kind == "reasoning":
            yield a.ReasoningStart(id_)
            self._open[id_] = [a.ReasoningEnd(id_)]
        elif kind in ("function_call", "mcp_call"):
            yield from self._begin_call(item)

    def _begin_call(self, item: Item) -> Events:
        id_, name = item["id"], item.get("name") or ""
        call_id = item.get("call_id") or id_
        approved = next((call for call, tool in self._approved.items() if tool == name), None)
        if approved is not None:  # the run that asked has shown it
            del self._approved[approved]
            self._calls[id_] = self._renamed[call_id] = approved
            self._repeated.add(id_)
            return
        self._calls[id_] = call_id
        yield a.ToolCallStart(call_id, name)
        self._open[id_] = [a.ToolCallEnd(call_id)]

    def _text(self, event: e.OutputTextDelta | e.RefusalDelta) -> Events:
        yield a.TextMessageContent(event.item_id, event.delta)

    def _summary(self, event: e.SummaryTextDelta) -> Events:
        yield from self._reason(event.item_id, event.summary_index, event.delta)

    def _reasoning(self, event: e.ReasoningDelta) -> Events:
        yield from self._reason(event.item_id, -1 - event.content_index, event.delta)

    def _reason(self, id_: str, part: int, delta: str) -> Events:
        """Add to the one message of a reasoning item; each part begins a new paragraph."""
        if id_ not in self._parts:
            yield from self._begin_reasoning(id_)
        elif self._parts[id_] != part:
            delta = PARAGRAPH + delta
        self._parts[id_] = part
        yield a.ReasoningMessageContent(id_, delta)

    def _begin_reasoning(self, id_: str) -> Events:
        yield a.ReasoningMessageStart(id_)
        self._open[id_].insert(0, a.ReasoningMessageEnd(id_))

    def _arguments(self, event: e.ArgumentsDelta | e.McpArgumentsDelta) -> Events:
        if event.item_id not in self._repeated:
            self._streamed.add(event.item_id)
            yield a.ToolCallArgs(self._calls[event.item_id], event.delta)

    def _end_arguments(self, event: e.ArgumentsDone | e.McpArgumentsDone) -> Events:
        yield from self._end_call(event.item_id, event.arguments)

    def _end_call(self, id_: str, arguments: str) -> Events:
        """End a call's arguments, once; send them if they were not streamed."""
        if id_ not in self._open:
            return
        if arguments and id_ not in self._streamed:
            yield a.ToolCallArgs(self._calls[id_], arguments)
        yield from self._open.pop(id_)

    def _done(self, event: e.OutputItemDone) -> Events:
        item = event.item
        rule = _ITEMS.get(item["type"])
        if rule is None:
            yield a.Custom(item["type"], item)
        else:
            yield from rule(self, item)

    def _message(self, item: Item) -> Events:
        yield from self._open.pop(item["id"], ())

    def _call(self, item: Item) -> Events:
        yield from self._end_call(item["id"], item["arguments"])
        self._pending[self._calls[item["id"]]] = item["name"]

    def _output(self, item: Item) -> Events:
        call_id = str(item["call_id"])
        call_id = self._renamed.get(call_id, call_id)
        self._pending.pop(call_id, None)
        yield _result(item["id"], call_id, item["output"])

    def _own_call(self, item: Item) -> Events:
        """End a call that the agent or its server has executed."""
        id_ = str(item["id"])
        yield from self._end_call(id_, item.get("arguments") or "")
        yield _result(id_, self._calls.get(id_, id_), _output_of(item))

    def _reasoned(self, item: Item) -> Events:
        id_, encrypted = item["id"], item.get("encrypted_content")
        if isinstance(encrypted, str):
            if id_ not in self._parts:
                yield from self._begin_reasoning(id_)
            yield self._open[id_].pop(0)
            yield a.ReasoningEncryptedValue("message", id_, encrypted)
        yield from self._open.pop(id_, ())

    def _approval(self, item: Item) -> Events:
        """Show the call that an approval request is about."""
        id_, arguments = item["id"], item.get("arguments")
        yield a.ToolCallStart(id_, item["name"])
        yield a.ToolCallArgs(id_, arguments if isinstance(arguments, str) else "{}")
        yield a.ToolCallEnd(id_)
        self._interrupts.append(asks_for_approval(item))

    def _annotation(self, event: e.AnnotationAdded) -> Events:
        value = {"messageId": event.item_id, "annotation": event.annotation}
        yield a.Custom(event.type, value)

    def _vendor(self, event: e.VendorEvent) -> Events:
        known, fields = _VENDOR.get(event.type), event.fields
        if known is None:
            yield a.Custom(event.type, fields)
            return
        try:
            own = msgspec.convert(fields | {"type": known.__struct_config__.tag}, known)
        except msgspec.ValidationError:
            yield a.Custom(event.type, fields)
        else:
            if self._is_in_order(own):
                yield own

    def _is_in_order(self, event: a.AGUIEvent) -> bool:
        """Return whether an event is no step that is open already, or not open."""
        if isinstance(event, a.StepStarted):
            is_open = event.step_name in self._steps
            self._steps[event.step_name] = None
            return not is_open
        if isinstance(event, a.StepFinished):
            return self._steps.pop(event.step_name, ()) is None
        return True

    def _failed(self, _: e.ResponseFailed) -> Events:
        error = self._response.error
        if error is not None:
            yield a.RunError(error.message, error.code, usage(self._response))

    def _end(self, _: e.ResponseEvent) -> Events:
        is_cancelled = self._response.status == "cancelled"
        if is_cancelled and not self._info.is_current:  # to whom it would seem complete
            yield a.RunError("The run was cancelled.", "cancelled", usage(self._response))
            return
        for ends in self._open.values():
            yield from ends
        for name in self._steps:
            yield a.StepFinished(name)
        if not is_cancelled:
            for id_ in self._approved:  # the agent has shown no result
                yield _result(id_, id_, "")
        outcome = a.CancelledOutcome() if is_cancelled else self._outcome()
        yield self._finished(outcome)

    def _outcome(self) -> a.Outcome:
        for id_, name in self._pending.items():
            if is_interrupt(name, self._offered):
                self._interrupts.append(asks_for_input(id_))
        if self._interrupts:
            return a.InterruptOutcome(self._interrupts)
        pending = list(self._pending) if self._pending and self._info.is_current else UNSET
        return a.SuccessOutcome(pending)

    def _finished(self, outcome: a.Outcome) -> a.RunFinished:
        info, response = self._info, self._response
        return a.RunFinished(
            info.thread_id,
            info.run_id,
            outcome,
            response.custom_outputs,
            usage(response),
            metadata(response),
        )


def _result(item_id: str, call_id: str, output: Any) -> a.ToolCallResult:
    content = output if isinstance(output, str) else codec.encode(output).decode()
    return a.ToolCallResult(pair_ids(item_id)[1], call_id, content)


def _output_of(item: Item) -> Any:
    """Return the output of an `mcp_call` item, or why it failed; empty if it has neither."""
    output, error = item.get("output"), item.get("error")
    if output is None and isinstance(error, dict) and isinstance(error.get("content"), list):
        texts = [part.get("text") for part in error["content"] if isinstance(part, dict)]
        return "\n".join(text for text in texts if isinstance(text, str))
    if output is None:
        output = error
    return "" if output is None else output


_RULES: dict[type[Any], Callable[[AGUIEncoder, Any], Events]] = {
    e.ResponseCreated: AGUIEncoder._created,
    e.OutputItemAdded: AGUIEncoder._added,
    e.OutputTextDelta: AGUIEncoder._text,
    e.RefusalDelta: AGUIEncoder._text,
    e.SummaryTextDelta: AGUIEncoder._summary,
    e.ReasoningDelta: AGUIEncoder._reasoning,
    e.ArgumentsDelta: AGUIEncoder._arguments,
    e.McpArgumentsDelta: AGUIEncoder._arguments,
    e.ArgumentsDone: AGUIEncoder._end_arguments,
    e.McpArgumentsDone: AGUIEncoder._end_arguments,
    e.AnnotationAdded: AGUIEncoder._annotation,
    e.OutputItemDone: AGUIEncoder._done,
    e.VendorEvent: AGUIEncoder._vendor,
    e.ResponseFailed: AGUIEncoder._failed,
    e.ResponseCompleted: AGUIEncoder._end,
    e.ResponseIncomplete: AGUIEncoder._end,
}
_ITEMS: dict[str, Callable[[AGUIEncoder, Item], Events]] = {
    "message": AGUIEncoder._message,
    "function_call": AGUIEncoder._call,
    "function_call_output": AGUIEncoder._output,
    "mcp_call": AGUIEncoder._own_call,
    "reasoning": AGUIEncoder._reasoned,
    "mcp_approval_request": AGUIEncoder._approval,
}
