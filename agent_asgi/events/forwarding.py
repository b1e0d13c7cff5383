"""`Upstream`: maps the events and responses that a handler forwards to the items of its stream."""

from collections.abc import Callable
from typing import Any

from ..schema.ids import new_id, real_id
from ..schema.plain import builtins
from .accumulator import OutputItem
from .builder import Builder
from .coerce import CALLS, Get, as_dict, as_item, as_part, text_name


class Upstream:
    """Processes what a handler forwards, turn by turn. Its ids and indexes need not be consistent.

    Args:
        builder: Builds the items of this stream.
    """

    def __init__(self, builder: Builder) -> None:
        self._builder = builder
        self._turn: dict[Any, OutputItem] = {}  # by the handler's own output index
        self._turn_start = 0  # how many items there were when the turn began

    def event(self, kind: str, get: Get, event: Any) -> None:
        """Process an event; one of a type that is not built here is passed through.

        Raises:
            TypeError: The event is invalid.
        """
        rule = _RULES.get(kind)
        if rule is not None:
            rule(self, get)
        else:
            self._builder.vendor(self._pointed(as_dict(event)))

    def _pointed(self, event: dict[str, Any]) -> dict[str, Any]:
        """Return an event that points at the item of this stream, if it points at one."""
        item = self._named(event.get)
        if item is None:
            return event
        places = {"item_id": item.id, "output_index": item.index}
        return event | {name: place for name, place in places.items() if name in event}

    def _named(self, get: Get) -> OutputItem | None:
        """Return the item of an event, open or done, by id, else by index."""
        source = real_id(get("item_id"))
        for item in reversed(self._builder.items[self._turn_start :]):
            if source is not None and source == item.source:
                return item
        return self._turn.get(get("output_index"))

    def new_turn(self) -> None:
        """Begin a turn: the handler's indexes restart at 0."""
        self._turn = {}
        self._turn_start = len(self._builder.items)

    def end_turn(self, output: list[dict[str, Any]]) -> None:
        """End a turn with the output of its response; emit the items that are still missing."""
        emitted = self._builder.items[self._turn_start :]
        for index, fields in enumerate(output):
            item = next((item for item in emitted if self._is_same(item, index, fields)), None)
            if item is None:
                self._builder.whole(fields)
                continue
            emitted.remove(item)
            if item in self._builder.open:
                self._builder.finish(item, fields)
            else:
                self._builder.amend(item, fields)
        self.new_turn()

    def _is_same(self, item: OutputItem, index: int, fields: dict[str, Any]) -> bool:
        source = real_id(fields.get("id"))
        if item.kind != fields["type"]:
            return False
        if self._turn.get(index) is item or (source is not None and source == item.source):
            return True
        return bool(_essence(item.kind, item.current()) == _essence(item.kind, fields))

    def _find(self, get: Get, kind: str | None = None) -> OutputItem | None:
        """Return the open item of an event, by id, else by index, else the last of the type."""
        source = real_id(get("item_id"))
        candidates = [item for item in self._builder.open if kind is None or item.kind == kind]
        for item in reversed(candidates):
            if source is not None and source == item.source:
                return item
        indexed = self._turn.get(get("output_index"))
        if indexed in candidates and (source is None or indexed.source is None):
            return indexed
        if source is None and get("output_index") is None and candidates:
            return candidates[-1]
        return None

    def _for_delta(self, get: Get, kind: str) -> OutputItem:
        """Return the open item of a delta; open it if there is none."""
        item = self._find(get, kind)
        if item is None:
            fields: dict[str, Any] = {"type": kind, "id": get("item_id")}
            if kind == "message":
                fields["role"] = "assistant"
            if kind in CALLS:
                fields |= {"name": get("name") or "", "call_id": get("call_id") or new_id("call")}
            item = self._turn[get("output_index")] = self._builder.begin(fields)
            item.implicit = True
        return item

    def _on_added(self, get: Get) -> None:
        fields = as_item(get("item"))
        index = get("output_index")
        indexed = self._turn.get(index)
        if (
            index is None
            or indexed is None
            or indexed.done is not None
            or indexed.source != real_id(fields.get("id"))
        ):
            self._turn[index] = self._builder.begin(fields)

    def _on_done(self, get: Get) -> None:
        fields = as_item(get("item"))
        index = get("output_index")
        item = self._find({"item_id": fields.get("id"), "output_index": index}.get, fields["type"])
        indexed = None if index is None else self._turn.get(index)
        if item is not None:
            self._builder.finish(item, fields)
        elif (
            indexed is None
            or indexed in self._builder.open
            or indexed.source != real_id(fields.get("id"))
        ):
            self._turn[index] = self._builder.whole(fields)
        else:
            self._builder.amend(indexed, fields)

    def _on_part_added(self, get: Get) -> None:
        part = as_part(get("part"), "output_text")
        within = "summary" if part["type"] == "summary_text" else "content"
        is_reasoning = part["type"] in ("summary_text", "reasoning_text")
        item = self._for_delta(get, "reasoning" if is_reasoning else "message")
        self._builder.begin_part(item, part, within, get(f"{within}_index"))

    def _on_part_done(self, get: Get) -> None:
        part = as_part(get("part"), "output_text")
        item = self._find(get)
        if item is not None and item.part is not None:
            self._builder.fill_part(item, part)
            self._builder.close_part(item)

    def _on_annotation(self, get: Get) -> None:
        if get("annotation") is None:
            return
        item, index = self._named(get), get("content_index")
        if item is None or not _has_ended(item, index):
            item = self._for_delta(get, "message")
            self._builder.need_part(item, "output_text", index)
            index = item.part_index
        self._builder.annotate(item, as_dict(get("annotation")), index)


