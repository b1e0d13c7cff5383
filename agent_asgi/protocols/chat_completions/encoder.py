"""Encoding responses as chat completions, and events as chunks. Pure."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from msgspec import UNSET

from ...errors import AgentError, AgentFailed
from ...events.coerce import STREAMED, text_name
from ...http.sse import DONE
from ...schema import codec
from ...schema import events as e
from ...schema.chat_messages import PARAGRAPH, approval_text
from ...schema.items import ApprovalRequest
from ...schema.responses import Response, Usage
from ..base import Encoder
from .request_schema import CalledFunction, ToolCall
from .response_schema import (
    ChatChoice,
    ChatChunk,
    ChatCompletion,
    ChatDelta,
    ChatMessage,
    ChatUsage,
    ChunkChoice,
    DeltaCall,
    DeltaFunction,
    FinishReason,
)

Item = dict[str, Any]


def completion(response: Response) -> ChatCompletion:
    """Return the chat completion of a response that has ended.

    Raises:
        AgentFailed: The response has an error.
    """
    if response.error is not None:
        raise AgentFailed(response.error.message, response.error.code)
    output, calls = response.output, open_calls(response.output)
    asked = (_approval_text(response, item) for item in output)
    content = PARAGRAPH.join(filter(None, (_text(output, "output_text"), *asked)))
    refusal = _text(output, "refusal")
    reasoning = PARAGRAPH.join(_reasoning(output))
    message = ChatMessage(
        content=content or (None if calls or refusal else ""),
        refusal=refusal or None,
        reasoning_content=reasoning or UNSET,
        tool_calls=calls or UNSET,
    )
    return ChatCompletion(
        id=chat_id(response.id),
        created=response.created_at,
        model=response.model,
        choices=[ChatChoice(message=message, finish_reason=finish_reason(response, calls))],
        usage=chat_usage(response.usage) if response.usage else UNSET,
    )


def chat_id(response_id: str) -> str:
    """Return the id of a response's chat completion."""
    return "chatcmpl-" + response_id.removeprefix("resp_")


def chat_usage(usage: Usage) -> ChatUsage:
    """Return a usage with the names of Chat Completions."""
    return ChatUsage(
        prompt_tokens=usage.input_tokens,
        completion_tokens=usage.output_tokens,
        total_tokens=usage.total_tokens,
        prompt_tokens_details=usage.input_tokens_details,
        completion_tokens_details=usage.output_tokens_details,
    )


def finish_reason(response: Response, calls: Sequence[ToolCall]) -> FinishReason:
    """Return why an answer ends."""
    details = response.incomplete_details
    if details is not None:
        return "content_filter" if details.reason == "content_filter" else "length"
    return "tool_calls" if calls else "stop"


def open_calls(output: Sequence[Item]) -> list[ToolCall]:
    """Return the completed calls without an output, which are the client's."""
    calls: dict[str, Item] = {}
    for item in output:
        if item["type"] == "function_call":
            calls[item["call_id"]] = item
        elif item["type"] == "function_call_output":
            calls.pop(item["call_id"], None)
    return [
        ToolCall(id=id_, function=CalledFunction(name=call["name"], arguments=call["arguments"]))
        for id_, call in calls.items()
        if call["status"] == "completed"
    ]


