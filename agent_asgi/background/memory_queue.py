"""The queue of stores that other processes do not share: background runs are tasks."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence

from ..store.base import Record


class MemoryQueue:
    """Executes all runs in this process.

    Args:
        concurrency: How many runs are executed at once.
    """

    def __init__(self, concurrency: int) -> None:
        self._room = asyncio.Semaphore(concurrency)
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._again: dict[str, Record] = {}  # put while they were being tried
        self._execute: Callable[[str], Awaitable[None]]

    async def start(self, execute: Callable[[str], Awaitable[None]]) -> None:
        self._execute = execute

    async def put(self, record: Record) -> None:
        if record.id in self._tasks:
            self._again[record.id] = record
        else:
            self._add(record)

    def _add(self, record: Record) -> None:
        task = asyncio.create_task(self._run(record.id))
        self._tasks[record.id] = task
        task.add_done_callback(lambda task: self._ended(record.id, stopped=task.cancelled()))

    def waiting(self) -> Collection[str]:
        return self._tasks.keys()

    async def requeue(self, records: Sequence[Record]) -> None:
        for record in records:
            await self.put(record)

    async def close(self) -> None:
        while self._tasks:
            await asyncio.wait(self._tasks.values())

    async def stop(self) -> None:
        for task in self._tasks.values():
            task.cancel()

    def _ended(self, id: str, *, stopped: bool) -> None:
        del self._tasks[id]
        record = self._again.pop(id, None)
        if record is not None and not stopped:
            self._add(record)

    async def _run(self, id: str) -> None:
        async with self._room:
            await self._execute(id)
