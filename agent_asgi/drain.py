"""The runs in flight, and whether new ones are taken."""

import asyncio
import time
from typing import Protocol

from .context import Cause
from .errors import Unavailable


class Cancellable(Protocol):
    """A run, as far as it can be ended."""

    def cancel(self, cause: Cause) -> None:
        """Cancel it, once."""


class Drain:
    """Has the runs of one app; once it is closed, no new one begins.

    Attributes:
        closed: Whether it is closed.
        runs: The runs in flight.
        updated: When the last one began or ended.
    """

    def __init__(self) -> None:
        self.closed = False
        self.runs: set[Cancellable] = set()
        self.updated = time.time()
        self._idle = asyncio.Event()

    def enter(self, run: Cancellable, *, accepted: bool = False) -> None:
        """Take in a run that begins.

        Args:
            run: The run.
            accepted: Whether it was accepted before, as a detached run is. Default False.

        Raises:
            Unavailable: The app is draining.
        """
        if self.closed and not accepted:
            raise Unavailable("The server is shutting down.")
        self.runs.add(run)
        self.updated = time.time()

    def leave(self, run: Cancellable) -> None:
        """Let go of a run that has ended."""
        self.runs.discard(run)
        self.updated = time.time()
        if self.closed and not self.runs:
            self._idle.set()

    async def idle(self) -> None:
        """Wait, once closed, until the last run has ended."""
        while self.runs:  # those that were accepted before may still begin
            self._idle.clear()
            await self._idle.wait()

    def cancel(self) -> None:
        """Cancel the runs in flight."""
        for each in tuple(self.runs):
            each.cancel("shutdown")
