"""`UIEncoder`: encodes events as chunks of a UI message stream."""

from collections.abc import Callable, Container
from typing import Any

from ...events.accumulator import OutputItem
from ...http.sse import DONE
from ...schema import codec
from ...schema import events as e
from ...schema.responses import Response, Usage
from ..base import Encoder
from .calls import CALLS, OUTPUTS, Calls
from .chunks import Json, write, write_chunk
from .continued import approvals_in, write_parts
from .hosted import HOSTED, begin_hosted, end_hosted
from .items import VENDOR
from .request import Continued
from .sources import data_chunk, file_url, source_chunk

_TEXTS = ("output_text", "refusal")


class UIEncoder(Encoder):
    """Writes a run's events as the chunks of one message.

    Args:
        response: The response.
        offered: The names of the tools that the client offers.
        continues: The message that the run continues. Default None: it answers with a new one.
    """

    __slots__ = ("_calls", "_continues", "_denied", "_open", "_response", "_thoughts")

    def __init__(
        self, response: Response, offered: Container[str], continues: Continued | None
    ) -> None:
        approved, self._denied = approvals_in(continues)
        self._calls = Calls(offered, approved)
        self._continues = continues
        self._response = response
        self._open: dict[str, None] = {}  # the ids of the texts that are open
        self._thoughts: dict[str, None] = {}  # of the reasoning

    def write(self, event: e.AnyEvent, buffer: bytearray) -> None:
        rule = _RULES.get(type(event))
        if rule is not None:
            rule(self, event, buffer)

    def text_frame(self, item: OutputItem) -> bytes | None:
        id_ = codec.encode(f"{item.id}_{item.part_index}").replace(b"%", b"%%")
        return b'data: {"type":"text-delta","id":' + id_ + b',"delta":%.0a%b}\n\n'

    def end(self) -> bytes:
        return DONE

    def _created(self, _: e.ResponseCreated, buffer: bytearray) -> None:
        id_, continues = self._response.id, self._continues
        message_id = id_ if continues is None else continues.message.id or id_
        write(buffer, "start", messageId=message_id, messageMetadata={"responseId": id_})
        if continues is not None:
            write_parts(continues.parts, buffer)
        write(buffer, "start-step")
        for part in self._denied:
            write(buffer, "tool-output-denied", toolCallId=part.tool_call_id)

    def _next_step(self, buffer: bytearray) -> None:
        """Begin a step if the outputs of the last one are complete."""
        if self._calls.answered and not self._calls.waiting:
            self._calls.answered = False
            write(buffer, "finish-step")
            write(buffer, "start-step")

    def _part_added(self, event: e.ContentPartAdded, buffer: bytearray) -> None:
        kind = event.part["type"]
        if kind in _TEXTS:
            self._next_step(buffer)
            id_ = f"{event.item_id}_{event.content_index}"
            self._open[id_] = None
            write(buffer, "text-start", id=id_)
        elif kind == "reasoning_text":
            self._begin_thought(f"{event.item_id}_content_{event.content_index}", buffer)

    def _text(self, event: e.OutputTextDelta | e.RefusalDelta, buffer: bytearray) -> None:
        write(buffer, "text-delta", id=f"{event.item_id}_{event.content_index}", delta=event.delta)

    def _part_done(self, event: e.ContentPartDone, buffer: bytearray) -> None:
        id_ = f"{event.item_id}_{event.content_index}"
        if id_ in self._open:
            del self._open[id_]
            write(buffer, "text-end", id=id_)
        else:
            self._file(file_url(event.part), buffer)

    def _citation(self, event: e.AnnotationAdded, buffer: bytearray) -> None:
        place = f"{event.item_id}_{event.content_index}_{event.annotation_index}"
        chunk = source_chunk(event.annotation, place)
        if chunk is not None:
            write_chunk(buffer, chunk)

    def _file(self, file: tuple[str, str] | None, buffer: bytearray) -> None:
        if file is not None:
            self._next_step(buffer)
            write(buffer, "file", url=file[0], mediaType=file[1])

    def _summary_added(self, event: e.SummaryPartAdded, buffer: bytearray) -> None:
        self._begin_thought(f"{event.item_id}_{event.summary_index}", buffer)

    def _summary(self, event: e.SummaryTextDelta, buffer: bytearray) -> None:
        id_ = f"{event.item_id}_{event.summary_index}"
        write(buffer, "reasoning-delta", id=id_, delta=event.delta)

    def _reasoning(self, event: e.ReasoningDelta, buffer: bytearray) -> None:
        id_ = f"{event.item_id}_content_{event.content_index}"
        write(buffer, "reasoning-delta", id=id_, delta=event.delta)

    def _begin_thought(self, id: str, buffer: bytearray) -> None:
        self._next_step(buffer)
        self._thoughts[id] = None
        write(buffer, "reasoning-start", id=id)

    def _end_thoughts(self, item: Json, buffer: bytearray) -> None:
        """Write that reasoning is done, with what only its provider can read."""
        encrypted = item.get("encrypted_content")
        more: Json = {}
        if encrypted is not None:
            more["providerMetadata"] = {VENDOR: {"encryptedContent": encrypted}}
            if not self._thoughts:
                self._begin_thought(item["id"], buffer)
        for id_ in self._thoughts:
            write(buffer, "reasoning-end", id=id_, **more)
        self._thoughts.clear()

    def _item_added(self, event: e.OutputItemAdded, buffer: bytearray) -> None:
        if event.item["type"] in CALLS:
            self._next_step(buffer)
            self._calls.begin(event.item, buffer)
        elif event.item["type"] in HOSTED:
            self._next_step(buffer)
            begin_hosted(event.item, buffer)

    def _input(
        self, event: e.ArgumentsDelta | e.CustomInputDelta | e.McpArgumentsDelta, buffer: bytearray
    ) -> None:
        self._calls.add_input(event.item_id, event.delta, buffer)

    def _input_done(self, event: e.McpArgumentsDone, buffer: bytearray) -> None:
        self._calls.end_input(event.item_id, event.arguments, buffer)

    def _item_done(self, event: e.OutputItemDone, buffer: bytearray) -> None:
        item = event.item
        kind = item["type"]
        if kind in CALLS:
            self._calls.end(item, buffer)
        elif kind in OUTPUTS:
            self._calls.answer(item, buffer)
        elif kind in HOSTED:
            end_hosted(item, buffer)
        elif kind == "reasoning":
            self._end_thoughts(item, buffer)
        elif kind == "mcp_approval_request":
            self._next_step(buffer)
            self._calls.ask_approval(item, buffer)
        elif kind == "image_generation_call":
            self._file(file_url(item), buffer)
        elif ":" in kind:
            write_chunk(buffer, data_chunk(item))

    def _vendor(self, event: e.VendorEvent, buffer: bytearray) -> None:
        if ":" in event.type:
            write_chunk(buffer, data_chunk(event.fields))

    def _error(self, event: e.ErrorEvent, buffer: bytearray) -> None:
        write(buffer, "error", errorText=event.message)

    def _ended(self, event: e.ResponseEvent, buffer: bytearray) -> None:
        response = self._response
        for id_ in self._open:
            write(buffer, "text-end", id=id_)
        self._end_thoughts({}, buffer)
        if response.status == "cancelled":
            write(buffer, "abort")
            return
        self._calls.close(buffer)
        write(buffer, "finish-step")
        metadata: Json = {"responseId": response.id}
        if response.usage:
            metadata["usage"] = _usage(response.usage)
        if isinstance(event.trace_id, str):
            metadata["traceId"] = event.trace_id
        write(buffer, "finish", finishReason=self._reason(), messageMetadata=metadata)

    def _reason(self) -> str:
        details = self._response.incomplete_details
        if details is not None:
            return "content-filter" if details.reason == "content_filter" else "length"
        return "tool-calls" if self._calls.asks else "stop"


