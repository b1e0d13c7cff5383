"""Items of a conversation, in requests and in responses (Open Responses `ItemParam`)."""

from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args

import msgspec
from msgspec import Meta, Struct, StructMeta, field

from .ids import MAX_ID, new_id
from .plain import plain

Role = Literal["user", "assistant", "system", "developer"]
Status = Literal["in_progress", "completed", "incomplete"]
CallId = Annotated[str, Meta(min_length=1)]
Id = Annotated[str, Meta(max_length=MAX_ID)]


class Typed(Struct, kw_only=True, tag_field="type"):
    """A struct whose tag is its `type` on the wire."""

    @property
    def type(self) -> str:
        """The `type` on the wire."""
        return str(self.__struct_config__.tag)


class InputText(Typed, kw_only=True, omit_defaults=True, tag="input_text"):
    """Text of a user, a developer or a tool."""

    text: str
    """The text."""
    prompt_cache_breakpoint: dict[str, Any] | None = None
    """Marks the end of a prompt that the model's API caches."""


class InputImage(Typed, kw_only=True, omit_defaults=True, tag="input_image"):
    """An image, by its URL or as a data URL."""

    image_url: str | None = None
    """URL of the image."""
    file_id: str | None = None
    """Id of an uploaded file."""
    detail: Literal["low", "high", "auto", "original"] | None = None
    """How closely the model looks. Default `auto`."""
    prompt_cache_breakpoint: dict[str, Any] | None = None
    """Marks the end of a prompt that the model's API caches."""


class InputFile(Typed, kw_only=True, omit_defaults=True, tag="input_file"):
    """A file, by its URL or with its data."""

    filename: str | None = None
    """Name of the file."""
    file_data: str | None = None
    """The data, base64-encoded."""
    file_url: str | None = None
    """URL of the file."""
    file_id: str | None = None
    """Id of an uploaded file."""
    detail: str | None = None
    """How closely the model looks."""
    prompt_cache_breakpoint: dict[str, Any] | None = None
    """Marks the end of a prompt that the model's API caches."""


class InputVideo(Typed, kw_only=True, omit_defaults=True, tag="input_video"):
    """A video, by its URL."""

    video_url: str
    """URL of the video."""


class OutputText(Typed, kw_only=True, omit_defaults=True, tag="output_text"):
    """Text of an agent."""

    text: str
    """The text."""
    annotations: list[dict[str, Any]] | None = None
    """Citations in the text."""
    logprobs: list[dict[str, Any]] | None = None
    """Log probabilities of the tokens."""


class Refusal(Typed, kw_only=True, omit_defaults=True, tag="refusal"):
    """An agent's refusal to answer."""

    refusal: str
    """The text."""


class SummaryText(Typed, kw_only=True, omit_defaults=True, tag="summary_text"):
    """One part of a reasoning summary."""

    text: str
    """The text."""


class ReasoningText(Typed, kw_only=True, omit_defaults=True, tag="reasoning_text"):
    """One part of the reasoning itself."""

    text: str
    """The text."""


class PlainText(Typed, kw_only=True, omit_defaults=True, tag="text"):
    """Text without a specific kind."""

    text: str
    """The text."""


KnownPart = (
    InputText
    | InputImage
    | InputFile
    | InputVideo
    | OutputText
    | Refusal
    | SummaryText
    | ReasoningText
    | PlainText
)
if TYPE_CHECKING:
    ContentPart = KnownPart | dict[str, Any]
else:
    ContentPart = KnownPart  # msgspec decodes no union of structs and dicts (schema/decode.py)
"""A part of an item's content; one of an unknown type is a dict, unchanged."""


class Message(Typed, kw_only=True, omit_defaults=True, tag="message"):
    """A message."""

    role: Role
    """The author's role."""
    content: str | list[ContentPart]
    """The content: one text, or parts."""
    id: Id | None = None
    """The item's id."""
    status: str | None = None
    """The item's status."""
    phase: Literal["commentary", "final_answer"] | None = None
    """Whether an assistant's message is the final answer or a comment before it."""

    @property
    def text(self) -> str:
        """The texts of the content, joined."""
        if isinstance(self.content, str):
            return self.content
        return "".join(getattr(part, "text", "") for part in self.content)


class _CallShorthand(StructMeta):
    """Makes `FunctionCall("name", {...})`; a client's JSON must have all required fields."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        fields = _by_name(self, args, kwargs)
        arguments = fields.get("arguments")
        if not isinstance(arguments, str):
            fields["arguments"] = msgspec.json.encode(arguments or {}, enc_hook=plain).decode()
        if fields.get("call_id") is None:
            fields["call_id"] = new_id("call")
        return super().__call__(**fields)


class _OutputShorthand(StructMeta):
    """Makes `FunctionCallOutput(call_id, error=...)`; a client's JSON must have an `output`."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        fields = _by_name(self, args, kwargs)
        if fields.get("output") is None:
            fields["output"] = fields.get("error") or ""
        return super().__call__(**fields)


