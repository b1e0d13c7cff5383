"""The queue on PostgreSQL: which runs wait in it, and what a process that dies leaves in it."""

import asyncio

import psycopg
import pytest

from agent_asgi import AgentApp, AgentRouter, Context, Limits, ResponsesRequest
from agent_asgi.background import postgres_queue
from agent_asgi.background.postgres_queue import PostgresQueue
from agent_asgi.background.postgres_worker import Worker
from agent_asgi.background.queue_schema import SCHEMA
from agent_asgi.store import open_store
from agent_asgi.store.lines import Lines
from agent_asgi.testing import AgentClient
from tests.background.test_faults import post, sleeping, until_ended
from tests.store.test_store import ENDING
from tests.support.apps import started
from tests.support.calling import QUICK
from tests.support.postgres import postgres_running

RUNS = 5
NONE = Limits(worker_concurrency=0)


async def until_queued(url: str, count: int) -> None:
    """Wait until a number of jobs are in the queue."""
    query = f"SELECT count(*) FROM {SCHEMA}.procrastinate_jobs".encode()
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        async with asyncio.timeout(15):
            while await (await connection.execute(query)).fetchone() != (count,):
                await asyncio.sleep(0.05)


def test_sweeps_queue_only_what_does_not_wait() -> None:
    async def main(url: str) -> None:
        app = AgentApp(sleeping(), store=url, timeouts=QUICK, limits=NONE)
        async with started(app):
            for _ in range(RUNS):
                await post(AgentClient(app), input="x")
            await until_queued(url, RUNS)
            await asyncio.sleep(5 * QUICK.rescue)
            await until_queued(url, RUNS)
            async with await psycopg.AsyncConnection.connect(url) as connection:
                await connection.execute(f"SET search_path TO {SCHEMA}".encode())
                await connection.execute("DELETE FROM procrastinate_jobs")
            await until_queued(url, RUNS)

    with postgres_running() as database:
        asyncio.run(main(database.get_uri()))
        # a run that is accepted in the middle of a sweep may be queued by both
        assert database.log.read_text().count("duplicate key") < RUNS


def test_a_run_that_cannot_be_queued_is_not_accepted(postgres: str) -> None:
    async def main() -> None:
        app = AgentApp(sleeping(), store=postgres, timeouts=QUICK, limits=NONE, single_user=True)
        async with started(app):
            client = AgentClient(app)
            renamed = f"ALTER TABLE {SCHEMA}.procrastinate_jobs RENAME TO "
            async with await psycopg.AsyncConnection.connect(postgres, autocommit=True) as db:
                await db.execute(f"{renamed} away".encode())
                answer = await client.post("/responses", {"input": "x", "background": True})
                renamed = renamed.replace("procrastinate_jobs", "away")
                await db.execute(f"{renamed} procrastinate_jobs".encode())
            assert answer.status == 503
            assert (await client.get("/responses")).json()["data"] == []
            await post(client, input="x")

    asyncio.run(main())


async def dies(url: str, id: str, after: str) -> None:
    """Take a run's job, and perhaps claim and end the run, as a process does that then dies."""
    queue = PostgresQueue(url, ["sleeper"], Limits(), QUICK)
    await queue._app.open_async()

    async def nothing(_: str) -> None:
        raise AssertionError

    worker = Worker(queue._app, queue._connector.pool, queue._queues, 5, QUICK, nothing)
    worker._id = await queue._app.job_manager.register_worker()
    taken = await worker._take(5)
    assert [run for _, run in taken] == [id]
    store = open_store(url)
    await store.open()
    if after != "taken":
        claimed = await store.claim(id, "dead", QUICK.stalled)
        assert claimed is not None
        if after == "ended":
            (begun,) = claimed.begun
            await store.finish(id, 1, Lines(begun.last + 1, 0, b""), ENDING)
    await store.close()
    await queue._app.close_async()


@pytest.mark.parametrize(("after", "attempts"), [("taken", [1]), ("claimed", [2]), ("ended", [])])
def test_a_process_dies(postgres: str, after: str, attempts: list[int]) -> None:
    begun = []
    router = AgentRouter("sleeper")

    @router.invoke
    async def count(request: ResponsesRequest, context: Context) -> str:
        begun.append(context.attempt)
        return "done"

    async def main() -> None:
        front = AgentApp(router, store=postgres, timeouts=QUICK, limits=NONE)
        async with started(front):
            id_ = await post(AgentClient(front), input="x")
            await dies(postgres, id_, after)
        back = AgentApp(router, store=postgres, timeouts=QUICK)
        async with started(back):
            assert (await until_ended(AgentClient(back), id_))["status"] == "completed"
            await until_queued(postgres, 0)
        assert begun == attempts

    asyncio.run(main())


def test_a_run_takes_few_transactions(postgres: str) -> None:
    """A connection that is closed has reported its transactions."""

    async def spent(runs: int) -> int:
        before = commits(postgres)
        app = AgentApp(sleeping(), store=postgres)
        async with started(app):
            client = AgentClient(app)
            await asyncio.gather(*(post(client, input="0") for _ in range(runs)))
            await until_none_is_active(postgres)
        return commits(postgres) - before

    assert (asyncio.run(spent(60)) - asyncio.run(spent(10))) / 50 <= 5


async def until_none_is_active(url: str) -> None:
    """Wait until all runs have ended, in one transaction."""
    query = b"SELECT FROM agent_asgi_responses WHERE status IN ('queued', 'in_progress')"
    async with await psycopg.AsyncConnection.connect(url) as db, asyncio.timeout(60):
        while (await db.execute(query)).rowcount:
            await asyncio.sleep(0.1)


def commits(url: str) -> int:
    """Return how many transactions have been committed in a database."""
    with psycopg.connect(url, autocommit=True) as db:
        query = "SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()"
        row = db.execute(query).fetchone()
    assert row is not None
    count: int = row[0]
    return count


def test_a_connection_that_has_never_been_used_is_checked(
    postgres: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_queue, "IDLE_SECONDS", 0)

    async def main() -> None:
        queue = PostgresQueue(postgres, ["sleeper"], Limits(), QUICK)
        async with queue._app.open_async():
            pool = queue._connector.pool
            await pool.wait()
            async with await psycopg.AsyncConnection.connect(postgres, autocommit=True) as db:
                await db.execute(
                    "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
                    " WHERE datname = current_database() AND pid != pg_backend_pid()"
                )
            async with pool.connection() as connection:
                await connection.execute("SELECT 1")

    asyncio.run(main())
