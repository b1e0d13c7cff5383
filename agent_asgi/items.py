"""The items of one stream: opened, filled, closed, each event in its order. Pure."""

from collections.abc import Callable
from typing import Any

from .outputs import STREAMED, Get, as_dict, as_item, item_id, new_id, real_id
from .reducer import OpenItem, Reducer, with_text
from .schema import events as e

Part = dict[str, Any]
_TEXTS: dict[str, tuple[type[e.Event], type[e.Event]]] = {
    "output_text": (e.OutputTextDelta, e.OutputTextDone),
    "refusal": (e.RefusalDelta, e.RefusalDone),
    "reasoning_text": (e.ReasoningDelta, e.ReasoningDone),
    "summary_text": (e.SummaryTextDelta, e.SummaryTextDone),
}
_EMPTY = {"message": ("content",), "reasoning": ("summary",), "function_call": ("arguments",)}


class Slot:
    """An item of this stream and what the handler calls it."""

    __slots__ = ("id", "implicit", "incomplete", "index", "kind", "part", "parts", "place", "source")

    def __init__(self, index: int, kind: str, id: str, source: str | None) -> None:  # noqa: A002
        self.index = index
        self.kind = kind
        self.id = id
        self.source = source
        self.implicit = False  # opened by a delta, not by the handler's own `added`
        self.incomplete = False  # given as incomplete: done only when it is known to be the last
        self.part: str | None = None  # type of the open part
        self.place: int | None = None  # the handler's own index of the open part
        self.parts = {"content": 0, "summary": 0}  # how many were begun

    @property
    def within(self) -> str:
        """The list that the open part stands in."""
        return "summary" if self.part == "summary_text" else "content"


