"""The items of one stream: opened, filled, closed, each event in its order. Pure."""

from typing import Any

from .errors import AgentError
from .outputs import STREAMED, item_id, new_id, real_id, text_name
from .reducer import OpenItem, Reducer, with_text
from .schema import events as e
from .tools import ToolChoice

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

    __slots__ = (
        "id",
        "implicit",
        "incomplete",
        "index",
        "kind",
        "part",
        "parts",
        "place",
        "source",
    )

    def __init__(self, index: int, kind: str, id: str, source: str | None) -> None:
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
        choice: Which tools may be called. Default None: any.
    """

    def __init__(self, reducer: Reducer, choice: ToolChoice | None = None) -> None:
        self._reducer = reducer
        self._choice = choice
        self._events: list[e.Event | e.VendorEvent] = []
        self._sequence = 0
        self.slots: list[Slot] = []
        self.open: list[Slot] = []
        self._by_text: Slot | None = None  # the message that bare texts opened
        self._message: Slot | None = None  # open, its open part being `output_text`
        self._ids: set[str] = set()
        self._calls: dict[str, str] = {}
        self.in_progress = False
        """Whether `response.in_progress` has been made."""

    @property
    def count(self) -> int:
        """How many events there have been."""
        return self._sequence

    def taken(self) -> list[e.Event | e.VendorEvent]:
        """Give the events made since the last call."""
        events, self._events = self._events, []
        return events

    def emit(self, event: type[e.Event], **fields: Any) -> None:
        """Make the next event of the stream."""
        if event is e.ResponseInProgress:
            self.in_progress = True
        self._add(event(sequence_number=self._sequence, **fields))

    def error(self, error: AgentError) -> None:
        """Make the event that tells of an error, flat and nested."""
        self.emit(
            e.ErrorEvent,
            code=error.code,
            message=error.message,
            param=error.param,
            error=e.ErrorInfo(**error.payload()),
        )

    def restore(self, event: e.Event | e.VendorEvent) -> None:
        """Take in an event that was made before, in another process perhaps."""
        self._sequence = event.sequence_number + 1
        self._reducer.add(event)
        if event.type == "response.in_progress":
            self.in_progress = True
        elif isinstance(event, e.OutputItemAdded):
            self._restore_item(event.item)
        elif isinstance(event, e.OutputItemDone):
            self.open.remove(self.slots[event.output_index])
            if self._choice is not None and event.item["type"] == "function_call":
                self._choice.count(event.item["name"])
        elif isinstance(event, e.ContentPartAdded | e.SummaryPartAdded):
            slot = self.slots[event.output_index]
            slot.part = event.part["type"]
            slot.parts[slot.within] += 1
        elif isinstance(event, e.ContentPartDone | e.SummaryPartDone):
            self.slots[event.output_index].part = None

    def _restore_item(self, item: dict[str, Any]) -> None:
        slot = Slot(len(self.slots), item["type"], item["id"], None)
        self.slots.append(slot)
        self.open.append(slot)
        self._ids.add(slot.id)
        if slot.kind == "function_call":
            self._calls[item["call_id"]] = item["call_id"]

    def leave_behind(self) -> None:
        """Close what an attempt that died left open: what was said so far was commentary."""
        for slot in list(self.open):
            self._close(slot, {"phase": "commentary"} if slot.kind == "message" else None)

    def replay(self, item: dict[str, Any]) -> None:
        """Emit an item of a response that has ended; one that was left open stays so."""
        slot = self.begin(item)
        if item.get("status") == "in_progress":
            self._fill_all(slot, item)
            self.open.remove(slot)
        else:
            self.finish(slot, item)

    def vendor(self, fields: dict[str, Any]) -> None:
        """Pass an event of a type not known here through.

        Raises:
            TypeError: Its type is no name; it could forge a frame.
        """
        if not fields["type"].isprintable() or " " in fields["type"]:
            raise TypeError(f"{fields['type']!r} is no type of event")
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

    def whole(self, item: dict[str, Any]) -> Slot:
        """Emit an item that came whole: added, its contents, done."""
        slot = self._same_text(item) or self.begin(item)
        self.finish(slot, item)
        return slot

    def close_all(self, *, incomplete: bool) -> bool:
        """Close what is open, as completed, the last one perhaps as incomplete; tell if it was."""
        last = len(self.slots) - 1
        cut = False
        for slot in list(self.open):
            short = slot.index == last and (incomplete or slot.incomplete)
            cut = cut or short
            self._close(slot, status="incomplete" if short else "completed")
        return cut

    def _add(self, event: e.Event | e.VendorEvent) -> None:
        self._sequence += 1
        self._events.append(event)
        self._reducer.add(event)

    def _text_slot(self) -> Slot:
        slot = self.last("message")
        if slot is None:
            slot = self.begin({"type": "message", "role": "assistant"})
            slot.implicit = True
            self._by_text = slot
        self.need_part(slot, "output_text", None)
        return slot

    def begin(self, item: dict[str, Any]) -> Slot:
        """Emit that an item begins, with what is known of it but its contents."""
        self._settle()
        kind = item["type"]
        if kind == "function_call" and self._choice is not None:
            self._choice.check(item["name"])
        source = real_id(item.get("id"))
        id_ = source if source is not None and source not in self._ids else item_id(kind)
        self._ids.add(id_)
        slot = Slot(len(self.slots), kind, id_, source)
        self.slots.append(slot)
        self.open.append(slot)
        self.emit(e.OutputItemAdded, output_index=slot.index, item=self._first_form(slot, item))
        return slot

    def _settle(self) -> None:
        """Close what only a following item ends: a bare text's message, an incomplete item."""
        for slot in list(self.open):
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

    def finish(self, slot: Slot, item: dict[str, Any]) -> None:
        """Fill an open item up to what the handler says it is, and close it."""
        self._fill_all(slot, item)
        if item.get("status") == "incomplete":
            self.close_part(slot)
            slot.incomplete = True
        else:
            self._close(slot, item)

    def _fill_all(self, slot: Slot, item: dict[str, Any]) -> None:
        if slot.kind == "function_call":
            self.rest(slot, item["arguments"])
        for within in ("summary", "content"):
            if slot.kind in ("message", "reasoning"):
                self._fill(slot, within, item.get(within, []))

    def _fill(self, slot: Slot, within: str, parts: list[Part]) -> None:
        for at, part in enumerate(parts):
            begun = slot.parts[within]
            if at < begun - 1 or (at < begun and self._open_part(slot, within) is None):
                continue
            if at >= begun:
                self.begin_part(slot, part, within, None)
            self.fill_part(slot, part)
            self.close_part(slot)

    def _open_part(self, slot: Slot, within: str) -> Part | None:
        return self._held(slot).part if slot.part is not None and slot.within == within else None

    def fill_part(self, slot: Slot, part: Part) -> None:
        """Emit what a whole part has beyond what the open one was given."""
        held = self._held(slot)
        if slot.part != part["type"] or slot.part not in STREAMED or held.part is None:
            return
        self.rest(slot, part.get(text_name(slot.part)) or "")
        there = len(held.part.get("annotations", ()))
        for annotation in (part.get("annotations") or ())[there:]:
            self.annotate(slot, annotation)
        if part.get("logprobs"):
            held.part["logprobs"] = part["logprobs"]

    def rest(self, slot: Slot, whole: str) -> None:
        """Emit what a text has beyond its deltas; where they differ, what was streamed stands."""
        had = self._held(slot).text
        if len(whole) > len(had) and whole.startswith(had):
            self.delta(slot, whole[len(had) :])

    def delta(self, slot: Slot, delta: str, **more: Any) -> None:
        """Emit more of the open part's text, or of a call's arguments."""
        if slot.kind == "function_call":
            self.emit(e.ArgumentsDelta, item_id=slot.id, output_index=slot.index, delta=delta)
        elif slot.part is not None:
            self.emit(_TEXTS[slot.part][0], **self._at(slot), delta=delta, **more)

    def annotate(self, slot: Slot, annotation: dict[str, Any]) -> None:
        """Emit a citation in the open text."""
        part = self._held(slot).part or {}
        number = len(part.get("annotations", ()))
        self.emit(
            e.AnnotationAdded, **self._at(slot), annotation_index=number, annotation=annotation
        )

    def _close(
        self, slot: Slot, item: dict[str, Any] | None = None, status: str = "completed"
    ) -> None:
        self.close_part(slot)
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
        if slot.kind == "function_call" and self._choice is not None:
            self._choice.check(final["name"])
            self._choice.count(final["name"])
        self.open.remove(slot)
        if self._by_text is slot:
            self._by_text = None
        self.emit(e.OutputItemDone, output_index=slot.index, item=final)

    def begin_part(self, slot: Slot, part: Part, within: str, place: int | None) -> None:
        """Emit that a part begins; `place` is the handler's own index of it."""
        self.close_part(slot)
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

    def need_part(self, slot: Slot, kind: str, place: int | None) -> None:
        """Have a part of a type open, the one that the handler means."""
        if slot.part == kind and (place is None or slot.place is None or slot.place == place):
            slot.place = place if slot.place is None else slot.place
            return
        within = "summary" if kind == "summary_text" else "content"
        self.begin_part(slot, {"type": kind}, within, place)

    def close_part(self, slot: Slot) -> None:
        """Emit that the open part is finished, where there is one."""
        if slot.part is None:
            return
        held = self._held(slot)
        part = dict(held.part or {})
        if slot.part in STREAMED:
            part = with_text(part, held.text)
            name = text_name(slot.part)
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

    def emitted(self, slot: Slot) -> dict[str, Any]:
        """Give an item as it went out so far."""
        return self._reducer.output()[slot.index]

    def _held(self, slot: Slot) -> OpenItem:
        return self._reducer.open_item(slot.index)

    def last(self, kind: str) -> Slot | None:
        """Give the open item of a type that was begun last."""
        return next((each for each in reversed(self.open) if each.kind == kind), None)

    def _same_text(self, item: dict[str, Any]) -> Slot | None:
        """Find the message whose deltas a whole message repeats, under an id of its own."""
        slot = self.last("message") if item["type"] == "message" else None
        if slot is None or not slot.implicit or item.get("role") != "assistant":
            return None
        said = "".join(part.get("text", "") for part in self._held(slot).so_far()["content"])
        told = "".join(part.get("text") or "" for part in item["content"])
        return slot if said and said == told else None
