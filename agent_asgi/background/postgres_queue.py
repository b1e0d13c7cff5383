"""The queue on PostgreSQL: background runs are jobs of procrastinate.

A job only asks for a run to be executed. Whether that is still necessary, and which process may do
it, is decided by the response's row.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Any, LiteralString
from weakref import WeakKeyDictionary

import procrastinate
import psycopg
from procrastinate.exceptions import AlreadyEnqueued, ConnectorException, UniqueViolation
from procrastinate.jobs import Status
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from ..config import Limits, Timeouts
from ..store.base import Record, StoreUnavailable
from ..store.engine import IDLE_SECONDS
from .postgres_worker import Worker
from .queue_schema import USE_SCHEMA, create_schema

logger = logging.getLogger("agent_asgi")

TASK = "agent_asgi.run"
RESTART_SECONDS = 1.0
EPOCH = 1_735_689_600
"""2025-01-01; priorities are seconds since then, which have 32 bits."""
PACE_SECONDS = 1.0
"""Runs that a user queues faster come after the first runs of others."""
USERS = 10_000
"""The number of users from which on those are forgotten who have queued nothing for some time."""
QUEUE_POLL_SECONDS = 0.5
"""How often the queue is polled behind a pooler, which passes no notifications on."""
_WAITING: LiteralString = (
    "SELECT queueing_lock FROM procrastinate_jobs"
    " WHERE status = 'todo' AND queueing_lock = ANY(%(ids)s)"
)


class PostgresQueue:
    """A queue that many processes share.

    Args:
        conninfo: libpq's connection string.
        agents: The agents whose runs this process executes; each has a queue.
        limits: `worker_concurrency` bounds the runs that are executed at once.
        timeouts: How often the queue is polled, and when a worker counts as dead.
    """

    def __init__(
        self, conninfo: str, agents: Sequence[str], limits: Limits, timeouts: Timeouts
    ) -> None:
        connector = procrastinate.PsycopgConnector(
            pool_factory=_Pool,
            conninfo=conninfo,
            min_size=1,
            max_size=5,
            timeout=5,
            kwargs={"connect_timeout": 5, "prepare_threshold": None},  # a pooler cannot have them
        )
        self._connector = connector
        self._app = procrastinate.App(connector=connector)
        self._queues = [_queue(agent) for agent in agents]
        self._concurrency = limits.worker_concurrency
        self._timeouts = timeouts
        self._turns: dict[str, float] = {}
        self._worker: asyncio.Task[None] | None = None
        self._closed = False
        self._listens = True

    async def start(self, execute: Callable[[str], Awaitable[None]]) -> None:
        await self._app.open_async()
        await self._create_schema()
        if self._concurrency:
            worker = Worker(
                self._app,
                self._connector.pool,
                self._queues,
                self._concurrency,
                self._timeouts,
                execute,
            )
            self._worker = asyncio.create_task(self._work(worker))

    async def put(self, record: Record) -> None:
        """Add a job, unless the run has one that waits."""
        with contextlib.suppress(AlreadyEnqueued):
            await self._put(record, None)

    async def put_in(self, transaction: Any, record: Record) -> None:
        """Add a job as the last step of a transaction, given the driver's connection."""
        with _available():
            await transaction.execute(USE_SCHEMA)
        await self._put(record, transaction)

    async def _put(self, record: Record, connection: Any) -> None:
        job = self._app.configure_task(
            TASK,
            queue=_queue(record.agent),
            queueing_lock=record.id,
            priority=self._priority(record.owner),
            connection=connection,
        )
        with _available():
            await job.defer_async(response_id=record.id)

    def _priority(self, owner: str) -> int:
        """Return the priority of a user's next run; the earliest turn comes first.

        A turn is the time, or `PACE_SECONDS` after the user's last one if that is later: the n-th
        run of a burst waits behind all that others queue within as many seconds.
        """
        now = time.time() - EPOCH
        turn = max(now, self._turns.get(owner, 0.0) + PACE_SECONDS)
        if owner:  # without authentication they come in their order
            if len(self._turns) >= USERS:
                self._turns = {user: last for user, last in self._turns.items() if last > now}
            self._turns[owner] = turn
        return -int(turn)

    def waiting(self) -> Mapping[str, str]:
        """Return nothing: a run that waits belongs to no process."""
        return {}

    async def requeue(self, records: Sequence[Record]) -> None:
        """Queue runs that do not wait, and the jobs of workers that died."""
        await self._requeue_stalled()
        with _available():  # not by adding them all: PostgreSQL would log each that waits
            rows = await self._connector.execute_query_all_async(
                _WAITING, ids=[record.id for record in records]
            )
        waiting = {row["queueing_lock"] for row in rows}
        for record in records:
            if record.id not in waiting:
                await self.put(record)

    async def _requeue_stalled(self) -> None:
        jobs = self._app.job_manager
        with _available():
            stalled = await jobs.get_stalled_jobs(
                task_name=TASK, seconds_since_heartbeat=self._timeouts.stalled
            )
            for job in stalled:
                if job.queue in self._queues:
                    try:
                        await jobs.retry_job(job)
                    except UniqueViolation:  # the run has been queued again meanwhile
                        await jobs.finish_job(job, Status.FAILED, delete_job=True)

    async def close(self) -> None:
        self._closed = True
        if self._worker is not None:
            self._worker.cancel()
            await asyncio.wait([self._worker])

    async def stop(self) -> None:
        await self.close()
        await self._app.close_async()

    async def _work(self, worker: Worker) -> None:
        """Run the worker; restart it after an error."""
        poll = self._timeouts.poll
        if not self._listens:
            poll = min(poll, QUEUE_POLL_SECONDS)
        while not self._closed:  # a connection error may replace the cancellation
            try:
                await worker.work(poll, listens=self._listens)
            except Exception as error:  # noqa: BLE001  there must be a worker
                logger.warning("The queue's worker failed; it is restarted: %s", _first(error))
            if not self._closed:
                await asyncio.sleep(RESTART_SECONDS)

    async def _create_schema(self) -> None:
        async with self._connector.pool.connection() as db:
            await create_schema(db)
            pid = await (await db.execute("SELECT pg_backend_pid()")).fetchone()
            self._listens = pid == (db.info.backend_pid,)  # a pooler makes up an id


