"""Bounds the span processors of MLflow's tracer provider."""

import atexit
import contextlib
import functools
import os
import threading
import time
from collections.abc import Sequence
from typing import Any

import mlflow
from mlflow.tracing.export.mlflow_v3 import MlflowV3SpanExporter
from mlflow.tracing.processor.base_mlflow import BaseMlflowSpanProcessor
from mlflow.tracing.processor.mlflow_v3 import MlflowV3SpanProcessor
from mlflow.tracing.processor.otel import OtelSpanProcessor
from mlflow.tracing.provider import provider
from mlflow.tracing.utils.otlp import get_otlp_exporter, should_export_otlp_metrics
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace import get_tracer_provider

from .export import MAX_SPANS, STALL_SECONDS, is_root, pending, size_of
from .mlflow_exporter import TraceExporter
from .run_spans import RunSpanProcessor

BATCH_SPANS = 128
"""Spans in an OTLP request: few enough that MLflow's server answers within `ROOM_SECONDS`."""
EXIT_SECONDS = 30.0


class CountingExporter(SpanExporter):
    """Counts the spans that another exporter has sent, and the traces that were refused.

    Args:
        exporter: OpenTelemetry's.
    """

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Export spans."""
        result = SpanExportResult.FAILURE
        roots = sum(map(is_root, spans))
        try:
            result = self._exporter.export(spans)
        finally:
            if result is not SpanExportResult.SUCCESS:
                pending.lose(roots, "The OTLP collector did not take traces")
            pending.remove(roots, len(spans), sum(map(size_of, spans)))
        return result

    def shutdown(self) -> None:
        """Shut the exporter down, so that it stops retrying."""
        self._exporter.shutdown()


class BoundedBatchProcessor(BatchSpanProcessor):
    """OpenTelemetry's, with a queue for all spans that `pending` admits.

    Args:
        exporter: OpenTelemetry's.
    """

    def __init__(self, exporter: SpanExporter) -> None:
        batch = None if "OTEL_BSP_MAX_EXPORT_BATCH_SIZE" in os.environ else BATCH_SPANS
        super().__init__(
            CountingExporter(exporter), max_queue_size=2 * MAX_SPANS, max_export_batch_size=batch
        )

    def on_end(self, span: ReadableSpan) -> None:
        """Queue a span that has ended."""
        if span.context is None or not span.context.trace_flags.sampled:
            return
        if pending.full(2):
            pending.lose_for_room(int(is_root(span)))
            return
        pending.add(int(is_root(span)), 1, size_of(span))
        super().on_end(span)


class OtlpProcessor(OtelSpanProcessor, BoundedBatchProcessor):
    """MLflow's hooks on a bounded batch processor."""


_lock = threading.Lock()
_taken: Any = None
_named = False


def take_over() -> bool:
    """Replace the processors of MLflow's provider that this package bounds, and add its own.

    MLflow has one provider per process and makes a new one after `mlflow.tracing.enable()` or a
    change of destination, so each run calls this; it returns at once if nothing has changed.

    Returns:
        Whether spans may go elsewhere than to MLflow, so that they need OpenTelemetry's names.
    """
    global _named, _taken
    active: Any = getattr(provider.get(), "_active_span_processor", None)
    if active is None or active is _taken:
        return _named
    with _lock:
        if active is not _taken:
            is_shared = provider.get() is get_tracer_provider()
            _named = is_shared or not all(map(_is_mlflows, active._span_processors))
            bounded = map(_bounded, active._span_processors)
            active._span_processors = (RunSpanProcessor(), *bounded)
            _taken = active
    _flush_at_exit()
    return _named


def _is_mlflows(processor: Any) -> bool:
    return isinstance(processor, BaseMlflowSpanProcessor)


def _bounded(processor: Any) -> Any:
    kind, exporter = type(processor), getattr(processor, "span_exporter", None)
    if kind is OtelSpanProcessor:
        processor.shutdown()
        return OtlpProcessor(get_otlp_exporter(), processor._export_metrics)
    if kind is MlflowV3SpanProcessor and type(exporter) is MlflowV3SpanExporter:
        processor.shutdown()
        ours = TraceExporter(exporter._client.tracking_uri)
        return MlflowV3SpanProcessor(ours, should_export_otlp_metrics(), use_batch_processor=False)
    return processor


def processors() -> tuple[Any, ...]:
    """Return the span processors of MLflow's provider."""
    active = getattr(provider.get(), "_active_span_processor", None)
    return tuple(getattr(active, "_span_processors", ()))


def exporters() -> list[TraceExporter]:
    """Return the exporters to a database or a tracking server."""
    found = (getattr(each, "span_exporter", None) for each in processors())
    return [each for each in found if isinstance(each, TraceExporter)]


def by_otlp() -> bool:
    """Return whether traces go to an OTLP collector only."""
    ours = (OtelSpanProcessor, RunSpanProcessor)
    return all(isinstance(each, ours) for each in processors())


def flush_processors() -> None:
    """Export what waits, without a time limit."""
    for each in processors():
        each.force_flush()
    mlflow.flush_trace_async_logging()


def flush(seconds: float) -> bool:
    """Export what waits, in a thread that is left behind if it hangs.

    Args:
        seconds: The time limit. It ends earlier if nothing was exported for `STALL_SECONDS`.

    Returns:
        Whether everything was exported.
    """
    thread = threading.Thread(target=flush_processors, name="agent-asgi-flush", daemon=True)
    with contextlib.suppress(RuntimeError):  # the interpreter takes no more threads
        thread.start()
    begun = moved = time.monotonic()
    left = pending.departed
    while thread.is_alive() or pending.spans:
        now = time.monotonic()
        if pending.departed != left:
            left, moved = pending.departed, now
        if now > min(moved + STALL_SECONDS, begun + seconds):
            return False
        thread.join(0.02) if thread.is_alive() else time.sleep(0.02)
    return True


def _exit() -> None:
    """Flush for apps whose lifespan nobody ends; a dead collector does not hold the exit."""
    if pending.spans and not flush(EXIT_SECONDS):
        for each in processors():
            if isinstance(each, OtlpProcessor):
                each.span_exporter.shutdown()


@functools.cache
def _flush_at_exit() -> None:
    atexit.register(_exit)  # after the provider's own, so it runs before
