"""Detached runs' events on their way into the store, those of all runs written together."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable

from .store.base import Ending, Frames, LostRun, Store, StoreUnavailable

logger = logging.getLogger("agent_asgi")

MOST = 1 << 20
"""How many bytes of one run may wait for the store; then the run waits too."""
BATCH = 8 << 20
"""About how many bytes one transaction writes."""
RETRY_SECONDS = 0.25


class Log:
    """Takes the events of one attempt, in the order in which they come.

    Args:
        writer: Writes them.
        id: The response.
        attempt: The attempt that may write.
        next_number: `sequence_number` of the next event.
    """

    def __init__(self, writer: "Writer", id: str, attempt: int, next_number: int) -> None:
        self.id = id
        self.attempt = attempt
        self.lost = False
        """Whether nothing more may be written: the attempt no longer has the run."""
        self._writer = writer
        self._next = next_number
        self._buffer = bytearray()
        self._room = asyncio.Event()

    @property
    def waiting(self) -> int:
        """How many bytes wait for the store."""
        return len(self._buffer)

    def lose(self) -> None:
        """Write nothing more."""
        self.lost = True
        self._room.set()

    def add(self, frames: bytes) -> None:
        """Take in events."""
        if frames and not self.lost:
            self._buffer += frames
            self._writer.wake(self)

    async def room(self) -> None:
        """Wait until little enough waits for the store."""
        while self.waiting > MOST and not self.lost:
            self._room.clear()
            await self._room.wait()

    def take(self, more: bytes = b"") -> Frames:
        """Give what waits, with more behind it; it waits no longer."""
        data = bytes(self._buffer) + more
        self._buffer.clear()
        self._room.set()
        frames = Frames(self._next, data.count(b"\n\n"), data)
        self._next += frames.count
        return frames


class Writer:
    """Writes what comes within `store.write_seconds` of the last write together, of all logs.

    Where the store does not answer, it is asked again until it does or the attempts are lost.

    Args:
        store: Has the logs.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._logs: dict[str, Log] = {}
        self._taking = asyncio.Lock()
        self._awake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Write from now on."""
        self._task = asyncio.create_task(self._write())

    async def stop(self) -> None:
        """Write no more."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    def wake(self, log: Log) -> None:
        """Have a log written."""
        self._logs[log.id] = log
        self._awake.set()

    async def finish(self, log: Log, frames: bytes, ending: Ending) -> None:
        """Write what is left of a log, and how its run ended."""
        async with self._taking:  # what was taken before has been written by then
            self._logs.pop(log.id, None)
            last = log.take(frames)

        async def end() -> None:
            try:
                await self._store.finish(log.id, log.attempt, last, ending)
            except LostRun:
                _lose(log)

        await _insist(end, lambda: log.lost)

    async def forget(self, log: Log) -> None:
        """Leave what is left of a log unwritten, what is being written aside."""
        log.lose()
        self._logs.pop(log.id, None)
        async with self._taking:
            pass

    async def _write(self) -> None:
        while True:
            await self._awake.wait()
            self._awake.clear()
            async with self._taking:
                await self._write_together(self._batch())
            if self._logs:
                self._awake.set()
            await asyncio.sleep(self._store.write_seconds)

    def _batch(self) -> list[tuple[Log, Frames]]:
        batch: list[tuple[Log, Frames]] = []
        size = 0
        for id_, log in list(self._logs.items()):
            size += log.waiting
            batch.append((log, log.take()))
            del self._logs[id_]
            if size > BATCH:
                break
        return batch

    async def _write_together(self, batch: list[tuple[Log, Frames]]) -> None:
        async def append() -> None:
            groups = {log.id: (log.attempt, frames) for log, frames in batch if not log.lost}
            lost = await self._store.append(groups)
            for log, _ in batch:
                if log.id in lost:
                    _lose(log)

        try:
            await _insist(append, lambda: all(log.lost for log, _ in batch))
        except Exception:
            logger.exception("Events cannot be written; their runs begin anew.")
            for log, _ in batch:
                log.lose()


def _lose(log: Log) -> None:
    logger.info("Attempt %d of %s has lost its run.", log.attempt, log.id)
    log.lose()


async def _insist(write: Callable[[], Awaitable[None]], needless: Callable[[], bool]) -> None:
    while not needless():
        try:
            await write()
        except StoreUnavailable:
            await asyncio.sleep(RETRY_SECONDS)
        else:
            return
