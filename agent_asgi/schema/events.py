"""Events: what a streamed run consists of, under the names of Open Responses.

Each struct's tag is its `type`. All events of an item carry the item's `output_index`, those of
its parts also `item_id` and the part's index; `sequence_number` counts every event of a stream.
"""

from typing import Any

from msgspec import UNSET, Raw, Struct, UnsetType, field

from .base import Typed
from .responses import Response

Item = dict[str, Any]
Part = dict[str, Any]


class Event(Typed, kw_only=True):
    """Base of all events."""

    sequence_number: int
    """Counts the events of a stream from 0, without gaps."""


class ResponseEvent(Event, kw_only=True):
    """Base of the events that carry the whole response."""

    response: Response | Raw
    """The response as it stands; encoded already where a store had it."""
    trace_id: str | UnsetType = UNSET
    """The MLflow trace, on the terminal event, where the client asked for it."""


class ResponseCreated(ResponseEvent, kw_only=True, tag="response.created"):
    """The run exists."""


class ResponseQueued(ResponseEvent, kw_only=True, tag="response.queued"):
    """The run waits for its turn."""


class ResponseInProgress(ResponseEvent, kw_only=True, tag="response.in_progress"):
    """The run has begun."""


class ResponseCompleted(ResponseEvent, kw_only=True, tag="response.completed"):
    """The run has ended well."""


class ResponseFailed(ResponseEvent, kw_only=True, tag="response.failed"):
    """The run has failed; an `error` event came just before."""


class ResponseIncomplete(ResponseEvent, kw_only=True, tag="response.incomplete"):
    """The run ended early: cut short, or cancelled."""


class OutputItemAdded(Event, kw_only=True, tag="response.output_item.added"):
    """An item begins, with what is known of it."""

    output_index: int
    """Place of the item in the output."""
    item: Item
    """The item, still empty."""


class OutputItemDone(Event, kw_only=True, tag="response.output_item.done"):
    """An item is finished."""

    output_index: int
    """Place of the item in the output."""
    item: Item
    """The whole item."""


class ContentEvent(Event, kw_only=True):
    """Base of the events of one part of an item's content."""

    item_id: str
    """The item."""
    output_index: int
    """Place of the item in the output."""
    content_index: int
    """Place of the part in the item's content."""


class ContentPartAdded(ContentEvent, kw_only=True, tag="response.content_part.added"):
    """A part of an item's content begins."""

    part: Part
    """The part, still empty."""


class ContentPartDone(ContentEvent, kw_only=True, tag="response.content_part.done"):
    """A part of an item's content is finished."""

    part: Part
    """The whole part."""


class OutputTextDelta(ContentEvent, kw_only=True, tag="response.output_text.delta"):
    """More text."""

    delta: str
    """The text."""
    logprobs: list[Any] = field(default_factory=list)
    """Log probabilities of its tokens; the OpenAI client wants the field."""


class OutputTextDone(ContentEvent, kw_only=True, tag="response.output_text.done"):
    """A text is finished."""

    text: str
    """The whole text."""
    logprobs: list[Any] = field(default_factory=list)
    """Log probabilities of its tokens; the OpenAI client wants the field."""


class AnnotationAdded(ContentEvent, kw_only=True, tag="response.output_text.annotation.added"):
    """A citation in a text."""

    annotation_index: int
    """Place of the annotation in the part's annotations."""
    annotation: dict[str, Any]
    """The citation."""


class RefusalDelta(ContentEvent, kw_only=True, tag="response.refusal.delta"):
    """More of a refusal."""

    delta: str
    """The text."""


class RefusalDone(ContentEvent, kw_only=True, tag="response.refusal.done"):
    """A refusal is finished."""

    refusal: str
    """The whole text."""


class ReasoningDelta(ContentEvent, kw_only=True, tag="response.reasoning.delta"):
    """More reasoning."""

    delta: str
    """The text."""


class ReasoningDone(ContentEvent, kw_only=True, tag="response.reasoning.done"):
    """A part of the reasoning is finished."""

    text: str
    """The whole text."""


class SummaryEvent(Event, kw_only=True):
    """Base of the events of one part of a reasoning summary."""

    item_id: str
    """The item."""
    output_index: int
    """Place of the item in the output."""
    summary_index: int
    """Place of the part in the item's summary."""


class SummaryPartAdded(SummaryEvent, kw_only=True, tag="response.reasoning_summary_part.added"):
    """A part of the summary begins."""

    part: Part
    """The part, still empty."""


class SummaryPartDone(SummaryEvent, kw_only=True, tag="response.reasoning_summary_part.done"):
    """A part of the summary is finished."""

    part: Part
    """The whole part."""


class SummaryTextDelta(SummaryEvent, kw_only=True, tag="response.reasoning_summary_text.delta"):
    """More of the summary."""

    delta: str
    """The text."""


class SummaryTextDone(SummaryEvent, kw_only=True, tag="response.reasoning_summary_text.done"):
    """A text of the summary is finished."""

    text: str
    """The whole text."""


class ArgumentsEvent(Event, kw_only=True):
    """Base of the events of a function call's arguments."""

    item_id: str
    """The item."""
    output_index: int
    """Place of the item in the output."""


class ArgumentsDelta(ArgumentsEvent, kw_only=True, tag="response.function_call_arguments.delta"):
    """More of the arguments."""

    delta: str
    """A piece of their JSON text."""


class ArgumentsDone(ArgumentsEvent, kw_only=True, tag="response.function_call_arguments.done"):
    """The arguments are finished."""

    arguments: str
    """Their whole JSON text."""


class ErrorInfo(Struct, kw_only=True):
    """What went wrong, as an error answer has it."""

    type: str
    """Kind of error, such as `model_error`."""
    code: str | None
    """A short machine-readable name."""
    message: str
    """What a person reads."""
    param: str | None
    """The field at fault."""


class ErrorEvent(Event, kw_only=True, tag="error"):
    """The run fails; `response.failed` follows. Flat for the OpenAI client, nested for the rest."""

    code: str | None
    """A short machine-readable name."""
    message: str
    """What a person reads."""
    param: str | None
    """The field at fault."""
    error: ErrorInfo
    """The same, nested."""


class VendorEvent(Struct, kw_only=True):
    """An event of a type not known here, passed through with a sequence number of its own."""

    sequence_number: int
    """Counts the events of a stream from 0, without gaps."""
    fields: dict[str, Any]
    """The event as the handler gave it, `type` included."""

    @property
    def type(self) -> str:
        """The `type` on the wire."""
        return str(self.fields["type"])


def _leaves(base: type[Event]) -> list[type[Event]]:
    below = [leaf for each in base.__subclasses__() for leaf in _leaves(each)]
    return below or [base]


ITEM_EVENTS = tuple(each for each in _leaves(Event) if not issubclass(each, ResponseEvent))
"""Every event that does not carry the whole response."""
