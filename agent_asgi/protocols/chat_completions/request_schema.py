"""The body of `POST /chat/completions`.

Parts of a content and tools are dicts, so that those of unknown types are accepted.
"""

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from ...schema.items import CallId, Typed
from ...schema.requests import SharedFields, ToolName

Part = dict[str, Any]


class ImageUrl(Struct, kw_only=True, omit_defaults=True):
    """The URL of an image."""

    url: str
    """URL of the image, or a data URL."""
    detail: Literal["low", "high", "auto", "original"] | None = None
    """The level of detail."""


class ImagePart(Typed, kw_only=True, tag="image_url"):
    """An image."""

    image_url: ImageUrl
    """Its URL."""


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
"""The parts that have another name in Responses."""


class CalledFunction(Struct, kw_only=True):
    """A function and its arguments."""

    name: Annotated[str, Meta(min_length=1)]
    """The function's name."""
    arguments: str
    """The arguments, as JSON text."""


class ToolCall(Struct, kw_only=True):
    """An agent's call of a function."""

    id: CallId
    """Links the call to its output."""
    type: Literal["function"] = "function"
    """Always `function`."""
    function: CalledFunction
    """The function and its arguments."""


class InputChat(Struct, kw_only=True, tag_field="role"):
    """Base of the messages of a conversation."""


class ContentChat(InputChat, kw_only=True):
    """Base of the messages with nothing but a content."""

    content: str | list[Part]
    """One text, or parts."""


class SystemChat(ContentChat, kw_only=True, tag="system"):
    """Instructions."""


class DeveloperChat(ContentChat, kw_only=True, tag="developer"):
    """Instructions, under their newer name."""


class UserChat(ContentChat, kw_only=True, tag="user"):
    """A message of the user."""


class AssistantChat(InputChat, kw_only=True, tag="assistant"):
    """A message of the agent, and its calls."""

    content: str | list[Part] | None = None
    """One text, or parts."""
    refusal: str | None = None
    """The refusal to answer."""
    tool_calls: list[ToolCall] | None = None
    """The calls."""


class ToolChat(InputChat, kw_only=True, tag="tool"):
    """The output of a function."""

    tool_call_id: CallId
    """The `id` of the call."""
    content: str | list[Part]
    """The result: one text, or parts."""


Chat = SystemChat | DeveloperChat | UserChat | AssistantChat | ToolChat


class ChatFunction(Struct, kw_only=True, omit_defaults=True):
    """A function that the client offers to run."""

    name: ToolName
    """The function's name."""
    description: str | None = None
    """What the function does, for the model."""
    parameters: dict[str, Any] | None = None
    """JSON schema of the arguments."""
    strict: bool | None = None
    """Whether the arguments must match the schema exactly."""


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
    """What the format is for."""
    schema: dict[str, Any] | None = None
    """JSON schema of the text."""
    strict: bool | None = None
    """Whether the text must match the schema exactly."""


class SchemaFormat(Typed, kw_only=True, tag="json_schema"):
    """JSON that matches a schema."""

    json_schema: ChatSchema
    """The schema."""


class ChatStreamOptions(Struct, kw_only=True):
    """Options of a streamed answer."""

    include_usage: bool | None = None
    """Whether the last chunk has the usage."""


class ChatRequest(SharedFields, kw_only=True):
    """The body of a Chat Completions request. Fields that are not listed reach the handler too."""

    messages: Annotated[list[Chat], Meta(min_length=1)]
    """The conversation, oldest first."""
    tools: list[dict[str, Any]] | None = None
    """The functions that the client offers; tools of other types are passed on."""
    tool_choice: Literal["none", "auto", "required"] | NamedTool | AllowedTools | None = None
    """Which of them may or must be called."""
    response_format: PlainFormat | JsonFormat | SchemaFormat | None = None
    """The format of the text."""
    max_completion_tokens: Annotated[int, Meta(ge=1)] | None = None
    """The maximum number of output tokens."""
    max_tokens: Annotated[int, Meta(ge=1)] | None = None
    """The older name of `max_completion_tokens`."""
    reasoning_effort: str | None = None
    """The effort: none, low, medium, high, xhigh, or a value of the model's."""
    verbosity: Literal["low", "medium", "high"] | None = None
    """How detailed the answer is."""
    stream_options: ChatStreamOptions | None = None
    """Options of a streamed answer."""
    n: Annotated[int, Meta(ge=1, le=1)] | None = None
    """The number of answers; always 1."""
    functions: None = None
    """Not supported: use `tools`."""
    function_call: None = None
    """Not supported: use `tool_choice`."""
    previous_response_id: None = None
    """Not supported: `messages` is the whole conversation."""
    background: None = None
    """Not supported: use `POST /responses`."""
