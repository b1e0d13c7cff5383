"""What comes in: the body of `POST /responses` and `POST /invocations`."""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Raw, Struct

from .base import Typed
from .items import InputItem

Metadata = dict[str, Annotated[str, Meta(max_length=512)]]


class FunctionTool(Typed, kw_only=True, tag="function"):
    """A function that the client offers to run for the agent."""

    name: Annotated[str, Meta(min_length=1, max_length=64, pattern=r"^[a-zA-Z0-9_-]+(?!\n)$")]
    """The name that a `function_call` item carries."""
    description: str | None = None
    """What the function does, for the model to decide on."""
    parameters: dict[str, Any] | None = None
    """JSON schema of the arguments."""
    strict: bool | None = None
    """Whether the arguments must fit the schema exactly."""


class TextFormat(Struct, kw_only=True, omit_defaults=True):
    """The shape that the client wants the text in."""

    type: Literal["text", "json_object", "json_schema"]
    """`json_schema` comes with `name` and `schema`."""
    name: str | None = None
    """Name of the schema."""
    description: str | None = None
    """What the shape is for."""
    schema: dict[str, Any] | None = None
    """JSON schema that the text must fit."""
    strict: bool | None = None
    """Whether it must fit exactly."""


class TextOptions(Struct, kw_only=True, omit_defaults=True):
    """Options of the text output."""

    format: TextFormat | None = None
    """Plain text, any JSON object, or JSON of a given schema. Default: plain text."""
    verbosity: Literal["low", "medium", "high"] | None = None
    """How much detail the answer has."""


class ReasoningOptions(Struct, kw_only=True, omit_defaults=True):
    """Options of the reasoning."""

    effort: str | None = None
    """How hard the model thinks: none, low, medium, high, xhigh, or a model's own word."""
    summary: str | None = None
    """Which summary of the reasoning is wanted: concise, detailed, auto."""


class StreamOptions(Struct, kw_only=True, omit_defaults=True):
    """Options of a streamed answer."""

    include_obfuscation: bool | None = None
    """Taken in for compatibility; this server pads no events."""


class ChatContext(Struct, kw_only=True, omit_defaults=True):
    """Who talks in which conversation, as Databricks' chat clients send it."""

    conversation_id: str | None = None
    """The session of the trace."""
    user_id: str | None = None
    """The user of the trace."""


class DatabricksOptions(Struct, kw_only=True, omit_defaults=True):
    """Options that Databricks' chat clients send."""

    return_trace: bool | None = None
    """Whether the answer names its trace."""


class ConversationRef(Struct, kw_only=True):
    """A conversation by its id."""

    id: str
    """The session of the trace."""


class SharedFields(Struct, kw_only=True, omit_defaults=True):
    """The fields that bodies of Responses and of Chat Completions have alike."""

    model: str | None = None
    """Which agent answers, where the app has several; echoed in the response."""
    conversation: str | ConversationRef | None = None
    """The conversation that the run belongs to: an id, or an object with one."""
    metadata: Annotated[Metadata, Meta(max_length=16)] | None = None
    """Up to 16 pairs that the response carries back; values of up to 512 characters."""
    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    """Sampling temperature, 0 to 2."""
    top_p: Annotated[float, Meta(ge=0, le=1)] | None = None
    """Nucleus sampling, 0 to 1."""
    presence_penalty: Annotated[float, Meta(ge=-2, le=2)] | None = None
    """Penalty for tokens that the text has already, -2 to 2."""
    frequency_penalty: Annotated[float, Meta(ge=-2, le=2)] | None = None
    """Penalty for tokens by how often the text has them, -2 to 2."""
    top_logprobs: Annotated[int, Meta(ge=0, le=20)] | None = None
    """How many alternatives of each token are wanted, 0 to 20."""
    parallel_tool_calls: bool | None = None
    """Whether the model may call several tools at once."""
    stream: bool | None = None
    """Whether the answer is a stream of events. Default: one JSON object."""
    safety_identifier: Annotated[str, Meta(max_length=64)] | None = None
    """A stable name of the end user, for abuse detection."""
    prompt_cache_key: Annotated[str, Meta(max_length=64)] | None = None
    """Key for a prompt cache."""
    store: bool | None = None
    """Whether the response may be fetched later."""
    service_tier: str | None = None
    """Tier of service: auto, default, flex, priority."""
    user: str | None = None
    """The user of the trace, where nothing better names one."""
    context: ChatContext | None = None
    """Who talks in which conversation (Databricks)."""
    custom_inputs: dict[str, Any] | None = None
    """Anything that the agent and its clients agree on (MLflow)."""
    databricks_options: DatabricksOptions | None = None
    """Options that Databricks' chat clients send."""


