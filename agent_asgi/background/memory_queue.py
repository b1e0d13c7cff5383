"""The queue of stores that other processes do not share: background runs are tasks."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence

from ..runs.admission import Limiter
from ..store.base import Record


class MemoryQueue:
    """Executes all runs in this process; the users whose runs wait take turns.

    Args:
        concurrency: How many runs are executed at once.
    """

    put_in = None

    def __init__(self, concurrency: int) -> None:
        self._room = Limiter(concurrency, "runs", None)
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._owners: dict[str, str] = {}
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
        task = asyncio.create_task(self._run(record.id, record.owner))
        self._tasks[record.id] = task
        self._owners[record.id] = record.owner
        task.add_done_callback(lambda task: self._ended(record.id, stopped=task.cancelled()))

    def waiting(self) -> Mapping[str, str]:
        return self._owners

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
        del self._tasks[id], self._owners[id]
        record = self._again.pop(id, None)
        if record is not None and not stopped:
            self._add(record)

    async def _run(self, id: str, owner: str) -> None:
        await self._room.enter(owner)
        try:
            await self._execute(id)
        finally:
            self._room.leave()
