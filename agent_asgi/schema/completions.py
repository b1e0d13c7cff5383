"""What `POST /chat/completions` answers: one JSON body, or the chunks of a stream."""

from typing import Literal

from msgspec import UNSET, Struct, UnsetType

from .chat import ToolCall


class PromptDetails(Struct, kw_only=True):
    """What the tokens of the prompt were."""

    cached_tokens: int
    """How many came from a cache."""


class CompletionDetails(Struct, kw_only=True):
    """What the tokens of the answer were."""

    reasoning_tokens: int
    """How many were reasoning."""


class ChatUsage(Struct, kw_only=True):
    """The tokens that a run used."""

    prompt_tokens: int
    """Tokens that the model read."""
    completion_tokens: int
    """Tokens that the model wrote."""
    total_tokens: int
    """Both together."""
    prompt_tokens_details: PromptDetails
    """What the prompt's were."""
    completion_tokens_details: CompletionDetails
    """What the answer's were."""


FinishReason = Literal["stop", "length", "tool_calls", "content_filter"]


class ChatMessage(Struct, kw_only=True):
    """What the agent answers."""

    role: Literal["assistant"] = "assistant"
    """Always `assistant`."""
    content: str | None = None
    """Its text."""
    refusal: str | None = None
    """Its refusal to answer."""
    reasoning_content: str | UnsetType = UNSET
    """What it thought on the way, as DeepSeek and vLLM name it."""
    tool_calls: list[ToolCall] | UnsetType = UNSET
    """The functions that the client shall call."""


class ChatChoice(Struct, kw_only=True):
    """The one answer."""

    index: int = 0
    """Always 0."""
    message: ChatMessage
    """The message."""
    logprobs: None = None
    """Always null."""
    finish_reason: FinishReason
    """Why the answer ends."""


class ChatCompletion(Struct, kw_only=True):
    """The whole answer."""

    id: str
    """The response's id, `resp_` being `chatcmpl-`."""
    object: Literal["chat.completion"] = "chat.completion"
    """Always `chat.completion`."""
    created: int
    """When the run was made, in seconds since 1970."""
    model: str
    """The model that the request named, or the router's name."""
    choices: list[ChatChoice]
    """The one answer."""
    usage: ChatUsage | UnsetType = UNSET
    """Tokens used, where the agent tells."""


class DeltaFunction(Struct, kw_only=True):
    """A function that is called: first its name, then its arguments."""

    name: str | UnsetType = UNSET
    """The function."""
    arguments: str
    """More of the arguments, a JSON text."""


class DeltaCall(Struct, kw_only=True):
    """More of a call."""

    index: int
    """Which of the calls."""
    id: str | UnsetType = UNSET
    """Ties the call to its output; at its beginning."""
    type: Literal["function"] | UnsetType = UNSET
    """Always `function`; at its beginning."""
    function: DeltaFunction
    """What is called."""


class ChatDelta(Struct, kw_only=True):
    """What is added to the message."""

    role: Literal["assistant"] | UnsetType = UNSET
    """Always `assistant`; in the first chunk."""
    content: str | UnsetType = UNSET
    """More of the text."""
    refusal: str | UnsetType = UNSET
    """More of the refusal."""
    reasoning_content: str | UnsetType = UNSET
    """More of what the agent thinks."""
    tool_calls: list[DeltaCall] | UnsetType = UNSET
    """More of a call."""


class ChunkChoice(Struct, kw_only=True):
    """What is added to the one answer."""

    index: int = 0
    """Always 0."""
    delta: ChatDelta
    """What is added."""
    finish_reason: FinishReason | None = None
    """Why the answer ends; in its last chunk."""


class ChatChunk(Struct, kw_only=True):
    """A piece of a streamed answer."""

    id: str
    """The same in all chunks."""
    object: Literal["chat.completion.chunk"] = "chat.completion.chunk"
    """Always `chat.completion.chunk`."""
    created: int
    """The same in all chunks."""
    model: str
    """The same in all chunks."""
    choices: list[ChunkChoice]
    """The one answer; empty in the chunk that tells the usage."""
    usage: ChatUsage | UnsetType = UNSET
    """Tokens used, where the request asks and the agent tells."""
