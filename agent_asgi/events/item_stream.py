"""`ItemStream`: the numbered events of a stream, and the items that they belong to."""

from collections.abc import Callable, Container
from typing import Any

from ..errors import AgentError
from ..schema import events as e
from ..schema.events import Item
from ..schema.ids import new_id
from .accumulator import OutputItem
from .shown import Writer


class ItemStream:
    """Numbers the events of a stream and keeps its items.

    Args:
        writer: Writes the events. Default None: only the items are wanted.

    Attributes:
        buffer: The events that have been written but not yet taken.
        sequence: `sequence_number` of the next event.
        items: All items, in order.
        open: The items that still grow.
        ids: The ids of the items.
        taken: Other ids that no item may have.
        in_progress: Whether `response.in_progress` has been emitted.
    """

    def __init__(self, writer: Writer | None = None) -> None:
        self.writer = writer
        self.buffer = bytearray()
        self.sequence = 0
        self.items: list[OutputItem] = []
        self.open: list[OutputItem] = []
        self.ids: set[str] = set()
        self.taken: Container[str] = ()
        self.in_progress = False
        self._calls: dict[str, str] = {}

    def emit(self, event: Callable[..., e.AnyEvent], *fields: Any) -> None:
        """Write the next event, if events are wanted.

        Args:
            event: The event's class.
            *fields: The values of its fields after `sequence_number`, in order.
        """
        if self.writer is not None:
            self.writer.write(event(self.sequence, *fields), self.buffer)
        self.sequence += 1

    def error(self, error: AgentError) -> None:
        """Emit an `error` event, its fields both flat and nested."""
        info = e.ErrorInfo(**error.payload())
        self.emit(e.ErrorEvent, error.code, error.message, error.param, info)

    def vendor(self, fields: dict[str, Any]) -> None:
        """Pass through an event of an unknown type.

        Raises:
            TypeError: Its type has characters that could forge a frame.
        """
        if not fields["type"].isprintable() or " " in fields["type"]:
            raise TypeError(f"{fields['type']!r} is not a valid event type.")
        self.emit(e.VendorEvent, fields)

    def has(self, id: str) -> bool:
        """Return whether no new item may have an id."""
        return id in self.ids or id in self.taken

    def output(self) -> list[Item]:
        """Return the items, open ones with their content so far."""
        return [item.current() for item in self.items]

    def add(self, item: OutputItem) -> OutputItem:
        """Append an open item."""
        self.items.append(item)
        self.open.append(item)
        self.ids.add(item.id)
        return item

    def restore_call(self, call_id: str) -> None:
        """Note a call id that an earlier attempt used."""
        self._calls[call_id] = call_id

    def new_call_id(self, call_id: str) -> str:
        """Return a unique id for a call: the OpenAI client tells function calls apart by it."""
        self._calls[call_id] = new_id("call") if call_id in self._calls else call_id
        return self._calls[call_id]

    def call_id(self, call_id: str) -> str:
        """Return the unique id of the latest call that has an id."""
        return self._calls.get(call_id, call_id)
