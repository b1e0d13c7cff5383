"""The bodies of requests: `POST /responses`, `POST /invocations` and `POST /feedback`."""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import msgspec
from msgspec import Meta, Struct

from ..errors import InvalidRequest
from .chat_messages import chat_messages
from .history import Continued, History
from .items import Id, InputItem, Message, Typed

ToolName = Annotated[str, Meta(min_length=1, max_length=64, pattern=r"^[a-zA-Z0-9_-]+(?!\n)$")]
Metadata = dict[Annotated[str, Meta(max_length=64)], Annotated[str, Meta(max_length=512)]]


class FunctionTool(Typed, kw_only=True, tag="function"):
    """A function that the client offers to run for the agent."""

    name: ToolName
    """The name that a `function_call` item carries."""
    description: str | None = None
    """What the function does, for the model."""
    parameters: dict[str, Any] | None = None
    """JSON schema of the arguments."""
    strict: bool | None = None
    """Whether the arguments must match the schema exactly."""


class _Untyped(Typed, tag="\0"):
    """Not a tool: a second member makes the union require a `type`."""


if TYPE_CHECKING:
    Tool = FunctionTool | dict[str, Any]
else:
    Tool = FunctionTool | _Untyped  # msgspec decodes no union of structs and dicts
"""A tool that the client offers; one of an unknown type is a dict, unchanged."""


def each_tool(tools: Iterable[Tool]) -> Iterator[tuple[str | None, Tool]]:
    """Yield the tools of a request, each with the name of its namespace or None."""
    for tool in tools:
        if not isinstance(tool, dict) or tool.get("type") != "namespace":
            yield None, tool
        elif isinstance(inner := tool.get("tools"), list):
            yield from ((tool.get("name"), each) for each in inner if isinstance(each, dict))


class TextFormat(Struct, kw_only=True, omit_defaults=True):
    """The format of the text output."""

    type: Literal["text", "json_object", "json_schema"]
    """`json_schema` comes with `name` and `schema`."""
    name: str | None = None
    """Name of the schema."""
    description: str | None = None
    """What the format is for."""
    schema: dict[str, Any] | None = None
    """JSON schema of the text."""
    strict: bool | None = None
    """Whether the text must match the schema exactly."""


class TextOptions(Struct, kw_only=True, omit_defaults=True):
    """Options of the text output."""

    format: TextFormat | None = None
    """Plain text, any JSON object, or JSON of a schema. Default: plain text."""
    verbosity: Literal["low", "medium", "high"] | None = None
    """How detailed the answer is."""


class ReasoningOptions(Struct, kw_only=True, omit_defaults=True):
    """Options of the reasoning."""

    effort: str | None = None
    """The effort: none, low, medium, high, xhigh, or a value of the model's."""
    summary: str | None = None
    """The summary of the reasoning: concise, detailed, auto."""


class StreamOptions(Struct, kw_only=True, omit_defaults=True):
    """Options of a streamed answer."""

    include_obfuscation: bool | None = None
    """Accepted for compatibility; this server does not pad events."""


class ChatContext(Struct, kw_only=True, omit_defaults=True):
    """The user and the conversation, as Databricks' chat clients send them."""

    conversation_id: str | None = None
    """The session of the trace."""
    user_id: str | None = None
    """The user of the trace."""


class DatabricksOptions(Struct, kw_only=True, omit_defaults=True):
    """Options that Databricks' chat clients send."""

    return_trace: bool | None = None
    """Whether the response has the id of its trace."""


class ConversationRef(Struct, kw_only=True):
    """A conversation by its id."""

    id: Id
    """The id."""


class PromptRef(Struct, kw_only=True, omit_defaults=True):
    """A prompt template that is kept elsewhere, with the values of its variables."""

    id: str
    """The template's id."""
    version: str | None = None
    """The template's version."""
    variables: dict[str, Any] | None = None
    """The values, by the names of the variables."""


class PromptCacheOptions(Struct, kw_only=True, omit_defaults=True):
    """Options of a prompt cache."""

    prewarm: bool | None = None
    """Whether the request only prepares the cache, as with `generate: false`."""


