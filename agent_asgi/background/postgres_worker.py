"""The worker of PostgreSQL's queue.

procrastinate's own worker takes and finishes jobs one by one, each in a transaction. This one takes
several at once, and finishes in the same transaction those whose runs have ended since.
"""

import asyncio
import contextlib
import logging
import re
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import procrastinate
from procrastinate.sql import queries

from ..config import Timeouts

logger = logging.getLogger("agent_asgi")

MOST_TAKEN = 8
"""How many jobs are taken at once; more would leave the workers of other processes idle."""


def _called(query: str) -> str:
    """Return the call of procrastinate's function in one of its queries."""
    call = re.search(r"procrastinate_\w+\(.*\)", queries[query])
    if call is None:
        raise RuntimeError(f"procrastinate's query {query!r} calls no function.")
    return call[0]


_FETCH = _called("fetch_job")
_TAKE = f"""WITH RECURSIVE taken AS (
    SELECT {_FETCH} AS job, 1 AS number
    UNION ALL
    SELECT {_FETCH}, number + 1 FROM taken WHERE (job).id IS NOT NULL AND number < %(most)s
) SELECT (job).id, (job).args FROM taken WHERE (job).id IS NOT NULL""".encode()  # noqa: S608  a call
"""Takes jobs one after the other until there is none."""
_END = _called("finish_job").replace("%(job_id)s", "id")
_FINISH = f"""SELECT {_END} FROM procrastinate_jobs
WHERE id = ANY(%(ids)s) AND status IN ('todo', 'doing')""".encode()  # noqa: S608  a call
"""Finishes those jobs that nobody else has finished."""


class Worker:
    """Takes jobs while there is room for their runs, and has the runs executed.

    Args:
        app: procrastinate's app, which is open.
        pool: Its connections, whose transactions use procrastinate's schema.
        queues: The queues.
        concurrency: How many runs are executed at once.
        timeouts: How often the queue is polled, and when a worker counts as dead.
        execute: Executes a run to its end.
    """

    def __init__(
        self,
        app: procrastinate.App,
        pool: Any,
        queues: Sequence[str],
        concurrency: int,
        timeouts: Timeouts,
        execute: Callable[[str], Awaitable[None]],
    ) -> None:
        self._jobs = app.job_manager
        self._pool = pool
        self._queues = list(queues)
        self._concurrency = concurrency
        self._timeouts = timeouts
        self._execute = execute
        self._running: dict[asyncio.Task[None], int] = {}
        self._ended: list[int] = []
        self._awake = asyncio.Event()
        self._may_have_jobs = True
        self._id = 0

    async def work(self, poll: float, *, listens: bool) -> None:
        """Take jobs until cancelled. Runs that have begun are still executed to their end.

        Args:
            poll: How often the queue is polled, in seconds.
            listens: Whether PostgreSQL notifies of new jobs.

        Raises:
            ExceptionGroup: The database does not answer, for example.
        """
        await self._jobs.prune_stalled_workers(self._timeouts.stalled)
        self._id = await self._jobs.register_worker()
        self._may_have_jobs = True
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._beat())
                if listens:
                    group.create_task(self._listen())
                group.create_task(self._take_all(poll))
        finally:
            await self._leave()

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(self._timeouts.heartbeat)
            await self._jobs.update_heartbeat(self._id)

    async def _listen(self) -> None:
        async def notice(**_: Any) -> None:
            self._may_have_jobs = True
            self._awake.set()

        await self._jobs.listen_for_jobs(on_notification=notice, queues=self._queues)

    async def _take_all(self, poll: float) -> None:
        while True:
            room = min(self._concurrency - len(self._running), MOST_TAKEN)
            if room and self._may_have_jobs:
                self._may_have_jobs = False
                taken = await self._take(room)
                self._may_have_jobs |= len(taken) == room
                for id_, run in taken:
                    self._begin(id_, run)
            else:
                await self._wait(poll)

    async def _wait(self, poll: float) -> None:
        """Wait until there is room or a new job, or for the next poll."""
        try:
            async with asyncio.timeout(poll):
                await self._awake.wait()
        except TimeoutError:
            self._may_have_jobs = True
        self._awake.clear()

    async def _take(self, most: int) -> list[tuple[int, str]]:
        """Finish the jobs whose runs have ended, and return some new jobs with their runs."""
        ended = self._ended.copy()
        async with self._pool.connection() as db:
            if ended:
                values = {"ids": ended, "status": "succeeded", "delete_job": True}
                await db.execute(_FINISH, values)
            values = {"queues": self._queues, "worker_id": self._id, "most": most}
            rows = await (await db.execute(_TAKE, values)).fetchall() if most else []
        del self._ended[: len(ended)]
        return [(id_, arguments["response_id"]) for id_, arguments in rows]

    def _begin(self, id: int, run: str) -> None:
        task = asyncio.create_task(self._run(run))
        self._running[task] = id
        task.add_done_callback(self._end)

    async def _run(self, id: str) -> None:
        try:
            await self._execute(id)
        except Exception:
            logger.exception("%s could not be executed; a sweep queues it again.", id)

    def _end(self, task: asyncio.Task[None]) -> None:
        self._ended.append(self._running.pop(task))
        self._awake.set()

    async def _leave(self) -> None:
        """Finish all jobs: their runs are executed here, or taken over when their leases end."""
        self._ended += self._running.values()
        with contextlib.suppress(Exception):  # if not, others find the worker dead
            await self._take(0)
            await self._jobs.unregister_worker(self._id)