class OpenItems:
    """Makes the events of a stream's items; `taken` hands them over.

    Args:
        reducer: Holds the texts so far; every event goes into it.
    """

    def __init__(self, reducer: Reducer) -> None:
        self._reducer = reducer
        self._events: list[e.Event | e.VendorEvent] = []
        self._sequence = 0
        self._count = 0
        self._open: list[Slot] = []
        self._by_text: Slot | None = None  # the message that bare texts opened
        self._message: Slot | None = None  # open, its open part being `output_text`
        self._turn: dict[int, Slot] = {}  # the handler's own output index, this turn
        self._seen: list[Slot] = []  # all items of this turn, in order
        self._ids: set[str] = set()
        self._calls: dict[str, str] = {}

    def taken(self) -> list[e.Event | e.VendorEvent]:
        """Give the events made since the last call."""
        events, self._events = self._events, []
        return events

    def emit(self, event: type[e.Event], **fields: Any) -> None:
        """Make the next event of the stream."""
        self._add(event(sequence_number=self._sequence, **fields))

    def vendor(self, fields: dict[str, Any]) -> None:
        """Pass an event of a type not known here through."""
        self._add(e.VendorEvent(sequence_number=self._sequence, fields=fields))

    def text(self, delta: str) -> None:
        """Add to the open assistant message; open one where none is open."""
        if not delta:
            return
        slot = self._message or self._text_slot()
        event = e.OutputTextDelta(
            sequence_number=self._sequence,
            item_id=slot.id,
            output_index=slot.index,
            content_index=slot.parts["content"] - 1,
            delta=delta,
        )
        self._sequence += 1
        self._events.append(event)
        self._reducer.add(event)

    def whole(self, item: dict[str, Any], index: int | None = None) -> None:
        """Emit an item that came whole: added, its contents, done."""
        slot = self._same_text(item)
        if slot is None:
            slot = self._begin(item, index)
        elif index is not None:
            self._turn[index] = slot
        self._finish(slot, item)

    def unseen(self, index: int, item: dict[str, Any]) -> None:
        """Take an item of a whole response: emit it, unless this turn has it already."""
        source = real_id(item.get("id"))
        call = item.get("call_id") if item["type"] == "function_call" else None
        for at, slot in enumerate(self._seen):
            if slot.kind != item["type"]:
                continue
            same = source is not None and source in (slot.source, slot.id)
            if same or at == index or self._turn.get(index) is slot or (call and call == slot.source):
                if slot in self._open:
                    self._finish(slot, item)
                return
        self.whole(item)

    def new_turn(self) -> None:
        """Forget the handler's own indexes: they begin again."""
        self._turn = {}
        self._seen = list(self._open)

    def event(self, kind: str, get: Get) -> bool:
        """Take in an event of the handler's; tell whether its type is known."""
        rule = _EVENTS.get(kind)
        if rule is not None:
            rule(self, get)
        return rule is not None

    def close_all(self, *, incomplete: bool) -> bool:
        """Close what is open, as completed, the last one perhaps as incomplete; tell if it was."""
        last = self._count - 1
        cut = False
        for slot in list(self._open):
            short = slot.index == last and (incomplete or slot.incomplete)
            cut = cut or short
            self._close(slot, status="incomplete" if short else "completed")
        return cut

    def _add(self, event: e.Event | e.VendorEvent) -> None:
        self._sequence += 1
        self._events.append(event)
        self._reducer.add(event)

    def _text_slot(self) -> Slot:
        slot = self._last("message")
        if slot is None:
            slot = self._begin({"type": "message", "role": "assistant"})
            slot.implicit = True
            self._by_text = slot
        self._need_part(slot, "output_text", None)
        return slot

    def _begin(self, item: dict[str, Any], index: int | None = None) -> Slot:
        self._settle()
        kind = item["type"]
        source = real_id(item.get("id"))
        id_ = source if source is not None and source not in self._ids else item_id(kind)
        self._ids.add(id_)
        slot = Slot(self._count, kind, id_, source)
        self._count += 1
        self._open.append(slot)
        self._seen.append(slot)
        if index is not None:
            self._turn[index] = slot
        self.emit(e.OutputItemAdded, output_index=slot.index, item=self._first_form(slot, item))
        return slot

    def _settle(self) -> None:
        """Close what only a following item ends: a bare text's message, an incomplete item."""
        for slot in list(self._open):
            if slot is self._by_text or slot.incomplete:
                self._close(slot, status="completed")

    def _first_form(self, slot: Slot, item: dict[str, Any]) -> dict[str, Any]:
        first = {"type": slot.kind, **item, "id": slot.id, "status": "in_progress"}
        for name in _EMPTY.get(slot.kind, ()):
            first[name] = "" if name == "arguments" else []
        if slot.kind == "reasoning":
            first.pop("content", None)
        if "call_id" in first:
            first["call_id"] = self._call_id(slot.kind, first["call_id"])
        return first

    def _call_id(self, kind: str, given: str) -> str:
        """Keep call ids apart: the OpenAI client tells function calls by them."""
        if kind != "function_call":
            return self._calls.get(given, given)
        self._calls[given] = new_id("call") if given in self._calls else given
        return self._calls[given]

    def _finish(self, slot: Slot, item: dict[str, Any]) -> None:
        """Fill an open item up to what the handler says it is, and close it."""
        if slot.kind == "function_call":
            self._rest(slot, item["arguments"])
        for within in ("summary", "content"):
            if slot.kind in ("message", "reasoning"):
                self._fill(slot, within, item.get(within, []))
        if item.get("status") == "incomplete":
            self._close_part(slot)
            slot.incomplete = True
        else:
            self._close(slot, item)

    def _fill(self, slot: Slot, within: str, parts: list[Part]) -> None:
        for at, part in enumerate(parts):
            if at < slot.parts[within] - 1 or (at < slot.parts[within] and self._open_part(slot, within) is None):
                continue
            if at >= slot.parts[within]:
                self._begin_part(slot, part, within, None)
            self._fill_part(slot, part)
            self._close_part(slot)

    def _open_part(self, slot: Slot, within: str) -> Part | None:
        return self._held(slot).part if slot.part is not None and slot.within == within else None

    def _fill_part(self, slot: Slot, part: Part) -> None:
        held = self._held(slot)
        if slot.part != part["type"] or slot.part not in STREAMED or held.part is None:
            return
        self._rest(slot, part.get("refusal" if slot.part == "refusal" else "text") or "")
        there = len(held.part.get("annotations", ()))
        for annotation in (part.get("annotations") or ())[there:]:
            self._annotate(slot, annotation)
        if part.get("logprobs"):
            held.part["logprobs"] = part["logprobs"]

    def _rest(self, slot: Slot, whole: str) -> None:
        """Emit what a text has beyond its deltas; where they differ, what was streamed stands."""
        had = self._held(slot).text
        if len(whole) > len(had) and whole.startswith(had):
            self._delta(slot, whole[len(had) :])

    def _delta(self, slot: Slot, delta: str, **more: Any) -> None:
        if slot.kind == "function_call":
            self.emit(e.ArgumentsDelta, item_id=slot.id, output_index=slot.index, delta=delta)
        elif slot.part is not None:
            self.emit(_TEXTS[slot.part][0], **self._at(slot), delta=delta, **more)

    def _annotate(self, slot: Slot, annotation: dict[str, Any]) -> None:
        part = self._held(slot).part or {}
        number = len(part.get("annotations", ()))
        self.emit(
            e.AnnotationAdded, **self._at(slot), annotation_index=number, annotation=annotation
        )

    def _close(
        self, slot: Slot, item: dict[str, Any] | None = None, status: str = "completed"
    ) -> None:
        self._close_part(slot)
        held = self._held(slot)
        final = held.so_far()
        if slot.kind == "function_call":
            final["arguments"] = held.text
            self.emit(
                e.ArgumentsDone,
                item_id=slot.id,
                output_index=slot.index,
                arguments=final["arguments"],
            )
        kept = ("id", "type", "status", "call_id", *_EMPTY.get(slot.kind, ()))
        if slot.kind == "reasoning":
            kept = (*kept, "content")
        final |= {key: value for key, value in (item or {}).items() if key not in kept}
        final["status"] = status
        self._open.remove(slot)
        if self._by_text is slot:
            self._by_text = None
        self.emit(e.OutputItemDone, output_index=slot.index, item=final)

    def _begin_part(self, slot: Slot, part: Part, within: str, place: int | None) -> None:
        self._close_part(slot)
        slot.part = part["type"]
        slot.place = place
        slot.parts[within] += 1
        empty = part
        if slot.part in STREAMED:
            empty = with_text({"type": slot.part}, "")
            if slot.part == "output_text":
                empty |= {"annotations": [], "logprobs": []}
        added = e.SummaryPartAdded if within == "summary" else e.ContentPartAdded
        self.emit(added, **self._at(slot), part=empty)
        if slot.kind == "message" and slot.part == "output_text":
            self._message = slot

    def _need_part(self, slot: Slot, kind: str, place: int | None) -> None:
        """Have a part of a type open, the one that the handler means."""
        if slot.part == kind and (place is None or slot.place is None or slot.place == place):
            slot.place = place if slot.place is None else slot.place
            return
        within = "summary" if kind == "summary_text" else "content"
        self._begin_part(slot, {"type": kind}, within, place)

    def _close_part(self, slot: Slot) -> None:
        if slot.part is None:
            return
        held = self._held(slot)
        part = dict(held.part or {})
        if slot.part in STREAMED:
            part = with_text(part, held.text)
            name = "refusal" if slot.part == "refusal" else "text"
            self.emit(_TEXTS[slot.part][1], **self._at(slot), **{name: held.text})
        done = e.SummaryPartDone if slot.within == "summary" else e.ContentPartDone
        self.emit(done, **self._at(slot), part=part)
        slot.part = slot.place = None
        if self._message is slot:
            self._message = None

    def _at(self, slot: Slot) -> dict[str, Any]:
        name = "summary_index" if slot.within == "summary" else "content_index"
        return {
            "item_id": slot.id,
            "output_index": slot.index,
            name: slot.parts[slot.within] - 1,
        }

    def _held(self, slot: Slot) -> OpenItem:
        return self._reducer.open_item(slot.index)

    def _last(self, kind: str) -> Slot | None:
        return next((each for each in reversed(self._open) if each.kind == kind), None)

    def _same_text(self, item: dict[str, Any]) -> Slot | None:
        """Find the message whose deltas a whole message repeats, under an id of its own."""
        slot = self._last("message") if item["type"] == "message" else None
        if slot is None or not slot.implicit or item.get("role") != "assistant":
            return None
        said = "".join(part.get("text", "") for part in self._held(slot).so_far()["content"])
        told = "".join(part.get("text") or "" for part in item["content"])
        return slot if said and said == told else None

    def _find(self, get: Get, kind: str | None = None) -> Slot | None:
        """Find the open item that an event is of: by its id, its index, or the last of its type."""
        source = real_id(get("item_id"))
        fitting = [each for each in self._open if kind is None or each.kind == kind]
        for slot in reversed(fitting):
            if source is not None and source == slot.source:
                return slot
        slot = self._turn.get(get("output_index"))  # type: ignore[arg-type]  # None finds nothing
        if slot in fitting and (source is None or slot.source is None):
            return slot
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

    def _on_added(self, get: Get) -> None:
        item = as_item(get("item"))
        index = get("output_index")
        there = None if index is None else self._turn.get(index)
        if there is None or there.source != real_id(item.get("id")):
            self._begin(item, index)

    def _on_done(self, get: Get) -> None:
        item = as_item(get("item"))
        index = get("output_index")
        id_ = item.get("id")
        slot = self._find(
            lambda name: {"item_id": id_, "output_index": index}.get(name), item["type"]
        ) if real_id(id_) or index is not None else self._last(item["type"])
        there = None if index is None else self._turn.get(index)
        if slot is not None:
            self._finish(slot, item)
        elif there is None or there in self._open or there.source != real_id(id_):
            self.whole(item, index)

    def _on_part_added(self, get: Get) -> None:
        part = as_dict(get("part"))
        summary = part["type"] == "summary_text"
        reasoning = summary or part["type"] == "reasoning_text"
        slot = self._for_delta(get, "reasoning" if reasoning else "message")
        within = "summary" if summary else "content"
        self._begin_part(slot, part, within, get(f"{within}_index"))

    def _on_part_done(self, get: Get) -> None:
        part = as_dict(get("part"))
        slot = self._find(get)
        if slot is not None and slot.part is not None:
            self._fill_part(slot, part)
            self._close_part(slot)

    def _on_annotation(self, get: Get) -> None:
        slot = self._for_delta(get, "message")
        self._need_part(slot, "output_text", get("content_index"))
        self._annotate(slot, as_dict(get("annotation")))

    def _on_arguments(self, get: Get) -> None:
        slot = self._for_delta(get, "function_call")
        if get("delta"):
            self._delta(slot, get("delta"))
        elif get("arguments"):
            self._rest(slot, get("arguments"))


