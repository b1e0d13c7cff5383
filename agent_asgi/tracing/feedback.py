"""What a person thinks of a run, as an MLflow assessment on its trace."""

import asyncio
import concurrent.futures
import logging
import threading
import time
from dataclasses import dataclass
from typing import Any

from ..errors import Unavailable
from .exports import hand_over, waiting

logger = logging.getLogger("agent_asgi.tracing")

NAME = "user_feedback"
"""The assessment's name."""
RESPONSE = "agent_asgi.response_id"
"""The tag that names a trace's response."""
AT_ONCE = 4
"""How many MLflow is asked to keep at the same time; its threads may hang as long as a server."""
TRACE_SECONDS = 20.0
"""How long a trace may take that this process still exports."""
GRACE_SECONDS = 2.0
"""How long it may take once nothing waits here: another worker may have it."""
SECONDS = 30.0
"""The bound in all."""
PAUSE_SECONDS = 0.1
_slots = threading.BoundedSemaphore(AT_ONCE)
_writing = threading.Lock()
"""Or two opinions of one person at once would each be the first."""


@dataclass(frozen=True)
class Feedback:
    """One person's opinion.

    Args:
        trace_id: The run's trace.
        response_id: The run's response, which the trace must name in its tags.
        value: Whether it was good.
        comment: Why. None keeps what was said before.
        source: Who says so.
    """

    trace_id: str
    response_id: str
    value: bool
    comment: str | None
    source: str


async def keep(feedback: Feedback) -> str | None:
    """Have MLflow keep an opinion, in a thread; a second one of the same person replaces the first.

    Args:
        feedback: The opinion.

    Returns:
        The assessment's id; None where there is no such trace of that response.

    Raises:
        Unavailable: MLflow does not take it, or not in time.
    """
    if not _slots.acquire(blocking=False):
        raise Unavailable("MLflow is still busy with earlier feedback.")
    done: concurrent.futures.Future[str | None] = concurrent.futures.Future()
    done.set_running_or_notify_cancel()  # it goes on where nobody waits for it any more
    threading.Thread(
        target=_work, args=(feedback, done), name="agent-asgi-feedback", daemon=True
    ).start()
    try:
        return await asyncio.wait_for(asyncio.wrap_future(done), SECONDS)
    except Exception as error:
        logger.warning("MLflow does not keep feedback: %r", error)
        raise Unavailable("MLflow does not take feedback just now.") from error


def _work(feedback: Feedback, done: concurrent.futures.Future[str | None]) -> None:
    try:
        done.set_result(_keep(feedback))
    except Exception as error:  # noqa: BLE001  whatever it is, who waits is told
        done.set_exception(error)
    finally:
        _slots.release()


def _keep(feedback: Feedback) -> str | None:
    from mlflow import log_feedback, update_assessment
    from mlflow.entities import AssessmentSource
    from mlflow.entities import Feedback as Assessment
    from mlflow.tracing.client import TracingClient

    info = _exported(feedback.trace_id)
    if info is None or info.tags[RESPONSE] != feedback.response_id:
        return None
    said: dict[str, Any] = {
        "name": NAME,
        "value": feedback.value,
        "source": AssessmentSource("HUMAN", feedback.source),
        "rationale": feedback.comment,
    }
    with _writing:
        for each in TracingClient().store.get_trace_info(feedback.trace_id).assessments:
            if each.name == NAME and each.source == said["source"]:
                update_assessment(feedback.trace_id, each.assessment_id, Assessment(**said))
                id_: str = each.assessment_id
                return id_
        return log_feedback(trace_id=feedback.trace_id, **said).assessment_id


def _exported(trace_id: str) -> Any:
    """Give what MLflow knows of a trace, once it has left this process; None for no trace."""
    from mlflow.exceptions import MlflowException
    from mlflow.tracing.client import TracingClient

    store = TracingClient().store
    hand_over(every=True)
    begun = moved = time.monotonic()
    while True:
        exporting = waiting()  # asked first: what ends while MLflow is asked is looked for again
        try:
            info = store.get_trace_info(trace_id)
            if RESPONSE in info.tags:  # MLflow may have the spans before it has the trace
                return info
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
        now = time.monotonic()
        moved = now if exporting else moved
        if now > min(moved + GRACE_SECONDS, begun + TRACE_SECONDS):
            return None
        time.sleep(PAUSE_SECONDS)
