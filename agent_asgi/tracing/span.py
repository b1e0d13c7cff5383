"""The root span of a run."""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from .export import pending
from .genai import Ending
from .propagation import manager

if TYPE_CHECKING:
    from .run_spans import RunSpans

logger = logging.getLogger("agent_asgi.tracing")
_ATTACHED = ("base64", "b64", "audio", "image", "inline_data", "ttachment")
"""Every value that MLflow moves from a span to an attachment contains one of these."""


class Trace:
    """The root span of one run, in the context of the task that began it.

    Args:
        span: MLflow's span.
        token: Restores the context that was current before the span.
        remote: Entered contexts to leave at the end.
        continued: Whether the span is a part of a caller's trace.
        spans: What all spans of the run have in common. None if it is traced to MLflow alone.

    Attributes:
        id: MLflow's id of the trace.
    """

    def __init__(
        self,
        span: Any,
        token: Any,
        remote: contextlib.ExitStack,
        continued: bool,
        spans: "RunSpans | None",
    ) -> None:
        from mlflow.tracing.provider import get_current_otel_span

        self.id: str = span.trace_id
        self._span = span
        self._otel: Any = get_current_otel_span()
        self._token = token
        self._remote = remote
        self._continued = continued
        self._captures = spans is None or spans.capture_content
        self._named = spans is not None and spans.named
        if spans is not None:
            self._join(spans)

    def _join(self, spans: "RunSpans") -> None:
        from .run_spans import runs

        runs[self._otel] = spans
        self._otel.set_attributes({**spans.attributes, **spans.root})

    def set_attributes(self, attributes: Mapping[str, str | None]) -> None:
        """Set attributes as plain strings; MLflow's own setter quotes them.

        Args:
            attributes: Their values; None is left out.
        """
        for key, value in attributes.items():
            if value is not None:
                self._otel.set_attribute(key, value)

    def set_inputs(self, inputs: Any) -> None:
        """Set the request's body."""
        self._set_body("mlflow.spanInputs", inputs, self._span.set_inputs)

    async def end(self, ending: Ending, *, large: bool = False) -> None:
        """End the span with the run's outputs; wait a bounded time if exports fall behind.

        Args:
            ending: How the run ended.
            large: Whether to write the outputs in a thread, since they are large. Default False.
        """
        try:
            self._leave_context()
            room = True
            try:
                room = await pending.wait_for_room()
            finally:  # also if the task is cancelled while it waits
                if not room:
                    self._drop()
                elif large:
                    await _in_thread(lambda: self._finish(ending))
                else:
                    self._finish(ending)
        except Exception:  # tracing never fails a request
            logger.warning("A trace could not be ended.", exc_info=True)
        finally:
            with contextlib.suppress(ValueError):
                self._remote.close()

    @property
    def _otel_id(self) -> int:
        id_: int = self._otel.get_span_context().trace_id
        return id_

    def _set_body(self, key: str, body: Any, otherwise: Callable[[Any], None]) -> None:
        """Write a body to JSON once, unless it may hold attachments."""
        self._span.set_attribute(key, body)
        text = self._otel.attributes.get(key, "")
        if any(word in text for word in _ATTACHED):
            otherwise(body)

    def _leave_context(self) -> None:
        from mlflow.tracing.provider import detach_span_from_context

        with contextlib.suppress(ValueError):  # the handler was ended in another task
            detach_span_from_context(self._token)

    def _drop(self) -> None:
        from .processors import exporters

        if not self._continued:
            manager().pop_trace(self._otel_id)
        for exporter in exporters():
            exporter.forget(self._otel_id)
        pending.lose_for_room()

    def _finish(self, ending: Ending) -> None:
        from .processors import by_otlp, exporters

        error = ending.error
        if self._captures:
            self._set_body("mlflow.spanOutputs", ending.outputs(), self._span.set_outputs)
        if error is not None:
            self._span.record_exception(error if _has_text(error) else type(error).__name__)
        self._end_children()
        self.set_attributes({"agent_asgi.status": ending.status})
        if self._named:
            self._otel.set_attributes(ending.attributes())
        with manager().get_trace(self.id) as trace:
            if trace is not None:
                trace.info.tags["agent_asgi.status"] = ending.status
                if ending.cause is not None:
                    trace.info.tags["agent_asgi.cause"] = ending.cause
                if not self._captures:
                    _leave_out_content(trace)
                if by_otlp():
                    self._leave_to_otlp(trace)
        self._span.end(status="ERROR" if ending.status == "failed" else "OK")
        if self._continued:
            for exporter in exporters():
                exporter.release(self._otel_id)

    def _end_children(self) -> None:
        """End the spans below that are still open: MLflow would never export the trace."""
        with manager().get_trace(self.id) as trace:
            spans = [] if trace is None else list(trace.span_dict.values())
        below, unended = {self._span.span_id}, []
        for span in spans:  # a parent comes before its children
            if span.parent_id in below:
                below.add(span.span_id)
                if span.end_time_ns is None:
                    unended.append(span)
        for span in reversed(unended):
            span.end()

    def _leave_to_otlp(self, trace: Any) -> None:
        """Send the tags as attributes, and drop MLflow's copy of the spans.

        MLflow sets the attributes itself when the span has ended, which an OpenTelemetry SDK whose
        ended spans are immutable refuses: the root span would be lost.

        Args:
            trace: MLflow's record of the trace, whose lock is held.
        """
        tags = trace.info.tags
        names = [name for name in tags if not name.startswith("mlflow.")]
        self.set_attributes({f"mlflow.traceTag.{name}": tags.pop(name) for name in names})
        if not self._continued:
            trace.span_dict.clear()


def _leave_out_content(trace: Any) -> None:
    """Drop what MLflow keeps of a conversation besides the attributes of spans.

    Args:
        trace: MLflow's record of the trace, whose lock is held.
    """
    trace.info.request_preview = trace.info.response_preview = None
    for span in trace.span_dict.values():
        span._attachments.clear()


async def _in_thread(work: Callable[[], None]) -> None:
    """Run a function in a thread; a cancellation waits until it has returned."""
    task = asyncio.create_task(asyncio.to_thread(work))
    while not task.done():
        with contextlib.suppress(asyncio.CancelledError):  # the run ends, and says so itself
            await asyncio.wait([task])
    task.result()


def _has_text(error: Exception) -> bool:
    """Return whether an exception's `__str__` works; a handler's own may raise."""
    try:
        str(error)
    except Exception:  # noqa: BLE001  it may raise anything
        return False
    return True
