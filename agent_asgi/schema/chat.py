"""The body of `POST /chat/completions`.

What Responses and Chat Completions have alike is in `requests` and `items`. Parts of a content and
tools are dicts here: one of a type that is not known passes.
"""

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from .base import Typed
from .items import CallId
from .requests import SharedFields

Part = dict[str, Any]
Name = Annotated[str, Meta(min_length=1, max_length=64, pattern=r"^[a-zA-Z0-9_-]+(?!\n)$")]


class ImageUrl(Struct, kw_only=True, omit_defaults=True):
    """Where an image is."""

    url: str
    """URL of the image, or a data URL."""
    detail: Literal["low", "high", "auto", "original"] | None = None
    """How closely the model looks."""


class ImagePart(Typed, kw_only=True, tag="image_url"):
    """An image."""

    image_url: ImageUrl
    """Where it is."""


class FileData(Struct, kw_only=True, omit_defaults=True):
    """A file, by its id or with its data."""

    filename: str | None = None
    """Name of the file."""
    file_data: str | None = None
    """The data, base64-encoded."""
    file_id: str | None = None
    """Id of an uploaded file."""


class FilePart(Typed, kw_only=True, tag="file"):
    """A file."""

    file: FileData
    """The file."""


PARTS: dict[str, type[Typed]] = {"image_url": ImagePart, "file": FilePart}
"""The parts that Responses knows under another name; `text` and `refusal` are as there."""


class CalledFunction(Struct, kw_only=True):
    """A function and the arguments it is called with."""

    name: Annotated[str, Meta(min_length=1)]
    """The function."""
    arguments: str
    """Its arguments, a JSON text."""


class ToolCall(Struct, kw_only=True):
    """An agent's wish to have a function called."""

    id: CallId
    """Ties the call to its output."""
    type: Literal["function"] = "function"
    """Always `function`."""
    function: CalledFunction
    """What is called."""


class InputChat(Struct, kw_only=True, tag_field="role"):
    """Base of the messages of a conversation."""


class SystemChat(InputChat, kw_only=True, tag="system"):
    """Instructions."""

    content: str | list[Part]
    """One text, or parts."""


class DeveloperChat(InputChat, kw_only=True, tag="developer"):
    """Instructions, under their newer name."""

    content: str | list[Part]
    """One text, or parts."""


class UserChat(InputChat, kw_only=True, tag="user"):
    """What the user said."""

    content: str | list[Part]
    """One text, or parts."""


class AssistantChat(InputChat, kw_only=True, tag="assistant"):
    """What the agent said, and which functions it wanted called."""

    content: str | list[Part] | None = None
    """One text, or parts."""
    refusal: str | None = None
    """Its refusal to answer."""
    tool_calls: list[ToolCall] | None = None
    """The calls."""


class ToolChat(InputChat, kw_only=True, tag="tool"):
    """What a called function gave."""

    tool_call_id: CallId
    """The call that this answers."""
    content: str | list[Part]
    """The result: one text, or parts."""


Chat = SystemChat | DeveloperChat | UserChat | AssistantChat | ToolChat


class ChatFunction(Struct, kw_only=True, omit_defaults=True):
    """A function that the client offers to run."""

    name: Name
    """The name that a call carries."""
    description: str | None = None
    """What the function does, for the model to decide on."""
    parameters: dict[str, Any] | None = None
    """JSON schema of the arguments."""
    strict: bool | None = None
    """Whether the arguments must fit the schema exactly."""


class ChatTool(Typed, kw_only=True, tag="function"):
    """A tool of the client."""

    function: ChatFunction
    """The function."""


class FunctionName(Struct, kw_only=True):
    """A function by its name."""

    name: str
    """The name."""


class NamedTool(Typed, kw_only=True, tag="function"):
    """The function that must be called."""

    function: FunctionName
    """The function."""


class AllowedTool(Struct, kw_only=True):
    """A function that may be called."""

    type: Literal["function"]
    """Always `function`."""
    function: FunctionName
    """The function."""


class AllowedFunctions(Struct, kw_only=True):
    """Which functions may be called, and whether one must be."""

    mode: Literal["auto", "required"] = "auto"
    """Whether one must be called."""
    tools: list[AllowedTool]
    """The functions."""


class AllowedTools(Typed, kw_only=True, tag="allowed_tools"):
    """A choice among the tools."""

    allowed_tools: AllowedFunctions
    """What is allowed."""


class PlainFormat(Typed, kw_only=True, tag="text"):
    """Plain text."""


class JsonFormat(Typed, kw_only=True, tag="json_object"):
    """Any JSON object."""


class ChatSchema(Struct, kw_only=True, omit_defaults=True):
    """A JSON schema with its name."""

    name: str
    """Name of the schema."""
    description: str | None = None
    """What the shape is for."""
    schema: dict[str, Any] | None = None
    """JSON schema that the text must fit."""
    strict: bool | None = None
    """Whether it must fit exactly."""


class SchemaFormat(Typed, kw_only=True, tag="json_schema"):
    """JSON of a given schema."""

    json_schema: ChatSchema
    """The schema."""


class ChatStreamOptions(Struct, kw_only=True):
    """Options of a streamed answer."""

    include_usage: bool | None = None
    """Whether a last chunk tells the tokens used."""


class ChatRequest(SharedFields, kw_only=True):
    """The body of a Chat Completions request. Fields that are not listed reach the handler too."""

    messages: Annotated[list[Chat], Meta(min_length=1)]
    """The conversation, oldest first."""
    tools: list[dict[str, Any]] | None = None
    """The functions that the client offers; a tool of another type passes."""
    tool_choice: Literal["none", "auto", "required"] | NamedTool | AllowedTools | None = None
    """Which of them may, or must, be called."""
    response_format: PlainFormat | JsonFormat | SchemaFormat | None = None
    """The shape that the client wants the text in."""
    max_completion_tokens: Annotated[int, Meta(ge=1)] | None = None
    """Bound on the tokens of the answer."""
    max_tokens: Annotated[int, Meta(ge=1)] | None = None
    """The same under its older name."""
    reasoning_effort: str | None = None
    """How hard the model thinks: none, low, medium, high, xhigh, or a model's own word."""
    verbosity: Literal["low", "medium", "high"] | None = None
    """How much detail the answer has."""
    stream_options: ChatStreamOptions | None = None
    """Options of a streamed answer."""
    n: Annotated[int, Meta(ge=1, le=1)] | None = None
    """How many answers are wanted; there is always one."""
    functions: None = None
    """Not taken: send `tools`."""
    function_call: None = None
    """Not taken: send `tool_choice`."""
    previous_response_id: None = None
    """Not taken: `messages` is the whole conversation."""
    background: None = None
    """Not taken: `POST /responses` runs in the background."""
