"""Waiting for room, in the order of coming, until a thread has made some."""

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Callable


class Room:
    """Those who wait for room; any thread may wake them, whichever loop they run on."""

    def __init__(self) -> None:
        self._waiting: deque[tuple[asyncio.AbstractEventLoop, asyncio.Future[None]]] = deque()

    async def wait(self, full: Callable[[], bool], seconds: float) -> bool:
        """Wait until there is room, or the time is over.

        Args:
            full: Tells whether there is no room.
            seconds: The bound.

        Returns:
            Whether there is room.
        """
        until = time.monotonic() + seconds
        while full():
            left = until - time.monotonic()
            if left <= 0:
                return False
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await self._woken(full)
        return True

    async def _woken(self, full: Callable[[], bool]) -> None:
        loop = asyncio.get_running_loop()
        waiter = loop, loop.create_future()
        self._waiting.append(waiter)
        try:
            if full():  # else it was made before this waited
                await waiter[1]
        finally:
            with contextlib.suppress(ValueError):
                self._waiting.remove(waiter)

    def wake(self) -> None:
        """Have all who wait look again, the first first."""
        with contextlib.suppress(IndexError):
            while True:
                loop, woken = self._waiting.popleft()
                with contextlib.suppress(RuntimeError):  # the loop is closed
                    loop.call_soon_threadsafe(_wake, woken)


def _wake(woken: asyncio.Future[None]) -> None:
    if not woken.done():
        woken.set_result(None)


room = Room()
"""Where runs wait whose traces find no room."""
