"""`Feed` and `Follower`: a log that grows, and those who follow it in this process."""

import asyncio
from collections import deque

from ..store.lines import Lines

FOLLOWER_BYTES = 64 << 10
"""The most bytes that wait in memory for one follower; a slower one reads the store."""


class Follower:
    """A follower of a log, with the lines that it has not taken yet."""

    def __init__(self) -> None:
        self._waiting: deque[Lines] = deque()
        self._bytes = 0
        self._awake = asyncio.Event()

    def put(self, lines: Lines) -> None:
        """Pass lines on. If too many wait already, those are dropped."""
        if self._waiting and self._bytes + len(lines.data) > FOLLOWER_BYTES:
            self._waiting.clear()
            self._bytes = 0
        self._waiting.append(lines)
        self._bytes += len(lines.data)
        self._awake.set()

    def take(self, after: int) -> Lines | None:
        """Return the next lines after a sequence number; None if they are not in memory."""
        while self._waiting:
            lines = self._waiting.popleft()
            self._bytes -= len(lines.data)
            if lines.first <= after + 1:
                return lines
        return None

    def wake(self) -> None:
        """End `wait`."""
        self._awake.set()

    async def wait(self) -> None:
        """Wait until `put` or `wake` has been called since the last call."""
        await self._awake.wait()
        self._awake.clear()


class Feed:
    """A log that grows, and those who follow it in this process.

    Args:
        last: `sequence_number` of the log's last event, if it is known and the run has ended.

    Attributes:
        followers: Those who follow it.
        last: `sequence_number` of the last event that has been passed to them, once it is known
            how far the log has been written. Those who are not that far read the store.
        ended: Whether nothing more will be passed to them.
    """

    def __init__(self, last: int | None = None) -> None:
        self.followers: set[Follower] = set()
        self.last = -1 if last is None else last
        self.ended = self.begun = last is not None

    def begin(self, last: int) -> None:
        """Note how far the log has been written. Followers get what is written later."""
        if not self.begun:
            self.begun, self.last = True, last
            self.wake()

    def put(self, lines: Lines) -> bool:
        """Pass lines to the followers; return False if lines before them are missing."""
        if self.begun and lines.first <= self.last + 1 <= lines.last:
            self.last = lines.last
            for follower in self.followers:
                follower.put(lines)
        return self.last >= lines.last

    def end(self) -> None:
        """Let the followers end when they have taken everything."""
        self.ended = True
        self.wake()

    def wake(self) -> None:
        """Wake all followers."""
        for follower in self.followers:
            follower.wake()