class ChatEncoder(Encoder):
    """Writes a run's events as chunks.

    Texts are written at once. Calls are written at the end, when it is known that the agent does
    not execute them.

    Args:
        response: The response.
        usage: Whether the last chunk has the usage.
    """

    def __init__(self, response: Response, *, usage: bool) -> None:
        self._response = response
        self._usage = usage
        self._failure: e.ErrorInfo | None = None
        self._parts: dict[str, object] = {}

    def end(self) -> bytes:
        return DONE

    def body(self, encoded: bytes | None) -> bytes:
        return codec.encode(completion(self._response))

    def write(self, event: e.Event | e.VendorEvent, buffer: bytearray) -> None:
        """Append an event's chunks; most events have none."""
        rule = _RULES.get(type(event))
        if rule is not None:
            rule(self, event, buffer)

    def _created(self, _: e.ResponseCreated, buffer: bytearray) -> None:
        self._add(buffer, ChatDelta(role="assistant", content=""))

    def _content(self, event: e.OutputTextDelta, buffer: bytearray) -> None:
        self._add_text("content", event.output_index, event.delta, buffer)

    def _refusal(self, event: e.RefusalDelta, buffer: bytearray) -> None:
        self._add_text("refusal", event.output_index, event.delta, buffer)

    def _summary(self, event: e.SummaryTextDelta, buffer: bytearray) -> None:
        part = ("summary", event.output_index, event.summary_index)
        self._add_text("reasoning_content", part, event.delta, buffer)

    def _reasoning(self, event: e.ReasoningDelta, buffer: bytearray) -> None:
        part = ("content", event.output_index, event.content_index)
        self._add_text("reasoning_content", part, event.delta, buffer)

    def _add_text(self, name: str, part: object, text: str, buffer: bytearray) -> None:
        """Add to one of the message's texts; each part begins a new paragraph."""
        if not text:
            return
        if self._parts.setdefault(name, part) != part:
            self._parts[name] = part
            text = PARAGRAPH + text
        delta = ChatDelta()
        setattr(delta, name, text)
        self._add(buffer, delta)

    def _item(self, event: e.OutputItemDone, buffer: bytearray) -> None:
        text = _approval_text(self._response, event.item)
        self._add_text("content", event.output_index, text, buffer)

    def _error(self, event: e.ErrorEvent, buffer: bytearray) -> None:
        self._failure = event.error

    def _failed(self, _: e.ResponseFailed, buffer: bytearray) -> None:
        self._add_usage(buffer)  # before the error, at which clients stop reading
        _write({"error": self._failure}, buffer)

    def _end(self, _: e.ResponseEvent, buffer: bytearray) -> None:
        response = self._response
        if response.status == "cancelled":  # which has no `finish_reason`
            error = AgentError("The run was cancelled.", 503, "cancelled")
            self._add_usage(buffer)
            _write({"error": error.payload()}, buffer)
            return
        calls = open_calls(response.output)
        for index, call in enumerate(calls):
            for delta in _call_deltas(index, call):
                self._add(buffer, ChatDelta(tool_calls=[delta]))
        self._add(buffer, ChatDelta(), finish_reason(response, calls))
        self._add_usage(buffer)

    def _add_usage(self, buffer: bytearray) -> None:
        if self._usage and self._response.usage:
            last = self._chunk()
            last.usage = chat_usage(self._response.usage)
            _write(last, buffer)

    def _add(
        self, buffer: bytearray, delta: ChatDelta, finish_reason: FinishReason | None = None
    ) -> None:
        _write(self._chunk(ChunkChoice(delta=delta, finish_reason=finish_reason)), buffer)

    def _chunk(self, *choices: ChunkChoice) -> ChatChunk:
        response = self._response
        return ChatChunk(
            id=chat_id(response.id),
            created=response.created_at,
            model=response.model,
            choices=list(choices),
            usage=None if self._usage else UNSET,
        )


def _write(value: object, buffer: bytearray) -> None:
    buffer += b"data: " + codec.encode(value) + b"\n\n"


def _call_deltas(index: int, call: ToolCall) -> Iterator[DeltaCall]:
    """Yield the parts of a call in the order that clients expect: the name, then the arguments."""
    name = DeltaFunction(name=call.function.name, arguments="")
    yield DeltaCall(index=index, id=call.id, type="function", function=name)
    yield DeltaCall(index=index, function=DeltaFunction(arguments=call.function.arguments))


def _approval_text(response: Response, item: Item) -> str:
    """Return how to answer an approval request, which Chat Completions does not have."""
    if item["type"] != "mcp_approval_request":
        return ""
    request = ApprovalRequest(item["name"], item["arguments"], id=item["id"])
    return approval_text(request, response.id if response.store else None)


def _text(output: Sequence[Item], kind: str) -> str:
    """Return the text of the messages' parts of a type, one paragraph per message."""
    name = text_name(kind)
    contents = (item["content"] for item in output if item["type"] == "message")
    texts = ("".join(part[name] for part in parts if part["type"] == kind) for parts in contents)
    return PARAGRAPH.join(filter(None, texts))


def _reasoning(output: Sequence[Item]) -> Iterator[str]:
    for item in output:
        if item["type"] == "reasoning":
            parts = [*item["summary"], *(item.get("content") or ())]
            texts = (part["text"] for part in parts if part["type"] in STREAMED)
            yield from filter(None, texts)


_RULES: dict[type[Any], Callable[[ChatEncoder, Any, bytearray], None]] = {
    e.ResponseCreated: ChatEncoder._created,
    e.OutputTextDelta: ChatEncoder._content,
    e.RefusalDelta: ChatEncoder._refusal,
    e.SummaryTextDelta: ChatEncoder._summary,
    e.ReasoningDelta: ChatEncoder._reasoning,
    e.OutputItemDone: ChatEncoder._item,
    e.ErrorEvent: ChatEncoder._error,
    e.ResponseFailed: ChatEncoder._failed,
    e.ResponseCompleted: ChatEncoder._end,
    e.ResponseIncomplete: ChatEncoder._end,
}
