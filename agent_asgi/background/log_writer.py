"""Writing the events of detached runs into the store, those of all runs together."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TypeVar

from ..events.accumulator import OutputItem
from ..schema import codec
from ..schema.events import AnyEvent
from ..store.base import Ending, LostRun, Store, StoreUnavailable
from ..store.lines import Lines

logger = logging.getLogger("agent_asgi")

MAX_WAITING = 1 << 20
"""How many bytes of one run may wait for the store before the run waits too."""
BATCH = 8 << 20
"""About how many bytes one transaction writes."""
WRITE_PAUSE = 10.0
"""The pause between two writes, as a multiple of the time that the last one took."""
STORE_RETRY_SECONDS = 0.25
"""How long to wait if the store does not answer."""
STORE_SECONDS = 300.0
"""How long an operation is repeated while the store does not answer."""

T = TypeVar("T")

_DELTA = (
    b'{"type":"response.output_text.delta","sequence_number":%%d,"item_id":%b,'
    b'"output_index":%d,"content_index":%d,"delta":%%b,"logprobs":[]}\n'
)
"""The line of an `OutputTextDelta`; a test compares it with what `write` makes."""


class LineWriter:
    """Writes events in the form of a log: JSON, one event per line."""

    def write(self, event: AnyEvent, buffer: bytearray) -> None:
        """Append an event."""
        codec.encode_event(event, buffer, end=b"\n")

    def text_frame(self, item: OutputItem) -> bytes:
        """Return the template of an open message's text deltas."""
        id_ = codec.encode(item.id).replace(b"%", b"%%")
        return _DELTA % (id_, item.index, item.part_index)


LINES = LineWriter()


class Log:
    """The log of one attempt.

    Args:
        writer: Writes the events.
        id: The response.
        attempt: The attempt that may write.
        next_number: `sequence_number` of the next event.
    """

    def __init__(self, writer: "LogWriter", id: str, attempt: int, next_number: int) -> None:
        self.id = id
        self.attempt = attempt
        self.lost = False
        """Whether nothing more may be written, because the attempt no longer owns the run."""
        self.is_new = True
        """Whether nothing has been written yet."""
        self._writer = writer
        self._next = next_number
        self._buffer = bytearray()
        self._room = asyncio.Event()
        writer.signals.writing.add(id)

    @property
    def waiting(self) -> int:
        """The number of bytes that wait for the store."""
        return len(self._buffer)

    def mark_lost(self) -> None:
        """Write nothing more."""
        self.lost = True
        self._room.set()
        if self.id in self._writer.signals.writing:
            self._writer.signals.writing.discard(self.id)
            self._writer.signals.notify(self.id)  # perhaps another process writes it now

    def add(self, lines: bytes) -> None:
        """Add events, which are written soon."""
        if lines and not self.lost:
            self._buffer += lines
            self._writer.wake(self)

    async def room(self) -> None:
        """Wait until at most `MAX_WAITING` bytes wait for the store."""
        while self.waiting > MAX_WAITING and not self.lost:
            self._room.clear()
            await self._room.wait()

    def take(self, end: bytes = b"") -> Lines:
        """Remove and return the events that wait, followed by `end`."""
        data = bytes(self._buffer) + end
        self._buffer.clear()
        self.is_new = False
        self._room.set()
        lines = Lines(self._next, data.count(b"\n"), data)
        self._next += lines.count
        return lines


class LogWriter:
    """Writes the logs of a process, all of them together.

    The pause between two writes is a multiple of the time that the last one took, at most
    `store.write_seconds`. A log that is new waits only as long as the last write took.

    If the store does not answer, writes are repeated until it does or their attempts are lost, but
    for at most `STORE_SECONDS`.

    Args:
        store: The store of the logs.

    Attributes:
        signals: The store's.
    """

    def __init__(self, store: Store) -> None:
        self.signals = store.signals
        self._store = store
        self._logs: dict[str, Log] = {}
        self._writing = asyncio.Lock()
        self._awake, self._new = asyncio.Event(), asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Start to write."""
        self._task = asyncio.create_task(self._write())

    async def stop(self) -> None:
        """Stop writing."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    def wake(self, log: Log) -> None:
        """Write a log soon."""
        self._logs[log.id] = log
        self._awake.set()
        if log.is_new:
            self._new.set()

    async def finish(self, log: Log, lines: bytes, ending: Ending) -> None:
        """Write the rest of a log, its last lines, and how the run ended."""
        async with self._writing:  # earlier events are then written
            self._logs.pop(log.id, None)
            last = log.take(lines)

        async def end() -> None:
            try:
                await self._store.finish(log.id, log.attempt, last, ending)
                self.signals.writing.discard(log.id)
            except LostRun:
                _mark_lost(log)

        await retry(end, lambda: log.lost)

    async def flush(self, log: Log) -> None:
        """Write what waits in a log now, with what waits in others."""
        async with self._writing:
            if log.id in self._logs:
                await self._append(self._batch())

    async def discard(self, log: Log) -> None:
        """Discard what waits in a log, after the write in progress."""
        log.mark_lost()
        self._logs.pop(log.id, None)
        async with self._writing:
            pass

    async def _write(self) -> None:
        while True:
            await self._awake.wait()
            self._awake.clear()
            async with self._writing:
                self._new.clear()
                begun = time.monotonic()
                await self._append(self._batch())
                seconds = time.monotonic() - begun
            if self._logs:
                self._awake.set()
            await self._pause(seconds)

    async def _pause(self, seconds: float) -> None:
        """Pause after a write that took some seconds."""
        longest = self._store.write_seconds
        shortest = min(seconds, longest)
        await asyncio.sleep(shortest)
        if shortest < longest:
            with suppress(TimeoutError):
                async with asyncio.timeout(min(WRITE_PAUSE * seconds, longest) - shortest):
                    await self._new.wait()

    def _batch(self) -> list[tuple[Log, Lines]]:
        batch: list[tuple[Log, Lines]] = []
        size = 0
        while self._logs and size <= BATCH:
            log = self._logs.pop(next(iter(self._logs)))
            size += log.waiting
            batch.append((log, log.take()))
        return batch

    async def _append(self, batch: list[tuple[Log, Lines]]) -> None:
        async def append() -> None:
            groups = {log.id: (log.attempt, lines) for log, lines in batch if not log.lost}
            lost = await self._store.append(groups)
            for log, _ in batch:
                if log.id in lost:
                    _mark_lost(log)

        try:
            await retry(append, lambda: all(log.lost for log, _ in batch))
        except Exception:
            ids = ", ".join(log.id for log, _ in batch)
            logger.exception("Events could not be written; new attempts begin later: %s", ids)
            for log, _ in batch:
                log.mark_lost()


def _mark_lost(log: Log) -> None:
    message = "%s: another attempt has taken over, or it was deleted; attempt %d ends."
    logger.info(message, log.id, log.attempt)
    log.mark_lost()


async def retry(operation: Callable[[], Awaitable[T]], stopped: Callable[[], bool]) -> T | None:
    """Repeat an operation until the store answers; return its result, or None if stopped.

    Raises:
        StoreUnavailable: The store has not answered for `STORE_SECONDS`.
    """
    until = time.monotonic() + STORE_SECONDS
    while not stopped():
        try:
            return await operation()
        except StoreUnavailable:
            if time.monotonic() > until:
                raise
            await asyncio.sleep(STORE_RETRY_SECONDS)
    return None
