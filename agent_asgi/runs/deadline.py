"""`Deadline`: bounds how long a run takes and how long its handler is silent."""

import asyncio
from collections.abc import Callable

from ..context import Cause
from ..errors import RunTimeout


class Deadline:
    """Cancels a run that takes too long, or whose handler is silent for too long.

    Args:
        seconds: How long the run may take; None for no limit.
        silence: How long the handler may take until its next output; None for no limit.
        code: The error code of a run that takes too long.
        cancel: Cancels the run with a cause.

    Attributes:
        waiting_since: When the handler began to wait for its next output, by the loop's clock;
            None if it does not wait.
    """

    def __init__(
        self,
        seconds: float | None,
        silence: float | None,
        code: str,
        cancel: Callable[[Cause], None],
    ) -> None:
        self._seconds = seconds
        self._silence = silence
        self._code = code
        self._cancel = cancel
        self._loop = loop = asyncio.get_running_loop()
        self.waiting_since: float | None = None
        self._timer = None if seconds is None else loop.call_later(seconds, cancel, "timeout")
        self._check = None if silence is None else loop.call_later(silence, self._check_silence)

    def begin_wait(self) -> None:
        """Note that the handler waits; it may already have waited since its last output."""
        if self.waiting_since is None:
            self.waiting_since = self._loop.time()

    def error(self, cause: Cause | None) -> RunTimeout | None:
        """Return the error of a run that this deadline cancelled; None for another cause."""
        if cause == "timeout":
            return RunTimeout(self._seconds or 0, self._code)
        if cause == "silence":
            return RunTimeout(self._silence or 0, "silence_timeout")
        return None

    def end(self) -> None:
        """Stop both timers."""
        for timer in (self._timer, self._check):
            if timer is not None:
                timer.cancel()

    def _check_silence(self) -> None:
        """Cancel a handler that has been silent for too long, or set the time of the next check."""
        now = self._loop.time()
        since = now if self.waiting_since is None else self.waiting_since
        left = since + (self._silence or 0) - now
        if left < 0.001:
            self._cancel("silence")
        else:
            self._check = self._loop.call_later(left, self._check_silence)
