"""A handler's own events and responses, told apart and brought to items of this stream. Pure."""

from collections.abc import Callable
from typing import Any

import msgspec

from . import codec
from .items import OpenItems, Slot
from .outputs import Get, as_dict, as_item, new_id, real_id, text_name


class Upstream:
    """Takes in what a handler forwards, turn by turn, however sloppy its ids and indexes are.

    Args:
        items: Makes the events of this stream.
    """

    def __init__(self, items: OpenItems) -> None:
        self._items = items
        self._turn: dict[Any, Slot] = {}  # by the handler's own output index
        self._since = 0  # how many items there were when the turn began

    def event(self, kind: str, get: Get) -> bool:
        """Take in an event of the handler's; tell whether its type is known."""
        rule = _EVENTS.get(kind)
        if rule is not None:
            rule(self, get)
        return rule is not None

    def new_turn(self) -> None:
        """Forget the handler's own indexes: they begin again."""
        self._turn = {}
        self._since = len(self._items.slots)

    def end_turn(self, output: list[dict[str, Any]]) -> None:
        """Take the items of a whole response: emit those that this turn does not have already."""
        had = self._items.slots[self._since :]
        for index, item in enumerate(output):
            slot = next((each for each in had if self._same(each, index, item)), None)
            if slot is None:
                self._items.whole(item)
                continue
            had.remove(slot)
            if slot in self._items.open:
                self._items.finish(slot, item)
        self.new_turn()

    def _same(self, slot: Slot, index: int, item: dict[str, Any]) -> bool:
        source = real_id(item.get("id"))
        if slot.kind != item["type"]:
            return False
        if self._turn.get(index) is slot or (source is not None and source == slot.source):
            return True
        return bool(_essence(self._items.emitted(slot)) == _essence(item))

    def _find(self, get: Get, kind: str | None = None) -> Slot | None:
        """Find the open item that an event is of: by its id, its index, or the last of its type."""
        source = real_id(get("item_id"))
        fitting = [each for each in self._items.open if kind is None or each.kind == kind]
        for slot in reversed(fitting):
            if source is not None and source == slot.source:
                return slot
        there = self._turn.get(get("output_index"))
        if there in fitting and (source is None or there.source is None):
            return there
        if source is None and get("output_index") is None and fitting:
            return fitting[-1]
        return None

    def _for_delta(self, get: Get, kind: str) -> Slot:
        slot = self._find(get, kind)
        if slot is None:
            item: dict[str, Any] = {"type": kind, "id": get("item_id")}
            if kind == "message":
                item["role"] = "assistant"
            if kind == "function_call":
                item |= {"name": get("name") or "", "call_id": get("call_id") or new_id("call")}
            slot = self._begin(item, get("output_index"))
            slot.implicit = True
        return slot

    def _begin(self, item: dict[str, Any], index: int | None) -> Slot:
        slot = self._items.begin(item)
        self._turn[index] = slot
        return slot

    def _on_added(self, get: Get) -> None:
        item = as_item(get("item"))
        index = get("output_index")
        there = self._turn.get(index)
        if index is None or there is None or there.source != real_id(item.get("id")):
            self._begin(item, index)

    def _on_done(self, get: Get) -> None:
        item = as_item(get("item"))
        index = get("output_index")
        place = {"item_id": item.get("id"), "output_index": index}
        slot = self._find(place.get, item["type"])
        there = None if index is None else self._turn.get(index)
        if slot is not None:
            self._items.finish(slot, item)
        elif there is None or there in self._items.open or there.source != real_id(item.get("id")):
            self._turn[index] = self._items.whole(item)

    def _on_part_added(self, get: Get) -> None:
        part = as_dict(get("part"))
        summary = part["type"] == "summary_text"
        reasoning = summary or part["type"] == "reasoning_text"
        slot = self._for_delta(get, "reasoning" if reasoning else "message")
        within = "summary" if summary else "content"
        self._items.begin_part(slot, part, within, get(f"{within}_index"))

    def _on_part_done(self, get: Get) -> None:
        part = as_dict(get("part"))
        slot = self._find(get)
        if slot is not None and slot.part_type is not None:
            self._items.fill_part(slot, part)
            self._items.close_part(slot)

    def _on_annotation(self, get: Get) -> None:
        slot = self._for_delta(get, "message")
        self._items.need_part(slot, "output_text", get("content_index"))
        self._items.annotate(slot, as_dict(get("annotation")))

    def _on_arguments(self, get: Get) -> None:
        slot = self._for_delta(get, "function_call")
        if get("delta"):
            self._items.delta(slot, get("delta"))
        elif get("arguments"):
            self._items.rest(slot, get("arguments"))


def _on_text(part: str, kind: str, place: str) -> Callable[[Upstream, Get], None]:
    def delta(upstream: Upstream, get: Get) -> None:
        text = get("delta")
        slot = upstream._for_delta(get, kind)
        upstream._items.need_part(slot, part, get(place))
        if text:
            more = {"logprobs": _listed(get("logprobs"))} if part == "output_text" else {}
            upstream._items.delta(slot, text, **more)

    return delta


def _listed(given: Any) -> list[Any]:
    if not isinstance(given, list | tuple):
        return []
    plain: list[Any] = msgspec.to_builtins(list(given), str_keys=True, enc_hook=codec.plain)
    return plain


def _on_text_done(part: str, kind: str, place: str) -> Callable[[Upstream, Get], None]:
    def done(upstream: Upstream, get: Get) -> None:
        slot = upstream._find(get, kind)
        text = get(text_name(part)) or ""
        if slot is None or slot.part_type != part:
            return
        if get(place) is None or slot.place is None or get(place) == slot.place:
            upstream._items.rest(slot, text)

    return done


_EVENTS: dict[str, Callable[[Upstream, Get], None]] = {
    "response.output_item.added": Upstream._on_added,
    "response.output_item.done": Upstream._on_done,
    "response.content_part.added": Upstream._on_part_added,
    "response.content_part.done": Upstream._on_part_done,
    "response.reasoning_summary_part.added": Upstream._on_part_added,
    "response.reasoning_summary_part.done": Upstream._on_part_done,
    "response.output_text.annotation.added": Upstream._on_annotation,
    "response.function_call_arguments.delta": Upstream._on_arguments,
    "response.function_call_arguments.done": Upstream._on_arguments,
}
for _name, *_of in (
    ("output_text", "output_text", "message", "content_index"),
    ("refusal", "refusal", "message", "content_index"),
    ("reasoning", "reasoning_text", "reasoning", "content_index"),
    ("reasoning_text", "reasoning_text", "reasoning", "content_index"),  # OpenAI's own name
    ("reasoning_summary_text", "summary_text", "reasoning", "summary_index"),
):
    _EVENTS[f"response.{_name}.delta"] = _on_text(*_of)
    _EVENTS[f"response.{_name}.done"] = _on_text_done(*_of)


def _essence(item: dict[str, Any]) -> Any:
    """Give what an item says, apart from ids and how far it has come."""
    if item["type"] == "message":
        return [part.get("text", part.get("refusal")) for part in item["content"]]
    if item["type"] == "function_call":
        return item["name"], item["arguments"]
    return {key: each for key, each in item.items() if key not in ("id", "call_id", "status")}
