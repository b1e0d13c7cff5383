"""How a process is told to end: by signals, of which all who serve in it hear."""

import asyncio
import contextlib
import logging
import multiprocessing
import os
import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextvars import Context
from enum import IntEnum
from types import FrameType
from typing import Any

from .limits import Timeouts

logger = logging.getLogger("uvicorn.error")  # whose lines are seen where uvicorn serves

SIGNALS = (signal.SIGTERM, signal.SIGINT)
CUT_SHORT = signal.SIGUSR1
"""A parent's word to its workers that it has been told a second time."""
LAST_SECONDS = 35.0
"""How long it may take to send traces, which has 30 of them, and to close the store, once no run is
left."""
LEAVE_SECONDS = 3.0
"""How long threads may hold up the interpreter's end; a sync handler may never return."""


class Stage(IntEnum):
    """How far a server has come on its way to its end."""

    SERVING = 0
    LEAD = 1
    """Everything is served still, but `/ready` says no."""
    ENDING = 2
    """No run begins; those in flight may end."""
    CUT = 3
    """Runs in flight are cancelled."""


Hear = Callable[[Stage], None]


class Orders:
    """Counts how often the process has been told to end.

    A worker process hears a signal to its whole group, such as Ctrl-C, and then its parent's
    SIGTERM: these are one order.
    """

    def __init__(self) -> None:
        self._heard: Counter[int] = Counter()
        self._worker = multiprocessing.parent_process() is not None

    def count(self, number: int) -> int:
        """Count a signal in; give how many orders that makes."""
        heard = self._heard
        heard[number] += 1
        if not self._worker:
            return heard.total()
        return max(1, heard[signal.SIGINT], 1 + heard[CUT_SHORT])


class Shutdown:
    """Takes over the signals that end this process, and ends it in order; made on the event loop.

    The first signal begins the lead, at whose end the server's sockets are closed and runs may go
    on in their time; a second one cancels them, a third ends the process at once. Once no run is
    left the server is ended. Should that last too long, the process ends all the same.

    Args:
        lead: How long everything is served still, in seconds.
        close: Closes the server's sockets.
        end: Ends the server, which may take as many seconds as it is given for what is no run;
            called again where that is cut short.
    """

    def __init__(
        self, lead: float, close: Callable[[], None], end: Callable[[float], None]
    ) -> None:
        self.should_exit = False
        """Where sse_starlette looks whether a host's own streams are to end."""
        self.stage = Stage.SERVING
        self._lead = lead
        self._close = close
        self._end = end
        self._until = 0.0
        self._ended = False
        self._loop = asyncio.get_running_loop()
        self._orders = Orders()
        self._told = 0
        self._listeners: dict[Hear, Timeouts] = {}
        self._bounds = Timeouts()
        self._timer: threading.Timer | None = None

    def take(self) -> None:
        """Take the signals over, until the task that runs the server has ended."""
        global _taken
        _taken = self
        for each in (*SIGNALS, CUT_SHORT):
            signal.signal(each, self._hear)
        task = asyncio.current_task()
        if task is not None:
            task.add_done_callback(self._leave)

    @contextlib.contextmanager
    def heard(self, hear: Hear, timeouts: Timeouts) -> Iterator[None]:
        """Have the stages told while the block lasts; the server is not ended before."""
        self._listeners[hear] = self._bounds = timeouts
        hear(self.stage)
        try:
            yield
        finally:
            del self._listeners[hear]
            self._end_if_idle()

    def _hear(self, number: int, _: FrameType | None) -> None:
        told = self._orders.count(number)
        if told <= self._told:
            return
        self._told = told
        if told > 2:
            os._exit(1)
        bounds = max(self._listeners.values(), key=_bound, default=self._bounds)
        seconds = self._lead + _bound(bounds) if told == 1 else bounds.cleanup
        self._exit_within(seconds + LAST_SECONDS, 1)
        stage = Stage.LEAD if told == 1 else Stage.CUT
        # a context of its own: the signal may have come in the middle of a request
        self._loop.call_soon_threadsafe(self._reach, stage, bounds, context=Context())

    def _reach(self, stage: Stage, bounds: Timeouts) -> None:
        if stage <= self.stage:
            return
        self.stage = stage
        logger.info(_TOLD[stage])
        for each in tuple(self._listeners):
            each(stage)
        if stage is Stage.LEAD:
            self._loop.call_later(self._lead, self._reach, Stage.ENDING, bounds)
            return
        self.should_exit = True
        self._until = self._loop.time() + (_bound(bounds) if stage is Stage.ENDING else 0)
        self._close()
        self._end_if_idle()

    def _end_if_idle(self) -> None:
        again = self._ended and self.stage is not Stage.CUT
        if self.stage >= Stage.ENDING and not self._listeners and not again:
            self._ended = True
            self._end(max(1.0, self._until - self._loop.time()))

    def _leave(self, task: asyncio.Task[Any]) -> None:
        for each in (*SIGNALS, CUT_SHORT):
            signal.signal(each, signal.SIG_IGN)
        failed = task.cancelled() or task.exception() is not None
        self._exit_within(LEAVE_SECONDS, int(failed))

    def _exit_within(self, seconds: float, code: int) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = threading.Timer(seconds, _exit, (code,))
        self._timer.daemon = True
        self._timer.start()


_taken: Shutdown | None = None
_TOLD = {
    Stage.LEAD: "Told to end; /ready says so.",
    Stage.ENDING: "Waiting for runs to end. (CTRL+C to cancel them)",
    Stage.CUT: "Cancelling runs. (CTRL+C to force quit)",
}


def heard(hear: Hear, timeouts: Timeouts) -> contextlib.AbstractContextManager[None]:
    """Have a function called, on the event loop, with each stage that begins while a block lasts.

    Args:
        hear: The function; it is called with the stage of now at once, where that is known.
        timeouts: How long runs may go on and clean up.
    """
    return _overheard(hear) if _taken is None else _taken.heard(hear, timeouts)


@contextlib.contextmanager
def _overheard(hear: Hear) -> Iterator[None]:
    """Listen in on signals that a server of any kind has taken; they go on to it.

    The first is the end and has no lead: the server closes its sockets with it.
    """
    served = callable(signal.getsignal(signal.SIGTERM))
    if not served or threading.current_thread() is not threading.main_thread():
        yield
        return
    loop, orders = asyncio.get_running_loop(), Orders()

    def told(number: int, frame: FrameType | None) -> None:
        stage = Stage.ENDING if orders.count(number) == 1 else Stage.CUT
        with contextlib.suppress(RuntimeError):  # the loop is closed, where nobody ended the app
            loop.call_soon_threadsafe(hear, stage, context=Context())
        handler = before[number]
        if callable(handler):
            handler(number, frame)

    before = {int(each): signal.getsignal(each) for each in SIGNALS}
    for each in SIGNALS:
        signal.signal(each, told)
    try:
        yield
    finally:
        for each in SIGNALS:
            if signal.getsignal(each) is told:
                signal.signal(each, before[each])


def _bound(timeouts: Timeouts) -> float:
    return timeouts.drain + timeouts.cleanup


def _exit(code: int) -> None:
    logging.shutdown()
    os._exit(code)