class SharedFields(Struct, kw_only=True, omit_defaults=True):
    """The fields that Responses and Chat Completions have in common."""

    model: str | None = None
    """The agent that answers, if the app has several; echoed in the response."""
    conversation: Id | ConversationRef | None = None
    """The conversation that the run belongs to: an id, or an object with one."""
    metadata: Annotated[Metadata, Meta(max_length=16)] | None = None
    """Up to 16 pairs that the response repeats; keys up to 64 characters, values up to 512."""
    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    """Sampling temperature, 0 to 2."""
    top_p: Annotated[float, Meta(ge=0, le=1)] | None = None
    """Nucleus sampling, 0 to 1."""
    presence_penalty: Annotated[float, Meta(ge=-2, le=2)] | None = None
    """Penalty for tokens that are in the text, -2 to 2."""
    frequency_penalty: Annotated[float, Meta(ge=-2, le=2)] | None = None
    """Penalty for tokens by their frequency in the text, -2 to 2."""
    top_logprobs: Annotated[int, Meta(ge=0, le=20)] | None = None
    """The number of alternatives of each token, 0 to 20."""
    parallel_tool_calls: bool | None = None
    """Whether the model may call several tools at once."""
    stream: bool | None = None
    """Whether the answer is a stream of events. Default: one JSON object."""
    safety_identifier: Annotated[str, Meta(max_length=64)] | None = None
    """A stable name of the end user, for abuse detection."""
    prompt_cache_key: Annotated[str, Meta(max_length=64)] | None = None
    """Key for a prompt cache."""
    store: bool | None = None
    """Whether the response can be fetched later."""
    service_tier: str | None = None
    """Tier of service: auto, default, flex, priority."""
    user: str | None = None
    """The user of the trace, unless another field names one."""
    context: ChatContext | None = None
    """The user and the conversation (Databricks)."""
    custom_inputs: dict[str, Any] | None = None
    """Inputs that the agent and its clients agree on (MLflow)."""
    databricks_options: DatabricksOptions | None = None
    """Options that Databricks' chat clients send."""


class RequestFields(SharedFields, kw_only=True, omit_defaults=True):
    """The fields of the body except `input`, `tools` and `tool_choice`, whose shapes vary."""

    previous_response_id: str | None = None
    """The response that this one continues."""
    include: list[str] | None = None
    """Additional output, for example `reasoning.encrypted_content`."""
    instructions: str | None = None
    """Instructions for the agent, in addition to its own."""
    text: TextOptions | None = None
    """Options of the text output."""
    stream_options: StreamOptions | None = None
    """Options of a streamed answer."""
    background: bool | None = None
    """Whether the run continues without the client."""
    max_output_tokens: Annotated[int, Meta(ge=1)] | None = None
    """The maximum number of output tokens."""
    max_tool_calls: Annotated[int, Meta(ge=1)] | None = None
    """The maximum number of tool calls."""
    reasoning: ReasoningOptions | None = None
    """Options of the reasoning."""
    truncation: Literal["auto", "disabled"] | None = None
    """What happens if the input is too long. Default `disabled`."""
    prompt: PromptRef | None = None
    """A prompt template, which the response repeats."""
    prompt_cache_options: PromptCacheOptions | None = None
    """Options of a prompt cache."""
    generate: bool | None = None
    """Whether the agent runs. If not, the response is empty and can be continued. Default true."""

    @property
    def only_prepares(self) -> bool:
        """Whether the response is only prepared, to be continued later: no handler runs."""
        cache = self.prompt_cache_options
        return self.generate is False or (cache is not None and cache.prewarm is True)


class _Input(RequestFields, kw_only=True, omit_defaults=True):
    """The field `input` as it is decoded; `ResponsesRequest.input` is always a list."""

    input: str | list[InputItem] = msgspec.field(default_factory=list)
    """The conversation: a string from the user, or a list of items, oldest first. With
    `previous_response_id` it is the whole conversation, earlier input and output included.
    An item of an unknown type is a dict, unchanged."""
    earlier: int = 0
    """How many items of `input` are from before this request."""
    _input_slot: ClassVar[Any]
    _earlier_slot: ClassVar[Any]


# the fields behind properties of `ResponsesRequest`
_Input._input_slot, _Input._earlier_slot = vars(_Input)["input"], vars(_Input)["earlier"]
_set_input, _set_earlier = vars(_Input)["input"].__set__, vars(_Input)["earlier"].__set__


def decoded_input(request: _Input) -> str | list[InputItem]:
    """Return the request's own input as it was decoded: a string or a list of items."""
    items: str | list[InputItem] | Continued = request._input_slot
    if isinstance(items, Continued):
        return items.new
    earlier: int = request._earlier_slot
    return items[earlier:] if earlier else items


def unread(request: _Input) -> History | None:
    """Return the history of a request; None if it has none, or if it is in `input` already."""
    items = request._input_slot
    return items.history if isinstance(items, Continued) else None


def continue_with(request: _Input, history: History, new: list[InputItem]) -> None:
    """Set the input of a request to a history and new items."""
    _set_input(request, Continued(history, new))


