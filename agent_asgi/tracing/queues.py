"""What stands in the place of MLflow's `AsyncTraceExportQueue`: queues that never hold the process.

MLflow's own is flushed without a bound, also when the interpreter exits, in threads that the
interpreter waits for: a tracking server that hangs then holds the process for minutes.
"""

import queue
import threading
from collections.abc import Callable
from typing import Any, Protocol

from .held import Held
from .room import room
from .sink import Target, TraceFrame
from .writer import Writer

STALL_SECONDS = 5.0
DATABASES = ("postgresql", "mysql", "sqlite", "mssql")
START_SECONDS = 20.0
"""How long the process that writes may take to start, on a machine that has much to do."""
THREAD = "agent-asgi-traces"


class Task(Protocol):
    """One export; MLflow's has also the attributes `handler` and `args`."""

    def handle(self) -> None:
        """Export; never raises."""


class ExportQueue:
    """Exports in daemon threads.

    Args:
        size: With how many exports waiting there is no room; with twice as many one is dropped.
        workers: How many threads export.
        on_full: Called for an export that is dropped.
    """

    def __init__(self, size: int, workers: int, on_full: Callable[[], None]) -> None:
        self._size = size
        self._queue: queue.Queue[Task] = queue.Queue(2 * size)
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
        return self._queue.qsize() >= self._size

    def put(self, task: Task) -> None:
        """Take in an export, without waiting."""
        try:
            self._queue.put_nowait(task)
        except queue.Full:
            self._on_full()
            return
        with self._lock:
            if len(self._threads) < min(self._workers, self.waiting):
                name = f"{THREAD}-{len(self._threads)}"
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
            room.wake()
            try:
                task.handle()
            finally:
                with self._queue.all_tasks_done:
                    self._queue.unfinished_tasks -= 1
                    self._queue.all_tasks_done.notify_all()


class WriterQueue:
    """Has a process of its own export to a database.

    Args:
        writer: Has that process.
        here: Exports what that process does not know.
    """

    def __init__(self, writer: Writer, here: ExportQueue) -> None:
        self._writer = writer
        self._here = here
        self._held = Held(writer.put)

    @property
    def waiting(self) -> int:
        """How many exports have not ended."""
        return self._writer.backlog.waiting + self._here.waiting + len(self._held)

    def full(self) -> bool:
        """Tell whether there is no room."""
        return self._writer.backlog.full() or self._here.full()

    def put(self, task: Any) -> None:
        """Take in an export, without waiting."""
        try:
            known = self._put(getattr(task.handler, "__name__", ""), task.args)
        except Exception:  # noqa: BLE001  it cannot be pickled
            known = False
        if not known:
            self._here.put(task)

    def flush(self, terminate: bool = False) -> None:
        """Wait until nothing waits, or nothing has moved for `STALL_SECONDS`."""
        self._held.release()
        self._here.flush()
        self._writer.up.wait(START_SECONDS)
        self._writer.backlog.flush(STALL_SECONDS)

    def starting(self) -> bool:
        """Tell whether the process is being started."""
        return not self._writer.up.is_set()

    def _put(self, name: str, args: Any) -> bool:
        if name == "_log_trace":
            frame = TraceFrame(*args)
            self._writer.put(frame)
            self._held.drop(frame.trace.info.trace_id)
        elif name == "_log_spans":
            self._put_spans(*args)
        return name in {"_log_trace", "_log_spans"}

    def _put_spans(self, experiment: str, spans: list[Any], workspace: str | None = None) -> None:
        """Take in the spans of traces that go on; the others come with their traces."""
        ended = {each.trace_id for each in spans if each.parent_id is None and not _is_open(each)}
        self._held.hold(
            experiment, [each for each in spans if each.trace_id not in ended], workspace
        )


def _is_open(root: Any) -> bool:
    """Tell whether a span of the trace has yet to end, so that MLflow holds the trace back."""
    from mlflow.tracing.trace_manager import InMemoryTraceManager

    manager: Any = InMemoryTraceManager.get_instance()  # type: ignore[no-untyped-call]
    is_open: bool = manager.has_open_spans(root._span.context.trace_id)
    return is_open


def is_database(uri: str) -> bool:
    """Tell whether a tracking URI is that of a database which another process can open."""
    scheme, _, rest = uri.partition("://")
    in_memory = not rest.strip("/") or ":memory:" in rest or "mode=memory" in rest
    return scheme.partition("+")[0] in DATABASES and not in_memory


writers: dict[Target, Writer] = {}
"""The writers of this process; one, where the code does not change MLflow's tracking URI."""


def stand_in(given: Any, tracking: str, on_full: Callable[[], None]) -> ExportQueue | WriterQueue:
    """Make what takes the place of MLflow's queue.

    Args:
        given: MLflow's queue.
        tracking: The tracking URI of the exporter that has it.
        on_full: Called for each export that is dropped.
    """
    here = ExportQueue(given._queue.maxsize, given._max_workers, on_full)
    if not is_database(tracking):
        return here
    from mlflow import get_registry_uri

    target = Target(tracking, get_registry_uri())
    if target not in writers:
        writers[target] = Writer(target, on_full)
    return WriterQueue(writers[target], here)
