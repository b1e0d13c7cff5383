"""How traces leave the process: a queue that never holds it, and a log that says so once.

MLflow's own queue is flushed without a bound, also when the interpreter exits, in threads that the
interpreter waits for: a tracking server that hangs then holds the process for minutes.
"""

import asyncio
import atexit
import functools
import logging
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Protocol

logger = logging.getLogger("agent_asgi.tracing")
unreachable = logging.getLogger("agent_asgi.tracing.server")
"""For warnings of a server that is down: one in five minutes, MLflow's and urllib3's included."""

ROOM_SECONDS = 0.25
FLUSH_SECONDS = 30.0
STALL_SECONDS = 5.0
REPORT_SECONDS = 30.0
QUIET_SECONDS = 300.0
_THREAD = "agent-asgi-traces"


class Task(Protocol):
    """One export."""

    def handle(self) -> None:
        """Export; never raises."""


class ExportQueue:
    """Exports in daemon threads; stands in for MLflow's `AsyncTraceExportQueue`.

    Args:
        size: How many exports may wait.
        workers: How many threads export.
        on_full: Called for an export that finds no room; it is dropped.
    """

    def __init__(self, size: int, workers: int, on_full: Callable[[], None]) -> None:
        self._queue: queue.Queue[Task] = queue.Queue(size)
        self._workers = workers
        self._on_full = on_full
        self._threads: list[threading.Thread] = []
        self._lock = threading.Lock()

    @property
    def waiting(self) -> int:
        """How many exports have not ended."""
        return self._queue.unfinished_tasks

    def full(self) -> bool:
        """Tell whether there is no room."""
        return self._queue.full()

    def put(self, task: Task) -> None:
        """Take in an export, without waiting."""
        try:
            self._queue.put_nowait(task)
        except queue.Full:
            self._on_full()
            return
        with self._lock:
            if len(self._threads) < min(self._workers, self.waiting):
                name = f"{_THREAD}-{len(self._threads)}"
                thread = threading.Thread(target=self._work, name=name, daemon=True)
                self._threads.append(thread)
                thread.start()

    def flush(self, terminate: bool = False) -> None:
        """Wait until nothing waits, or nothing has moved for `STALL_SECONDS`."""
        done = self._queue.all_tasks_done
        with done:
            while self.waiting and done.wait_for(self._fewer_than(self.waiting), STALL_SECONDS):
                pass

    def _fewer_than(self, count: int) -> Callable[[], bool]:
        return lambda: self.waiting < count

    def _work(self) -> None:
        while True:
            task = self._queue.get()
            try:
                task.handle()
            finally:
                with self._queue.all_tasks_done:
                    self._queue.unfinished_tasks -= 1
                    self._queue.all_tasks_done.notify_all()


def flush_while_moving(
    flush: Callable[[], None], waiting: Callable[[], int], seconds: float
) -> bool:
    """Flush in a thread of its own; give up after `seconds`, or `STALL_SECONDS` without progress.

    Args:
        flush: Flushes; may hang.
        waiting: Tells how much waits.
        seconds: The bound in all.

    Returns:
        Whether all has been sent.
    """
    thread = threading.Thread(target=flush, name=f"{_THREAD}-flush", daemon=True)
    try:
        thread.start()
    except RuntimeError:  # the interpreter takes no more threads
        return False
    start = moved = time.monotonic()
    least = waiting()
    while thread.is_alive():
        now = time.monotonic()
        if waiting() < least:
            least, moved = waiting(), now
        if now > min(moved + STALL_SECONDS, start + seconds):
            return False
        thread.join(0.02)
    return waiting() == 0


class Hush(logging.Filter):
    """Lets one warning in five minutes pass: a server that is down is one, not thousands."""

    last = -QUIET_SECONDS

    def filter(self, record: logging.LogRecord) -> bool:
        """Tell whether a record passes."""
        ours = not record.name.startswith("urllib3") or _exports(record.threadName or "")
        if record.levelno < logging.WARNING or not ours:
            return True
        if record.created - Hush.last < QUIET_SECONDS:
            return False
        Hush.last = record.created
        return True


