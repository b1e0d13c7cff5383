"""Sync functions: each runs in one thread, and its outputs arrive on the event loop."""

import asyncio
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Any

import anyio
import anyio.to_thread

from ..context import Context

AHEAD = 64
"""How many outputs a sync generator may be ahead of its reader."""

_running: set[asyncio.Task[BaseException | None]] = set()


class _Closed(BaseException):
    """Ends the thread's loop; nobody reads any more."""


class _Handoff:
    """Carries outputs from a thread to the event loop, at most `AHEAD` at a time."""

    def __init__(self, call: Callable[[], Any]) -> None:
        self._call = call
        self._loop = asyncio.get_running_loop()
        self._room = threading.Semaphore(AHEAD)
        self._outputs: deque[Any] = deque()
        self._waiter: asyncio.Future[None] | None = None
        self._closed = False
        self.begun = False

    def run(self) -> BaseException | None:
        """Run the function, in a thread; return what it raised.

        A task that raised SystemExit or KeyboardInterrupt would end the event loop.
        """
        try:
            self._produce()
        except BaseException as error:  # noqa: BLE001  it is raised again by the reader
            return error
        return None

    def _produce(self) -> None:
        """Call the function; if it returns an iterator, exhaust it."""
        self.begun = True
        if self._closed:  # in this order: either the thread or the reader sees the other's flag
            return
        result = self._call()
        if not is_iterator(result):
            self._put(result)
            return
        try:
            for output in result:
                self._put(output)
        except _Closed:
            return
        finally:
            close = getattr(result, "close", None)
            if close is not None:
                close()

    def _put(self, output: Any) -> None:
        self._room.acquire()
        if self._closed:
            raise _Closed
        self._outputs.append(output)
        if self._waiter is not None:
            self._loop.call_soon_threadsafe(self.wake)

    def wake(self, _: object = None) -> None:
        """Wake the reader; called on the event loop."""
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def read(self, done: Callable[[], bool]) -> AsyncIterator[Any]:
        """Yield the outputs in order until the thread is done."""
        while True:
            while self._outputs:
                yield self._outputs.popleft()
                self._room.release()
            if done():
                return
            self._waiter = self._loop.create_future()
            if not self._outputs and not done():
                await self._waiter
            self._waiter = None

    def close(self) -> None:
        """End the thread at its next output."""
        self._closed = True
        self._room.release()


async def in_thread(
    call: Callable[[], Any], context: Context, limiter: anyio.CapacityLimiter
) -> AsyncIterator[Any]:
    """Call a function in a thread; yield its result, or each output if that is an iterator.

    If the reader is cancelled, `context.cancelled` is set, a generator ends at its next yield, and
    the reader waits for the thread. A function that still waits for its thread is not called.

    Args:
        call: The function with its arguments bound.
        context: The run's context. Context variables are copied into the thread.
        limiter: Bounds the number of threads; further calls wait.
    """
    handoff = _Handoff(call)
    task = asyncio.create_task(anyio.to_thread.run_sync(handoff.run, limiter=limiter))
    _running.add(task)
    task.add_done_callback(_running.discard)
    task.add_done_callback(handoff.wake)
    try:
        async for output in handoff.read(task.done):
            yield output
    except asyncio.CancelledError:
        context.cancelled.set("shutdown")
        raise
    finally:
        handoff.close()
        if not handoff.begun:
            task.cancel()  # it waits for a thread
        if not task.done():
            await asyncio.wait([task])
    failure = task.result()
    if failure is not None:
        try:
            raise failure
        finally:
            del failure  # its traceback refers to this frame


def is_iterator(value: object) -> bool:
    """Return whether a value is an iterator, and not merely iterable as a list is."""
    return hasattr(value, "__next__") and hasattr(value, "__iter__")
