"""The spans that have ended and wait in OpenTelemetry's batch processors, in deques.

A full deque drops its oldest span at once, and MLflow forgets the oldest of so many traces that it
has not yet exported, so runs wait well before that.
"""

import functools
import os
from collections import deque
from collections.abc import Sequence
from typing import Any

from .room import room

MOST_TRACES = 100_000
QUEUE_SPANS = 32_768
BATCH_SPANS = 128
"""Spans in an OTLP request: so many are answered by MLflow's server well within a run's wait."""


def keep_many_traces() -> None:
    """Have MLflow keep the traces of more than 1,000 runs at once, where nothing else is set."""
    os.environ.setdefault("MLFLOW_TRACE_BUFFER_MAX_SIZE", str(MOST_TRACES))


class Waking:
    """An exporter that makes room known.

    Args:
        exporter: Exports.
    """

    def __init__(self, exporter: Any) -> None:
        self._exporter = exporter

    def __getattr__(self, name: str) -> Any:
        return getattr(self._exporter, name)

    def export(self, spans: Sequence[Any]) -> Any:
        """Export spans, which have left their deque."""
        room.wake()
        return self._exporter.export(spans)


def processors() -> tuple[Any, ...]:
    """Give the span processors of MLflow's tracer provider."""
    from mlflow.tracing.provider import provider

    active = getattr(provider.get(), "_active_span_processor", None)
    return tuple(getattr(active, "_span_processors", ()))


def take_over_batches() -> None:
    """Have OpenTelemetry's batch processors make room known; give OTLP more of it."""
    for batch, to_mlflow in _batches():
        if not isinstance(batch._exporter, Waking):
            batch._exporter = Waking(batch._exporter)
            if not to_mlflow and "OTEL_BSP_MAX_QUEUE_SIZE" not in os.environ:
                _widen(batch)


def crowded() -> bool:
    """Tell whether runs should wait until spans have been exported."""
    return any(len(batch._queue) >= _most(batch, to_mlflow) for batch, to_mlflow in _batches())


def _most(batch: Any, to_mlflow: bool) -> int:
    half: int = batch._queue.maxlen // 2
    return min(half, _kept_traces() // 4) if to_mlflow else half


def _kept_traces() -> int:
    from mlflow.tracing.trace_manager import InMemoryTraceManager

    manager: Any = InMemoryTraceManager.get_instance()  # type: ignore[no-untyped-call]
    return int(manager._traces.maxsize)


def count() -> int:
    """Tell how many spans wait."""
    return sum(len(batch._queue) for batch, _ in _batches())


def _widen(batch: Any) -> None:
    batch._max_queue_size = QUEUE_SPANS
    batch._max_export_batch_size = min(BATCH_SPANS, batch._max_export_batch_size)
    batch._queue = deque(batch._queue, QUEUE_SPANS)


def _batches() -> list[tuple[Any, bool]]:
    return _batches_of(processors())


@functools.lru_cache(maxsize=1)
def _batches_of(of: tuple[Any, ...]) -> list[tuple[Any, bool]]:
    """Give OpenTelemetry's batches, and whether MLflow's exporter takes them in."""
    found = []
    for each in of:
        delegate = getattr(each, "_batch_delegate", None)
        batch = getattr(delegate or each, "_batch_processor", None)
        if isinstance(getattr(batch, "_queue", None), deque):
            found.append((batch, delegate is not None))
    return found
