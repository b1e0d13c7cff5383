"""One run's trace, from its root span's start to its end."""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from typing import Any

from .callers import manager
from .exports import by_otlp, count_dropped, hand_over, leave_to_otlp, wait_for_room

logger = logging.getLogger("agent_asgi.tracing")
_ATTACHED = ("base64", "b64", "audio", "image", "inline_data", "ttachment")
"""One of these is in whatever MLflow takes out of a span to keep it as an attachment."""


def set_body(span: Any, key: str, body: Any, otherwise: Callable[[Any], None]) -> None:
    """Set a span's inputs or outputs; what holds no attachments is written to JSON just once.

    Args:
        span: MLflow's span.
        key: The attribute.
        body: The inputs or outputs.
        otherwise: Sets them where they may hold attachments.
    """
    span.set_attribute(key, body)
    text = span._span.attributes.get(key, "")
    if any(each in text for each in _ATTACHED):
        otherwise(body)


class Trace:
    """The root span of one run, in the context of the task that began it.

    Attributes:
        id: MLflow's id of the trace.
    """

    def __init__(
        self, span: Any, token: Any, remote: contextlib.ExitStack, continued: bool
    ) -> None:
        self.id: str = span.trace_id
        self._span = span
        self._token = token
        self._remote = remote
        self._continued = continued

    async def end(
        self,
        outputs: Callable[[], Any],
        status: str,
        error: Exception | None = None,
        cause: str | None = None,
        *,
        large: bool = False,
    ) -> None:
        """Close the span with the run's outputs; wait a bounded moment where exports fall behind.

        Args:
            outputs: Gives the reduced response, or what there is of it.
            status: completed, failed, incomplete or cancelled.
            error: What the handler raised. Default None.
            cause: Why the run was cancelled, or the code of its error. Default None.
            large: Whether the outputs take MLflow so long that a thread is worth it. Default False.
        """
        try:
            self._leave_context()
            room = True
            try:
                room = await wait_for_room()
            finally:  # also where the task is cancelled while it waits
                if not room:
                    self._drop()
                elif large:
                    await _in_thread(lambda: self._finish(outputs(), status, error, cause))
                else:
                    self._finish(outputs(), status, error, cause)
            if self._continued:
                await asyncio.wait_for(asyncio.to_thread(hand_over), 2)
        except Exception:  # tracing never fails a request
            logger.warning("A trace could not be ended.", exc_info=True)
        finally:
            with contextlib.suppress(ValueError):
                self._remote.close()

    def _leave_context(self) -> None:
        from mlflow.tracing.provider import detach_span_from_context

        with contextlib.suppress(ValueError):  # the handler was ended in another task
            detach_span_from_context(self._token)

    def _drop(self) -> None:
        if not self._continued:
            manager().pop_trace(self._span._span.context.trace_id)
        count_dropped()

    def _finish(
        self, outputs: Any, status: str, error: Exception | None, cause: str | None
    ) -> None:
        span = self._span
        set_body(span, "mlflow.spanOutputs", outputs, span.set_outputs)
        if error is not None:
            span.record_exception(error if _can_be_told(error) else type(error).__name__)
        with manager().get_trace(span.trace_id) as trace:
            if trace is not None:
                trace.info.tags["agent_asgi.status"] = status
                if cause is not None:
                    trace.info.tags["agent_asgi.cause"] = cause
                if by_otlp():
                    leave_to_otlp(trace, span)
        span.set_attribute("agent_asgi.status", status)
        span.end(status="ERROR" if status == "failed" else "OK")


async def _in_thread(work: Callable[[], None]) -> None:
    """Do some work in a thread, to its end, also where the task is cancelled meanwhile."""
    task = asyncio.create_task(asyncio.to_thread(work))
    while not task.done():
        with contextlib.suppress(asyncio.CancelledError):  # the run ends, and says so itself
            await asyncio.wait([task])
    task.result()


def _can_be_told(error: Exception) -> bool:
    """Tell whether an exception has a text; a handler's own may fail to give one."""
    try:
        str(error)
    except Exception:  # noqa: BLE001  it may raise anything
        return False
    return True
