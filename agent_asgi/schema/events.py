"""The events of a stream, with the names of Open Responses. A struct's tag is its `type`."""

from typing import TYPE_CHECKING, Any

from msgspec import UNSET, Raw, Struct, UnsetType, field

from .items import Typed
from .responses import Response

Item = dict[str, Any]
Part = dict[str, Any]
if TYPE_CHECKING:
    ResponseOrRaw = Response | Raw
else:
    ResponseOrRaw = Raw  # an event from a log keeps its response encoded


class Event(Typed):
    """Base of all events."""

    sequence_number: int
    """The number of the event in its stream, from 0 without gaps."""


class ResponseEvent(Event):
    """Base of the events with the whole response."""

    response: ResponseOrRaw
    """The response at this point; encoded if it comes from a log."""
    trace_id: str | UnsetType = UNSET
    """The MLflow trace, on the terminal event, if the client asked for it."""


class ResponseCreated(ResponseEvent, tag="response.created"):
    """The run was created."""


class ResponseQueued(ResponseEvent, tag="response.queued"):
    """The run is queued."""


class ResponseInProgress(ResponseEvent, tag="response.in_progress"):
    """The run has begun."""


class ResponseCompleted(ResponseEvent, tag="response.completed"):
    """The run has completed."""


class ResponseFailed(ResponseEvent, tag="response.failed"):
    """The run has failed; an `error` event came just before."""


class ResponseIncomplete(ResponseEvent, tag="response.incomplete"):
    """The run ended early or was cancelled."""


TERMINAL = (ResponseCompleted, ResponseFailed, ResponseIncomplete)
"""The events that end a stream."""


class OutputItemAdded(Event, tag="response.output_item.added"):
    """An item begins."""

    output_index: int
    """The item's index in the output."""
    item: Item
    """The item, still empty."""


class OutputItemDone(Event, tag="response.output_item.done"):
    """An item is complete."""

    output_index: int
    """The item's index in the output."""
    item: Item
    """The whole item."""


class ItemEvent(Event):
    """Base of the events of an item's parts."""

    item_id: str
    """The item's id."""
    output_index: int
    """The item's index in the output."""


class ContentEvent(ItemEvent):
    """Base of the events of one part of an item's content."""

    content_index: int
    """The part's index in the item's content."""


class ContentPartAdded(ContentEvent, tag="response.content_part.added"):
    """A part of an item's content begins."""

    part: Part
    """The part, still empty."""


class ContentPartDone(ContentEvent, tag="response.content_part.done"):
    """A part of an item's content is complete."""

    part: Part
    """The whole part."""


class OutputTextDelta(ContentEvent, tag="response.output_text.delta"):
    """More text."""

    delta: str
    """The text."""
    logprobs: list[Any] = field(default_factory=list)
    """Log probabilities of its tokens. The OpenAI client requires the field."""


class OutputTextDone(ContentEvent, tag="response.output_text.done"):
    """A text is complete."""

    text: str
    """The whole text."""
    logprobs: list[Any] = field(default_factory=list)
    """Log probabilities of its tokens. The OpenAI client requires the field."""


class AnnotationAdded(ContentEvent, tag="response.output_text.annotation.added"):
    """A citation in the text of a message."""

    annotation_index: int
    """The annotation's index in the part's annotations."""
    annotation: dict[str, Any]
    """The citation."""


class RefusalDelta(ContentEvent, tag="response.refusal.delta"):
    """More of a refusal."""

    delta: str
    """The text."""


class RefusalDone(ContentEvent, tag="response.refusal.done"):
    """A refusal is complete."""

    refusal: str
    """The whole text."""


class ReasoningDelta(ContentEvent, tag="response.reasoning.delta"):
    """More reasoning."""

    delta: str
    """The text."""


class ReasoningDone(ContentEvent, tag="response.reasoning.done"):
    """A part of the reasoning is complete."""

    text: str
    """The whole text."""


