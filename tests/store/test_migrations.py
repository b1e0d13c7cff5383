"""Databases created by older versions (tests/data), opened by this one."""

import asyncio
import gzip
import json
import shutil
import sqlite3
import time
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import inspect, text

from agent_asgi import AgentApp, AgentRouter, Context, ResponsesRequest
from agent_asgi.store import Store, open_store
from agent_asgi.store.base import StoreUnavailable
from agent_asgi.store.migrations import VERSION
from agent_asgi.store.tables import metadata
from agent_asgi.testing import AgentClient
from tests.store.test_sql import OPEN_AT_ONCE, connected, nothing, python, schema_versions
from tests.store.test_store import LONG, accept, begin, group, make, read, run
from tests.support.apps import started
from tests.support.calling import QUICK
from tests.support.stream_rules import check_stream

DATA = Path(__file__).parents[1] / "data"
OLD_LISTEN = "LISTEN agent_asgi"
"""The statement a process of version 1 runs to listen."""


@pytest.fixture(params=[1, 2])
def old_version(request: pytest.FixtureRequest) -> int:
    """Return the version that created a database."""
    version: int = request.param
    return version


@pytest.fixture(params=["sqlite", "postgres"])
def old_url(request: pytest.FixtureRequest, old_version: int, tmp_path: Path) -> str:
    """Return the URL of a database created by an older version."""
    if request.param == "sqlite":
        shutil.copy(DATA / f"version_{old_version}.sqlite", tmp_path / "responses.db")
        return f"sqlite:///{tmp_path}/responses.db"
    return filled(request.getfixturevalue("postgres"), old_version)


@pytest.fixture
def old_postgres(postgres: str) -> str:
    """Return the URL of a PostgreSQL database created by version 1."""
    return filled(postgres, 1)


def filled(postgres: str, version: int) -> str:
    """Fill an empty PostgreSQL database as an older version did; return its URL."""
    with psycopg.connect(postgres) as connection:
        connection.execute((DATA / f"version_{version}_postgres.sql").read_bytes())
    return postgres


def answered(url: str, version: int) -> dict[str, Any]:
    """Return what an older version answered for the finished responses in a database."""
    name = "sqlite" if url.startswith("sqlite") else "postgres"
    with gzip.open(DATA / f"version_{version}_{name}.json.gz") as file:
        finished: dict[str, Any] = json.load(file)
    assert len(finished) == 8
    return finished


def later(version: int) -> list[int]:
    """Return the versions of a database that was created by a version and has been migrated."""
    return list(range(version, VERSION + 1))


def log_forms(url: str) -> set[bytes]:
    """Return the first bytes of the rows of all logs."""
    with connected(url) as connection:
        rows = connection.execute(text("SELECT frames FROM agent_asgi_events")).scalars()
        return {bytes(each)[:8] for each in rows}


def tables_of(url: str) -> set[str]:
    """Return the names of a database's tables."""
    with connected(url) as connection:
        return set(inspect(connection).get_table_names())


def left_in(url: str, status: str) -> str:
    """Return the id of the only response with a status."""
    with connected(url) as connection:
        query = text("SELECT id FROM agent_asgi_responses WHERE status = :status")
        return str(connection.execute(query, {"status": status}).scalar_one())


def keeper(contexts: list[Context] | None = None) -> AgentRouter:
    """Return the agent whose runs are in the databases; it records the contexts of its runs."""
    router = AgentRouter("keeper")

    @router.stream
    async def say(request: ResponsesRequest, context: Context) -> AsyncIterator[str]:
        if contexts is not None:
            contexts.append(context)
        yield f"and on with {request.input_text}"

    return router


async def events_of(client: AgentClient, id: str, after: int = -1) -> list[dict[str, Any]]:
    """Return the events of a response after a sequence number."""
    query = "" if after < 0 else f"&starting_after={after}"
    answer = await client.get(f"/responses/{id}?stream=true{query}")
    events = answer.events()
    names = [line[7:].decode() for line in answer.body.split(b"\n") if line.startswith(b"event: ")]
    assert names == [event["type"] for event in events]
    return events


def test_finished_responses_are_as_they_were(old_url: str, old_version: int) -> None:
    async def main() -> None:
        async with asyncio.timeout(60), started(AgentApp(keeper(), store=old_url)) as app:
            client = AgentClient(app)
            for before in answered(old_url, old_version).values():
                id_ = before["response"]["id"]
                assert (await client.get(f"/responses/{id_}")).json() == before["response"]
                items = await client.get(f"/responses/{id_}/input_items?order=asc")
                assert items.json() == before["input_items"]
                for after in range(-1, len(before["events"])):
                    events = await events_of(client, id_, after)
                    assert events == before["events"][after + 1 :]

    asyncio.run(main())
    assert schema_versions(old_url) == later(old_version)
    assert log_forms(old_url) == {b'{"type":'}


