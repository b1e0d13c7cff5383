"""Items: what a conversation is made of, coming in and going out (Open Responses `ItemParam`)."""

from typing import Annotated, Any, Literal

from msgspec import Meta

from .base import Typed

Role = Literal["user", "assistant", "system", "developer"]
Status = Literal["in_progress", "completed", "incomplete"]
CallId = Annotated[str, Meta(min_length=1)]


class InputText(Typed, kw_only=True, omit_defaults=True, tag="input_text"):
    """Text that somebody wrote."""

    text: str
    """The text."""


class InputImage(Typed, kw_only=True, omit_defaults=True, tag="input_image"):
    """An image, by its URL or as a data URL."""

    image_url: str | None = None
    """URL of the image."""
    file_id: str | None = None
    """Id of an uploaded file."""
    detail: Literal["low", "high", "auto", "original"] | None = None
    """How closely the model looks. Default `auto`."""


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


class InputVideo(Typed, kw_only=True, omit_defaults=True, tag="input_video"):
    """A video, by its URL."""

    video_url: str
    """URL of the video."""


class OutputText(Typed, kw_only=True, omit_defaults=True, tag="output_text"):
    """Text that an agent wrote."""

    text: str
    """The text."""
    annotations: list[dict[str, Any]] | None = None
    """Citations in the text."""
    logprobs: list[dict[str, Any]] | None = None
    """Log probabilities of the tokens."""


class Refusal(Typed, kw_only=True, omit_defaults=True, tag="refusal"):
    """An agent's refusal to answer."""

    refusal: str
    """What it says."""


class SummaryText(Typed, kw_only=True, omit_defaults=True, tag="summary_text"):
    """One part of a reasoning summary."""

    text: str
    """The text."""


class ReasoningText(Typed, kw_only=True, omit_defaults=True, tag="reasoning_text"):
    """One part of the reasoning itself."""

    text: str
    """The text."""


class PlainText(Typed, kw_only=True, omit_defaults=True, tag="text"):
    """Text of no particular kind."""

    text: str
    """The text."""


ContentPart = (
    InputText
    | InputImage
    | InputFile
    | InputVideo
    | OutputText
    | Refusal
    | SummaryText
    | ReasoningText
    | PlainText
    | dict[str, Any]
)
"""A part of an item's content; a type not known here is a dict, as it came."""


class Message(Typed, kw_only=True, omit_defaults=True, tag="message"):
    """What somebody said."""

    role: Role
    """Who said it."""
    content: str | list[ContentPart]
    """What was said: one text, or parts."""
    id: str | None = None
    """The item's id."""
    status: str | None = None
    """How far the item has come."""
    phase: Literal["commentary", "final_answer"] | None = None
    """Whether an assistant's message is the answer or talk on the way to it."""

    @property
    def text(self) -> str:
        """The texts of the content, joined."""
        if isinstance(self.content, str):
            return self.content
        return "".join(getattr(part, "text", "") for part in self.content)


class FunctionCall(Typed, kw_only=True, omit_defaults=True, tag="function_call"):
    """The agent wants a function called."""

    call_id: CallId
    """Ties the call to its output."""
    name: Annotated[str, Meta(min_length=1)]
    """The function."""
    arguments: str
    """Its arguments, a JSON text."""
    id: str | None = None
    """The item's id."""
    status: Status | None = None
    """How far the item has come."""


class FunctionCallOutput(Typed, kw_only=True, omit_defaults=True, tag="function_call_output"):
    """What a called function gave."""

    call_id: CallId
    """The call that this answers."""
    output: str | list[ContentPart]
    """The result: a text (often JSON), or parts."""
    id: str | None = None
    """The item's id."""
    status: Status | None = None
    """How far the item has come."""


class ReasoningItem(Typed, kw_only=True, omit_defaults=True, tag="reasoning"):
    """What the model thought on the way."""

    summary: list[SummaryText]
    """A summary, in parts."""
    id: str | None = None
    """The item's id."""
    content: list[ReasoningText] | None = None
    """The reasoning itself, where it is shown."""
    encrypted_content: str | None = None
    """The reasoning, readable for its own provider alone."""
    status: Status | None = None
    """How far the item has come."""


class CompactionItem(Typed, kw_only=True, omit_defaults=True, tag="compaction"):
    """A conversation in short, made by `POST /responses/compact`."""

    encrypted_content: str
    """The short form, readable for its own provider alone."""
    id: str | None = None
    """The item's id."""


class ItemReference(Typed, kw_only=True, omit_defaults=True, tag="item_reference"):
    """Stands for an item that the server has."""

    id: str
    """The item's id."""


InputItem = (
    Message
    | FunctionCall
    | FunctionCallOutput
    | ReasoningItem
    | CompactionItem
    | ItemReference
    | dict[str, Any]
)
"""An item of the input; a type not known here is a dict, as it came."""


def _by_tag(*types: type[Typed]) -> dict[str, type[Typed]]:
    return {str(each.__struct_config__.tag): each for each in types}


ITEMS = _by_tag(
    Message, FunctionCall, FunctionCallOutput, ReasoningItem, CompactionItem, ItemReference
)
PARTS = _by_tag(
    InputText,
    InputImage,
    InputFile,
    InputVideo,
    OutputText,
    Refusal,
    SummaryText,
    ReasoningText,
    PlainText,
)
