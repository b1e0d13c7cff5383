"""A model's message, put together: fragments of it become events of items with ids of their own."""

from collections.abc import Iterator
from typing import Any

from ..outputs import item_id, new_id

Event = dict[str, Any]


class Fragments:
    """One message of a model; each method gives the events of one fragment.

    Several messages that come at once, each with fragments of its own, do not mix.
    """

    def __init__(self) -> None:
        self._kind = ""  # of the open item that takes text; empty where there is none
        self._id = ""
        self._calls: list[_Call] = []

    def reasoning(self, delta: str | None) -> Iterator[Event]:
        """Take more of what the model thinks; it goes out as a reasoning item's summary."""
        return self._delta("reasoning", "response.reasoning_summary_text.delta", delta)

    def refusal(self, delta: str | None) -> Iterator[Event]:
        """Take more of a refusal."""
        return self._delta("message", "response.refusal.delta", delta)

    def text(self, delta: str | None) -> Iterator[Event]:
        """Take more of the text."""
        return self._delta("message", "response.output_text.delta", delta)

    def call(
        self,
        index: int | str | None,
        call_id: str | None,
        name: str | None,
        arguments: str | None,
    ) -> Iterator[Event]:
        """Take a fragment of a function call.

        Args:
            index: The call's place among those of the message; None where it is not told.
            call_id: The call's id; may come once, with every fragment, or never.
            name: The function; likewise.
            arguments: More of the arguments, a JSON text.
        """
        yield from self.settle()
        call = self._find(index, call_id, name)
        if call is None:
            call = _Call(index)
            self._calls.append(call)
        yield from call.take(call_id, name, arguments or "")

    def settle(self) -> Iterator[Event]:
        """Close the open item that takes text; something else comes."""
        if self._kind:
            yield _done({"type": self._kind, "id": self._id})
            self._kind = ""

    def end(self) -> Iterator[Event]:
        """Close what is open; the message is whole."""
        yield from self.settle()
        for call in self._calls:
            yield from call.end()
        self._calls = []

    def _delta(self, kind: str, event: str, delta: str | None) -> Iterator[Event]:
        if not delta:
            return
        if self._kind != kind:
            yield from self.settle()
            self._kind, self._id = kind, item_id(kind)
        yield {"type": event, "item_id": self._id, "delta": delta}

    def _find(
        self, index: int | str | None, call_id: str | None, name: str | None
    ) -> "_Call | None":
        """Find the call that a fragment is of; None where it begins one.

        Some vendors leave the index out, or give every call the same; then the id counts.
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
    """A function call as far as it has come; it begins to go out once its name is known."""

    def __init__(self, index: int | str | None) -> None:
        self.index = index
        self.call_id: str | None = None
        self._item: Event = {"type": "function_call", "id": item_id("function_call")}
        self._waiting = ""
        self._empty = True

    @property
    def name(self) -> str | None:
        """The function; None until it is known."""
        return self._item.get("name")

    def take(self, call_id: str | None, name: str | None, arguments: str) -> Iterator[Event]:
        """Give the events of one fragment."""
        self.call_id = self.call_id or call_id
        self._waiting += arguments
        if name and "name" not in self._item:
            self._item |= {"name": name, "call_id": self.call_id or new_id("call")}
            yield {"type": "response.output_item.added", "item": dict(self._item, arguments="")}
        if self._waiting and "name" in self._item:
            yield self._delta(self._waiting)
            self._waiting, self._empty = "", False

    def _delta(self, delta: str) -> Event:
        kind = "response.function_call_arguments.delta"
        return {"type": kind, "item_id": self._item["id"], "delta": delta}

    def end(self) -> Iterator[Event]:
        """Give the events of the call's end.

        Raises:
            RuntimeError: The model has named no function.
        """
        if "name" not in self._item:
            raise RuntimeError("The model called a function and gave no name.")
        if self._empty:
            yield self._delta("{}")
        yield _done(dict(self._item, arguments=""))


def _done(item: Event) -> Event:
    return {"type": "response.output_item.done", "item": item}