def _usage(usage: Usage) -> Json:
    """Return a usage with the names of the AI SDK."""
    return {
        "inputTokens": usage.input_tokens,
        "outputTokens": usage.output_tokens,
        "totalTokens": usage.total_tokens,
        "cachedInputTokens": usage.input_tokens_details.get("cached_tokens", 0),
        "reasoningTokens": usage.output_tokens_details.get("reasoning_tokens", 0),
    }


_RULES: dict[type[Any], Callable[[UIEncoder, Any, bytearray], None]] = {
    e.ResponseCreated: UIEncoder._created,
    e.ContentPartAdded: UIEncoder._part_added,
    e.OutputTextDelta: UIEncoder._text,
    e.RefusalDelta: UIEncoder._text,
    e.ContentPartDone: UIEncoder._part_done,
    e.AnnotationAdded: UIEncoder._citation,
    e.SummaryPartAdded: UIEncoder._summary_added,
    e.SummaryTextDelta: UIEncoder._summary,
    e.ReasoningDelta: UIEncoder._reasoning,
    e.OutputItemAdded: UIEncoder._item_added,
    e.ArgumentsDelta: UIEncoder._input,
    e.CustomInputDelta: UIEncoder._input,
    e.McpArgumentsDelta: UIEncoder._input,
    e.McpArgumentsDone: UIEncoder._input_done,
    e.OutputItemDone: UIEncoder._item_done,
    e.VendorEvent: UIEncoder._vendor,
    e.ErrorEvent: UIEncoder._error,
    e.ResponseCompleted: UIEncoder._ended,
    e.ResponseIncomplete: UIEncoder._ended,
}
