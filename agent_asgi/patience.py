"""How long a run may take, and how long its handler may be silent."""

import asyncio
from collections.abc import Callable
from typing import Any

from .context import Cause
from .errors import RunTimeout
from .limits import Timeouts
from .steps import Steps


class Patience:
    """Cancels a run that takes too long, or whose handler gives nothing for too long.

    Args:
        times: The bounds.
        background: Whether it is a background run, which has a bound of its own.
        cancel: Cancels the run, with the cause.
    """

    def __init__(self, times: Timeouts, background: bool, cancel: Callable[[Cause], None]) -> None:
        self._background = background
        self._seconds = times.background if background else times.run
        self._silence = times.silence
        self._cancel = cancel
        self._loop = asyncio.get_running_loop()
        self._waits_since: float | None = None  # for the handler
        self._limit: asyncio.TimerHandle | None = None
        self._look: asyncio.TimerHandle | None = None
        if self._seconds is not None:
            self._limit = self._loop.call_later(self._seconds, cancel, "timeout")
        if self._silence is not None:
            self._look = self._loop.call_later(self._silence, self._look_for_silence)

    @classmethod
    def of(
        cls, times: Timeouts, background: bool, cancel: Callable[[Cause], None]
    ) -> "Patience | None":
        """Begin to watch a run; None where it has no bound."""
        bound = times.background if background else times.run
        if bound is None and times.silence is None:
            return None
        return cls(times, background, cancel)

    async def wait(self, steps: Steps) -> Any:
        """Wait for the handler's next output."""
        self._waits_since = self._loop.time()
        output = await steps.wait()
        self._waits_since = None
        return output

    def error(self, cause: Cause | None) -> RunTimeout | None:
        """Give the error of a run that was cancelled for this cause; None for others' causes."""
        if cause == "timeout":
            code = "background_timeout" if self._background else "timeout"
            return RunTimeout(self._seconds or 0, code)
        if cause == "silence":
            return RunTimeout(self._silence or 0, "silence_timeout")
        return None

    def end(self) -> None:
        """Watch no more."""
        for timer in (self._limit, self._look):
            if timer is not None:
                timer.cancel()

    def _look_for_silence(self) -> None:
        """Cancel a handler that has been silent for too long; else look again when it may be."""
        now = self._loop.time()
        since = now if self._waits_since is None else self._waits_since
        left = since + (self._silence or 0) - now
        if left < 0.001:
            self._cancel("silence")
        else:
            self._look = self._loop.call_later(left, self._look_for_silence)
