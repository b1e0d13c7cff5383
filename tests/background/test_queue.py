"""The queue on PostgreSQL: which runs wait in it."""

import asyncio

import psycopg

from agent_asgi import AgentApp, Limits
from agent_asgi.background.queue_schema import SCHEMA
from agent_asgi.testing import AgentClient
from tests.background.test_faults import post, sleeping
from tests.support.apps import started
from tests.support.calling import QUICK
from tests.support.postgres import postgres_running

RUNS = 5


async def until_queued(url: str, count: int) -> None:
    """Wait until a number of jobs are in the queue."""
    query = f"SELECT count(*) FROM {SCHEMA}.procrastinate_jobs".encode()
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        async with asyncio.timeout(15):
            while await (await connection.execute(query)).fetchone() != (count,):
                await asyncio.sleep(0.05)


def test_sweeps_queue_only_what_does_not_wait() -> None:
    async def main(url: str) -> None:
        app = AgentApp(sleeping(), store=url, timeouts=QUICK, limits=Limits(worker_concurrency=0))
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
