"""Fragments of a model's message as events of items."""

from collections.abc import Iterator
from typing import Any

from ...schema.ids import item_id, new_id

Event = dict[str, Any]


class Fragments:
    """One message of a model; each method yields the events of a fragment.

    Messages that are streamed at the same time need one instance each.
    """

    def __init__(self) -> None:
        self._kind = ""  # of the open item of text; empty if there is none
        self._id = ""
        self._calls: list[_Call] = []

    def reasoning(self, delta: str | None) -> Iterator[Event]:
        """Add to the reasoning, as the summary of a reasoning item."""
        return self._delta("reasoning", "response.reasoning_summary_text.delta", delta)

    def refusal(self, delta: str | None) -> Iterator[Event]:
        """Add to the refusal."""
        return self._delta("message", "response.refusal.delta", delta)

    def text(self, delta: str | None) -> Iterator[Event]:
        """Add to the text."""
        return self._delta("message", "response.output_text.delta", delta)

    def call(
        self,
        index: int | str | None,
        call_id: str | None,
        name: str | None,
        arguments: str | None,
    ) -> Iterator[Event]:
        """Add a fragment of a function call.

        Args:
            index: The call's index in the message; None if the vendor sends none.
            call_id: The call's id; may come once, with every fragment, or never.
            name: The function; may come once, with every fragment, or never.
            arguments: More of the arguments, as JSON text.
        """
        yield from self.close_text()
        call = self._find(index, call_id, name)
        if call is None:
            call = _Call(index)
            self._calls.append(call)
        yield from call.add(call_id, name, arguments or "")

    def close_text(self) -> Iterator[Event]:
        """Close the open item of text before another item."""
        if self._kind:
            yield _done({"type": self._kind, "id": self._id})
            self._kind = ""

    def end(self) -> Iterator[Event]:
        """Close all items at the end of the message."""
        yield from self.close_text()
        for call in self._calls:
            yield from call.end()
        self._calls = []

    def _delta(self, kind: str, event: str, delta: str | None) -> Iterator[Event]:
        if not delta:
            return
        if self._kind != kind:
            yield from self.close_text()
            self._kind, self._id = kind, item_id(kind)
        yield {"type": event, "item_id": self._id, "delta": delta}

    def _find(
        self, index: int | str | None, call_id: str | None, name: str | None
    ) -> "_Call | None":
        """Return the call that a fragment continues; None if it begins one.

        Some vendors omit the index or send the same for every call; then the id counts.
        """
        for call in reversed(self._calls):
            if call_id and call.call_id:
                if call.call_id == call_id:
                    return call
            elif index is not None:
                if call.index == index and name in (None, "", call.name or name):
                    return call
            elif not call_id and not name:
                return call
        return None


class _Call:
    """A function call so far; its events begin once its name is known."""

    def __init__(self, index: int | str | None) -> None:
        self.index = index
        self.call_id: str | None = None
        self._item: Event = {"type": "function_call", "id": item_id("function_call")}
        self._pending = ""
        self._empty = True

    @property
    def name(self) -> str | None:
        """The function; None as long as it is not known."""
        return self._item.get("name")

    def add(self, call_id: str | None, name: str | None, arguments: str) -> Iterator[Event]:
        """Yield the events of a fragment."""
        self.call_id = self.call_id or call_id
        self._pending += arguments
        if name and "name" not in self._item:
            self._item |= {"name": name, "call_id": self.call_id or new_id("call")}
            yield {"type": "response.output_item.added", "item": dict(self._item, arguments="")}
        if self._pending and "name" in self._item:
            yield self._delta(self._pending)
            self._pending, self._empty = "", False

    def _delta(self, delta: str) -> Event:
        kind = "response.function_call_arguments.delta"
        return {"type": kind, "item_id": self._item["id"], "delta": delta}

    def end(self) -> Iterator[Event]:
        """Yield the events of the call's end.

        Raises:
            RuntimeError: The call has no name.
        """
        if "name" not in self._item:
            raise RuntimeError("The model called a function without a name.")
        if self._empty:
            yield self._delta("{}")
        yield _done(dict(self._item, arguments=""))


def _done(item: Event) -> Event:
    return {"type": "response.output_item.done", "item": item}
