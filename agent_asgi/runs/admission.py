"""`Admission` and `Limiter`: the runs in flight, and whether another one may begin."""

import asyncio
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from enum import IntEnum
from typing import Protocol

from ..context import Cause
from ..errors import TooMany, Unavailable


class Stage(IntEnum):
    """The stages of a server's life, in order."""

    STARTING = 0
    SERVING = 1
    LEAD = 2
    """Requests are still served, but `/ready` fails."""
    ENDING = 3
    """No run begins any more; runs in flight may end."""
    CUT = 4
    """Runs in flight are cancelled."""


class Cancellable(Protocol):
    """A run that can be cancelled."""

    agent: str

    def cancel(self, cause: Cause) -> None:
        """Cancel the run; further calls have no effect."""


class Admission:
    """The runs in flight of one app, and whether new ones may begin.

    Attributes:
        stage: The stage of the server; it never goes back.
        runs: The runs in flight.
        updated: When the last run began or ended, in seconds since 1970.
    """

    def __init__(self) -> None:
        self.stage = Stage.STARTING
        self.runs: set[Cancellable] = set()
        self.updated = time.time()
        self._changed = asyncio.Event()

    @property
    def ending(self) -> bool:
        """Whether no more runs may begin."""
        return self.stage >= Stage.ENDING

    def reach(self, stage: Stage) -> None:
        """Advance to a stage, unless the server is past it."""
        if stage > self.stage:
            self.stage = stage
            self._notify()

    async def reached(self, stage: Stage) -> None:
        """Wait until a stage has been reached."""
        while self.stage < stage:
            await self._changed.wait()

    def check(self) -> None:
        """Check that runs may begin.

        Raises:
            Unavailable: The server is shutting down.
        """
        if self.stage >= Stage.ENDING:
            raise Unavailable("The server is shutting down.")

    def enter(self, run: Cancellable) -> None:
        """Add a run that begins."""
        self.runs.add(run)
        self.updated = time.time()

    def leave(self, run: Cancellable) -> None:
        """Remove a run that has ended."""
        self.runs.discard(run)
        self.updated = time.time()
        if self.stage >= Stage.ENDING and not self.runs:
            self._notify()

    async def idle(self) -> None:
        """Wait until no run is in flight; call it once the stage is `ENDING`."""
        while self.runs:  # a run that was accepted before may still begin
            await self._changed.wait()

    def cancel(self) -> None:
        """Cancel all runs in flight."""
        for run in tuple(self.runs):
            run.cancel("shutdown")

    def _notify(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()


class Limiter:
    """Limits how many runs or streams there are at once.

    `with limiter` fails if there is no room; `await limiter.enter()` waits for it. The users who
    wait take turns, so that many waiting runs of one do not delay the first run of another.

    Args:
        limit: How many may be inside at once, and how many may wait.
        what: What is limited, for the error: "runs" or "streams".
        seconds: How long `enter` waits. Default 0: it fails at once. None: as long as necessary,
            and any number may wait.

    Attributes:
        free: How many more may enter; not above 0 while any waits. Below 0, those who have entered
            again after `outside` exceed the limit.
    """

    def __init__(self, limit: int, what: str, seconds: float | None = 0.0) -> None:
        self.free = limit
        self._limit = limit
        self._what = what
        self._seconds = seconds
        self._lines: dict[str, deque[asyncio.Future[None]]] = {}  # by user, the next one first
        self._waiting = 0

    def __enter__(self) -> None:
        if not self.try_enter():
            raise self._error()

    def try_enter(self) -> bool:
        """Enter if there is room, and return whether there is; call `leave` afterwards."""
        if self.free <= 0:
            return False
        self.free -= 1
        return True

    async def enter(self, user: str = "") -> None:
        """Enter, if necessary after waiting; call `leave` afterwards.

        Raises:
            TooMany: There was no room in time, or too many are waiting.
        """
        if self.try_enter():
            return
        if not self._may_wait(user):
            raise self._error()
        waiter = asyncio.get_running_loop().create_future()
        self._lines.setdefault(user, deque()).append(waiter)
        self._waiting += 1
        try:
            async with asyncio.timeout(self._seconds):
                await waiter
        except BaseException as error:
            if waiter.cancelled():
                self._forget(user, waiter)
            elif waiter.exception() is None:  # a place became free just as the wait ended
                self.leave()
            if isinstance(error, TimeoutError):
                raise self._error() from None
            raise

    def leave(self, *_: object) -> None:
        """Leave; the first in the line of the user whose turn it is enters."""
        while self._lines and self.free >= 0:
            user = next(iter(self._lines))
            line = self._lines.pop(user)
            waiter = line.popleft()
            self._waiting -= 1
            if line:
                self._lines[user] = line  # behind the others
            if not waiter.done():
                waiter.set_result(None)
                return
        self.free += 1

    __exit__ = leave

    @contextmanager
    def outside(self) -> Iterator[None]:
        """Leave for a block; enter again after it, even if there is no room."""
        self.leave()
        try:
            yield
        finally:
            self.free -= 1

    def _may_wait(self, user: str) -> bool:
        """Return whether one more may wait, perhaps in the place of a user with a longer line."""
        if self._seconds is None or (self._seconds and self._waiting < self._limit):
            return True
        longest = max(self._lines.values(), key=len, default=None)
        own = self._lines.get(user, ())
        if not self._seconds or longest is None or len(longest) <= len(own) + 1:
            return False
        last = longest.pop()
        self._waiting -= 1
        if not last.done():
            last.set_exception(self._error())
        return True

    def _forget(self, user: str, waiter: asyncio.Future[None]) -> None:
        line = self._lines.get(user, deque())
        with suppress(ValueError):
            line.remove(waiter)
            self._waiting -= 1
            if not line:
                del self._lines[user]

    def _error(self) -> TooMany:
        return TooMany(
            f"Too many concurrent {self._what} (limit {self._limit}). Retry later.",
            f"too_many_{self._what}",
        )
