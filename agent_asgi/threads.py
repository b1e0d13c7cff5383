"""A sync function run whole in one thread; what it gives comes out on the event loop."""

import asyncio
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Any

import anyio
import anyio.to_thread

from .context import Context

AHEAD = 64
"""How many outputs a sync generator may be ahead of its reader."""

_running: set[asyncio.Task[None]] = set()


class _Closed(BaseException):
    """Ends the thread's loop; nobody reads any more."""


class _Handoff:
    """Carries outputs from a thread to the loop, `AHEAD` at a time and no more."""

    def __init__(self, call: Callable[[], Any]) -> None:
        self._call = call
        self._loop = asyncio.get_running_loop()
        self._room = threading.Semaphore(AHEAD)
        self._items: deque[Any] = deque()
        self._waiter: asyncio.Future[None] | None = None
        self._closed = False

    def produce(self) -> None:
        """Run the function, in a thread; iterate what it gives if that is an iterator."""
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
        self._items.append(output)
        if self._waiter is not None:
            self._loop.call_soon_threadsafe(self.wake)

    def wake(self, _: object = None) -> None:
        """Wake the reader; on the loop."""
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def read(self, done: Callable[[], bool]) -> AsyncIterator[Any]:
        """Give the outputs in their order, until the thread is done and all are read."""
        while True:
            while self._items:
                yield self._items.popleft()
                self._room.release()
            if done():
                return
            self._waiter = self._loop.create_future()
            if not self._items and not done():
                await self._waiter
            self._waiter = None

    def close(self) -> None:
        """Let the thread end at its next output."""
        self._closed = True
        self._room.release()


async def in_thread(
    call: Callable[[], Any], context: Context, limiter: anyio.CapacityLimiter
) -> AsyncIterator[Any]:
    """Run a function in a thread, give its result or, of an iterator, each output.

    Where the reader is cancelled, the thread learns it from `context.cancelled` and, a generator,
    at its next yield; the reader waits for it to end.

    Args:
        call: The function, arguments bound.
        context: The run's context; contextvars are copied into the thread.
        limiter: Bounds how many threads run at once; the others wait.
    """
    handoff = _Handoff(call)
    task = asyncio.create_task(anyio.to_thread.run_sync(handoff.produce, limiter=limiter))
    _running.add(task)
    task.add_done_callback(_running.discard)
    task.add_done_callback(handoff.wake)
    outputs = handoff.read(lambda: task.done())
    try:
        async for output in outputs:
            yield output
    except asyncio.CancelledError:
        context.cancelled.set("shutdown")
        raise
    finally:
        handoff.close()
        if not task.done():
            await asyncio.wait([task])
    task.result()


def is_iterator(value: object) -> bool:
    """Tell an iterator from a value that merely can be iterated, such as a list or a dict."""
    return hasattr(value, "__next__") and hasattr(value, "__iter__")