def _by_name(cls: type[Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    names = cls.__struct_fields__
    if len(args) > len(names) or any(name in kwargs for name in names[: len(args)]):
        raise TypeError(f"{cls.__name__} takes {', '.join(names)}, each once.")
    return dict(zip(names, args, strict=False)) | kwargs


class FunctionCall(Typed, omit_defaults=True, tag="function_call", metaclass=_CallShorthand):
    """An agent's call of a function, for example `FunctionCall("add", {"a": 1, "b": 2})`."""

    name: Annotated[str, Meta(min_length=1)]
    """The function's name."""
    arguments: str
    """The arguments, as JSON text. A handler may also pass an object. Default: no arguments."""
    call_id: CallId
    """Links the call to its output. Default: a new id."""
    id: Id | None = None
    """The item's id."""
    status: Status | None = None
    """The item's status."""
    client: bool | None = field(default=None, name="agent_asgi:client")
    """Whether the client is to execute the function. Default: if it is one of its `tools`."""
    namespace: str | None = None
    """The namespace of the function, if the model's API has namespaces."""
    caller: dict[str, Any] | None = None
    """What made the call: the model, or a program of it."""
    async_: bool | None = field(default=None, name="async")
    """Whether the model continues without the output."""

    if TYPE_CHECKING:

        def __init__(
            self,
            name: str,
            arguments: object = ...,
            call_id: str | None = ...,
            id: str | None = ...,
            status: Status | None = ...,
            client: bool | None = ...,
            namespace: str | None = ...,
            caller: dict[str, Any] | None = ...,
            async_: bool | None = ...,
        ) -> None: ...


class FunctionCallOutput(
    Typed, omit_defaults=True, tag="function_call_output", metaclass=_OutputShorthand
):
    """The output of a function call, for example `FunctionCallOutput(call.call_id, "3")`."""

    call_id: CallId
    """The `call_id` of the call."""
    output: str | list[ContentPart]
    """The result: a string (often JSON), or parts. Other values of a handler become JSON."""
    id: Id | None = None
    """The item's id."""
    status: Status | None = None
    """The item's status."""
    error: str | None = field(default=None, name="agent_asgi:error")
    """Why the tool failed, as clients may see it. Default: it did not fail."""
    name: str | None = None
    """The function's name."""
    namespace: str | None = None
    """The namespace of the function, if the model's API has namespaces."""
    caller: dict[str, Any] | None = None
    """What made the call: the model, or a program of it."""
    created_by: str | None = None
    """What made the item."""

    if TYPE_CHECKING:

        def __init__(
            self,
            call_id: str,
            output: object = ...,
            id: str | None = ...,
            status: Status | None = ...,
            error: str | None = ...,
            name: str | None = ...,
            namespace: str | None = ...,
            caller: dict[str, Any] | None = ...,
            created_by: str | None = ...,
        ) -> None: ...


class ApprovalRequest(Typed, omit_defaults=True, tag="mcp_approval_request"):
    """A question to the client: may the agent call this tool?

    The run then ends; the client's next request answers with an `mcp_approval_response`.
    """

    name: Annotated[str, Meta(min_length=1)]
    """The tool's name."""
    arguments: str | dict[str, Any] = "{}"
    """The arguments of the call, as JSON text. A handler may also pass an object. Default: an empty
    object."""
    server_label: str | None = None
    """The server of the tool. Default: the agent's name."""
    id: Id | None = None
    """The item's id, which the answer names. Default: a new one. An id that others could guess is
    replaced: `mcpr_` and at least 32 hexadecimal digits stay."""

    def __post_init__(self) -> None:
        if not isinstance(self.arguments, str):
            self.arguments = msgspec.json.encode(self.arguments).decode()


class ApprovalResponse(Typed, kw_only=True, omit_defaults=True, tag="mcp_approval_response"):
    """A client's answer to an approval request."""

    approval_request_id: Annotated[str, Meta(min_length=1)]
    """The id of the `mcp_approval_request` item."""
    approve: bool
    """Whether the agent may call the tool."""
    reason: str | None = None
    """The reason, for the agent."""
    arguments: dict[str, Any] | None = field(default=None, name="agent_asgi:arguments")
    """Changed arguments for the call. Default: the ones that were asked for."""
    id: Id | None = None
    """The item's id."""


class ReasoningItem(Typed, kw_only=True, omit_defaults=True, tag="reasoning"):
    """The model's reasoning."""

    summary: list[SummaryText]
    """A summary, in parts."""
    id: Id | None = None
    """The item's id."""
    content: list[ReasoningText] | None = None
    """The reasoning itself, if the model shows it."""
    encrypted_content: str | None = None
    """The reasoning, readable only by its provider."""
    status: Status | None = None
    """The item's status."""


class CompactionItem(Typed, kw_only=True, omit_defaults=True, tag="compaction"):
    """A compacted conversation, from `POST /responses/compact`."""

    encrypted_content: str
    """The compacted form, readable only by its provider."""
    id: Id | None = None
    """The item's id."""
    created_by: str | None = None
    """What made the item."""


class ItemReference(Typed, kw_only=True, omit_defaults=True, tag="item_reference"):
    """A reference to an item that the server has stored."""

    id: Id
    """The item's id."""


KnownItem = (
    Message
    | FunctionCall
    | FunctionCallOutput
    | ApprovalRequest
    | ApprovalResponse
    | ReasoningItem
    | CompactionItem
    | ItemReference
)
if TYPE_CHECKING:
    InputItem = KnownItem | dict[str, Any]
else:
    InputItem = KnownItem
"""An item of the input; one of an unknown type is a dict, unchanged."""
CLIENT_ROLES = ("user", "system", "developer", None)
"""The roles of messages that clients write themselves; a message without a role is theirs too."""
CLIENT_ITEMS = ("item_reference", "mcp_approval_response")
"""The types of other items that clients write themselves."""
ITEMS: dict[str, type[Typed]] = {str(t.__struct_config__.tag): t for t in get_args(KnownItem)}
PARTS: dict[str, type[Typed]] = {str(t.__struct_config__.tag): t for t in get_args(KnownPart)}
