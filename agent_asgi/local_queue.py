"""Background runs as tasks of this process: the queue of stores that no other process shares."""

import asyncio
from collections.abc import Collection

from .background import Execute
from .store.base import Record


class LocalQueue:
    """Executes all runs in this process, a bounded number at once.

    Args:
        concurrency: The bound.
    """

    def __init__(self, concurrency: int) -> None:
        self._room = asyncio.Semaphore(concurrency)
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._execute: Execute

    async def start(self, execute: Execute) -> None:
        """Execute runs from now on."""
        self._execute = execute

    async def put(self, record: Record) -> None:
        """Have a run executed by this process."""
        if record.id not in self._tasks:
            task = asyncio.create_task(self._run(record.id))
            self._tasks[record.id] = task
            task.add_done_callback(lambda _: self._tasks.pop(record.id))

    def waiting(self) -> Collection[str]:
        """Give the runs that this process has and that wait for their turn."""
        return self._tasks.keys()

    async def rescue(self) -> None:
        """Do nothing: what is abandoned is put again."""

    async def close(self) -> None:
        """Wait for all runs: they are this process's."""
        while self._tasks:
            await asyncio.wait(self._tasks.values())

    async def stop(self) -> None:
        """Begin no more runs."""
        for task in self._tasks.values():
            task.cancel()

    async def _run(self, id: str) -> None:
        async with self._room:
            await self._execute(id)
