"""How traces leave the process: runs wait for room at their end; flushes have bounds."""

import atexit
import functools
import logging
import threading
import time
from collections.abc import Callable
from typing import Any

from . import batches
from .batches import processors
from .queues import STALL_SECONDS, THREAD, ExportQueue, WriterQueue, stand_in, writers
from .room import room

logger = logging.getLogger("agent_asgi.tracing")
ROOM_SECONDS = 0.25
FLUSH_SECONDS = 30.0
REPORT_SECONDS = 30.0


def flush_while_moving(
    flush: Callable[[], None],
    waiting: Callable[[], int],
    seconds: float,
    starting: Callable[[], bool] = lambda: False,
) -> bool:
    """Flush in a thread of its own; give up after `seconds`, or `STALL_SECONDS` without progress.

    Args:
        flush: Flushes; may hang.
        waiting: Tells how much waits.
        seconds: The bound in all.
        starting: Tells whether what sends is being started, which is progress too.

    Returns:
        Whether all has been sent.
    """
    thread = threading.Thread(target=flush, name=f"{THREAD}-flush", daemon=True)
    try:
        thread.start()
    except RuntimeError:  # the interpreter takes no more threads
        return False
    start = moved = time.monotonic()
    least = waiting()
    while thread.is_alive():
        now = time.monotonic()
        if waiting() < least or starting():
            least, moved = waiting(), now
        if now > min(moved + STALL_SECONDS, start + seconds):
            return False
        thread.join(0.02)
    return waiting() == 0


dropped = 0
"""How many traces this process gave up because exports had fallen behind."""
_reported = 0.0


def count_dropped() -> None:
    """Count a trace that is dropped; report it, now and then."""
    global dropped, _reported
    dropped += 1
    if dropped == 1 or time.monotonic() - _reported > REPORT_SECONDS:
        _reported = time.monotonic()
        logger.warning("Trace exports have fallen behind: %d traces dropped so far.", dropped)


async def wait_for_room() -> bool:
    """Wait until the exporter has room, `ROOM_SECONDS` at most; tell whether it has."""
    return not _full() or await room.wait(_full, ROOM_SECONDS)


def _full() -> bool:
    queue = _queue()
    return batches.crowded() or bool(queue and queue.full())


def waiting() -> int:
    """Tell how many exports wait, spans that OpenTelemetry's processors hold included."""
    queue = _queue()
    return batches.count() + (queue.waiting if queue else 0)


def by_otlp() -> bool:
    """Tell whether traces go to an OTLP collector only."""
    return not any(hasattr(each, "_batch_delegate") for each in processors())


def leave_to_otlp(trace: Any, span: Any) -> None:
    """Take a trace that goes by OTLP out of MLflow's memory; its tags travel as attributes.

    MLflow does so itself when the span has ended. That is too late for an OpenTelemetry SDK whose
    ended spans are immutable: it then loses the root span. And it makes a copy that nobody needs.

    Args:
        trace: MLflow's record of the trace, whose lock is held.
        span: Its root span.
    """
    from mlflow.tracing.trace_manager import InMemoryTraceManager

    for key in [each for each in trace.info.tags if not each.startswith("mlflow.")]:
        span._span.set_attribute(f"mlflow.traceTag.{key}", trace.info.tags.pop(key))
    if span.parent_id is None:
        manager: Any = InMemoryTraceManager.get_instance()  # type: ignore[no-untyped-call]
        manager._otel_id_to_mlflow_trace_id.pop(span._span.context.trace_id, None)
        manager._traces.pop(span.trace_id, None)


def _queue() -> ExportQueue | WriterQueue | None:
    for each in processors():
        queue = getattr(getattr(each, "span_exporter", None), "_async_queue", None)
        if isinstance(queue, ExportQueue | WriterQueue):
            return queue
    return None


def take_over() -> None:
    """Put a bounded queue in the place of MLflow's, anew after `mlflow.tracing.enable()`."""
    _take_over(processors())


@functools.lru_cache(maxsize=1)
def _take_over(of: tuple[Any, ...]) -> None:
    from mlflow.tracing.export.mlflow_v3 import MlflowV3SpanExporter

    batches.take_over_batches()
    for each in of:
        exporter = getattr(each, "span_exporter", None)
        if type(exporter) is MlflowV3SpanExporter:
            given: Any = getattr(exporter, "_async_queue", None)
            if given is not None and not isinstance(given, ExportQueue | WriterQueue):
                uri: str = exporter._client.tracking_uri
                vars(exporter)["_async_queue"] = stand_in(given, uri, count_dropped)


def flush() -> bool:
    """Send what waits, as long as that moves; tell whether all has been sent."""
    return flush_while_moving(_flush_all, waiting, FLUSH_SECONDS, _starting)


def _starting() -> bool:
    queue = _queue()
    return isinstance(queue, WriterQueue) and queue.starting()


def _flush_all() -> None:
    import mlflow

    hand_over(every=True)
    mlflow.flush_trace_async_logging()


def hand_over(*, every: bool = False) -> None:
    """Pass the spans that have ended on to the exporter; `every`: also where this sends them."""
    for each in processors():
        if every or _queue() is not None:
            each.force_flush()


def _flush_at_exit() -> None:
    """Flush for apps whose lifespan nobody ends; keep a dead OTLP server from holding the exit."""
    if waiting() and not flush():
        for each in processors():
            each.span_exporter.shutdown()
    for writer in writers.values():
        writer.end()


@functools.cache
def flush_when_process_ends() -> None:
    """Flush at the interpreter's exit, within bounds."""
    atexit.register(_flush_at_exit)  # after the tracer provider's own, so it runs before
