"""A detached run's events on their way into the store, written in groups."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from functools import partial

from .store.base import Ending, Frames, LostRun, Store, StoreUnavailable

logger = logging.getLogger("agent_asgi")

MOST = 1 << 20
"""How many bytes may wait for the store; then the run waits too."""
RETRY_SECONDS = 0.25


class Log:
    """Writes the events of one attempt, in the order in which they come.

    What comes within `store.write_seconds` of the last write is written together. Where the store
    does not answer, it is asked again until it does or the attempt is lost.

    Args:
        store: Has the log.
        id: The response.
        attempt: The attempt that may write.
        next_number: `sequence_number` of the next event.
    """

    def __init__(self, store: Store, id: str, attempt: int, next_number: int) -> None:
        self._store = store
        self._id = id
        self._attempt = attempt
        self._next = next_number
        self._buffer = bytearray()
        self._lost = asyncio.Event()
        self._ending = asyncio.Event()
        self._room = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @property
    def lost(self) -> bool:
        """Whether nothing more may be written."""
        return self._lost.is_set()

    def lose(self) -> None:
        """Write nothing more: the attempt no longer has the run."""
        self._lost.set()
        self._room.set()

    def add(self, frames: bytes) -> None:
        """Take in events."""
        self._buffer += frames
        if self._task is None and self._buffer:
            self._task = asyncio.create_task(self._write())

    async def room(self) -> None:
        """Wait until little enough waits for the store."""
        while len(self._buffer) > MOST and not self.lost:
            self._room.clear()
            await self._room.wait()

    async def finish(self, frames: bytes, ending: Ending) -> None:
        """Write what is left, and how the run ended."""
        self._ending.set()
        if self._task is not None:
            await self._task
        last = self._frames(bytes(self._buffer) + frames)
        await self._insist(lambda: self._store.finish(self._id, self._attempt, last, ending))

    async def stop(self) -> None:
        """Write what has begun to be written, and no more."""
        self._ending.set()
        if self._task is not None:
            await self._task

    async def _write(self) -> None:
        while self._buffer and not self.lost and not self._ending.is_set():
            group = self._frames(bytes(self._buffer))
            self._buffer.clear()
            await self._insist(partial(self._store.append, self._id, self._attempt, group))
            self._room.set()
            await _wait(self._ending, self._store.write_seconds)
        self._task = None

    def _frames(self, data: bytes) -> Frames:
        frames = Frames(self._next, data.count(b"\n\n"), data)
        self._next += frames.count
        return frames

    async def _insist(self, write: Callable[[], Awaitable[None]]) -> None:
        while not self.lost:
            try:
                await write()
            except StoreUnavailable:
                await _wait(self._lost, RETRY_SECONDS)
            except LostRun:
                logger.info("Attempt %d of %s has lost its run.", self._attempt, self._id)
                self.lose()
            else:
                return


async def _wait(event: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return
