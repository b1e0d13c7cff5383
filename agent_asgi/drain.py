"""The runs in flight, and whether new ones are taken."""

import asyncio
import time

from .errors import Unavailable


class Drain:
    """Counts the runs of one app; once it is closed, no new one begins."""

    def __init__(self) -> None:
        self.closed = False
        self.runs = 0
        self.updated = time.time()
        self._idle = asyncio.Event()

    def enter(self, *, accepted: bool = False) -> None:
        """Count a run that begins.

        Args:
            accepted: Whether it was accepted before, as a detached run is. Default False.

        Raises:
            Unavailable: The app is draining.
        """
        if self.closed and not accepted:
            raise Unavailable("The server is shutting down.")
        self.runs += 1
        self.updated = time.time()

    def leave(self) -> None:
        """Count a run that has ended."""
        self.runs -= 1
        self.updated = time.time()
        if self.closed and not self.runs:
            self._idle.set()

    async def close(self) -> None:
        """Take no more runs, and wait until the last one has ended."""
        self.closed = True
        while self.runs:  # those that were accepted before may still begin
            self._idle.clear()
            await self._idle.wait()