def _has_ended(item: OutputItem, index: Any) -> bool:
    """Return whether an item has a finished text at an index of its content."""
    if item.kind != "message" or not isinstance(index, int):
        return False
    return any(part["type"] == "output_text" for part in item.finished()[index : index + 1])


def _call_input(kind: str) -> Callable[[Upstream, Get], None]:
    def take(upstream: Upstream, get: Get) -> None:
        item = upstream._for_delta(get, kind)
        if get("delta"):
            upstream._builder.delta(item, get("delta"))
        elif get(CALLS[kind]):
            upstream._builder.rest(item, get(CALLS[kind]))

    return take


def _text_delta(part: str, kind: str, index: str) -> Callable[[Upstream, Get], None]:
    def delta(upstream: Upstream, get: Get) -> None:
        text = get("delta")
        item = upstream._for_delta(get, kind)
        upstream._builder.need_part(item, part, get(index))
        if text:
            logprobs = (_as_list(get("logprobs")),) if part == "output_text" else ()
            upstream._builder.delta(item, text, *logprobs)

    return delta


def _text_done(part: str, kind: str, index: str) -> Callable[[Upstream, Get], None]:
    def done(upstream: Upstream, get: Get) -> None:
        item = upstream._find(get, kind)
        if item is None or item.part_type != part:
            return
        if get(index) is None or item.source_index in (None, get(index)):
            upstream._builder.rest(item, get(text_name(part)) or "")

    return done


def _as_list(value: Any) -> list[Any]:
    if not isinstance(value, list | tuple):
        return []
    items: list[Any] = builtins(list(value))
    return items


_RULES: dict[str, Callable[[Upstream, Get], None]] = {
    "response.output_item.added": Upstream._on_added,
    "response.output_item.done": Upstream._on_done,
    "response.content_part.added": Upstream._on_part_added,
    "response.content_part.done": Upstream._on_part_done,
    "response.reasoning_summary_part.added": Upstream._on_part_added,
    "response.reasoning_summary_part.done": Upstream._on_part_done,
    "response.output_text.annotation.added": Upstream._on_annotation,
}
for _event, _kind in (
    ("function_call_arguments", "function_call"),
    ("custom_tool_call_input", "custom_tool_call"),
):
    for _stage in ("delta", "done"):
        _RULES[f"response.{_event}.{_stage}"] = _call_input(_kind)
for _event, *_text in (
    ("output_text", "output_text", "message", "content_index"),
    ("refusal", "refusal", "message", "content_index"),
    ("reasoning", "reasoning_text", "reasoning", "content_index"),
    ("reasoning_text", "reasoning_text", "reasoning", "content_index"),  # OpenAI's name
    ("reasoning_summary_text", "summary_text", "reasoning", "summary_index"),
):
    _RULES[f"response.{_event}.delta"] = _text_delta(*_text)
    _RULES[f"response.{_event}.done"] = _text_done(*_text)


def _essence(kind: str, fields: dict[str, Any]) -> Any:
    """Return what an item says, without its ids and its status."""
    if kind == "message":
        return [part.get("text", part.get("refusal")) for part in fields["content"]]
    if kind in CALLS:
        return fields["name"], fields[CALLS[kind]]
    return {name: fields[name] for name in fields if name not in ("id", "call_id", "status")}
