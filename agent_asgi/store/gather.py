"""`Gather`: operations that are asked for while an earlier one is in progress are done together."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from enum import Enum
from typing import Any, Generic, TypeVar

from .base import StoreUnavailable

MOST = 100
"""How many operations are done together at most."""
SLOW_SECONDS = 1.0
"""After this time the next ones begin although the earlier ones have not ended."""
MOST_ALONE = 2
"""How many are done alone at the same time; each may wait for a lock with a connection."""

T = TypeVar("T")
R = TypeVar("R")


class Alone(Enum):
    """The result of an operation that cannot be done together with others."""

    ALONE = 0


ALONE = Alone.ALONE


class Gather(Generic[T, R]):
    """Does operations of one kind, those of several callers in one transaction.

    An operation is not delayed for the sake of others: the first one begins at once, and what is
    asked for until it has ended is done next.

    Args:
        operate: Does operations, and returns for each a result, the error of its caller, or
            `ALONE`, which it may return only if there are several. If it raises an error, each
            operation is done alone; if the store does not answer, all fail.
    """

    def __init__(
        self, operate: Callable[[Sequence[T]], Awaitable[Sequence[R | Exception | Alone]]]
    ) -> None:
        self._operate = operate
        self._waiting: list[tuple[T, asyncio.Future[R]]] = []
        self._task: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._room = asyncio.Semaphore(MOST_ALONE)

    async def __call__(self, operation: T) -> R:
        """Do an operation and return its result."""
        result: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self._waiting.append((operation, result))
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._do_all())
        return await result

    async def _do_all(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting[:MOST], self._waiting[MOST:]
            await asyncio.wait([self._start(self._do(batch))], timeout=SLOW_SECONDS)

    def _start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _do_alone(self, each: "tuple[T, asyncio.Future[R]]") -> None:
        async with self._room:
            await self._do([each])

    async def _do(self, batch: "Sequence[tuple[T, asyncio.Future[R]]]") -> None:
        results: Sequence[R | Exception | Alone]
        try:
            results = await self._operate([operation for operation, _ in batch])
        except Exception as error:  # noqa: BLE001  its callers get it
            together = len(batch) > 1 and not isinstance(error, StoreUnavailable)
            results = [ALONE if together else error] * len(batch)
        for each, result in zip(batch, results, strict=True):
            _, future = each
            if result is ALONE:
                self._start(self._do_alone(each))
            elif future.done():  # its caller was cancelled
                continue
            elif isinstance(result, Exception):
                future.set_exception(result)
            else:
                future.set_result(result)
