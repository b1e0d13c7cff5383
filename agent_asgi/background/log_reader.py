"""`LogReader`: reads logs for all who follow them in this process, while they grow."""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from itertools import islice

from ..runs.admission import Admission
from ..schema import codec
from ..schema.events import TERMINAL
from ..store.base import Record, Store, StoreUnavailable
from ..store.lines import Lines
from ..store.logs import Head
from .feed import Feed, Follower
from .log_writer import STORE_RETRY_SECONDS

logger = logging.getLogger("agent_asgi")

CHECK_SECONDS = 5.0
"""How often it is checked that the responses of all logs still exist."""
READ_PAUSE = 2.0
"""The pause after reading, as a multiple of the time that it took."""
MAX_READ_PAUSE = 0.05
"""The longest pause, in seconds."""
QUICK = 0.2
"""After what part of `Store.poll_seconds` logs that have grown are polled again."""
LOGS = 64
"""How many logs are read at once."""
LAST_NUMBER = (1 << 31) - 1
"""The largest `sequence_number` that a store can hold."""
ENDS = frozenset(str(event.__struct_config__.tag).encode() for event in TERMINAL)
"""The types of the events that end a log."""


class LogReader:
    """Reads logs for all who follow them in this process.

    What this process writes is passed on in memory. What others write is read once for all who
    follow it, when the store notifies of it or is polled, in one query for all logs.

    Args:
        store: The store of the logs.
        admission: The server's stage.
    """

    def __init__(self, store: Store, admission: Admission) -> None:
        self._store = store
        self._admission = admission
        self._feeds: dict[str, Feed] = {}
        self._changed: dict[str, None] = {}  # in the order of the changes
        self._awake = asyncio.Event()
        self._wait = store.poll_seconds
        self._polls_at = self._checks_at = 0.0
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Start to read."""
        self._task = asyncio.create_task(self._read())

    async def stop(self) -> None:
        """Stop reading."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    def release(self) -> None:
        """Wake all followers, who then find that the server ends."""
        for feed in self._feeds.values():
            feed.wake()

    async def tail(self, record: Record, after: int) -> AsyncGenerator[bytes]:
        """Yield the lines of a log after a sequence number, until the run or the server ends.

        Args:
            record: The response.
            after: A sequence number; -1 for the whole log.
        """
        with self._followed(record) as (feed, follower):
            while not self._admission.ending:
                groups: list[Lines] | None = []
                if lines := follower.take(after):
                    groups = [lines]
                elif after < feed.last:
                    groups = await self._events(record.id, feed, after)
                elif feed.ended:
                    return
                else:
                    await follower.wait()
                if groups is None:
                    return
                for group in groups:
                    if rest := group.after(after):
                        yield rest
                    after = max(after, group.last)
                    if _is_terminal(group.data):
                        return

    async def wait_for_end(self, record: Record) -> Record | None:
        """Wait until a run or the server ends; return the run's record, None if it was deleted."""
        async for _ in self.tail(record, LAST_NUMBER):
            pass
        return await self._store.get(record.id, record.owner)

    @contextmanager
    def _followed(self, record: Record) -> Iterator[tuple[Feed, Follower]]:
        """Follow a log within a block."""
        id_, follower = record.id, Follower()
        if not record.active:
            yield Feed(LAST_NUMBER), follower
            return
        feed = self._feeds.get(id_) or self._add(id_)
        feed.followers.add(follower)
        try:
            yield feed, follower
        finally:
            feed.followers.discard(follower)
            if not feed.followers:
                self._remove(id_)

    def _add(self, id: str) -> Feed:
        feed = self._feeds[id] = Feed()
        self._store.signals.add(id, self._notified)
        self._mark(id)
        return feed

    def _remove(self, id: str) -> None:
        del self._feeds[id]
        self._store.signals.remove(id, self._notified)
        self._changed.pop(id, None)

    def _notified(self, id: str, lines: Lines | None) -> None:
        if lines is None or not _pass_on(self._feeds[id], lines):
            self._mark(id)

    def _mark(self, id: str) -> None:
        """Mark a log to be looked at."""
        self._changed[id] = None
        self._awake.set()

    async def _events(self, id: str, feed: Feed, after: int) -> list[Lines] | None:
        """Return the next part of a log for a follower who is not as far as others.

        Returns:
            The lines, none if the store does not answer; None if the log has ended.
        """
        with suppress(StoreUnavailable):  # the client need not notice
            groups = await self._store.events(id, after)
            if groups or feed.ended:
                return groups or None
            self._mark(id)  # perhaps it was deleted
        await asyncio.sleep(STORE_RETRY_SECONDS)
        return []

    async def _read(self) -> None:
        while True:
            await self._until_due()
            begun = time.monotonic()
            polls = begun >= self._polls_at
            due = self._due(begun)
            try:
                grown = await self._look(due)
            except Exception as error:
                if not isinstance(error, StoreUnavailable):
                    logger.exception("Logs could not be read; they are read again soon.")
                self._changed = due | self._changed
                await asyncio.sleep(STORE_RETRY_SECONDS)
                continue
            now = time.monotonic()
            if polls:
                slow = self._store.poll_seconds
                self._wait = slow * QUICK if grown else min(2 * self._wait, slow)
                self._polls_at = now + self._wait
            await asyncio.sleep(min(READ_PAUSE * (now - begun), MAX_READ_PAUSE))

    async def _until_due(self) -> None:
        """Wait until a log has changed, or until logs are to be polled or checked."""
        if not self._changed:
            at = self._polls_at if self._others() else self._checks_at
            seconds = min(at, self._checks_at) - time.monotonic() if self._feeds else None
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._awake.wait()
        self._awake.clear()

    def _due(self, now: float) -> dict[str, None]:
        """Remove and return the logs that are to be looked at."""
        due, self._changed = self._changed, {}
        if now >= self._checks_at:
            self._checks_at = now + CHECK_SECONDS
            return due | dict.fromkeys(self._feeds)
        return due | dict.fromkeys(self._others()) if now >= self._polls_at else due

    def _others(self) -> Collection[str]:
        """Return the logs that this process does not write."""
        return self._feeds.keys() - self._store.signals.writing

    async def _look(self, ids: Collection[str]) -> bool:
        """Pass on what has been appended to logs; return whether anything has."""
        ids = [id_ for id_ in ids if id_ in self._feeds]
        heads = await self._store.heads(ids) if ids else {}
        behind: dict[str, int] = {}
        for id_ in ids:
            if (feed := self._feeds.get(id_)) is None:  # nobody follows it any more
                continue
            if (head := heads.get(id_)) is not None:
                feed.begin(head.last)
            if head is None or (head.last <= feed.last and not head.active):
                feed.end()
            elif head.last > feed.last:
                behind[id_] = feed.last
        if behind:
            await self._catch_up(behind, heads)
        return bool(behind)

    async def _catch_up(self, behind: dict[str, int], heads: Mapping[str, Head]) -> None:
        """Read the next parts of logs; those that are not at their end then are read again.

        Those that have not been read come first next time.
        """
        tails = await self._store.tails(dict(islice(behind.items(), LOGS)))
        unread = (id_ for id_ in behind if id_ in self._feeds and id_ not in tails)
        self._changed = dict.fromkeys(unread) | self._changed
        for id_ in behind:
            if (feed := self._feeds.get(id_)) is None:
                continue
            for lines in tails.get(id_, ()):
                _pass_on(feed, lines)
            if feed.last < heads[id_].last or not heads[id_].active:
                self._mark(id_)


def _pass_on(feed: Feed, lines: Lines) -> bool:
    """Pass lines to a feed, which the last ones end; return False if lines before are missing."""
    complete = feed.put(lines)
    if complete and _is_terminal(lines.data):
        feed.end()
    return complete


def _is_terminal(lines: bytes) -> bool:
    last = lines[lines.rfind(b"\n", 0, -1) + 1 :]
    return bool(last) and codec.event_type(last) in ENDS
