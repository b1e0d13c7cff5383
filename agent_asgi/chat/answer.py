"""A response becomes a chat completion, a run's events its chunks. Pure."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from .. import codec
from ..errors import AgentError, AgentFailed
from ..outputs import STREAMED, text_name
from ..schema import events as e
from ..schema.chat import CalledFunction, ToolCall
from ..schema.completions import (
    ChatChoice,
    ChatChunk,
    ChatCompletion,
    ChatDelta,
    ChatMessage,
    ChatUsage,
    ChunkChoice,
    CompletionDetails,
    DeltaCall,
    DeltaFunction,
    FinishReason,
    PromptDetails,
)
from ..schema.responses import Response, Usage

Item = dict[str, Any]
PARAGRAPH = "\n\n"
"""What is between the texts of two messages, or two parts of the reasoning."""


def completion(response: Response) -> ChatCompletion:
    """Make a chat completion of a response that has ended.

    Raises:
        AgentFailed: The response says that the agent failed.
    """
    if response.error is not None:
        raise AgentFailed(response.error.message, response.error.code)
    output, calls = response.output, left_open(response.output)
    content, refusal = _said(output, "output_text"), _said(output, "refusal")
    reasoning = PARAGRAPH.join(_thoughts(output))
    message = ChatMessage(content=content or (None if calls or refusal else ""))
    message.refusal = refusal or None
    if reasoning:
        message.reasoning_content = reasoning
    if calls:
        message.tool_calls = calls
    made = ChatCompletion(
        id=chat_id(response.id),
        created=response.created_at,
        model=response.model,
        choices=[ChatChoice(message=message, finish_reason=finish_reason(response, calls))],
    )
    if response.usage is not None:
        made.usage = chat_usage(response.usage)
    return made


def chat_id(response_id: str) -> str:
    """Give the id that a response has as a chat completion."""
    return "chatcmpl-" + response_id.removeprefix("resp_")


def chat_usage(usage: Usage) -> ChatUsage:
    """Give a usage under the names of Chat Completions."""
    read, written = usage.input_tokens_details, usage.output_tokens_details
    return ChatUsage(
        prompt_tokens=usage.input_tokens,
        completion_tokens=usage.output_tokens,
        total_tokens=usage.total_tokens,
        prompt_tokens_details=PromptDetails(cached_tokens=read.cached_tokens),
        completion_tokens_details=CompletionDetails(reasoning_tokens=written.reasoning_tokens),
    )


def finish_reason(response: Response, calls: Sequence[ToolCall]) -> FinishReason:
    """Tell why an answer ends."""
    details = response.incomplete_details
    if details is not None:
        return "content_filter" if details.reason == "content_filter" else "length"
    return "tool_calls" if calls else "stop"


def left_open(output: Sequence[Item]) -> list[ToolCall]:
    """Give the whole calls that have no output: the client's. The others the agent ran itself."""
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


