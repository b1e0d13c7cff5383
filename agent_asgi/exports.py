"""How traces leave the process: a queue that never holds it, and a log that says so once.

MLflow's own queue is flushed without a bound, also when the interpreter exits, in threads that the
interpreter waits for: a tracking server that hangs then holds the process for minutes.
"""

import logging
import queue
import threading
import time
from collections.abc import Callable
from typing import Protocol

STALL_SECONDS = 5.0
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
