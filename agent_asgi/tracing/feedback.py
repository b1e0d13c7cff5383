"""A person's feedback on a run, stored as an MLflow assessment of its trace."""

import threading
from dataclasses import dataclass
from typing import Any

from .query import RESPONSE, ask, exported

NAME = "user_feedback"
"""The assessment's name."""
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

    Args:
        feedback: The feedback.

    Returns:
        The assessment's id; None if the response has no such trace.

    Raises:
        Unavailable: MLflow fails, or does not answer in time.
    """
    return await ask(lambda: _keep(feedback))


def _keep(feedback: Feedback) -> str | None:
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
