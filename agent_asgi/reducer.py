"""Events to a response: the texts so far while a run goes on, its output in the end. Pure."""

from collections.abc import Callable
from typing import Any

from .schema import events as e

Item = dict[str, Any]


class OpenItem:
    """An item between `added` and `done`: its fields, its finished parts, the text so far."""

    __slots__ = ("item", "part", "texts", "within")

    def __init__(self, item: Item) -> None:
        self.item = {
            key: list(value) if isinstance(value, list) else value for key, value in item.items()
        }
        self.texts: list[str] = []
        self.part: dict[str, Any] | None = None
        self.within = "content"

    @property
    def text(self) -> str:
        """Text of the open part, or of the arguments."""
        return "".join(self.texts)

    def so_far(self) -> Item:
        """Give the item as it stands, its open part included."""
        item = dict(self.item)
        if self.part is not None:
            item[self.within] = [*item.get(self.within, ()), with_text(self.part, self.text)]
        elif "arguments" in item and self.texts:
            item["arguments"] = self.text
        return item


def with_text(part: dict[str, Any], text: str) -> dict[str, Any]:
    """Give a part with its text; a refusal keeps it under a name of its own."""
    return part | {"refusal" if part["type"] == "refusal" else "text": text}


class Reducer:
    """Takes in the events of one run in their order and holds what they amount to.

    A stream of a million deltas holds its text, not a million events.
    """

    __slots__ = ("_items",)

    def __init__(self) -> None:
        self._items: list[OpenItem | Item] = []

    def add(self, event: e.Event | e.VendorEvent) -> None:
        """Take in the next event."""
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

    def output(self) -> list[Item]:
        """Give the items in their order, open ones with their text so far."""
        return [each.so_far() if isinstance(each, OpenItem) else each for each in self._items]

    def _added(self, event: e.OutputItemAdded) -> None:
        self._items.append(OpenItem(event.item))

    def _done(self, event: e.OutputItemDone) -> None:
        self._items[event.output_index] = event.item

    def _part_added(self, event: e.ContentPartAdded | e.SummaryPartAdded) -> None:
        item = self.open_item(event.output_index)
        item.within = "content" if isinstance(event, e.ContentPartAdded) else "summary"
        item.part = {
            key: list(value) if isinstance(value, list) else value
            for key, value in event.part.items()
        }
        item.texts = []

    def _part_done(self, event: e.ContentPartDone | e.SummaryPartDone) -> None:
        item = self.open_item(event.output_index)
        item.item.setdefault(item.within, []).append(event.part)
        item.part = None
        item.texts = []

    def _delta(self, event: e.OutputTextDelta) -> None:
        self._items[event.output_index].texts.append(event.delta)  # type: ignore[union-attr]  # open

    def _annotation(self, event: e.AnnotationAdded) -> None:
        part = self.open_item(event.output_index).part
        if part is not None:
            part.setdefault("annotations", []).append(event.annotation)


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
