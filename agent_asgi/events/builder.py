"""`Builder`: opens, fills and closes the items of one stream, and emits their events in order."""

from collections.abc import Sequence
from typing import Any

import msgspec

from ..schema import codec
from ..schema import events as e
from ..schema.events import Item, Part
from ..schema.ids import item_id, random_text, real_id, unique_id
from ..schema.outputs import Citation
from ..schema.own_calls import View
from .accumulator import OutputItem
from .coerce import BUILT, CALLS, PLACES, STREAMED, text_name
from .forms import added_form, done_form
from .item_stream import ItemStream
from .misuse import warn_of_text_after_approval
from .own_calls import PAIR, PAIRS, OwnCall, OwnCalls, OwnTools
from .shown import Shown, Writer
from .tool_choice import ToolChoice

_TEXT_EVENTS: dict[str, tuple[type[e.Event], type[e.Event]]] = {
    "output_text": (e.OutputTextDelta, e.OutputTextDone),
    "refusal": (e.RefusalDelta, e.RefusalDone),
    "reasoning_text": (e.ReasoningDelta, e.ReasoningDone),
    "summary_text": (e.SummaryTextDelta, e.SummaryTextDone),
}
_CALL_EVENTS: dict[str, tuple[type[e.Event], type[e.Event]]] = {
    "function_call": (e.ArgumentsDelta, e.ArgumentsDone),
    "custom_tool_call": (e.CustomInputDelta, e.CustomInputDone),
}
_TEXT_PART: Part = {"type": "output_text", "text": "", "annotations": [], "logprobs": []}
"""The open part of a message that plain text opened; never modified."""
_encode_text = msgspec.json.Encoder().encode


