"""Requests that take all connections to the database do not keep a run's process from its lease."""

import asyncio
from contextlib import AsyncExitStack

import psycopg
import pytest

from agent_asgi import AgentApp, AgentRouter, ResponsesRequest, Timeouts
from agent_asgi.store import Store, engine
from agent_asgi.store.base import StoreUnavailable
from agent_asgi.store.sql import SqlStore
from agent_asgi.testing import AgentClient
from tests.background.test_faults import post, until_ended
from tests.store.test_store import ENDING, LONG, accept, add, begin, found, group, run
from tests.support.apps import started

TIMEOUTS = Timeouts(heartbeat=0.5, stalled=4, rescue=0.5, poll=0.2)
databases = pytest.mark.parametrize("store_url", ["sqlite", "postgres"], indirect=True)


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for a connection for a short time only."""
    monkeypatch.setattr(engine, "POOL_SECONDS", 0.3)


@databases
def test_control_has_connections_of_its_own(
    store_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def control(store: Store) -> None:
        assert await store.renew("p1", ["r1"], LONG) == {"r1": 1}
        assert await store.claim("r2", "p1", LONG)
        assert await store.lock("talk", "ann", "r1", LONG)
        await store.unlock("r1")
        await store.want_cancel("r1", "ann")
        assert list(await store.to_cancel("p1")) == ["r1"]
        await store.release("p1")

    async def main(store: Store) -> None:
        assert isinstance(store, SqlStore)
        await begin(store)
        await accept(store, "r2", lease=0)
        async with AsyncExitStack() as taken:
            for _ in range(2 * engine.POOL):
                await taken.enter_async_context(store._reading())
            with pytest.raises(StoreUnavailable, match="All connections") as caught:
                await store.get("r1", "ann")
            assert caught.value.status == 503
            await control(store)
        await found(store)

    run(store_url, main)
    assert "does not answer" not in caplog.text


def test_writes_to_sqlite_do_not_wait_for_readers(tmp_path: object) -> None:
    async def main(store: Store) -> None:
        assert isinstance(store, SqlStore)
        await begin(store)
        async with AsyncExitStack() as taken:
            for _ in range(2 * engine.POOL):
                await taken.enter_async_context(store._reading())
            await add(store, group(2))
            await store.finish("r1", 1, group(3), ENDING)

    run(f"sqlite:///{tmp_path}/responses.db", main)


def test_a_run_outlives_requests_that_take_all_connections(
    postgres: str, caplog: pytest.LogCaptureFixture
) -> None:
    attempts: list[str] = []
    router = AgentRouter()

    @router.invoke
    async def wait(request: ResponsesRequest) -> str:
        attempts.append(request.input_text)
        await free.wait()
        return "free"

    async def main() -> None:
        app = AgentApp(router, store=postgres, timeouts=TIMEOUTS, single_user=True)
        async with asyncio.timeout(60), started(app):
            client = AgentClient(app)
            id_ = await post(client, input="x")
            while not attempts:
                await asyncio.sleep(0.01)
            async with await psycopg.AsyncConnection.connect(postgres) as other:
                await other.execute("LOCK TABLE agent_asgi_conversations")
                asked = [client.get("/v1/conversations/talk") for _ in range(4 * engine.POOL)]
                answers = asyncio.gather(*asked)
                await asyncio.sleep(2 * TIMEOUTS.stalled)
                await other.rollback()
            assert {answer.status for answer in await answers} == {404, 503}
            free.set()
            assert (await until_ended(client, id_))["status"] == "completed"

    free = asyncio.Event()
    asyncio.run(main())
    assert attempts == ["x"]
    assert "does not answer" not in caplog.text
