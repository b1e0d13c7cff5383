"""The items of one stream: opened, filled, closed, each event in its order. Pure."""

from typing import Any

from .errors import AgentError
from .outputs import PLACES, STREAMED, item_id, new_id, real_id, text_name
from .reducer import OpenItem, Part, Reducer, with_text
from .schema import events as e
from .tools import ToolChoice

_TEXTS: dict[str, tuple[type[e.Event], type[e.Event]]] = {
    "output_text": (e.OutputTextDelta, e.OutputTextDone),
    "refusal": (e.RefusalDelta, e.RefusalDone),
    "reasoning_text": (e.ReasoningDelta, e.ReasoningDone),
    "summary_text": (e.SummaryTextDelta, e.SummaryTextDone),
}
_EMPTY = {"message": ("content",), "reasoning": ("summary",), "function_call": ("arguments",)}
_IDENTITY = ("id", "type", "status", "call_id")
_OURS: dict[str, tuple[str, ...]] = {kind: (*_IDENTITY, *names) for kind, names in _EMPTY.items()}
"""The fields that are as they went out, whatever the finished item says."""
_OURS["reasoning"] += ("content",)


class Slot(OpenItem):
    """An item of this stream and what the handler calls it.

    Args:
        index: Its place in the output.
        item: What is known of it when it begins.
        source: The handler's own id of it. Default None.
    """

    __slots__ = (
        "at",
        "id",
        "implicit",
        "incomplete",
        "index",
        "kind",
        "part_type",
        "place",
        "source",
    )

    def __init__(self, index: int, item: dict[str, Any], source: str | None = None) -> None:
        super().__init__(item)
        self.index = index
        self.kind: str = item["type"]
        self.id: str = item["id"]
        self.source = source
        self.implicit = False  # opened by a delta, not by the handler's own `added`
        self.incomplete = False  # given as incomplete: done only when it is known to be the last
        self.part_type: str | None = None
        self.place: int | None = None  # the handler's own index of the open part
        self.at: dict[str, Any] = {}  # what the events of the open part have in common

    def begun(self, within: str) -> int:
        """Tell how many parts of a list were begun."""
        there = len(self.parts.get(within, ()))
        return there + (self.part is not None and self.within == within)

    def begin_part(self, part: Part, within: str) -> None:
        """Open a part of `content` or `summary`."""
        name = "summary_index" if within == "summary" else "content_index"
        self.at = {"item_id": self.id, "output_index": self.index, name: self.begun(within)}
        self.part_type = part["type"]
        super().begin_part(part, within)

    def end_part(self, part: Part) -> None:
        """Take the finished part in."""
        super().end_part(part)
        self.part_type = self.place = None