class Builder(ItemStream):
    """Builds the items of one stream and writes their events to `buffer`.

    Args:
        writer: Writes the events. Default None: only the items are wanted.
        choice: Which tools may be called. Default None: any.
        tools: Which calls are the agent's own. Default: none.
        offered: The tools that the client offers. Default none.
        view: How the writer's protocol shows own calls. Default None: as they are kept.

    Attributes:
        waiting: The own calls whose output is missing.
    """

    def __init__(
        self,
        writer: Writer | None = None,
        choice: ToolChoice | None = None,
        tools: OwnTools = PAIRS,
        offered: Sequence[Any] = (),
        view: View | None = None,
    ) -> None:
        super().__init__(writer)
        self.waiting: list[OwnCall] = []
        self._choice = choice
        self._tools = tools
        self._offered = offered
        self._view = view
        self._own: OwnCalls | None = None
        self._by_text: OutputItem | None = None  # the message that plain text opened
        self._message: OutputItem | None = None  # the message whose `output_text` part is open

    @property
    def own_calls(self) -> OwnCalls:
        """The calls of the agent's own tools."""
        if self._own is None:
            self._own = OwnCalls(self, self._tools, self._offered)
        return self._own

    @property
    def has_own_calls(self) -> bool:
        """Whether the output has calls of the agent's own tools."""
        return bool(self._own)

    def text(self, delta: str) -> None:
        """Add text to the open assistant message; open one if there is none."""
        if not delta:
            return
        item = self._message or self._text_item()
        item.chunks += delta.encode("utf-8", "surrogatepass")
        if item.frame is not None:  # the most frequent event
            try:
                text = _encode_text(delta)
            except UnicodeEncodeError:
                text = codec.encode(delta)
            self.buffer += item.frame % (self.sequence, text)
            self.sequence += 1
        else:
            self.emit(e.OutputTextDelta, item.id, item.index, item.part_index, delta)

    def _text_item(self) -> OutputItem:
        """Return the message that plain text is added to; open it if there is none."""
        item = self._open_message() if self.open else None
        if item is not None:
            self.need_part(item, "output_text", None)
            return item
        if self.open:
            self._close_implied()
        if self.items and self.items[-1].kind == "mcp_approval_request":
            warn_of_text_after_approval(self._tools.label)
        id_ = "msg_" + random_text()
        fields = {
            "type": "message",
            "role": "assistant",
            "id": id_,
            "status": "in_progress",
            "content": [],
        }
        item = OutputItem(len(self.items), fields)
        item.implicit = True
        item.part, item.part_type = _TEXT_PART, "output_text"
        self._by_text = self._message = self.add(item)
        if self.writer is not None:
            item.frame = self.writer.text_frame(item)
            self.emit(e.OutputItemAdded, item.index, fields)
            self.emit(e.ContentPartAdded, id_, item.index, 0, _TEXT_PART)
        return item

    def _close_text(self, item: OutputItem, status: str) -> None:
        """Close a message that plain text opened; like `close`, in one step."""
        text = item.text
        part = {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
        item.part = item.part_type = self._message = self._by_text = None
        item.done = done = {**item.fields, "content": [part], "status": status}
        self.open.remove(item)
        if self.writer is not None:
            self.emit(e.OutputTextDone, item.id, item.index, 0, text)
            self.emit(e.ContentPartDone, item.id, item.index, 0, part)
            self.emit(e.OutputItemDone, item.index, done)

    def whole(self, fields: Item) -> OutputItem:
        """Emit a whole item: added, its contents, done."""
        item = self._repeated_text(fields) or self.begin(fields)
        self.finish(item, fields)
        return item

    def begin(self, fields: Item) -> OutputItem:
        """Emit that an item begins, with its fields but without its contents.

        An own call has one output: of a second one nothing is emitted.
        """
        if self.open:
            self._close_implied()
        kind = fields["type"]
        if kind in PAIR:
            begun = self.own_calls.begin(fields)
            if begun is not None:
                return begun
        if kind == "function_call" and self._choice is not None:
            self._choice.check(fields["name"])
        source = real_id(fields["id"]) if "id" in fields else None
        id_ = None if source is None or self.has(source) else unique_id(kind, source)
        added = added_form(self._approval(fields), id_ or item_id(kind))
        if isinstance(added.get("call_id"), str):
            unique = self.new_call_id if kind in CALLS else self.call_id
            added["call_id"] = unique(added["call_id"])
        item = self.add(OutputItem(len(self.items), added, source))
        if kind in PAIR:
            self.own_calls.note(item, fields)
        self.emit(e.OutputItemAdded, item.index, added)
        return item

    def show_calls(self) -> None:
        """Write the events from here on as the protocol shows own calls."""
        if self.writer is None or self._view is None:
            return
        if not isinstance(self.writer, Shown):
            self.writer = Shown(self.writer, self._view)
        if self._message is not None:
            self._message.frame = self.writer.text_frame(self._message)

    def _close_implied(self) -> None:
        """Close the items that only a next item ends: plain text's message, incomplete items."""
        for item in list(self.open):
            if item is self._by_text or item.incomplete:
                self.close(item)

    def finish(self, item: OutputItem, fields: Item) -> None:
        """Emit what an open item lacks of its finished form, and close it.

        An own call stays open until its `function_call_output` finishes it.
        """
        if item.done is not None:  # a second output
            return
        if isinstance(item, OwnCall) and fields["type"] == "function_call_output":
            self.own_calls.answer(item, fields)
            return
        self.fill(item, fields)
        fields = self._approval(fields)
        if fields.get("status") == "incomplete" and item.kind in BUILT:
            self.close_part(item)
            item.incomplete = True
        elif isinstance(item, OwnCall):
            self.own_calls.end_arguments(item, fields)
        else:
            self.close(item, fields)

    def _approval(self, fields: Item) -> Item:
        """Return an item, an approval's with what depends on this stream."""
        kind = fields["type"]
        if kind == "mcp_approval_request" and fields.get("server_label") is None:
            return fields | {"server_label": self._tools.label}
        if kind == "mcp_approval_response":
            asked = fields.get("approval_request_id")
            for item in reversed(self.items):
                if item.kind == "mcp_approval_request" and item.source == asked:
                    return fields | {"approval_request_id": item.id}
        return fields

    def fill(self, item: OutputItem, fields: Item) -> None:
        """Emit what an open item lacks of its finished form."""
        if item.kind in CALLS:
            self.rest(item, fields[CALLS[item.kind]])
        for within in PLACES.get(item.kind, ()):
            self._fill_list(item, within, fields.get(within, []))
        self.amend(item, fields)

    def amend(self, item: OutputItem, fields: Item) -> None:
        """Emit the citations that a message's finished parts lack: they may come late."""
        if item.kind != "message":
            return
        pairs = zip(item.finished(), fields.get("content", ()), strict=False)
        for index, (part, later) in enumerate(pairs):
            if part["type"] == later["type"] == "output_text":
                for annotation in later.get("annotations", ())[len(part["annotations"]) :]:
                    self.annotate(item, annotation, index)

    def _fill_list(self, item: OutputItem, within: str, parts: list[Part]) -> None:
        for index, part in enumerate(parts):
            begun = item.count_parts(within)
            is_open = item.part is not None and item.within == within
            if index < begun - 1 or (index < begun and not is_open):
                continue
            if index >= begun:
                self.begin_part(item, part, within, None)
            self.fill_part(item, part)
            self.close_part(item)

    def fill_part(self, item: OutputItem, part: Part) -> None:
        """Emit what the open part lacks of its finished form."""
        if item.part_type != part["type"] or item.part_type not in STREAMED or item.part is None:
            return
        self.rest(item, part.get(text_name(item.part_type)) or "")
        if item.part_type != "output_text":
            return
        for annotation in (part.get("annotations") or ())[len(item.annotations) :]:
            self.annotate(item, annotation, item.part_index)
        if part.get("logprobs"):
            item.part = item.part | {"logprobs": part["logprobs"]}

    def rest(self, item: OutputItem, whole: str) -> None:
        """Emit what a whole text has beyond its deltas; if they differ, the deltas stay."""
        streamed = item.text
        if len(whole) > len(streamed) and whole.startswith(streamed):
            self.delta(item, whole[len(streamed) :])

    def delta(self, item: OutputItem, delta: str, *fields: Any) -> None:
        """Emit more text of the open part, or more of a call's input."""
        if item.kind in CALLS:
            item.add_text(delta)
            own = isinstance(item, OwnCall)
            event = e.McpArgumentsDelta if own else _CALL_EVENTS[item.kind][0]
            self.emit(event, item.id, item.index, delta)
        elif item.part_type is not None:
            item.add_text(delta)
            event = _TEXT_EVENTS[item.part_type][0]
            self.emit(event, item.id, item.index, item.part_index, delta, *fields)

    def cite(self, citation: Citation) -> None:
        """Add a citation to the open assistant message; open one if there is none."""
        item = self._message or self._text_item()
        self.annotate(item, citation.annotation(len(item.text)), item.part_index)

    def annotate(self, item: OutputItem, annotation: dict[str, Any], part_index: int) -> None:
        """Emit an annotation of a part of the content, open or finished."""
        index = item.annotate(part_index, annotation)
        self.emit(e.AnnotationAdded, item.id, item.index, part_index, index, annotation)

    def close(
        self, item: OutputItem, fields: Item | None = None, status: str = "completed"
    ) -> None:
        """Emit that an item is done.

        Args:
            item: The item.
            fields: Its finished form, as the handler reported it. Default None: what was streamed.
            status: Its status. Default `completed`.
        """
        if item.part is _TEXT_PART and fields is None and not (item.parts or item.annotations):
            self._close_text(item, status)
            return
        if isinstance(item, OwnCall):
            self.own_calls.close(item, status)
            return
        if item.part is not None:
            self.close_part(item)
        final = item.current()
        if item.kind in CALLS:
            final[CALLS[item.kind]] = item.text
            self.emit(_CALL_EVENTS[item.kind][1], item.id, item.index, item.text)
        final = done_form(final, fields, status)
        if item.kind == "function_call" and self._choice is not None:
            self._choice.check(final["name"])
            self._choice.count(final["name"])
        self.open.remove(item)
        if self._by_text is item:
            self._by_text = None
        item.done = final
        self.emit(e.OutputItemDone, item.index, final)

    def close_all(self, *, incomplete: bool) -> bool:
        """Close the open items as completed; the last item, if it was cut off, as incomplete.

        Args:
            incomplete: Whether the output was cut off.

        Returns:
            Whether the last item was closed as incomplete.
        """
        cut = False
        for item in list(self.open):
            is_cut = item is self.items[-1] and (incomplete or item.incomplete)
            cut = cut or is_cut
            self.close(item, status="incomplete" if is_cut else "completed")
        for call in list(self.waiting):
            self.own_calls.close(call, "completed")
        return cut

    def begin_part(
        self, item: OutputItem, part: Part, within: str, source_index: int | None
    ) -> None:
        """Emit that a part begins, without its text.

        Args:
            item: The item.
            part: The part.
            within: The list that it belongs to: `content` or `summary`.
            source_index: The handler's own index of the part; None if unknown.
        """
        if item.part is not None:
            self.close_part(item)
        kind = part["type"]
        empty = part
        if kind == "output_text":
            empty = {"type": kind, "text": "", "annotations": [], "logprobs": []}
            if item.kind == "message":
                self._message = item
        elif kind in STREAMED:
            empty = {"type": kind, text_name(kind): ""}
        item.begin_part(empty, within)
        item.source_index = source_index
        if self._message is item and self.writer is not None:
            item.frame = self.writer.text_frame(item)
        added = e.SummaryPartAdded if within == "summary" else e.ContentPartAdded
        self.emit(added, item.id, item.index, item.part_index, empty)

    def need_part(self, item: OutputItem, kind: str, source_index: int | None) -> None:
        """Open a part of a type, unless that part is open."""
        if item.part_type == kind and (
            source_index is None or item.source_index in (None, source_index)
        ):
            item.source_index = source_index if item.source_index is None else item.source_index
            return
        within = "summary" if kind == "summary_text" else "content"
        self.begin_part(item, {"type": kind}, within, source_index)

    def close_part(self, item: OutputItem) -> None:
        """Emit that the open part is done, if there is one."""
        if item.part is None or item.part_type is None:
            return
        part = item.part
        if item.part_type in STREAMED:
            part = item.current_part()
            text = part[text_name(item.part_type)]
            self.emit(_TEXT_EVENTS[item.part_type][1], item.id, item.index, item.part_index, text)
        item.end_part(part)
        done = e.SummaryPartDone if item.within == "summary" else e.ContentPartDone
        self.emit(done, item.id, item.index, item.part_index, part)
        if self._message is item:
            self._message = None

    def _open_message(self) -> OutputItem | None:
        """Return the open message that began last."""
        return next((item for item in reversed(self.open) if item.kind == "message"), None)

    def _repeated_text(self, fields: Item) -> OutputItem | None:
        """Return the open message whose deltas a whole message repeats, under another id."""
        item = self._open_message() if fields["type"] == "message" else None
        if item is None or not item.implicit or fields.get("role") != "assistant":
            return None
        streamed = "".join(part.get("text", "") for part in item.current()["content"])
        whole = "".join(part.get("text") or "" for part in fields["content"])
        return item if streamed and streamed == whole else None
