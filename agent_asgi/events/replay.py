"""Rebuild a stream: from the events in a log, or from a stored response."""

from collections.abc import Callable
from typing import Any

import msgspec

from ..errors import AgentFailed
from ..schema import events as e
from ..schema.own_calls import CALL_ID, View, as_pairs, is_kept_call, is_shown
from .accumulator import OutputItem
from .builder import Builder
from .coerce import CALLS, ENDED
from .own_calls import PAIR, OwnCall
from .shown import Shown, Writer
from .tool_choice import ToolChoice

_SET_AT_END = ("error", "usage", "completed_at", "incomplete_details")
_TERMINAL: dict[str, type[e.ResponseEvent]] = {
    "completed": e.ResponseCompleted,
    "failed": e.ResponseFailed,
}
_RULES: dict[type[Any], Callable[[OutputItem, Any], object]] = {
    e.ContentPartAdded: lambda item, event: item.begin_part(event.part, "content"),
    e.SummaryPartAdded: lambda item, event: item.begin_part(event.part, "summary"),
    e.ContentPartDone: lambda item, event: item.end_part(event.part),
    e.SummaryPartDone: lambda item, event: item.end_part(event.part),
    e.OutputTextDelta: lambda item, event: item.add_text(event.delta),
    e.RefusalDelta: lambda item, event: item.add_text(event.delta),
    e.ReasoningDelta: lambda item, event: item.add_text(event.delta),
    e.SummaryTextDelta: lambda item, event: item.add_text(event.delta),
    e.ArgumentsDelta: lambda item, event: item.add_text(event.delta),
    e.CustomInputDelta: lambda item, event: item.add_text(event.delta),
    e.AnnotationAdded: lambda item, event: item.annotate(event.content_index, event.annotation),
}
"""How the events of an item change it."""


def restore(builder: Builder, event: e.AnyEvent, choice: ToolChoice | None = None) -> None:
    """Apply an event that an earlier attempt emitted, possibly in another process.

    Args:
        builder: The builder whose items change.
        event: The next event of the log.
        choice: Counts the calls. Default None.
    """
    builder.sequence = event.sequence_number + 1
    if event.type == "response.in_progress":
        builder.in_progress = True
    elif isinstance(event, e.OutputItemAdded):
        _restore_added(builder, event.item)
    elif isinstance(event, e.McpArgumentsDelta | e.McpArgumentsDone):
        _restore_call(builder, event)
    elif isinstance(event, e.OutputItemDone):
        item = builder.items[event.output_index]
        if isinstance(item, OwnCall):
            builder.own_calls.restore_done(item, event.item)
            return
        item.done = event.item
        builder.open.remove(item)
        if choice is not None and item.kind == "function_call":
            choice.count(event.item["name"])
    elif (rule := _RULES.get(type(event))) is not None:
        rule(builder.items[event.output_index], event)  # type: ignore[union-attr]  # its rule's


def _restore_added(builder: Builder, fields: e.Item) -> None:
    """Add an item that has begun."""
    if is_kept_call(fields):
        builder.add(builder.own_calls.restore(fields))
        builder.restore_call(fields[CALL_ID])
        return
    item = builder.add(OutputItem(len(builder.items), fields))
    if fields["type"] in CALLS:
        builder.restore_call(fields["call_id"])
    if fields["type"] in PAIR:
        builder.own_calls.note(item, fields)


def _restore_call(builder: Builder, event: e.McpArgumentsDelta | e.McpArgumentsDone) -> None:
    """Apply an event of an own call; those of other `mcp_call` items change nothing."""
    call = builder.own_calls.by_id(event.item_id)
    if call is None:
        return
    if isinstance(event, e.McpArgumentsDelta):
        call.add_text(event.delta)
    else:
        builder.own_calls.await_output(call, {})


def replay(stored: bytes, final: bytes, writer: Writer, view: View, after: int) -> bytearray:
    """Return events that lead to a stored response; the original deltas are not known.

    Args:
        stored: The response as JSON, as it is kept.
        final: The response as the last event carries it.
        writer: Writes the events.
        view: How the writer's protocol shows own calls.
        after: The `sequence_number` after which events are written; -1 for all.
    """
    response: dict[str, Any] = msgspec.json.decode(stored)
    builder = Builder(Shown(writer, view, after))
    begun = response | {"status": "in_progress", "output": []} | dict.fromkeys(_SET_AT_END)
    raw = msgspec.Raw(msgspec.json.encode(begun))
    builder.emit(e.ResponseCreated, raw)
    builder.emit(e.ResponseInProgress, raw)
    output = response["output"]
    items = as_pairs(output) if view == "function_call" else output
    unended = response["status"] in ("failed", "cancelled")
    for fields in items:
        if is_kept_call(fields):
            if is_shown(fields, view):
                builder.own_calls.repeat(fields)
            continue
        item = builder.begin(fields)
        if unended and fields.get("status") not in ENDED:  # the run ended while it was open
            builder.fill(item, fields)
            builder.open.remove(item)
        else:
            builder.finish(item, fields)
    builder.close_all(incomplete=response["status"] == "incomplete")
    error = response["error"]
    if error is not None:
        builder.error(AgentFailed(error["message"], error["code"]))
    terminal = _TERMINAL.get(response["status"], e.ResponseIncomplete)
    builder.emit(terminal, msgspec.Raw(final))
    return builder.buffer