class _Pool(AsyncConnectionPool[Any]):
    """Connections whose transactions use procrastinate's schema, checked only if they were idle."""

    def __init__(self, *arguments: Any, check: Callable[[Any], Awaitable[None]], **options: Any):
        async def check_idle(db: Any) -> None:
            if time.monotonic() - self._used[db] > IDLE_SECONDS:
                await check(db)

        self._used: WeakKeyDictionary[Any, float] = WeakKeyDictionary()
        super().__init__(*arguments, check=check_idle, configure=self._note, **options)

    async def _note(self, db: Any) -> None:
        """Note when a connection was used, or made."""
        self._used[db] = time.monotonic()

    @contextlib.asynccontextmanager
    async def connection(self, *arguments: Any, **options: Any) -> AsyncIterator[Any]:
        async with super().connection(*arguments, **options) as db:
            await db.execute(USE_SCHEMA)
            yield db
            await self._note(db)


def _first(error: BaseException) -> BaseException:
    """Return an error, or the first one of a group."""
    return _first(error.exceptions[0]) if isinstance(error, BaseExceptionGroup) else error


def _queue(agent: str) -> str:
    return f"agent_asgi:{agent}"


@contextlib.contextmanager
def _available() -> Iterator[None]:
    """Raise `StoreUnavailable` if the database does not answer."""
    try:
        yield
    except AlreadyEnqueued:
        raise
    except (ConnectorException, PoolTimeout, psycopg.OperationalError, OSError) as error:
        raise StoreUnavailable from error
