"""Events to a response: the texts so far while a run goes on, its output in the end. Pure."""

from collections.abc import Callable
from typing import Any

from .outputs import STREAMED
from .schema import events as e

Item = dict[str, Any]
Part = dict[str, Any]


class OpenItem:
    """An item between `added` and `done`: its fields, its finished parts, the text so far."""

    __slots__ = ("_text", "annotations", "item", "part", "parts", "within")

    def __init__(self, item: Item) -> None:
        self.item = item
        self.parts: dict[str, list[Part]] = {}
        self.part: Part | None = None
        self.within = "content"
        self.annotations: list[dict[str, Any]] = []
        self._text = bytearray()  # a list of deltas would take ten times their size

    @property
    def text(self) -> str:
        """Text of the open part, or of the arguments."""
        return self._text.decode("utf-8", "surrogatepass")

    def add_text(self, delta: str) -> None:
        """Add to the open part's text, or to the arguments."""
        self._text += delta.encode("utf-8", "surrogatepass")

    def begin_part(self, part: Part, within: str) -> None:
        """Open a part of `content` or `summary`."""
        self.within = within
        self.part = part
        self.annotations = list(part.get("annotations", ()))

    def end_part(self, part: Part) -> None:
        """Take the finished part in."""
        self.parts.setdefault(self.within, []).append(part)
        self.part = None
        self._text.clear()

    def part_so_far(self) -> Part:
        """Give the open part as it stands."""
        part = dict(self.part or {})
        if part.get("type") in STREAMED:
            part = with_text(part, self.text)
        if self.annotations:
            part["annotations"] = self.annotations
        return part

    def so_far(self) -> Item:
        """Give the item as it stands, its open part included."""
        item = self.item | self.parts
        if self.part is not None:
            item[self.within] = [*item.get(self.within, ()), self.part_so_far()]
        elif "arguments" in item and self._text:
            item["arguments"] = self.text
        return item


def with_text(part: Part, text: str) -> Part:
    """Give a part with its text; a refusal keeps it under a name of its own."""
    return {**part, "refusal" if part["type"] == "refusal" else "text": text}


class Reducer:
    """Holds the items of one run; takes in what becomes of them, or the events that say so.

    A stream of a million deltas holds its text, not a million events.
    """

    __slots__ = ("_items",)

    def __init__(self) -> None:
        self._items: list[OpenItem | Item] = []

    def begin(self, item: OpenItem) -> None:
        """Take in the next item."""
        self._items.append(item)

    def end(self, index: int, item: Item) -> None:
        """Put a finished item in its place."""
        self._items[index] = item

    def add(self, event: e.Event | e.VendorEvent) -> None:
        """Take in the next event of a log."""
        rule = _RULES.get(type(event))
        if rule is not None:
            rule(self, event)

    def open_item(self, index: int) -> OpenItem:
        """Give the open item at a place of the output.

        Raises:
            LookupError: There is no open item at that place.
        """
        item = self._items[index]
        if not isinstance(item, OpenItem):
            raise LookupError(f"Item {index} is done.")
        return item

    def item(self, index: int) -> Item:
        """Give the item at a place of the output, an open one with its text so far."""
        item = self._items[index]
        return item.so_far() if isinstance(item, OpenItem) else item

    def output(self) -> list[Item]:
        """Give the items in their order, open ones with their text so far."""
        return [self.item(index) for index in range(len(self._items))]

    def _added(self, event: e.OutputItemAdded) -> None:
        self.begin(OpenItem(event.item))

    def _done(self, event: e.OutputItemDone) -> None:
        self.end(event.output_index, event.item)

    def _part_added(self, event: e.ContentPartAdded | e.SummaryPartAdded) -> None:
        within = "content" if isinstance(event, e.ContentPartAdded) else "summary"
        self.open_item(event.output_index).begin_part(event.part, within)

    def _part_done(self, event: e.ContentPartDone | e.SummaryPartDone) -> None:
        self.open_item(event.output_index).end_part(event.part)

    def _delta(self, event: e.OutputTextDelta) -> None:
        self.open_item(event.output_index).add_text(event.delta)

    def _annotation(self, event: e.AnnotationAdded) -> None:
        self.open_item(event.output_index).annotations.append(event.annotation)


_RULES: dict[type[Any], Callable[[Reducer, Any], None]] = {
    e.OutputItemAdded: Reducer._added,
    e.OutputItemDone: Reducer._done,
    e.ContentPartAdded: Reducer._part_added,
    e.ContentPartDone: Reducer._part_done,
    e.SummaryPartAdded: Reducer._part_added,
    e.SummaryPartDone: Reducer._part_done,
    e.OutputTextDelta: Reducer._delta,
    e.RefusalDelta: Reducer._delta,
    e.ReasoningDelta: Reducer._delta,
    e.SummaryTextDelta: Reducer._delta,
    e.ArgumentsDelta: Reducer._delta,
    e.AnnotationAdded: Reducer._annotation,
}
