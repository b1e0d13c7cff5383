"""The responses of `POST /chat/completions`: a completion, or the chunks of a stream."""

from typing import Any, Literal

from msgspec import UNSET, Struct, UnsetType

from .request_schema import ToolCall


class ChatUsage(Struct, kw_only=True):
    """The tokens that a run used."""

    prompt_tokens: int
    """The number of input tokens."""
    completion_tokens: int
    """The number of output tokens."""
    total_tokens: int
    """The number of all tokens."""
    prompt_tokens_details: dict[str, Any]
    """Details of the input tokens, such as `cached_tokens`."""
    completion_tokens_details: dict[str, Any]
    """Details of the output tokens, such as `reasoning_tokens`."""


FinishReason = Literal["stop", "length", "tool_calls", "content_filter"]


class ChatMessage(Struct, kw_only=True):
    """The agent's answer."""

    role: Literal["assistant"] = "assistant"
    """Always `assistant`."""
    content: str | None = None
    """The text."""
    refusal: str | None = None
    """The refusal to answer."""
    reasoning_content: str | UnsetType = UNSET
    """The reasoning, under DeepSeek's and vLLM's name."""
    tool_calls: list[ToolCall] | UnsetType = UNSET
    """The functions that the client is to call."""


class ChatChoice(Struct, kw_only=True):
    """The only choice."""

    index: int = 0
    """Always 0."""
    message: ChatMessage
    """The message."""
    logprobs: None = None
    """Always null."""
    finish_reason: FinishReason
    """Why the answer ends."""


class ChatCompletion(Struct, kw_only=True):
    """A completion."""

    id: str
    """The response's id, with the prefix `chatcmpl-` instead of `resp_`."""
    object: Literal["chat.completion"] = "chat.completion"
    """Always `chat.completion`."""
    created: int
    """When the run was created, in seconds since 1970."""
    model: str
    """The model that the request named, or the router's name."""
    choices: list[ChatChoice]
    """The only choice."""
    usage: ChatUsage | UnsetType = UNSET
    """The tokens used, if the agent reports them."""


class DeltaFunction(Struct, kw_only=True):
    """A part of a function call: first the name, then the arguments."""

    name: str | UnsetType = UNSET
    """The function's name."""
    arguments: str
    """More of the arguments, as JSON text."""


class DeltaCall(Struct, kw_only=True):
    """A part of a call."""

    index: int
    """The index of the call."""
    id: str | UnsetType = UNSET
    """Links the call to its output; in the call's first part."""
    type: Literal["function"] | UnsetType = UNSET
    """Always `function`; in the call's first part."""
    function: DeltaFunction
    """The part of the function call."""


class ChatDelta(Struct, kw_only=True):
    """An addition to the message."""

    role: Literal["assistant"] | UnsetType = UNSET
    """Always `assistant`; in the first chunk."""
    content: str | UnsetType = UNSET
    """More of the text."""
    refusal: str | UnsetType = UNSET
    """More of the refusal."""
    reasoning_content: str | UnsetType = UNSET
    """More of the reasoning."""
    tool_calls: list[DeltaCall] | UnsetType = UNSET
    """More of a call."""


class ChunkChoice(Struct, kw_only=True):
    """An addition to the only choice."""

    index: int = 0
    """Always 0."""
    delta: ChatDelta
    """The addition."""
    finish_reason: FinishReason | None = None
    """Why the answer ends; in the last chunk."""


class ChatChunk(Struct, kw_only=True):
    """A chunk of a stream."""

    id: str
    """The same in all chunks."""
    object: Literal["chat.completion.chunk"] = "chat.completion.chunk"
    """Always `chat.completion.chunk`."""
    created: int
    """The same in all chunks."""
    model: str
    """The same in all chunks."""
    choices: list[ChunkChoice]
    """The only choice; empty in the chunk with the usage."""
    usage: ChatUsage | UnsetType | None = UNSET
    """The tokens used, if the request asks for them and the agent reports them; else null in a
    stream whose request asks for them."""
