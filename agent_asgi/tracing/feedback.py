"""A person's feedback on a run: an MLflow assessment of its trace, and an OpenTelemetry event."""

import re
import threading
import time
from dataclasses import dataclass
from typing import Any

from ..errors import NotSupported
from ..schema.ids import random_text
from .query import RESPONSE, ask, exported

NAME = "user_feedback"
"""The assessment's name."""
_OTEL_ID = re.compile(r"[0-9a-f]{32}$")
"""What OpenTelemetry calls the trace, at the end of MLflow's id."""
_writing = threading.Lock()
"""Without it, two requests of one person at once would both add an assessment."""


@dataclass(frozen=True)
class Feedback:
    """One person's feedback on one run.

    Args:
        trace_id: The run's trace.
        response_id: The run's response, which the trace must name in its tags.
        value: Whether the response was good.
        comment: The reason. None keeps an earlier comment.
        source: The id of the person.
    """

    trace_id: str
    response_id: str
    value: bool
    comment: str | None
    source: str


async def keep(feedback: Feedback) -> str | None:
    """Store feedback in MLflow, in a thread. It replaces earlier feedback of the same person.

    If the process has an OpenTelemetry logger provider, feedback is also a
    `gen_ai.evaluation.result` event; if no trace goes to MLflow, only that.

    Args:
        feedback: The feedback.

    Returns:
        The assessment's id, or a new one if there is only an event; None if the response has no
        such trace.

    Raises:
        NotSupported: Neither MLflow nor OpenTelemetry takes feedback.
        Unavailable: MLflow fails, or does not answer in time.
    """
    return await ask(lambda: _keep(feedback))


def _keep(feedback: Feedback) -> str | None:
    if _is_mlflow_unused():
        if _emit(feedback):
            return "event_" + random_text()
        raise NotSupported(
            "trace_id: traces go to an OTLP collector, which takes no feedback. Set "
            "MLFLOW_TRACKING_URI, or an OpenTelemetry logger provider.",
            "trace_id",
        )
    id_ = _keep_assessment(feedback)
    if id_ is not None:
        _emit(feedback)
    return id_


def _is_mlflow_unused() -> bool:
    """Return whether traces go to an OTLP collector only, and MLflow has no place for feedback."""
    from mlflow.tracking import get_tracking_uri, is_tracking_uri_set

    from .processors import by_otlp
    from .setup import UNUSED

    is_set: Any = is_tracking_uri_set  # untyped
    return by_otlp() and (not is_set() or get_tracking_uri() == UNUSED)


def _emit(feedback: Feedback) -> bool:
    """Emit feedback as an event in its trace, and return whether anything takes events."""
    from opentelemetry import trace
    from opentelemetry._logs import LogRecord, get_logger_provider
    from opentelemetry.sdk._logs import LoggerProvider

    provider = get_logger_provider()
    if not isinstance(provider, LoggerProvider):
        return False
    found = _OTEL_ID.search(feedback.trace_id)
    span = trace.SpanContext(int(found[0], 16) if found else 0, 0, True, trace.TraceFlags(1))
    attributes: dict[str, Any] = {
        "gen_ai.evaluation.name": NAME,
        "gen_ai.evaluation.score.value": float(feedback.value),
        "gen_ai.evaluation.score.label": "pass" if feedback.value else "fail",
        "gen_ai.response.id": feedback.response_id,
        "user.id": feedback.source,
    }
    if feedback.comment is not None:
        attributes["gen_ai.evaluation.explanation"] = feedback.comment
    record = LogRecord(
        timestamp=time.time_ns(),
        context=trace.set_span_in_context(trace.NonRecordingSpan(span)),
        event_name="gen_ai.evaluation.result",
        attributes=attributes,
    )
    provider.get_logger("agent_asgi").emit(record)
    return True


def _keep_assessment(feedback: Feedback) -> str | None:
    from mlflow import log_feedback, update_assessment
    from mlflow.entities import AssessmentSource
    from mlflow.entities import Feedback as Assessment
    from mlflow.tracing.client import TracingClient

    info = exported(lambda: _found(feedback.trace_id))
    if info is None or info.tags[RESPONSE] != feedback.response_id:
        return None
    fields: dict[str, Any] = {
        "name": NAME,
        "value": feedback.value,
        "source": AssessmentSource("HUMAN", feedback.source),
        "rationale": feedback.comment,
    }
    with _writing:
        for earlier in TracingClient().store.get_trace_info(feedback.trace_id).assessments:
            if earlier.name == NAME and earlier.source == fields["source"]:
                update_assessment(feedback.trace_id, earlier.assessment_id, Assessment(**fields))
                return str(earlier.assessment_id)
        return log_feedback(trace_id=feedback.trace_id, **fields).assessment_id


def _found(trace_id: str) -> Any:
    """Return MLflow's record of a trace; None if it has none, or only the spans so far."""
    from mlflow.exceptions import MlflowException
    from mlflow.tracing.client import TracingClient

    try:
        info = TracingClient().store.get_trace_info(trace_id)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        return None
    return info if RESPONSE in info.tags else None
