"""The spans that wait to be exported: counted and bounded."""

import asyncio
import contextlib
import logging
import os
import threading
import time
from collections import deque
from typing import Any

logger = logging.getLogger("agent_asgi.tracing")

MAX_TRACES = 8_192
MAX_SPANS = 131_072
MAX_BYTES = 64 << 20
ROOM_SECONDS = 1.0
"""How long a run waits for room when it ends. An OTLP request of 128 spans takes up to a second."""
STALL_SECONDS = 5.0
"""A flush gives up if nothing has been exported for this long."""
REPORT_SECONDS = 30.0
DOWN_SECONDS = 300.0


class Pending:
    """Counts the spans that have ended and are not yet exported; runs wait here for room.

    Attributes:
        traces: Number of traces that wait.
        spans: Number of spans that wait.
        size: Number of characters in the attributes of these spans.
        departed: Number of spans that have been exported or lost.
        lost: Number of traces lost since the process started.
        stalled: Whether nothing can be exported at present: waiting for room is useless.
    """

    def __init__(self) -> None:
        self.lost = 0
        self._logged: dict[str, float] = {}
        self.reset()
        if hasattr(os, "register_at_fork"):  # not on Windows
            os.register_at_fork(after_in_child=self.reset)

    def reset(self) -> None:
        """Forget what waits; in a forked process, the parent exports it."""
        self.traces = self.spans = self.size = self.departed = 0
        self.stalled = False
        self._lock = threading.Lock()
        self._waiters: deque[asyncio.Future[None]] = deque()

    def full(self, share: int = 1) -> bool:
        """Return whether there is no room.

        Args:
            share: Multiplies the bounds. Default 1.
        """
        return (
            self.traces >= share * MAX_TRACES
            or self.size >= share * MAX_BYTES
            or self.spans >= share * MAX_SPANS
        )

    def add(self, traces: int, spans: int, size: int) -> None:
        """Add to what waits."""
        with self._lock:
            self.traces += traces
            self.spans += spans
            self.size += size

    def remove(self, traces: int, spans: int, size: int) -> None:
        """Subtract from what waits, and wake as many runs as there is room for."""
        with self._lock:
            self.traces -= traces
            self.spans -= spans
            self.size -= size
            self.departed += spans
            room = max(traces, 0 if self.full() else 1)
            woken = [self._waiters.popleft() for _ in range(min(room, len(self._waiters)))]
        for waiter in woken:
            with contextlib.suppress(RuntimeError):  # the loop is closed
                waiter.get_loop().call_soon_threadsafe(waiter.set_result, None)

    def lose(self, traces: int, reason: str) -> None:
        """Count lost traces, and log the count at most once in `REPORT_SECONDS`.

        Args:
            traces: The number of traces.
            reason: A sentence without its full stop, for the log.
        """
        with self._lock:
            self.lost += traces
        if traces and self._is_due("lost", REPORT_SECONDS):
            logger.warning("%s; %d traces lost since the start.", reason, self.lost)

    def lose_for_room(self, traces: int = 1) -> None:
        """Count traces that found no room. Default 1."""
        self.lose(traces, "Traces arrive faster than they can be exported")
        if self._is_due("advice", float("inf")):
            logger.warning(
                "A database is for development and light load; a tracking server or OTLP exports "
                "more, and sampling makes fewer traces (docs/tracing.md)."
            )

    def complain(self, message: str, *args: object) -> None:
        """Log that the server or database is down, once in `DOWN_SECONDS`."""
        if self._is_due("down", DOWN_SECONDS):
            logger.warning(message, *args)

    def _is_due(self, topic: str, seconds: float) -> bool:
        """Return whether a topic is due to be logged, and note that it is logged now."""
        now = time.monotonic()
        with self._lock:
            due = now - self._logged.get(topic, float("-inf")) >= seconds
            if due:
                self._logged[topic] = now
        return due

    async def wait_for_room(self) -> bool:
        """Wait until there is room, at most `ROOM_SECONDS`, and return whether there is."""
        until = time.monotonic() + ROOM_SECONDS
        while self.full():
            left = until - time.monotonic()
            if left <= 0 or self.stalled:
                return False
            waiter = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            try:
                await asyncio.wait([waiter], timeout=left)
            finally:
                with contextlib.suppress(ValueError):  # it was woken
                    self._waiters.remove(waiter)
        return True


pending = Pending()
"""What waits in this process, of all its apps."""


def size_of(span: Any) -> int:
    """Return the number of characters in the attributes of OpenTelemetry's span."""
    return sum(len(value) for value in span.attributes.values() if isinstance(value, str))


def is_root(span: Any) -> bool:
    """Return whether OpenTelemetry's span is the first of its trace in this process."""
    return span.parent is None or span.parent.is_remote