def test_the_run_that_was_interrupted_is_taken_over(old_url: str) -> None:
    contexts: list[Context] = []
    id_ = left_in(old_url, "in_progress")

    async def main() -> tuple[list[dict[str, Any]], dict[str, Any]]:
        app = AgentApp(keeper(contexts), store=old_url, timeouts=QUICK)
        async with asyncio.timeout(30), started(app):
            client = AgentClient(app)
            events = await events_of(client, id_)
            body = {"input": "next", "conversation": "talk-2"}
            assert (await client.post("/responses", body)).status == 200  # the lock is free
            return events, (await client.get(f"/responses/{id_}")).json()

    events, response = asyncio.run(main())
    assert check_stream(events) == response
    call, half, rest = response["output"]
    assert (call["type"], half["phase"]) == ("function_call", "commentary")
    assert half["content"][0]["text"] == "half a sentence"
    assert rest["content"][0]["text"] == "and on with wait"
    (context,) = [each for each in contexts if each.response_id == id_]
    assert context.attempt == 2
    assert context.previous_events == events[: len(context.previous_events)]
    assert context.previous_events[-1]["delta"] == "sentence"


def test_the_run_that_was_queued_is_executed(old_url: str) -> None:
    contexts: list[Context] = []
    id_ = left_in(old_url, "queued")

    async def main() -> list[dict[str, Any]]:
        app = AgentApp(keeper(contexts), store=old_url, timeouts=QUICK)
        async with asyncio.timeout(30), started(app):
            return await events_of(AgentClient(app), id_)

    response = check_stream(asyncio.run(main()))
    assert response["output"][0]["content"][0]["text"] == "and on with queued"
    assert [each.attempt for each in contexts if each.response_id == id_] == [1]


def test_an_idempotency_key_still_stands_for_its_run(old_url: str, old_version: int) -> None:
    before = answered(old_url, old_version)["key"]["response"]

    async def main() -> None:
        async with asyncio.timeout(30), started(AgentApp(keeper(), store=old_url)) as app:
            client, headers = AgentClient(app), {"idempotency-key": "key-1"}
            answer = await client.post("/responses", {"input": "by key"}, headers=headers)
            assert answer.json() == before
            other = await client.post("/responses", {"input": "another"}, headers=headers)
            assert other.status == 409

    asyncio.run(main())


def test_an_old_chain_is_continued(old_url: str, old_version: int) -> None:
    before = answered(old_url, old_version)["continued"]["response"]

    async def main() -> None:
        async with asyncio.timeout(30), started(AgentApp(keeper(), store=old_url)) as app:
            body = {"input": "more", "previous_response_id": before["id"]}
            answer = await AgentClient(app).post("/responses", body)
            assert answer.json()["output"][0]["content"][0]["text"] == "and on with more"

    asyncio.run(main())


def test_two_processes_migrate_one_database(old_url: str, old_version: int, tmp_path: Path) -> None:
    with python(OPEN_AT_ONCE, str(tmp_path), "a", old_url) as one:
        with python(OPEN_AT_ONCE, str(tmp_path), "b", old_url) as other:
            told = [each.communicate(timeout=60)[1] for each in (one, other)]
    assert told == ["", ""]
    assert schema_versions(old_url) == later(old_version)
    assert log_forms(old_url) == {b'{"type":'}


