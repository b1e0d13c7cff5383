"""How many of a kind are at work at once, and who waits for room."""

import asyncio
from collections import deque
from contextlib import suppress

from .errors import TooMany


class Gate:
    """Lets in as many as may be at work: `async with gate` waits for room, `with gate` does not.

    Args:
        most: The bound, of those at work and again of those who wait.
        what: What is counted, for the error: "runs" or "streams".
        seconds: How long one may wait. Default 0: not at all.

    Raises:
        TooMany: There is no room, in time; from either block.
    """

    def __init__(self, most: int, what: str, seconds: float = 0.0) -> None:
        self.free = most
        """How many more may enter; none while somebody waits."""
        self._most = most
        self._what = what
        self._seconds = seconds
        self._waiting: deque[asyncio.Future[None]] = deque()

    def check(self) -> None:
        """Look whether there is room just now.

        Raises:
            TooMany: There is none.
        """
        if not self.free:
            raise self._refusal()

    def __enter__(self) -> None:
        self.check()
        self.free -= 1

    def __exit__(self, *_: object) -> None:
        self.leave()

    async def enter(self) -> None:
        """Enter, after a wait where it is full; `leave` belongs to it.

        Raises:
            TooMany: There is no room in time.
        """
        if self.free:
            self.free -= 1
        else:
            await self.wait()

    __aenter__ = enter

    async def __aexit__(self, *_: object) -> None:
        self.leave()

    async def wait(self) -> None:
        """Enter as soon as there is room, in the order of coming.

        Raises:
            TooMany: There is none in time, or too many wait.
        """
        if not self._seconds or len(self._waiting) >= self._most:
            raise self._refusal()
        waiter = asyncio.get_running_loop().create_future()
        self._waiting.append(waiter)
        try:
            async with asyncio.timeout(self._seconds):
                await waiter
        except BaseException as error:
            if waiter.cancelled():
                with suppress(ValueError):
                    self._waiting.remove(waiter)
            else:  # room was made just as the wait was given up
                self.leave()
            if isinstance(error, TimeoutError):
                raise self._refusal() from None
            raise

    def leave(self) -> None:
        """Go; the room is for who waits first."""
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return
        self.free += 1

    def _refusal(self) -> TooMany:
        return TooMany(
            f"{self._most} {self._what} are at work, as many as may be; come back in a moment.",
            f"too_many_{self._what}",
        )