class OpenItems:
    """Makes the events of a stream's items; `taken` hands them over.

    Args:
        reducer: Holds the items.
        choice: Which tools may be called. Default None: any.
        events: Whether the events are wanted, or only what they amount to. Default True.
    """

    def __init__(
        self, reducer: Reducer, choice: ToolChoice | None = None, *, events: bool = True
    ) -> None:
        self._reducer = reducer
        self.wanted = events
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
        """Make the next event of the stream, where events are wanted."""
        if self.wanted:
            self._events.append(event(sequence_number=self._sequence, **fields))
        self._sequence += 1

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
        if event.type == "response.in_progress":
            self.in_progress = True
        elif isinstance(event, e.OutputItemAdded):
            self._restore_item(event.item)
            return
        self._reducer.add(event)
        if isinstance(event, e.OutputItemDone):
            self.open.remove(self.slots[event.output_index])
            if self._choice is not None and event.item["type"] == "function_call":
                self._choice.count(event.item["name"])

    def _restore_item(self, item: dict[str, Any]) -> None:
        slot = self._open(Slot(len(self.slots), item))
        if slot.kind == "function_call":
            self._calls[item["call_id"]] = item["call_id"]

    def _open(self, slot: Slot) -> Slot:
        self._reducer.begin(slot)
        self.slots.append(slot)
        self.open.append(slot)
        self._ids.add(slot.id)
        return slot

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
        if self.wanted:
            self._events.append(e.VendorEvent(sequence_number=self._sequence, fields=fields))
        self._sequence += 1

    def text(self, delta: str) -> None:
        """Add to the open assistant message; open one where none is open."""
        if not delta:
            return
        slot = self._message or self._text_slot()
        slot.add_text(delta)
        if self.wanted:
            event = e.OutputTextDelta(
                sequence_number=self._sequence,
                item_id=slot.id,
                output_index=slot.index,
                content_index=slot.at["content_index"],
                delta=delta,
            )
            self._events.append(event)
        self._sequence += 1

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

    def _text_slot(self) -> Slot:
        slot = self.last("message") if self.open else None
        if slot is None:
            slot = self.begin({"type": "message", "role": "assistant"})
            slot.implicit = True
            self._by_text = slot
        self.need_part(slot, "output_text", None)
        return slot

    def begin(self, item: dict[str, Any]) -> Slot:
        """Emit that an item begins, with what is known of it but its contents."""
        if self.open:
            self._settle()
        kind = item["type"]
        if kind == "function_call" and self._choice is not None:
            self._choice.check(item["name"])
        source = real_id(item["id"]) if "id" in item else None
        id_ = source if source is not None and source not in self._ids else item_id(kind)
        first = self._first_form(kind, id_, item)
        slot = self._open(Slot(len(self.slots), first, source))
        self.emit(e.OutputItemAdded, output_index=slot.index, item=first)
        return slot

    def _settle(self) -> None:
        """Close what only a following item ends: a bare text's message, an incomplete item."""
        for slot in list(self.open):
            if slot is self._by_text or slot.incomplete:
                self._close(slot, status="completed")

    def _first_form(self, kind: str, id_: str, item: dict[str, Any]) -> dict[str, Any]:
        first = {"type": kind, **item, "id": id_, "status": "in_progress"}
        for name in _EMPTY.get(kind, ()):
            first[name] = "" if name == "arguments" else []
        if kind == "reasoning":
            first.pop("content", None)
        if isinstance(first.get("call_id"), str):
            first["call_id"] = self._call_id(kind, first["call_id"])
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
        for within in PLACES.get(slot.kind, ()):
            self._fill(slot, within, item.get(within, []))

    def _fill(self, slot: Slot, within: str, parts: list[Part]) -> None:
        for at, part in enumerate(parts):
            begun = slot.begun(within)
            if at < begun - 1 or (at < begun and (slot.part_type is None or slot.within != within)):
                continue
            if at >= begun:
                self.begin_part(slot, part, within, None)
            self.fill_part(slot, part)
            self.close_part(slot)

    def fill_part(self, slot: Slot, part: Part) -> None:
        """Emit what a whole part has beyond what the open one was given."""
        if slot.part_type != part["type"] or slot.part_type not in STREAMED or slot.part is None:
            return
        self.rest(slot, part.get(text_name(slot.part_type)) or "")
        if slot.part_type != "output_text":
            return
        for annotation in (part.get("annotations") or ())[len(slot.annotations) :]:
            self.annotate(slot, annotation)
        if part.get("logprobs"):
            slot.part = slot.part | {"logprobs": part["logprobs"]}

    def rest(self, slot: Slot, whole: str) -> None:
        """Emit what a text has beyond its deltas; where they differ, what was streamed stands."""
        had = slot.text
        if len(whole) > len(had) and whole.startswith(had):
            self.delta(slot, whole[len(had) :])

    def delta(self, slot: Slot, delta: str, **more: Any) -> None:
        """Emit more of the open part's text, or of a call's arguments."""
        if slot.kind == "function_call":
            slot.add_text(delta)
            self.emit(e.ArgumentsDelta, item_id=slot.id, output_index=slot.index, delta=delta)
        elif slot.part_type is not None:
            slot.add_text(delta)
            self.emit(_TEXTS[slot.part_type][0], **slot.at, delta=delta, **more)

    def annotate(self, slot: Slot, annotation: dict[str, Any]) -> None:
        """Emit a citation in the open text."""
        there = slot.annotations
        self.emit(e.AnnotationAdded, **slot.at, annotation_index=len(there), annotation=annotation)
        there.append(annotation)

    def _close(
        self, slot: Slot, item: dict[str, Any] | None = None, status: str = "completed"
    ) -> None:
        if slot.part_type is not None:
            self.close_part(slot)
        final = slot.so_far()
        if slot.kind == "function_call":
            final["arguments"] = slot.text
            self.emit(
                e.ArgumentsDone,
                item_id=slot.id,
                output_index=slot.index,
                arguments=final["arguments"],
            )
        if item is not None:
            kept = _OURS.get(slot.kind, _IDENTITY)
            final |= {key: value for key, value in item.items() if key not in kept}
        final["status"] = status
        if slot.kind == "function_call" and self._choice is not None:
            self._choice.check(final["name"])
            self._choice.count(final["name"])
        self.open.remove(slot)
        if self._by_text is slot:
            self._by_text = None
        self._reducer.end(slot.index, final)
        self.emit(e.OutputItemDone, output_index=slot.index, item=final)

    def begin_part(self, slot: Slot, part: Part, within: str, place: int | None) -> None:
        """Emit that a part begins; `place` is the handler's own index of it."""
        if slot.part_type is not None:
            self.close_part(slot)
        kind = part["type"]
        empty = part
        if kind == "output_text":
            empty = {"type": kind, "text": "", "annotations": [], "logprobs": []}
            if slot.kind == "message":
                self._message = slot
        elif kind in STREAMED:
            empty = with_text({"type": kind}, "")
        slot.begin_part(empty, within)
        slot.place = place
        added = e.SummaryPartAdded if within == "summary" else e.ContentPartAdded
        self.emit(added, **slot.at, part=empty)

    def need_part(self, slot: Slot, kind: str, place: int | None) -> None:
        """Have a part of a type open, the one that the handler means."""
        if slot.part_type == kind and (place is None or slot.place is None or slot.place == place):
            slot.place = place if slot.place is None else slot.place
            return
        within = "summary" if kind == "summary_text" else "content"
        self.begin_part(slot, {"type": kind}, within, place)

    def close_part(self, slot: Slot) -> None:
        """Emit that the open part is finished, where there is one."""
        if slot.part_type is None:
            return
        part = slot.part or {}
        if slot.part_type in STREAMED:
            part = slot.part_so_far()
            name = text_name(slot.part_type)
            self.emit(_TEXTS[slot.part_type][1], **slot.at, **{name: part[name]})
        slot.end_part(part)
        done = e.SummaryPartDone if slot.within == "summary" else e.ContentPartDone
        self.emit(done, **slot.at, part=part)
        if self._message is slot:
            self._message = None

    def emitted(self, slot: Slot) -> dict[str, Any]:
        """Give an item as it went out so far."""
        return self._reducer.item(slot.index)

    def last(self, kind: str) -> Slot | None:
        """Give the open item of a type that was begun last."""
        return next((each for each in reversed(self.open) if each.kind == kind), None)

    def _same_text(self, item: dict[str, Any]) -> Slot | None:
        """Find the message whose deltas a whole message repeats, under an id of its own."""
        slot = self.last("message") if item["type"] == "message" else None
        if slot is None or not slot.implicit or item.get("role") != "assistant":
            return None
        said = "".join(part.get("text", "") for part in slot.so_far()["content"])
        told = "".join(part.get("text") or "" for part in item["content"])
        return slot if said and said == told else None
