"""What all spans of a run have in common, and what the export leaves out of them."""

from collections.abc import Mapping
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

from opentelemetry.attributes import BoundedAttributes
from opentelemetry.context import Context
from opentelemetry.sdk.trace import Event, Span, SpanProcessor
from opentelemetry.trace import Status, StatusCode, get_current_span

from .genai import operation_of, without_content

EXCEPTION = "exception"
TYPE = "exception.type"


class RunSpans(NamedTuple):
    """What all spans of a run have in common.

    Args:
        attributes: Attributes that each of them has.
        root: Further attributes of the run's own span.
        capture_content: Whether they have the words of the conversation.
        named: Whether they have OpenTelemetry's names.
    """

    attributes: Mapping[str, str]
    root: Mapping[str, str]
    capture_content: bool
    named: bool


runs: WeakKeyDictionary[Any, RunSpans] = WeakKeyDictionary()
"""The run that a span belongs to: a run's root span is put here, those below follow. Runs that are
traced with content to MLflow alone are not here: there is nothing to do."""


class RunSpanProcessor(SpanProcessor):
    """Completes the spans below a run's root, and takes content out if it is not captured.

    It changes a span when all have finished with it but before any processor exports it. There
    OpenTelemetry's SDK lets nobody change it, unlike its specification, hence the private names.
    """

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Set the attributes that the spans of a run have in common."""
        run = None if span.parent is None else runs.get(get_current_span(parent_context))
        if run is not None:
            runs[span] = run
            span.set_attributes(run.attributes)

    def _on_ending(self, span: Span) -> None:
        run = runs.get(span)
        if run is None:
            return
        attributes = span.attributes or {}
        added: dict[str, Any] = operation_of(span.name, attributes) if run.named else {}
        if added and span.status.status_code is StatusCode.ERROR:
            types = (event.attributes or {} for event in span.events if event.name == EXCEPTION)
            added["error.type"] = next((str(each.get(TYPE)) for each in types), "_OTHER")
        if not run.capture_content:
            attributes = without_content(attributes, run.attributes)
            _leave_out_texts(span)
        elif not added:
            return
        span._attributes = BoundedAttributes(attributes={**attributes, **added})


def _leave_out_texts(span: Any) -> None:
    """Drop a span's events and its status's description, but not the types of exceptions."""
    span._events = [
        Event(EXCEPTION, {TYPE: event.attributes[TYPE]}, event.timestamp)
        for event in span.events
        if event.name == EXCEPTION and TYPE in event.attributes
    ]
    span._status = Status(span.status.status_code)
