"""Warns of what holds the event loop up, and names the handler that does."""

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

LOOK_SECONDS = 0.25
BLOCKED_SECONDS = 1.0
"""How long the loop may be held before there is a warning."""
STOPPED_SHARE = 0.1
"""Less of a processor than this means that the process was stopped, or the machine suspended."""
_HERE = (str(Path(__file__).parent), str(Path(asyncio.__file__).parent))


class Watchdog:
    """A thread that looks whether an event loop goes on; a context manager on that loop.

    The loop marks the time, and the thread looks at the mark. Neither costs a request anything.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._loop_thread = threading.get_ident()
        self._mark = time.monotonic()
        self._timer = self._loop.call_later(LOOK_SECONDS, self._tick)
        self._below: CodeType | None = None  # what calls the loop's callbacks
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="agent-asgi-watchdog", daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._timer.cancel()
        self._thread.join()

    def _tick(self) -> None:
        self._mark = time.monotonic()
        self._below = sys._getframe(1).f_code
        self._timer = self._loop.call_later(LOOK_SECONDS, self._tick)

    def _watch(self) -> None:
        since, who = self._mark, ""  # who holds the loop, once a warning told of it
        looked, worked = time.monotonic(), time.process_time()
        while not self._stop.wait(LOOK_SECONDS):
            now, work = time.monotonic(), time.process_time()
            late = now - looked - LOOK_SECONDS
            slept = late > LOOK_SECONDS and work - worked < late * STOPPED_SHARE
            looked, worked = now, work
            mark = self._mark
            if mark > since:
                if who:
                    logger.warning("%s held the event loop for %.1f s.", who, mark - since)
                since, who = mark, ""
            if slept and not who:  # the machine or the process did, not the loop
                since = now
            elif not who and now - since > BLOCKED_SECONDS:
                who = self._warn(now - since)

    def _warn(self, seconds: float) -> str:
        """Tell who holds the loop, and give its name; none where it waits for something to do."""
        frames = list(_frames(sys._current_frames().get(self._loop_thread)))
        if not frames or self._is_idle(frames[0].f_code):
            return ""
        run = next(filter(None, map(_run_of, frames)), None)
        place = next((each for each in frames if not _is_ours(each)), frames[0])
        where = f"{place.f_code.co_filename}:{place.f_lineno}"
        name = f"{place.f_code.co_name!r}"
        if run is not None:
            name = f"Handler {run.name!r} of agent {run.context.agent!r}"
        fields = {} if run is None else {"request_id": run.context.request_id or "-"}
        logger.warning(
            "%s has held the event loop for %.1f s, at %s. Nothing else goes on meanwhile: "
            "let such work be in a `def` handler or in `asyncio.to_thread`.",
            *(name, seconds, where),
            extra=fields,
        )
        return name

    def _is_idle(self, innermost: CodeType) -> bool:
        """Tell whether the loop waits: asyncio's in `select`, uvloop's below no Python at all."""
        return innermost is self._below or innermost.co_filename == selectors.__file__


def _frames(innermost: FrameType | None) -> Iterator[FrameType]:
    frame = innermost
    while frame is not None:
        yield frame
        frame = frame.f_back


def _run_of(frame: FrameType) -> Run | None:
    if frame.f_code.co_filename != Run.pull.__code__.co_filename:
        return None
    found = frame.f_locals.get("self")
    return found if isinstance(found, Run) else None


def _is_ours(frame: FrameType) -> bool:
    return frame.f_code.co_filename.startswith(_HERE)