def _exports(thread: str) -> bool:
    return thread.startswith((_THREAD, "MlflowTraceLogging", "OtelBatch", "agent-asgi-tracing"))


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
    until = time.monotonic() + ROOM_SECONDS
    while _full():
        if time.monotonic() >= until:
            return False
        await asyncio.sleep(0.01)
    return True


def _full() -> bool:
    queue = _queue()
    return any(len(each) == each.maxlen for each in _batches()) or bool(queue and queue.full())


def _waiting() -> int:
    queue = _queue()
    return sum(map(len, _batches())) + (queue.waiting if queue else 0)


def _processors() -> Iterable[Any]:
    from mlflow.tracing.provider import provider

    active = getattr(provider.get(), "_active_span_processor", None)
    found: Iterable[Any] = getattr(active, "_span_processors", ())
    return found


def _batches() -> Iterator[deque[Any]]:
    """Give the queues of spans that wait to be exported."""
    for each in _processors():
        delegate = getattr(each, "_batch_delegate", None) or each
        queue = getattr(getattr(delegate, "_batch_processor", None), "_queue", None)
        if queue is not None:
            yield queue


def by_otlp() -> bool:
    """Tell whether traces go to an OTLP collector only."""
    return not any(hasattr(each, "_batch_delegate") for each in _processors())


def move_tags(tags: dict[str, str], span: Any) -> None:
    """Turn a trace's tags into attributes, as which they travel by OTLP.

    MLflow does so itself, but too late for an OpenTelemetry SDK whose ended spans are immutable: it
    then loses the root span.
    """
    for key in [each for each in tags if not each.startswith("mlflow.")]:
        span._span.set_attribute(f"mlflow.traceTag.{key}", tags.pop(key))


def _queue() -> ExportQueue | None:
    for each in _processors():
        queue = getattr(getattr(each, "span_exporter", None), "_async_queue", None)
        if isinstance(queue, ExportQueue):
            return queue
    return None


def take_over() -> None:
    """Put a bounded queue in the place of MLflow's, anew after `mlflow.tracing.enable()`."""
    from mlflow.tracing.export.mlflow_v3 import MlflowV3SpanExporter

    for each in _processors():
        exporter = getattr(each, "span_exporter", None)
        if type(exporter) is MlflowV3SpanExporter:
            given: Any = getattr(exporter, "_async_queue", None)
            if given is not None and not isinstance(given, ExportQueue):
                size, workers = given._queue.maxsize, given._max_workers
                bounded = ExportQueue(size, workers, count_dropped)
                vars(exporter)["_async_queue"] = bounded


def flush() -> bool:
    """Send what waits, as long as that moves; tell whether all has been sent."""
    return flush_while_moving(_flush_all, _waiting, FLUSH_SECONDS)


def _flush_all() -> None:
    import mlflow

    hand_over(every=True)
    mlflow.flush_trace_async_logging()


def hand_over(*, every: bool = False) -> None:
    """Pass the spans that have ended on to the exporter; `every`: also where this sends them."""
    for each in _processors():
        if every or _queue() is not None:
            each.force_flush()


def _flush_at_exit() -> None:
    """Flush for apps whose lifespan nobody ends; keep a dead OTLP server from holding the exit."""
    if _waiting() and not flush():
        for each in _processors():
            each.span_exporter.shutdown()


@functools.cache
def flush_when_process_ends() -> None:
    """Flush at the interpreter's exit, within bounds."""
    atexit.register(_flush_at_exit)  # after the tracer provider's own, so it runs before


_filter = Hush()


@functools.cache
def hush() -> None:
    """Have all who complain of a server that is down share one warning in five minutes."""
    for name in (
        unreachable.name,
        "mlflow.tracing.export.mlflow_v3",
        "mlflow.tracing.export.async_export_queue",
        "opentelemetry.exporter.otlp.proto.http.trace_exporter",
        "opentelemetry.exporter.otlp.proto.grpc.exporter",
        "urllib3.connectionpool",
    ):
        logging.getLogger(name).addFilter(_filter)
