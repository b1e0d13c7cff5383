"""Background runs as jobs of procrastinate, on PostgreSQL; the only importer of procrastinate.

A job only says that somebody should work on a run. Whether it still has to be done, and who may,
says the response's row.
"""

import asyncio
import contextlib
import logging
from collections.abc import Collection, Iterator, Sequence

import procrastinate
from procrastinate.exceptions import AlreadyEnqueued, ConnectorException, UniqueViolation
from procrastinate.jobs import Status
from psycopg_pool import PoolTimeout

from .background import Execute
from .limits import Limits, Timeouts
from .store.base import Record, StoreUnavailable

logger = logging.getLogger("agent_asgi")

TASK = "agent_asgi.run"
RESTART_SECONDS = 1.0
SCHEMA_LOCK = 0x6167656E75


class JobQueue:
    """A queue on PostgreSQL that many processes share.

    Args:
        conninfo: The database, as libpq has it.
        agents: The agents whose runs this process executes; each has a queue.
        limits: How many runs at once.
        timeouts: Signs of life and what follows from their absence.
    """

    def __init__(
        self, conninfo: str, agents: Sequence[str], limits: Limits, timeouts: Timeouts
    ) -> None:
        connector = procrastinate.PsycopgConnector(
            conninfo=conninfo,
            min_size=1,
            max_size=5,
            timeout=5,
            kwargs={"connect_timeout": 5},
        )
        self._connector = connector
        self._app = procrastinate.App(connector=connector)
        self._queues = [_queue(each) for each in agents]
        self._concurrency = limits.worker_concurrency
        self._timeouts = timeouts
        self._worker: asyncio.Task[None] | None = None
        self._stopping = False

    async def start(self, execute: Execute) -> None:
        """Execute runs from now on."""

        @self._app.task(name=TASK)
        async def run(response_id: str) -> None:
            await execute(response_id)

        await self._app.open_async()
        await self._make_schema()
        if self._concurrency:
            self._worker = asyncio.create_task(self._work())

    async def put(self, record: Record) -> None:
        """Have a run executed by some process; once, however often it is put."""
        job = self._app.configure_task(TASK, queue=_queue(record.agent), queueing_lock=record.id)
        with contextlib.suppress(AlreadyEnqueued), _answering():
            await job.defer_async(response_id=record.id)

    def waiting(self) -> Collection[str]:
        """Give none: what waits belongs to no process."""
        return ()

    async def rescue(self) -> None:
        """Have the jobs of workers that died done by others."""
        jobs = self._app.job_manager
        with _answering():
            stalled = await jobs.get_stalled_jobs(
                task_name=TASK, seconds_since_heartbeat=self._timeouts.stalled
            )
            for job in stalled:
                if job.queue in self._queues:
                    try:
                        await jobs.retry_job(job)
                    except UniqueViolation:  # it has been put again meanwhile
                        await jobs.finish_job(job, Status.FAILED, delete_job=True)

    async def close(self) -> None:
        """Take no more runs; what waits belongs to no process."""
        self._stopping = True
        if self._worker is not None:
            self._worker.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._worker

    async def stop(self) -> None:
        """Begin no more runs."""
        await self.close()
        await self._app.close_async()

    async def _work(self) -> None:
        """Work, and begin anew where the database was away."""
        while not self._stopping:  # where the database is away, its error hides a cancellation
            try:
                await self._app.run_worker_async(
                    queues=self._queues,
                    concurrency=self._concurrency,
                    fetch_job_polling_interval=self._timeouts.poll,
                    update_heartbeat_interval=self._timeouts.heartbeat,
                    stalled_worker_timeout=self._timeouts.stalled,
                    shutdown_graceful_timeout=0,
                    delete_jobs="always",
                    install_signal_handlers=False,
                )
            except Exception as error:  # noqa: BLE001  whatever it is, there must be a worker
                logger.warning("The queue is interrupted: %s", error)
            if not self._stopping:
                await asyncio.sleep(RESTART_SECONDS)

    async def _make_schema(self) -> None:
        """Make procrastinate's tables where there are none; several processes may try at once."""
        async with self._connector.pool.connection() as db, db.transaction():
            await db.execute("SELECT pg_advisory_xact_lock(%s)", (SCHEMA_LOCK,))
            row = await (await db.execute("SELECT to_regclass('procrastinate_jobs')")).fetchone()
            if row is None or row[0] is None:
                await db.execute(self._app.schema_manager.get_schema())


def _queue(agent: str) -> str:
    return f"agent_asgi:{agent}"


@contextlib.contextmanager
def _answering() -> Iterator[None]:
    """Turn whatever keeps the database from answering into `StoreUnavailable`."""
    try:
        yield
    except AlreadyEnqueued:
        raise
    except (ConnectorException, PoolTimeout, OSError) as error:
        raise StoreUnavailable from error
