"""Shutdown: the signals that end a process, and the stages in which it ends."""

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
from types import FrameType
from typing import Any

from ..config import Timeouts
from ..runs.admission import Stage

logger = logging.getLogger("uvicorn.error")  # whose lines uvicorn shows

SIGNALS = (signal.SIGTERM, signal.SIGINT)
CUT_SHORT: signal.Signals | None = getattr(signal, "SIGUSR1", None)
"""Sent by a parent process to its workers when it gets a second signal; None on Windows."""
_TAKEN = SIGNALS if CUT_SHORT is None else (*SIGNALS, CUT_SHORT)
LAST_SECONDS = 35.0
"""How long the end may take once no run is left: the flush of traces has 30 of them."""
LEAVE_SECONDS = 3.0
"""How long threads may delay the end of the interpreter; a sync handler may never return."""

Notify = Callable[[Stage], None]


class Orders:
    """Counts how often the process has been asked to end.

    A worker process gets a signal to its process group, such as Ctrl-C, and then its parent's
    SIGTERM: these count once.
    """

    def __init__(self) -> None:
        self._signals: Counter[int] = Counter()
        self._worker = multiprocessing.parent_process() is not None

    def count(self, number: int) -> int:
        """Count a signal; return the number of orders so far."""
        self._signals[number] += 1
        if not self._worker:
            return self._signals.total()
        return max(1, self._signals[signal.SIGINT], 1 + self._signals[CUT_SHORT or 0])


class Shutdown:
    """Takes over the signals that end the process, and ends it in order; made on the event loop.

    The first signal begins the lead. After it the server's sockets are closed and runs may continue
    within their time. A second signal cancels them, a third ends the process at once. The server
    ends once no run is left. If that takes too long, the process ends anyway.

    Args:
        lead: How long everything is still served, in seconds.
        close: Closes the server's sockets.
        end: Ends the server, within the seconds it is given for connections without a run. Called
            again if that is cut short.
        drains: Whether runs may continue after the first signal. Default True; otherwise it cancels
            them, and the process leaves without waiting for its threads.
    """

    def __init__(
        self,
        lead: float,
        close: Callable[[], None],
        end: Callable[[float], None],
        *,
        drains: bool = True,
    ) -> None:
        self.should_exit = False
        """Read by sse_starlette: whether a host's own streams must end."""
        self.stage = Stage.SERVING
        self._lead = lead
        self._close = close
        self._end = end
        self._drains = drains
        self._until = 0.0
        self._ended = False
        self._loop = asyncio.get_running_loop()
        self._orders = Orders()
        self._count = 0
        self._listeners: dict[Notify, Timeouts] = {}
        self._bounds = Timeouts()
        self._timer: threading.Timer | None = None

    def take(self) -> None:
        """Take over the signals until the current task, which runs the server, ends."""
        global _active
        _active = self
        for each in _TAKEN:
            signal.signal(each, self._on_signal)
        task = asyncio.current_task()
        if task is not None:
            task.add_done_callback(self._leave)

    @contextlib.contextmanager
    def on_stage(self, notify: Notify, timeouts: Timeouts) -> Iterator[None]:
        """Call a function with each stage while the block lasts; the server ends after it."""
        self._listeners[notify] = self._bounds = timeouts
        notify(self.stage)
        try:
            yield
        finally:
            del self._listeners[notify]
            self._end_if_idle()

    def _on_signal(self, number: int, _: FrameType | None) -> None:
        count = self._orders.count(number)
        if count <= self._count:
            return
        self._count = count
        if count > 2:
            os._exit(1)
        bounds = max(self._listeners.values(), key=_bound, default=self._bounds)
        drains = count == 1 and self._drains
        seconds = self._lead + _bound(bounds) if drains else bounds.cleanup
        self._exit_within(seconds + LAST_SECONDS, 1)
        stage = Stage.LEAD if drains else Stage.CUT
        # an empty context: the signal may have interrupted a request
        self._loop.call_soon_threadsafe(self._reach, stage, bounds, context=Context())

    def _reach(self, stage: Stage, bounds: Timeouts) -> None:
        if stage <= self.stage:
            return
        self.stage = stage
        logger.info(_MESSAGES[stage])
        for notify in tuple(self._listeners):
            notify(stage)
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
        for each in _TAKEN:
            signal.signal(each, signal.SIG_IGN)
        failed = task.cancelled() or task.exception() is not None
        self._exit_within(LEAVE_SECONDS if self._drains else 0, int(failed))

    def _exit_within(self, seconds: float, code: int) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = threading.Timer(seconds, _exit, (code,))
        self._timer.daemon = True
        self._timer.start()


def leaving() -> bool:
    """Return whether the process has been asked to end, so that clients had better reconnect."""
    return _active is not None and _active.stage > Stage.SERVING


_active: Shutdown | None = None
_MESSAGES = {
    Stage.LEAD: "Shutting down. /ready answers 503.",
    Stage.ENDING: "Waiting for runs to end. (CTRL+C to cancel them)",
    Stage.CUT: "Cancelling runs. (CTRL+C to force quit)",
}


def on_stage(notify: Notify, timeouts: Timeouts) -> contextlib.AbstractContextManager[None]:
    """Call a function, on the event loop, with each stage that begins while a block lasts.

    Args:
        notify: The function; it is called at once with the present stage, if that is known.
        timeouts: How long runs may continue and clean up.
    """
    return _listen_in(notify) if _active is None else _active.on_stage(notify, timeouts)


@contextlib.contextmanager
def _listen_in(notify: Notify) -> Iterator[None]:
    """Listen to the signals that another server handles, and pass them on to it.

    There is no lead: such a server closes its sockets at the first signal.
    """
    served = callable(signal.getsignal(signal.SIGTERM))
    if not served or threading.current_thread() is not threading.main_thread():
        yield
        return
    loop, orders = asyncio.get_running_loop(), Orders()

    def on_signal(number: int, frame: FrameType | None) -> None:
        stage = Stage.ENDING if orders.count(number) == 1 else Stage.CUT
        with contextlib.suppress(RuntimeError):  # the loop is closed, but the app was not ended
            loop.call_soon_threadsafe(notify, stage, context=Context())
        handler = before[number]
        if callable(handler):
            handler(number, frame)

    before = {int(each): signal.getsignal(each) for each in SIGNALS}
    for each in SIGNALS:
        signal.signal(each, on_signal)
    try:
        yield
    finally:
        for each in SIGNALS:
            if signal.getsignal(each) is on_signal:
                signal.signal(each, before[each])


def _bound(timeouts: Timeouts) -> float:
    return timeouts.drain + timeouts.cleanup


def _exit(code: int) -> None:
    logging.shutdown()
    os._exit(code)
