"""`Watchdog`: warns when the event loop is blocked, and names the handler that blocks it."""

import asyncio
import logging
import selectors
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import CodeType, FrameType

from .run import Run

logger = logging.getLogger("agent_asgi")

CHECK_SECONDS = 0.25
BLOCKED_SECONDS = 1.0
"""How long the event loop may be blocked before a warning is logged."""
STOPPED_SHARE = 0.1
"""A process that used less of a processor than this was stopped, or the machine was suspended."""
_OWN_FOLDERS = (str(Path(__file__).parent.parent), str(Path(asyncio.__file__).parent))


class Watchdog:
    """A thread that checks whether an event loop runs; a context manager, entered on that loop.

    The loop notes the time, and the thread reads it. Requests are not slowed down.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._loop_thread = threading.get_ident()
        self._tick_at = time.monotonic()
        self._timer = self._loop.call_later(CHECK_SECONDS, self._tick)
        self._loop_code: CodeType | None = None  # calls the loop's callbacks
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="agent-asgi-watchdog", daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._timer.cancel()
        self._thread.join()

    def _tick(self) -> None:
        self._tick_at = time.monotonic()
        self._loop_code = sys._getframe(1).f_code
        self._timer = self._loop.call_later(CHECK_SECONDS, self._tick)

    def _watch(self) -> None:
        since, culprit = self._tick_at, ""  # the culprit is set once a warning has named it
        fields: dict[str, str] = {}
        checked, worked = time.monotonic(), time.process_time()
        while not self._stop.wait(CHECK_SECONDS):
            now, work = time.monotonic(), time.process_time()
            late = now - checked - CHECK_SECONDS
            suspended = late > CHECK_SECONDS and work - worked < late * STOPPED_SHARE
            checked, worked = now, work
            tick_at = self._tick_at
            if tick_at > since:
                if culprit:
                    seconds = tick_at - since
                    logger.warning(
                        "%s blocked the event loop for %.1f s.", culprit, seconds, extra=fields
                    )
                since, culprit = tick_at, ""
            if suspended and not culprit:
                since = now
            elif not culprit and now - since > BLOCKED_SECONDS:
                culprit, fields = self._warn(now - since)

    def _warn(self, seconds: float) -> tuple[str, dict[str, str]]:
        """Log what blocks the loop; return its name and request. An empty name: it only waits."""
        frames = list(_frames(sys._current_frames().get(self._loop_thread)))
        if not frames or self._is_idle(frames[0].f_code):
            return "", {}
        run = next(filter(None, map(_run_of, frames)), None)
        place = next((frame for frame in frames if not _is_own(frame)), frames[0])
        if run is None:
            name, fields = f"{place.f_code.co_name!r}", dict[str, str]()
        else:
            name = f"Handler {run.handler.name!r} of agent {run.agent!r}"
            fields = {"request_id": run.request_id or "-"}
        logger.warning(
            "%s has blocked the event loop for %.1f s, at %s:%d. No other request is served "
            "meanwhile. Do such work in a `def` handler or in `asyncio.to_thread`.",
            *(name, seconds, place.f_code.co_filename, place.f_lineno),
            extra=fields,
        )
        return name, fields

    def _is_idle(self, innermost: CodeType) -> bool:
        """Return whether the loop waits: asyncio in `select`, uvloop outside of Python."""
        return innermost is self._loop_code or innermost.co_filename == selectors.__file__


def _frames(innermost: FrameType | None) -> Iterator[FrameType]:
    frame = innermost
    while frame is not None:
        yield frame
        frame = frame.f_back


def _run_of(frame: FrameType) -> Run | None:
    if frame.f_code.co_filename != Run.pull.__code__.co_filename:
        return None
    owner = frame.f_locals.get("self")
    return owner if isinstance(owner, Run) else None


def _is_own(frame: FrameType) -> bool:
    return frame.f_code.co_filename.startswith(_OWN_FOLDERS)
