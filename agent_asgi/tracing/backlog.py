"""Frames that wait to be written, and those that are being written; bounded by their bytes."""

import threading
from collections import deque
from collections.abc import Callable

from .room import room

ROOM_BYTES = 32 * 1024 * 1024
"""With so much waiting, runs wait for room; a frame that would make it twice as much is dropped."""


class Backlog:
    """Keeps frames, in their order, until they are written.

    Args:
        on_full: Called for a frame that finds no room; it is dropped.

    Attributes:
        written: How many frames have been written.
    """

    def __init__(self, on_full: Callable[[], None]) -> None:
        self._on_full = on_full
        self.reset()

    def reset(self) -> None:
        """Forget all frames."""
        self.written = 0
        self._unsent: deque[bytes] = deque()
        self._sent: deque[bytes] = deque()
        self._bytes = 0
        self._changed = threading.Condition()

    @property
    def waiting(self) -> int:
        """How many frames have not been written."""
        return len(self._unsent) + len(self._sent)

    def full(self) -> bool:
        """Tell whether runs should wait."""
        return self._bytes >= ROOM_BYTES

    def put(self, frame: bytes) -> None:
        """Take in a frame, without waiting."""
        with self._changed:
            fits = self._bytes + len(frame) <= 2 * ROOM_BYTES
            if fits:
                self._unsent.append(frame)
                self._bytes += len(frame)
                self._changed.notify_all()
        if not fits:
            self._on_full()

    def take(self, wanted: Callable[[], bool] = lambda: True) -> bytes | None:
        """Wait for a frame that has not been sent; None where there is none and none is wanted.

        Args:
            wanted: Tells whether to wait; looked at whenever something changes.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._unsent or not wanted())
            if not self._unsent:
                return None
            self._sent.append(self._unsent.popleft())
            return self._sent[-1]

    def wait_for_one(self) -> None:
        """Wait until a frame is to be sent."""
        with self._changed:
            self._changed.wait_for(lambda: self._unsent)

    def done(self, count: int) -> None:
        """Forget the oldest frames, which have been written."""
        with self._changed:
            for _ in range(count):
                self._bytes -= len(self._sent.popleft())
            self.written += count
            self._changed.notify_all()
        room.wake()

    def again(self) -> None:
        """Have what was sent and not written sent again."""
        with self._changed:
            self._unsent.extendleft(reversed(self._sent))
            self._sent.clear()

    def changed(self) -> None:
        """Have those who wait look again."""
        with self._changed:
            self._changed.notify_all()

    def flush(self, seconds: float) -> None:
        """Wait until nothing waits, or nothing has moved for so many seconds."""
        with self._changed:
            while self.waiting and self._changed.wait_for(self._more_than(self.written), seconds):
                pass

    def _more_than(self, count: int) -> Callable[[], bool]:
        return lambda: self.written > count
