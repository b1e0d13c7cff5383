"""procrastinate's tables: in a schema of their own, which fits the release that is installed."""

import asyncio

import psycopg
import pytest

from agent_asgi import AgentApp
from agent_asgi.store import open_store
from agent_asgi.store.migrations import versions
from agent_asgi.testing import AgentClient
from tests.background.test_faults import post, sleeping, until_ended
from tests.store.test_sql import connected, nothing
from tests.store.test_store import run
from tests.support.apps import started
from tests.support.calling import QUICK


def execute(url: str, *statements: str) -> None:
    """Execute statements in a database."""
    with psycopg.connect(url, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement.encode())


async def reason(app: AgentApp) -> str:
    """Poll `/ready` of an app that cannot start until it says why."""
    client = AgentClient(app)
    async with asyncio.timeout(30):
        while "reason" not in (answer := (await client.get("/ready")).json()):
            assert answer == {"status": "starting"}
            await asyncio.sleep(0.05)
    assert (await client.get("/ready")).status == 503
    why: str = answer["reason"]
    return why


def test_tables_of_another_release_of_procrastinate_do_no_harm(postgres: str) -> None:
    execute(postgres, "CREATE TABLE procrastinate_jobs (id bigint)")

    async def main() -> None:
        app = AgentApp(sleeping(), store=postgres, timeouts=QUICK)
        async with asyncio.timeout(60), started(app):
            client = AgentClient(app)
            id_ = await post(client, input="x")
            assert (await until_ended(client, id_))["status"] == "completed"

    asyncio.run(main())
    execute(postgres, "INSERT INTO procrastinate_jobs VALUES (1)")  # it is as it was


def test_a_schema_that_was_made_for_the_queue_is_filled(postgres: str) -> None:
    """The database's user may make tables, but no schemas."""
    from agent_asgi.background.queue_schema import SCHEMA

    execute(postgres, f"CREATE SCHEMA {SCHEMA}")
    test_tables_of_another_release_of_procrastinate_do_no_harm(postgres)


def test_a_queue_that_does_not_fit_is_named(postgres: str) -> None:
    from agent_asgi.background.queue_schema import SCHEMA

    table = f"{SCHEMA}.procrastinate_jobs"
    execute(postgres, f"CREATE SCHEMA {SCHEMA}", f"CREATE TABLE {table} (id bigint)")
    why = asyncio.run(reason(AgentApp(sleeping(), store=postgres)))
    assert SCHEMA in why
    assert "procrastinate_defer_jobs_v1" in why


@pytest.mark.parametrize("store_url", ["sqlite", "postgres"], indirect=True)
def test_a_store_of_a_newer_release_is_named(store_url: str) -> None:
    run(store_url, nothing)
    with connected(store_url) as connection:
        connection.execute(versions.insert().values(version=99))
    why = asyncio.run(reason(AgentApp(sleeping(), store=store_url)))
    assert "schema version 99" in why


def test_other_reasons_are_in_the_log_alone(postgres: str, monkeypatch: pytest.MonkeyPatch) -> None:
    store = open_store(postgres)

    async def fail() -> None:
        raise OSError("secret")

    monkeypatch.setattr(store, "open", fail)
    why = asyncio.run(reason(AgentApp(sleeping(), store=store)))
    assert why == "The server could not start. Its log has the reason."