class SummaryEvent(ItemEvent):
    """Base of the events of one part of a reasoning summary."""

    summary_index: int
    """The part's index in the item's summary."""


class SummaryPartAdded(SummaryEvent, tag="response.reasoning_summary_part.added"):
    """A part of the summary begins."""

    part: Part
    """The part, still empty."""


class SummaryPartDone(SummaryEvent, tag="response.reasoning_summary_part.done"):
    """A part of the summary is complete."""

    part: Part
    """The whole part."""


class SummaryTextDelta(SummaryEvent, tag="response.reasoning_summary_text.delta"):
    """More of the summary."""

    delta: str
    """The text."""


class SummaryTextDone(SummaryEvent, tag="response.reasoning_summary_text.done"):
    """A text of the summary is complete."""

    text: str
    """The whole text."""


class ArgumentsDelta(ItemEvent, tag="response.function_call_arguments.delta"):
    """More of a function call's arguments."""

    delta: str
    """A piece of their JSON text."""


class ArgumentsDone(ItemEvent, tag="response.function_call_arguments.done"):
    """The arguments of a function call are complete."""

    arguments: str
    """Their whole JSON text."""


class CustomInputDelta(ItemEvent, tag="response.custom_tool_call_input.delta"):
    """More of a custom tool call's input."""

    delta: str
    """A piece of the text."""


class CustomInputDone(ItemEvent, tag="response.custom_tool_call_input.done"):
    """The input of a custom tool call is complete."""

    input: str
    """The whole text."""


class McpCallEvent(ItemEvent, forbid_unknown_fields=True):
    """Base of the events of a call of the agent's own tool. An event that has more members is
    another server's and becomes a `VendorEvent`.
    """


class McpCallInProgress(McpCallEvent, tag="response.mcp_call.in_progress"):
    """A tool of the agent is called."""


class McpArgumentsDelta(McpCallEvent, tag="response.mcp_call_arguments.delta"):
    """More of the arguments of a call of the agent's own tool."""

    delta: str
    """A piece of their JSON text."""


class McpArgumentsDone(McpCallEvent, tag="response.mcp_call_arguments.done"):
    """The arguments of a call of the agent's own tool are complete."""

    arguments: str
    """Their whole JSON text."""


class McpCallCompleted(McpCallEvent, tag="response.mcp_call.completed"):
    """A tool of the agent has ended."""


class McpCallFailed(McpCallEvent, tag="response.mcp_call.failed"):
    """A tool of the agent has failed."""


class ErrorInfo(Struct):
    """The error, as in an error response."""

    type: str
    """The kind of error, for example `model_error`."""
    code: str | None
    """A short machine-readable name."""
    message: str
    """A message for people."""
    param: str | None
    """The invalid field."""


class ErrorEvent(Event, tag="error"):
    """The run fails; `response.failed` follows. Flat for the OpenAI client, nested for others."""

    code: str | None
    """A short machine-readable name."""
    message: str
    """A message for people."""
    param: str | None
    """The invalid field."""
    error: ErrorInfo
    """The same, nested."""


class VendorEvent(Struct):
    """An event of an unknown type, passed through with a new sequence number."""

    sequence_number: int
    """The number of the event in its stream, from 0 without gaps."""
    fields: dict[str, Any]
    """The handler's event, `type` included."""

    @property
    def type(self) -> str:
        """The `type` on the wire."""
        return str(self.fields["type"])


AnyEvent = Event | VendorEvent
"""An event of a stream."""


def _leaves(base: type[Event]) -> list[type[Event]]:
    return [leaf for event in base.__subclasses__() for leaf in _leaves(event)] or [base]


EVENTS = tuple(_leaves(Event))
"""All events of known types."""
ITEM_EVENTS = tuple(event for event in EVENTS if not issubclass(event, ResponseEvent))
"""Those without the whole response."""
