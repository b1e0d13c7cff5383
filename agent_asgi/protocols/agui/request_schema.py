"""The body of `POST /agui`: AG-UI's `RunAgentInput`."""

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from ...schema.items import CallId, Id
from ...schema.requests import ToolName


class DataSource(Struct, kw_only=True, rename="camel", tag_field="type", tag="data"):
    """Inline data."""

    value: str
    """The data, base64-encoded."""
    mime_type: str
    """Its media type."""


class UrlSource(Struct, kw_only=True, rename="camel", tag_field="type", tag="url"):
    """Data at a URL."""

    value: str
    """The URL."""
    mime_type: str | None = None
    """The media type of the data."""


class FileSource(Struct, kw_only=True, rename="camel", tag_field="type", tag="file"):
    """A file that the model's provider has."""

    value: str
    """The provider's id of the file."""
    provider: str | None = None
    """The provider."""
    mime_type: str | None = None
    """The media type of the file."""


Source = DataSource | UrlSource | FileSource


class ContentPart(Struct, kw_only=True, rename="camel", tag_field="type"):
    """Base of the parts of a content."""


class TextPart(ContentPart, kw_only=True, tag="text"):
    """Text."""

    text: str
    """The text."""


class MediaPart(ContentPart, kw_only=True):
    """Base of the parts that have a source."""

    source: Source
    """The location of the data."""
    metadata: dict[str, Any] | None = None
    """Details, for example a `filename`."""


class ImagePart(MediaPart, kw_only=True, tag="image"):
    """An image."""


class AudioPart(MediaPart, kw_only=True, tag="audio"):
    """A recording."""


class VideoPart(MediaPart, kw_only=True, tag="video"):
    """A video."""


class DocumentPart(MediaPart, kw_only=True, tag="document"):
    """A document."""


class BinaryPart(ContentPart, kw_only=True, tag="binary"):
    """Data of any kind, as clients before 1.0 send it."""

    mime_type: str
    """The media type."""
    data: str | None = None
    """The data, base64-encoded."""
    url: str | None = None
    """The URL of the data."""
    id: str | None = None
    """The provider's id of the file."""
    filename: str | None = None
    """The name of the file."""


Part = TextPart | ImagePart | AudioPart | VideoPart | DocumentPart | BinaryPart
Content = str | list[Part]


class CalledTool(Struct, kw_only=True):
    """A tool and its arguments."""

    name: Annotated[str, Meta(min_length=1)]
    """The tool's name."""
    arguments: str
    """The arguments, as JSON text."""


class MadeCall(Struct, kw_only=True):
    """An agent's call of a tool."""

    id: CallId
    """Links the call to its result."""
    type: Literal["function"] = "function"
    """Always `function`."""
    function: CalledTool
    """The tool and its arguments."""


class HistoryMessage(Struct, kw_only=True, rename="camel", tag_field="role"):
    """Base of the messages of a conversation."""

    id: str
    """The message's id."""


class DeveloperMessage(HistoryMessage, kw_only=True, tag="developer"):
    """Instructions."""

    content: str
    """The text."""


class SystemMessage(HistoryMessage, kw_only=True, tag="system"):
    """Instructions."""

    content: str
    """The text."""


class UserMessage(HistoryMessage, kw_only=True, tag="user"):
    """A message of the user."""

    content: Content
    """One text, or parts."""


class AssistantMessage(HistoryMessage, kw_only=True, tag="assistant"):
    """A message of the agent, or its calls."""

    content: str | None = None
    """The text."""
    tool_calls: list[MadeCall] | None = None
    """The calls."""


class ToolMessage(HistoryMessage, kw_only=True, tag="tool"):
    """The result of a call."""

    tool_call_id: CallId
    """The `id` of the call."""
    content: Content
    """One text, or parts."""
    error: str | None = None
    """Why the tool failed."""


class ReasoningMessage(HistoryMessage, kw_only=True, tag="reasoning"):
    """The agent's reasoning. Only with an `encryptedValue` it reaches the agent again."""

    id: Id
    """The message's id."""
    content: str
    """The text."""
    encrypted_value: str | None = None
    """The reasoning, readable only by its provider."""


class ActivityMessage(HistoryMessage, kw_only=True, tag="activity"):
    """What the client shows besides the conversation; ignored."""


InputMessage = (
    DeveloperMessage
    | SystemMessage
    | UserMessage
    | AssistantMessage
    | ToolMessage
    | ReasoningMessage
    | ActivityMessage
)


class FrontendTool(Struct, kw_only=True):
    """A tool that the client executes."""

    name: ToolName
    """The tool's name."""
    description: str | None = None
    """What the tool does, for the model."""
    parameters: dict[str, Any] | None = None
    """JSON schema of the arguments."""


class ContextEntry(Struct, kw_only=True):
    """Something that the model should know."""

    description: str
    """What it is."""
    value: str
    """The text."""


class ResumeEntry(Struct, kw_only=True, rename="camel"):
    """An answer to an interrupt."""

    interrupt_id: CallId
    """The interrupt's `id`."""
    status: Literal["resolved", "cancelled"]
    """Whether it was answered."""
    payload: Any = None
    """The answer, in the form of the interrupt's `responseSchema`."""


class ApprovalPayload(Struct, kw_only=True, rename="camel"):
    """The answer to an approval request."""

    approved: bool
    """Whether the agent may call the tool."""
    edited_args: dict[str, Any] | None = None
    """Arguments that replace the ones of the call."""
    reason: str | None = None
    """The reason, for the agent."""


class RunAgentInput(Struct, kw_only=True, rename="camel"):
    """The request for a run. Members that are not listed are ignored."""

    thread_id: str
    """The client's id of the conversation: the session of the trace."""
    run_id: str
    """The client's id of the run."""
    protocol_version: str | None = None
    """The version that the client speaks; absent before 1.0."""
    parent_run_id: str | None = None
    """The run that started this one."""
    messages: list[InputMessage]
    """The conversation, oldest first."""
    state: Any = None
    """The state that the client and the agent share. Default: an empty object."""
    tools: list[FrontendTool] | None = None
    """The tools that the client executes."""
    context: list[ContextEntry] | None = None
    """What the model should know."""
    forwarded_props: Any = None
    """Inputs that the agent and its clients agree on."""
    resume: list[ResumeEntry] | None = None
    """The answers to the interrupts of the run before."""
    model: str | None = None
    """The agent that answers, if the app has several and the path names none."""