class Chunks:
    """Writes a run's events as chunks.

    Texts go out at once. Calls go out at the end, when it is known that the agent does not run them
    itself.

    Args:
        usage: Whether a last chunk tells the tokens used.

    Attributes:
        response: The response to be; set before the run begins.
    """

    def __init__(self, *, usage: bool) -> None:
        self.response: Response
        self._usage = usage
        self._places: dict[str, object] = {}

    def write(self, event: e.Event | e.VendorEvent, buffer: bytearray) -> None:
        """Append what an event is as chunks; most events are nothing."""
        rule = _RULES.get(type(event))
        if rule is not None:
            rule(self, event, buffer)

    def _created(self, _: e.ResponseCreated, buffer: bytearray) -> None:
        self._add(buffer, ChatDelta(role="assistant", content=""))

    def _text(self, event: e.OutputTextDelta, buffer: bytearray) -> None:
        self._say("content", event.output_index, event.delta, buffer)

    def _refusal(self, event: e.RefusalDelta, buffer: bytearray) -> None:
        self._say("refusal", event.output_index, event.delta, buffer)

    def _summary(self, event: e.SummaryTextDelta, buffer: bytearray) -> None:
        at = ("summary", event.output_index, event.summary_index)
        self._say("reasoning_content", at, event.delta, buffer)

    def _reasoning(self, event: e.ReasoningDelta, buffer: bytearray) -> None:
        at = ("content", event.output_index, event.content_index)
        self._say("reasoning_content", at, event.delta, buffer)

    def _say(self, name: str, at: object, text: str, buffer: bytearray) -> None:
        """Add to a text; what comes from another place than before is a paragraph of its own."""
        if not text:
            return
        if self._places.setdefault(name, at) != at:
            self._places[name] = at
            text = PARAGRAPH + text
        delta = ChatDelta()
        setattr(delta, name, text)
        self._add(buffer, delta)

    def _error(self, event: e.ErrorEvent, buffer: bytearray) -> None:
        _write({"error": event.error}, buffer)

    def _end(self, _: e.ResponseEvent, buffer: bytearray) -> None:
        response = self.response
        if response.status == "cancelled":  # cut off, which no `finish_reason` says
            error = AgentError("The run was cancelled.", 503, "cancelled")
            _write({"error": error.payload()}, buffer)
            return
        calls = left_open(response.output)
        for index, call in enumerate(calls):
            for delta in _call_deltas(index, call):
                self._add(buffer, ChatDelta(tool_calls=[delta]))
        self._add(buffer, ChatDelta(), finish_reason(response, calls))
        if self._usage and response.usage is not None:
            last = self._chunk()
            last.usage = chat_usage(response.usage)
            _write(last, buffer)

    def _add(
        self, buffer: bytearray, delta: ChatDelta, finish_reason: FinishReason | None = None
    ) -> None:
        _write(self._chunk(ChunkChoice(delta=delta, finish_reason=finish_reason)), buffer)

    def _chunk(self, *choices: ChunkChoice) -> ChatChunk:
        response = self.response
        return ChatChunk(
            id=chat_id(response.id),
            created=response.created_at,
            model=response.model,
            choices=list(choices),
        )


def _write(value: object, buffer: bytearray) -> None:
    buffer += b"data: " + codec.encode(value) + b"\n\n"


def _call_deltas(index: int, call: ToolCall) -> Iterator[DeltaCall]:
    """Give a call as clients put it together: its name first, then its arguments."""
    begun = DeltaFunction(name=call.function.name, arguments="")
    yield DeltaCall(index=index, id=call.id, type="function", function=begun)
    yield DeltaCall(index=index, function=DeltaFunction(arguments=call.function.arguments))


def _said(output: Sequence[Item], kind: str) -> str:
    """Give the texts of all messages from parts of a type, each message's in one piece."""
    name = text_name(kind)
    contents = (item["content"] for item in output if item["type"] == "message")
    texts = ("".join(each[name] for each in parts if each["type"] == kind) for parts in contents)
    return PARAGRAPH.join(filter(None, texts))


def _thoughts(output: Sequence[Item]) -> Iterator[str]:
    for item in output:
        if item["type"] == "reasoning":
            parts = [*item["summary"], *(item.get("content") or ())]
            texts = (part["text"] for part in parts if part["type"] in STREAMED)
            yield from filter(None, texts)


_RULES: dict[type[Any], Callable[[Chunks, Any, bytearray], None]] = {
    e.ResponseCreated: Chunks._created,
    e.OutputTextDelta: Chunks._text,
    e.RefusalDelta: Chunks._refusal,
    e.SummaryTextDelta: Chunks._summary,
    e.ReasoningDelta: Chunks._reasoning,
    e.ErrorEvent: Chunks._error,
    e.ResponseCompleted: Chunks._end,
    e.ResponseIncomplete: Chunks._end,
}
