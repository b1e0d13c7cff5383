"""`Gather`: operations that are asked for while an earlier one is in progress are done together."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from .base import StoreUnavailable

MOST = 100
"""How many operations are done together at most."""
SLOW_SECONDS = 1.0
"""After this time the next ones begin although the earlier ones have not ended."""

T = TypeVar("T")
R = TypeVar("R")


class Gather(Generic[T, R]):
    """Does operations of one kind, those of several callers in one transaction.

    An operation is not delayed for the sake of others: the first one begins at once, and what is
    asked for until it has ended is done next.

    Args:
        operate: Does operations, and returns for each a result or the error of its caller. If it
            raises an error, each operation is done alone; if the store does not answer, all fail.
    """

    def __init__(
        self, operate: Callable[[Sequence[T]], Awaitable[Sequence[R | Exception]]]
    ) -> None:
        self._operate = operate
        self._waiting: list[tuple[T, asyncio.Future[R]]] = []
        self._task: asyncio.Task[None] | None = None
        self._batches: set[asyncio.Task[None]] = set()

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
            task = asyncio.create_task(self._do(batch))
            self._batches.add(task)
            task.add_done_callback(self._batches.discard)
            await asyncio.wait([task], timeout=SLOW_SECONDS)

    async def _do(self, batch: "Sequence[tuple[T, asyncio.Future[R]]]") -> None:
        results: Sequence[R | Exception]
        try:
            results = await self._operate([operation for operation, _ in batch])
        except Exception as error:  # noqa: BLE001  its callers get it
            if len(batch) > 1 and not isinstance(error, StoreUnavailable):
                for each in batch:
                    await self._do([each])
                return
            results = [error] * len(batch)
        for (_, future), result in zip(batch, results, strict=True):
            if future.done():  # its caller was cancelled
                continue
            if isinstance(result, Exception):
                future.set_exception(result)
            else:
                future.set_result(result)
