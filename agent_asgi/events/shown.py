"""`Shown`: a stream in which an agent's own calls appear as its protocol shows them."""

from collections.abc import Callable, Iterator
from typing import Any, Protocol

from ..schema import events as e
from ..schema.events import Item
from ..schema.own_calls import View, as_call, as_mcp_call, as_output, is_kept_call, is_shown
from .accumulator import OutputItem


class Writer(Protocol):
    """Writes a stream's events, for example as a protocol encodes them."""

    def write(self, event: e.AnyEvent, buffer: bytearray) -> None:
        """Append an event to a buffer, completely or not at all."""

    def text_frame(self, item: OutputItem) -> bytes | None:
        """Return the format of an open message's text deltas: bytes with `%d` in the place of the
        `sequence_number` and `%b` in the place of the text as JSON. None if `write` writes them.
        """


class Shown:
    """Writes events with own calls as a protocol shows them, and renumbers what follows them.

    It may join a stream at any event up to its first own call.

    Args:
        writer: The protocol's writer.
        view: How the protocol shows own calls.
        after: The `sequence_number`, as shown, after which events are written. Default -1: all.
    """

    def __init__(self, writer: Writer, view: View, after: int = -1) -> None:
        self._writer = writer
        self._view = view
        self._after = after
        self._shift = 0  # of sequence numbers
        self._index_shift = 0
        self._begun = 0  # how many items have begun
        self._indexes: dict[int, int] = {}  # shown indexes by index; others are unchanged
        self._hidden: set[int] = set()
        self._calls: dict[int, Item] = {}  # by index: the calls that are shown as pairs
        self._ids: dict[str, int] = {}  # the indexes of calls that are hidden or shown as pairs

    def write(self, event: e.AnyEvent, buffer: bytearray) -> None:
        """Append what is shown of an event to a buffer."""
        shift = self._shift
        count = 0
        for shown in self._shown(event):
            shown.sequence_number = event.sequence_number + shift + count
            count += 1
            if shown.sequence_number > self._after:
                self._writer.write(shown, buffer)
        self._shift += count - 1

    def text_frame(self, item: OutputItem) -> bytes | None:
        """Return the writer's format, unless numbers change or events are left out."""
        changes = self.renumbers or self._after >= 0
        return None if changes else self._writer.text_frame(item)

    @property
    def renumbers(self) -> bool:
        """Whether the numbers of further events may differ from those that are written."""
        return bool(self._ids)

    def _shown(self, event: e.AnyEvent) -> Iterator[e.AnyEvent]:
        if isinstance(event, e.OutputItemAdded):
            yield from self._added(event)
            return
        index = self._index_of(event)
        if index is None:
            yield event
        elif index in self._calls:
            rule = _PAIR_RULES.get(type(event))
            if rule is not None:
                yield from rule(self, event)
        elif index not in self._hidden:
            yield self._moved(event, index)

    def _index_of(self, event: Any) -> int | None:
        if not isinstance(event, e.VendorEvent):
            return getattr(event, "output_index", None)
        id_, index = event.fields.get("item_id"), event.fields.get("output_index")
        if isinstance(id_, str) and id_ in self._ids:
            return self._ids[id_]
        return index if isinstance(index, int) else None

    def _moved(self, event: Any, index: int) -> Any:
        """Return an event with the index that is shown."""
        moved = self._indexes.get(index, index)
        if isinstance(event, e.VendorEvent):
            return e.VendorEvent(0, event.fields | {"output_index": moved})
        event.output_index = moved
        if isinstance(event, e.OutputItemDone) and is_kept_call(event.item):
            event.item = as_mcp_call(event.item)
        return event

    def _added(self, event: e.OutputItemAdded) -> Iterator[e.AnyEvent]:
        index, item = event.output_index, event.item
        self._begun = index + 1
        if not is_shown(item, self._view):
            self._hidden.add(index)
            self._ids[item["id"]] = index
            self._index_shift -= 1
            return
        self._indexes[index] = event.output_index = index + self._index_shift
        if is_kept_call(item) and self._view == "function_call":
            self._calls[index] = item
            self._ids[item["id"]] = index
            event.item = as_call(item)
        elif is_kept_call(item):
            event.item = as_mcp_call(item)
        yield event

    def _delta(self, event: e.McpArgumentsDelta) -> Iterator[e.AnyEvent]:
        index = event.output_index
        id_ = as_call(self._calls[index])["id"]
        yield e.ArgumentsDelta(0, id_, self._indexes[index], event.delta)

    def _arguments(self, event: e.McpArgumentsDone) -> Iterator[e.AnyEvent]:
        index = event.output_index
        fields = {"arguments": event.arguments, "status": "calling"}
        self._calls[index] = self._calls[index] | fields
        return self._end_call(index)

    def _end_call(self, index: int) -> Iterator[e.AnyEvent]:
        call = as_call(self._calls[index])
        shown_index = self._indexes[index]
        yield e.ArgumentsDone(0, call["id"], shown_index, call["arguments"])
        yield e.OutputItemDone(0, shown_index, call)

    def _done(self, event: e.OutputItemDone) -> Iterator[e.AnyEvent]:
        index = event.output_index
        was_open = self._calls[index]["status"] == "in_progress"
        self._calls[index] = event.item
        if was_open:
            yield from self._end_call(index)
        output = as_output(event.item)
        if output is None:
            return
        shown_index = self._begun + self._index_shift
        self._index_shift += 1
        yield e.OutputItemAdded(0, shown_index, output | {"status": "in_progress"})
        yield e.OutputItemDone(0, shown_index, output)


_PAIR_RULES: dict[type[Any], Callable[[Shown, Any], Iterator[e.AnyEvent]]] = {
    e.McpArgumentsDelta: Shown._delta,
    e.McpArgumentsDone: Shown._arguments,
    e.OutputItemDone: Shown._done,
}
"""The events of a call that is shown as a pair; others are not shown."""