class RequestFields(SharedFields, kw_only=True, omit_defaults=True):
    """Every field of the body but `input`, `tools` and `tool_choice`, which vary in shape."""

    previous_response_id: str | None = None
    """The response that this one continues."""
    include: list[str] | None = None
    """Further output that the client wants, such as `reasoning.encrypted_content`."""
    instructions: str | None = None
    """Instructions for the agent, on top of its own."""
    text: TextOptions | None = None
    """Options of the text output."""
    stream_options: StreamOptions | None = None
    """Options of a streamed answer."""
    background: bool | None = None
    """Whether the run goes on without the client."""
    max_output_tokens: Annotated[int, Meta(ge=1)] | None = None
    """Bound on the tokens of the answer."""
    max_tool_calls: Annotated[int, Meta(ge=1)] | None = None
    """Bound on the number of tool calls."""
    reasoning: ReasoningOptions | None = None
    """Options of the reasoning."""
    truncation: Literal["auto", "disabled"] | None = None
    """What happens to input that is too long. Default `disabled`."""


class ResponsesRequest(RequestFields, kw_only=True, omit_defaults=True):
    """A checked request: the Open Responses `CreateResponseBody` and what MLflow's clients add."""

    input: str | list[InputItem] = msgspec.field(default_factory=list)
    """The conversation: one text of the user, or a list of items, oldest first; with
    `previous_response_id` all of it, that response's own input and output included.
    An item of a type not known here is a dict, as it came."""
    new_input: str | list[InputItem] = msgspec.field(default_factory=list)
    """What came with this request; the same as `input` where it continues nothing."""
    tools: list[FunctionTool | dict[str, Any]] | None = None
    """The tools that the client offers; a type not known here is a dict."""
    tool_choice: str | dict[str, Any] | None = None
    """none, auto, required, or an object that names tools."""
    raw: Raw | None = None
    """The body's bytes as they came."""

    def to_dict(self) -> dict[str, Any]:
        """Give the body as it came, unknown fields included; each call makes a new dict.

        Where the request continues a response, `input` is the whole conversation.
        """
        if self.raw is None:
            body: dict[str, Any] = msgspec.to_builtins(self)
            body.pop("new_input", None)
            return body
        body = msgspec.json.decode(self.raw, type=dict[str, Any])
        if self.input is not self.new_input:
            body["input"] = msgspec.to_builtins(self.input)
        return body

    def received(self) -> dict[str, Any]:
        """Give the body as it came, whatever it continues; for the trace."""
        return self.to_dict() if self.raw is None else msgspec.json.decode(self.raw)

    @property
    def session_id(self) -> str | None:
        """The session named in the body: `conversation`, `context`, `custom_inputs`."""
        if self.conversation is not None:
            given = self.conversation
            return given if isinstance(given, str) else given.id
        if self.context is not None and self.context.conversation_id:
            return self.context.conversation_id
        custom = self.custom_inputs or {}
        found = custom.get("session_id") or custom.get("thread_id")
        return None if found is None else str(found)

    @property
    def user_id(self) -> str | None:
        """The user named in the body: `context.user_id`, then `user`."""
        return (self.context.user_id if self.context else None) or self.user


TRACE_ID = r"^(?!.*\.\.)[A-Za-z0-9_:/.-]+$"
"""MLflow's client puts it into a URL as it is, where `..` leads to other paths of the server."""


class FeedbackRequest(Struct, kw_only=True, forbid_unknown_fields=True):
    """The body of `POST /feedback`: what a person thinks of a response."""

    response_id: Annotated[str, Meta(min_length=1, max_length=200)]
    """A stored response."""
    trace_id: Annotated[str, Meta(max_length=200, pattern=TRACE_ID)]
    """Its trace, as the header `x-mlflow-trace-id` names it."""
    value: bool
    """Whether it was good."""
    comment: Annotated[str, Meta(max_length=10_000)] | None = None
    """Why. Left out, what was said before stays."""
