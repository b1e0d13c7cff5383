"""A PostgreSQL behind a real PgBouncer, which shares sessions between connections."""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator

import psycopg
import pytest

from agent_asgi import AgentApp, AgentRouter, ResponsesRequest
from agent_asgi.store import Store, open_store
from agent_asgi.testing import AgentClient
from tests.background.test_faults import post, until_ended
from tests.store.test_store import add, begin, group, read, run
from tests.support.apps import started
from tests.support.calling import QUICK
from tests.support.pgbouncer import pooled

RUNS = 12
ROUNDS = 20
"""More than psycopg waits before it prepares a statement."""


@pytest.fixture
def pooled_url(postgres: str) -> Iterator[str]:
    """Return the URL of an empty database behind PgBouncer."""
    with pooled(postgres) as url:
        yield url


def test_statements_are_not_prepared(pooled_url: str) -> None:
    async def main(store: Store) -> None:
        await begin(store)
        for number in range(ROUNDS):
            await add(store, group(2 + number))
            logs = await asyncio.gather(*[read(store) for _ in range(10)])
            assert set(logs) == {group(0, 3 + number).data}

    run(pooled_url, main)


def test_readers_poll(pooled_url: str, postgres: str) -> None:
    async def main(store: Store) -> None:
        other = open_store(postgres)
        await other.open()
        assert store.poll_seconds < other.poll_seconds
        await begin(store)
        assert await read(other) == group(0, 2).data
        await other.close()
        with psycopg.connect(postgres) as connection:
            query = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'LISTEN %'"
            assert connection.execute(query).fetchone() == (0,)

    run(pooled_url, main)


@pytest.mark.alone  # or the garbage of other tests may hold the loop, which is a warning
def test_runs_behind_a_pooler(pooled_url: str, caplog: pytest.LogCaptureFixture) -> None:
    router = AgentRouter()

    @router.stream
    async def count(request: ResponsesRequest) -> AsyncIterator[str]:
        for number in range(5):
            yield f"{number} "
            await asyncio.sleep(0.05)

    async def follow(client: AgentClient, number: int) -> None:
        id_ = await post(client, input="x", conversation=f"talk-{number}")
        streamed = (await client.get(f"/responses/{id_}?stream=true")).events()
        assert streamed[-1]["type"] == "response.completed"
        assert (await until_ended(client, id_))["output"][0]["content"][0]["text"] == "0 1 2 3 4 "
        body = {"input": "next", "previous_response_id": id_}
        assert (await client.post("/responses", body)).status == 200

    async def main() -> None:
        app = AgentApp(router, store=pooled_url, timeouts=QUICK, single_user=True)
        async with asyncio.timeout(120), started(app):
            await asyncio.gather(*[follow(AgentClient(app), number) for number in range(RUNS)])

    with caplog.at_level(logging.WARNING):
        asyncio.run(main())
    assert [each.message for each in caplog.records if each.levelno >= logging.WARNING] == []