def test_a_process_waits_while_another_one_migrates_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent_asgi.store.engine.BUSY_SECONDS", 0.05)
    url = f"sqlite:///{tmp_path}/responses.db"
    shutil.copy(DATA / "version_1.sqlite", tmp_path / "responses.db")
    run(url, nothing)  # from now on the file uses a write-ahead log

    async def main() -> None:
        store = open_store(url)
        opening = asyncio.create_task(store.open())
        await asyncio.sleep(0.5)
        assert not opening.done()
        other.execute("COMMIT")
        await opening
        await store.close()

    with closing(sqlite3.connect(tmp_path / "responses.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        asyncio.run(main())


def test_a_database_is_migrated_once(old_url: str, old_version: int) -> None:
    run(old_url, nothing)
    run(old_url, nothing)
    assert schema_versions(old_url) == later(old_version)


def test_a_migration_that_fails_leaves_all_as_it_was(
    old_url: str, old_version: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    from agent_asgi.store import migrations

    def fail() -> None:
        raise RuntimeError("the disk is full")

    before = tables_of(old_url)
    monkeypatch.setattr(migrations.versions, "insert", fail)
    with pytest.raises(RuntimeError, match="disk"):
        run(old_url, nothing)
    monkeypatch.undo()
    assert tables_of(old_url) == before
    assert schema_versions(old_url) == [old_version]
    assert log_forms(old_url) == {b"event: r" if old_version == 1 else b'{"type":'}


def test_a_newer_process_waits_for_the_older_ones(old_postgres: str) -> None:
    """A rolling upgrade of two servers; see docs/scaling.md."""

    async def main(first: Store) -> None:
        await begin(first, agent="keeper")
        assert not await first.append({"r1": (1, group(2, 3))})
        assert schema_versions(old_postgres) == [1]
        assert log_forms(old_postgres) == {b"event: r", b"event: e"}
        assert await read(first) == group(0, 5).data

        old.close()
        second = open_store(old_postgres)
        await second.open()
        assert schema_versions(old_postgres) == later(1)
        assert log_forms(old_postgres) == {b'{"type":'}

        assert not await first.append({"r1": (1, group(5, 2))})  # still in the old format
        assert b"event: e" in log_forms(old_postgres)
        assert await read(second) == await read(first) == group(0, 7).data
        assert await read(second, after=5) == group(6).data

        await first.sweep()
        assert await accept(first, "r2", "p1", LONG) is None
        assert not await second.append({"r1": (1, group(7))})
        assert await read(first) == group(0, 8).data
        await second.close()
        with psycopg.connect(old_postgres) as connection:
            query = "SELECT frames FROM agent_asgi_events WHERE response_id = 'r2'"
            assert connection.execute(query).fetchall() == [(group(0, 2).data,)]

    with psycopg.connect(old_postgres, autocommit=True) as old:
        old.execute(OLD_LISTEN)
        run(old_postgres, main)


def test_a_newer_process_migrates_once_the_last_older_one_has_ended(old_postgres: str) -> None:
    async def main(store: Store) -> None:
        await store.sweep()
        assert schema_versions(old_postgres) == [1]
        old.close()
        await store.sweep()
        assert schema_versions(old_postgres) == later(1)

    with psycopg.connect(old_postgres, autocommit=True) as old:
        old.execute(OLD_LISTEN)
        run(old_postgres, main)


def test_a_migrated_schema_is_as_a_new_one(old_url: str, tmp_path: Path) -> None:
    def schema(url: str) -> dict[str, Any]:
        run(url, nothing)
        with connected(url) as connection:
            look = inspect(connection)
            return {
                name: (
                    {each["name"]: (str(each["type"]), each["nullable"]) for each in columns},
                    look.get_pk_constraint(name)["constrained_columns"],
                    sorted(
                        (str(each["name"]), each["column_names"], bool(each["unique"]))
                        for each in look.get_indexes(name)
                    ),
                )
                for name, columns in (
                    (name, look.get_columns(name)) for name in sorted(metadata.tables)
                )
            }

    if old_url.startswith("sqlite"):
        assert schema(old_url) == schema(f"sqlite:///{tmp_path}/new.db")
        return
    old = schema(old_url)
    with psycopg.connect(old_url, autocommit=True) as connection:
        connection.execute("DROP SCHEMA public CASCADE")
        connection.execute("CREATE SCHEMA public")
    assert old == schema(old_url)


def test_an_old_chain_expires_as_one(old_url: str, old_version: int) -> None:
    before = answered(old_url, old_version)["continued"]["response"]

    async def main(store: Store) -> None:
        record = make("new", previous_id=before["id"], expires_at=time.time() + LONG, owner="")
        await store.save(record)
        with connected(old_url) as connection:
            query = text("UPDATE agent_asgi_responses SET expires_at = 1 WHERE id = :id")
            connection.execute(query, {"id": before["id"]})
            connection.commit()
        while await store.sweep():
            pass
        assert [each.id for each in (await store.chain("new", "")).turns] == [
            *(before["previous_response_id"], before["id"], "new")
        ]

    run(old_url, main)


def test_conversations_are_unavailable_until_older_processes_have_ended(postgres: str) -> None:
    url = filled(postgres, 2)

    async def main(store: Store) -> None:
        chain = answered(url, 2)["continued"]["response"]["id"]
        await store.save(make("r1", previous_id=chain, owner=""))
        assert len((await store.chain("r1", "")).turns) == 3
        assert await store.sweep() == 0
        with pytest.raises(StoreUnavailable):
            await store.conversations.use("talk", "", create=True)
        with pytest.raises(StoreUnavailable):
            await store.conversations.get("talk", "")
        old.close()
        await store.sweep()
        assert schema_versions(url) == [2, 3]
        assert await store.conversations.use("talk", "", create=True) == (0, 0)

    with psycopg.connect(url, autocommit=True) as old:
        old.execute(f"{OLD_LISTEN} /* schema 2 */")
        run(url, main)