def _on_text(part: str, kind: str, place: str) -> Callable[[OpenItems, Get], None]:
    def delta(items: OpenItems, get: Get) -> None:
        text = get("delta")
        slot = items._for_delta(get, kind)
        items._need_part(slot, part, get(place))
        if text:
            more = {"logprobs": get("logprobs") or []} if part == "output_text" else {}
            items._delta(slot, text, **more)

    return delta


def _on_text_done(part: str, kind: str, place: str) -> Callable[[OpenItems, Get], None]:
    def done(items: OpenItems, get: Get) -> None:
        slot = items._find(get, kind)
        text = get("refusal" if part == "refusal" else "text") or ""
        if slot is None or slot.part != part:
            return
        if get(place) is None or slot.place is None or get(place) == slot.place:
            items._rest(slot, text)

    return done


_EVENTS: dict[str, Callable[[OpenItems, Get], None]] = {
    "response.output_item.added": OpenItems._on_added,
    "response.output_item.done": OpenItems._on_done,
    "response.content_part.added": OpenItems._on_part_added,
    "response.content_part.done": OpenItems._on_part_done,
    "response.reasoning_summary_part.added": OpenItems._on_part_added,
    "response.reasoning_summary_part.done": OpenItems._on_part_done,
    "response.output_text.annotation.added": OpenItems._on_annotation,
    "response.function_call_arguments.delta": OpenItems._on_arguments,
    "response.function_call_arguments.done": OpenItems._on_arguments,
}
for _name, *_of in (
    ("output_text", "output_text", "message", "content_index"),
    ("refusal", "refusal", "message", "content_index"),
    ("reasoning", "reasoning_text", "reasoning", "content_index"),
    ("reasoning_text", "reasoning_text", "reasoning", "content_index"),
    ("reasoning_summary_text", "summary_text", "reasoning", "summary_index"),
):
    _EVENTS[f"response.{_name}.delta"] = _on_text(*_of)
    _EVENTS[f"response.{_name}.done"] = _on_text_done(*_of)