class ResponsesRequest(_Input, kw_only=True, omit_defaults=True):
    """A valid request: Open Responses' `CreateResponseBody`, and the fields of MLflow's clients."""

    tools: list[Tool] | None = None
    """The tools that the client offers; one of an unknown type is a dict."""
    tool_choice: str | dict[str, Any] | None = None
    """none, auto, required, or an object that names tools."""
    raw: bytes | None = None
    """The body's bytes; a body cannot set this field or `earlier`."""
    if TYPE_CHECKING:
        __struct_config__: ClassVar[None]  # type: ignore[assignment]  # see registration._Struct

    @property  # type: ignore[misc]  # mypy wants fields to be overridden by fields
    def input(self) -> list[InputItem]:
        """The whole conversation, oldest first; a string is a message of the user.

        An item of an unknown type is a dict, unchanged.
        """
        self._read()
        if isinstance(items := self._input_slot, str):
            items = self.input = [Message(role="user", content=items)]
        return items  # type: ignore[no-any-return]  # the slot is untyped

    @input.setter  # noqa: A003
    def input(self, items: str | list[InputItem]) -> None:
        _set_input(self, items)

    @property  # type: ignore[misc]  # as above
    def earlier(self) -> int:
        """How many items of `input` are from before this request."""
        self._read()
        return self._earlier_slot  # type: ignore[no-any-return]  # as above

    @earlier.setter
    def earlier(self, number: int) -> None:
        _set_earlier(self, number)

    def _read(self) -> None:
        """Make the history a part of the input."""
        items = self._input_slot
        if isinstance(items, Continued):
            with items.history.lock:
                if self._input_slot is items:  # no other thread has done it
                    _set_earlier(self, len(items.history.items()))
                    _set_input(self, [*items.history.items(), *items.new])

    @property
    def new_input(self) -> list[InputItem]:
        """The items that came with this request: all, unless it continues a conversation."""
        items = decoded_input(self)
        return self.input if isinstance(items, str) else items

    @property
    def input_text(self) -> str:
        """The text of the user's newest message; empty if there is none."""
        new = decoded_input(self)
        if isinstance(new, str):
            return new
        text = _user_text(new)
        return text if text is not None else _user_text(self.input) or ""

    @property
    def is_text(self) -> bool:
        """Whether the body's `input` is a string that has not been made an item yet."""
        return isinstance(decoded_input(self), str)

    @property
    def messages(self) -> list[dict[str, Any]]:
        """The whole conversation as messages of Chat Completions, for any model's API.

        `instructions` come first, as a message of the system. A call without an output is answered
        as interrupted. Reasoning is left out, and so are items that Chat Completions does not have.

        Raises:
            InvalidRequest: The input has the URL of a file, which Chat Completions does not take.
        """
        return chat_messages(self.input, self.instructions)

    def to_dict(self) -> dict[str, Any]:
        """Return the body as received, unknown fields included; each call makes a new dict.

        If the request continues a response, `input` is the whole conversation, as items.

        Raises:
            InvalidRequest: An integer in an unknown field is out of range.
        """
        if self.raw is None:
            self._read()
            body: dict[str, Any] = msgspec.to_builtins(self)
            body.pop("earlier", None)
            return body
        body = _decode(self.raw)
        if self.earlier:
            body["input"] = msgspec.to_builtins(self.input)
        return body

    def keeps(self, output: list[dict[str, Any]]) -> bool:
        """Return whether a response with this output is stored."""
        return self.store is not False

    def received(self) -> dict[str, Any]:
        """Return the body as received, whatever it continues; for the trace."""
        return self.to_dict() if self.raw is None else _decode(self.raw)

    @property
    def session_id(self) -> str | None:
        """The session that the body names: `conversation`, `context`, `custom_inputs`."""
        if self.conversation is not None:
            conversation = self.conversation
            return conversation if isinstance(conversation, str) else conversation.id
        if self.context is not None and self.context.conversation_id:
            return self.context.conversation_id
        custom = self.custom_inputs or {}
        session = custom.get("session_id") or custom.get("thread_id")
        return None if session is None else str(session)

    @property
    def user_id(self) -> str | None:
        """The user named in the body: `context.user_id`, then `user`."""
        return (self.context.user_id if self.context else None) or self.user


def _user_text(items: list[InputItem]) -> str | None:
    messages = (item for item in reversed(items) if isinstance(item, Message))
    return next((message.text for message in messages if message.role == "user"), None)


_objects = msgspec.json.Decoder(dict[str, Any], float_hook=float)
"""Reads what a typed decoder has skipped: there `1e999` passes, and is infinite here."""


def _decode(raw: bytes) -> dict[str, Any]:
    try:
        return _objects.decode(raw)
    except msgspec.ValidationError as error:
        raise InvalidRequest(f"The body cannot be read: {error}") from error


TRACE_ID = r"^(?!.*\.\.)[A-Za-z0-9_:/.-]+$"
"""MLflow's client inserts it into a URL, where `..` would lead to other paths of the server."""


class FeedbackRequest(Struct, kw_only=True, forbid_unknown_fields=True):
    """The body of `POST /feedback`: a person's opinion of a response."""

    response_id: Annotated[str, Meta(min_length=1, max_length=200)]
    """A stored response."""
    trace_id: Annotated[str, Meta(max_length=200, pattern=TRACE_ID)]
    """Its trace, from the header `x-mlflow-trace-id`."""
    value: bool
    """Whether it was good."""
    comment: Annotated[str, Meta(max_length=10_000)] | None = None
    """The reason. Without it, an earlier comment stays."""
