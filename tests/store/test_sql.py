"""What only the database stores promise: one schema, short reads, plain errors."""

import asyncio
import json
import logging
import os
import re
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import Connection, create_engine, func, insert, inspect, make_url, select, text
from sqlalchemy.exc import ArgumentError, DBAPIError, OperationalError

from agent_asgi.store import Store, open_store
from agent_asgi.store.base import StoreUnavailable
from agent_asgi.store.engine import may_pass
from agent_asgi.store.migrations import VERSION, versions
from agent_asgi.store.queries import POSTGRES_TAILS, SQLITE_TAILS, log_query
from agent_asgi.store.sql import SqlStore
from agent_asgi.store.tables import events, metadata
from tests.store.test_store import LONG, accept, add, begin, found, group, run

databases = pytest.mark.parametrize("store_url", ["sqlite", "postgres"], indirect=True)
ROUNDS = {"sqlite": 60, "postgresql": 8}
RESPONSES, GROUPS, COUNT = 20, 200, 5
SECRET = "hunter2"

OPEN_AT_ONCE = """
import asyncio, sys, time
from pathlib import Path
from agent_asgi.store import open_store
import agent_asgi.store.sql

async def main(folder, me, *urls):
    failed = []
    for number, url in enumerate(urls):
        store = open_store(url)
        Path(folder, f"{number}-{me}").touch()
        until = time.monotonic() + 30
        while not all(Path(folder, f"{number}-{each}").exists() for each in "ab"):
            assert time.monotonic() < until, "the other process is not there"
            time.sleep(0)
        try:
            await store.open()
        except Exception as error:
            failed.append(f"{url}: {error!r}, from {error.__cause__!r}")
        await store.close()
    sys.exit("\\n".join(failed) or 0)

asyncio.run(main(*sys.argv[1:]))
"""
WITHOUT_PSYCOPG = """
import sys
sys.modules["psycopg"] = None
from agent_asgi.store import open_store
open_store(sys.argv[1])
"""


@contextmanager
def python(script: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Run a script in a subprocess, which is killed if it outlives the block."""
    argv = [sys.executable, "-c", script, *arguments]
    process = subprocess.Popen(argv, stderr=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate(timeout=10)


@contextmanager
def connected(url: str) -> Iterator[Connection]:
    """Connect to a store's database without the store."""
    engine = create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
    try:
        with engine.begin() as connection:
            yield connection
    finally:
        engine.dispose()


def empty_databases(url: str, count: int) -> list[str]:
    """Return the URLs of new empty databases next to an existing one."""
    if url.startswith("sqlite"):
        return [url.replace("responses.db", f"{number}.db") for number in range(count)]
    name = str(make_url(url).database)
    names = [f"{name}_{number}" for number in range(count)]
    with closing(psycopg.connect(url, autocommit=True)) as connection:
        for each in names:
            connection.execute(f"CREATE DATABASE {each}".encode())
    return [url.replace(f"/{name}?", f"/{each}?") for each in names]


def schema_versions(url: str) -> list[int]:
    """Return the schema versions of a database, after checking that no table is missing."""
    with connected(url) as connection:
        found = list(connection.scalars(select(versions.c.version)))
        tables = {*metadata.tables, versions.name} if VERSION in found else {versions.name}
        assert tables <= set(inspect(connection).get_table_names())
        return sorted(found)


async def nothing(store: Store) -> None:
    """Do nothing, so that `run` only opens and closes the store."""


@databases
def test_two_processes_make_one_schema(store_url: str, tmp_path: Path) -> None:
    urls = empty_databases(store_url, ROUNDS[make_url(store_url).get_backend_name()])
    with ExitStack() as stack:
        both = [
            stack.enter_context(python(OPEN_AT_ONCE, str(tmp_path), each, *urls)) for each in "ab"
        ]
        told = [each.communicate(timeout=60)[1] for each in both]
    assert told == ["", ""]
    assert [each.returncode for each in both] == [0, 0]
    assert [schema_versions(each) for each in urls] == [[VERSION]] * len(urls)


@databases
def test_a_store_opens_again_with_all_it_has(store_url: str) -> None:
    async def fill(store: Store) -> None:
        await begin(store)

    async def look(store: Store) -> None:
        await store.open()  # while it is open
        assert (await found(store)).attempt == 1

    run(store_url, fill)
    run(store_url, look)
    assert schema_versions(store_url) == [VERSION]


@databases
def test_a_newer_schema_is_refused(store_url: str) -> None:
    run(store_url, nothing)
    with connected(store_url) as connection:
        connection.execute(insert(versions).values(version=99))
    with pytest.raises(RuntimeError, match=r"schema version 99.*install a newer agent_asgi"):
        run(store_url, nothing)
    assert sorted(schema_versions(store_url)) == [VERSION, 99]


@databases
def test_two_stores_share_a_database(store_url: str) -> None:
    async def main(store: Store) -> None:
        other = open_store(store_url)
        await other.open()
        try:
            pair = [store, other] * 3
            answers = [accept(each, f"r{i}", "", 0, key="k") for i, each in enumerate(pair)]
            kept = {there.id for there in await asyncio.gather(*answers) if there is not None}
            (id_,) = kept
            claims = [each.claim(id_, f"p{i}", LONG) for i, each in enumerate(pair)]
            assert sum(each is not None for each in await asyncio.gather(*claims)) == 1
            assert await found(store, id_) == await found(other, id_)
        finally:
            await other.close()

    run(store_url, main)


def test_who_watches_hears_of_another_process(postgres: str) -> None:
    async def main(store: Store) -> None:
        other = open_store(postgres)
        with other.signals.watch("r1") as watcher:
            await other.open()
            try:
                await watcher.wait(20)  # until it listens
                await begin(store)
                await add(store, group(2))
                assert await watcher.wait(20)
            finally:
                await other.close()

    run(postgres, main)


def fill_logs(url: str) -> None:
    """Write many logs with interleaved groups, as concurrent runs do."""
    rows = [
        {
            "response_id": f"r{response}",
            "last": (number + 1) * COUNT - 1,
            "count": COUNT,
            "lines": group(number * COUNT, COUNT).data,
        }
        for number in range(GROUPS)
        for response in range(RESPONSES)
    ]
    with connected(url) as connection:
        connection.execute(insert(events), rows)


def plan(url: str, explain: str, after: int) -> list[Any]:
    """Return the database's plan for reading the tail of a log."""
    with connected(url) as connection:
        query = log_query("r7", after).compile(
            dialect=connection.dialect, compile_kwargs={"literal_binds": True}
        )
        return [row[-1] for row in connection.exec_driver_sql(f"{explain} {query}")]


def nodes(tree: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield every node of a PostgreSQL query plan."""
    yield tree
    for each in tree.get("Plans", []):
        yield from nodes(each)


@databases
def test_only_the_tail_of_a_log_is_read(store_url: str) -> None:
    after = (GROUPS - 8) * COUNT - 1

    async def main(store: Store) -> None:
        tail = await store.events("r7", after)
        assert [each.first for each in tail] == [after + 1 + COUNT * number for number in range(8)]
        assert tail[0] == group(after + 1, COUNT)

    run(store_url, nothing)
    fill_logs(store_url)
    run(store_url, main)


@databases
def test_the_tails_of_several_logs_are_found_by_the_primary_key(store_url: str) -> None:
    run(store_url, nothing)
    fill_logs(store_url)
    after = json.dumps({f"r{number}": 900 for number in range(5)})
    is_sqlite = store_url.startswith("sqlite")
    query = SQLITE_TAILS if is_sqlite else POSTGRES_TAILS
    explain = "EXPLAIN QUERY PLAN" if is_sqlite else "EXPLAIN"
    with connected(store_url) as connection:
        connection.exec_driver_sql("ANALYZE")
        rows = connection.execute(text(f"{explain} {query}"), {"after": after, "rows": 64})
        steps = "\n".join(str(row[-1]) for row in rows)
    found = "SEARCH agent_asgi_events USING" if is_sqlite else "Scan on agent_asgi_events"
    assert found in steps
    assert "Seq Scan" not in steps


def test_sqlite_finds_the_tail_by_its_index(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/responses.db"
    run(url, nothing)
    fill_logs(url)
    (step,) = plan(url, "EXPLAIN QUERY PLAN", 900)
    assert re.search(r"^SEARCH .* USING .*INDEX .*\(response_id=\? AND last>\?\)$", step)


def test_postgresql_finds_the_tail_by_its_index(postgres: str) -> None:
    run(postgres, nothing)
    fill_logs(postgres)
    with connected(postgres) as connection:
        connection.exec_driver_sql("ANALYZE")
        assert connection.scalar(select(func.count()).select_from(events)) == RESPONSES * GROUPS
    ((top,),) = plan(postgres, "EXPLAIN (ANALYZE, FORMAT JSON)", (GROUPS - 8) * COUNT - 1)
    steps = list(nodes(top["Plan"]))
    (search,) = [each for each in steps if "Index Cond" in each]
    assert "response_id" in search["Index Cond"]
    assert "last >" in search["Index Cond"]
    assert search["Actual Rows"] == 8
    assert not any("Filter" in each or each["Node Type"] == "Seq Scan" for each in steps)


def test_only_the_owner_reads_a_sqlite_file(tmp_path: Path) -> None:
    kept = tmp_path / "kept.db"
    kept.touch(0o640)

    def modes() -> set[int]:
        return {each.stat().st_mode & 0o777 for each in tmp_path.glob("new.db*")}

    async def main() -> set[int]:
        seen: set[int] = set()
        for path in (tmp_path / "new.db", kept):
            store = open_store(f"sqlite:///{path}")
            await store.open()
            await accept(store, "r1")
            seen |= modes()
            await store.close()
        return seen

    before = os.umask(0o022)
    try:
        assert asyncio.run(main()) == {0o600}
    finally:
        os.umask(before)
    assert kept.stat().st_mode & 0o777 == 0o640


def test_sqlite_writes_ahead(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/responses.db"

    async def main(store: Store) -> None:
        await begin(store)
        assert (tmp_path / "responses.db-wal").exists()

    run(url, main)
    with connected(url) as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"


@pytest.mark.parametrize(
    "url",
    [
        f"mysql://user:{SECRET}@host/name",
        f"user:{SECRET}@host/name",
        f"//user:{SECRET}@host/name",
        f"host=db user=user password={SECRET}",
        f"postgresql:user:{SECRET}@host/name",
        f"postgresql://user:a@b:{SECRET}@host/name",
        "sqlite:responses.db",
        "",
    ],
)
def test_a_url_that_names_no_store_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(ValueError) as caught:
        open_store(url)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "package", "extra"),
    [
        ("sqlite:///x.db", "aiosqlite", "sqlite"),
        ("sqlite:///x.db", "sqlalchemy", "sqlite"),
        ("postgresql://user@host/name", "psycopg", "postgres"),
        ("postgres://user@host/name", "sqlalchemy", "postgres"),
    ],
)
def test_a_missing_package_is_named(
    url: str, package: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if package == "sqlalchemy":
        monkeypatch.delitem(sys.modules, "agent_asgi.store.sql")
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ImportError, match=rf"pip install .*\[{extra}\]'"):
        open_store(url)


def test_sqlite_needs_nothing_of_postgresql(tmp_path: Path) -> None:
    with python(WITHOUT_PSYCOPG, f"sqlite:///{tmp_path}/responses.db") as process:
        told = process.communicate(timeout=30)[1]
    assert process.returncode == 0, told


@pytest.mark.parametrize("url", ["sqlite", "postgres"])
def test_an_error_that_a_retry_meets_again_is_raised(
    url: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    if url == "sqlite":
        store = SqlStore(f"sqlite:///{tmp_path}/responses.db")
    else:
        store = SqlStore(request.getfixturevalue("postgres"))

    async def main() -> None:
        await store.open()
        async with store._writing() as db:
            await db.exec_driver_sql("DROP TABLE agent_asgi_states")
        with pytest.raises(DBAPIError, match="agent_asgi_states"):
            await store.state("r1")
        await store.close()

    asyncio.run(main())


@pytest.mark.parametrize(
    ("state", "passes"),
    [
        *((state, True) for state in ("08006", "57P01", "57P03", "53300", "40001", "40P01")),
        *((state, False) for state in ("54000", "22P02", "22021", "23505", "42P01", "57014")),
    ],
)
def test_errors_are_told_apart_by_sqlstate(state: str, passes: bool) -> None:
    original = psycopg.errors.lookup(state)()
    assert may_pass(OperationalError("", {}, original)) is passes


def test_errors_without_a_sqlstate_are_told_apart_too() -> None:
    busy = sqlite3.OperationalError("database is locked")
    busy.sqlite_errorcode = sqlite3.SQLITE_BUSY_SNAPSHOT
    broken = sqlite3.DatabaseError("malformed")
    broken.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
    assert may_pass(OperationalError("", {}, busy))
    assert not may_pass(DBAPIError("", {}, broken))
    assert may_pass(OperationalError("", {}, psycopg.OperationalError("connection refused")))
    assert not may_pass(ArgumentError())


def test_a_database_that_does_not_answer_is_unavailable(caplog: pytest.LogCaptureFixture) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as listening:
        port = listening.getsockname()[1]
    store = open_store(f"postgresql://user:{SECRET}@127.0.0.1:{port}/name")

    async def main() -> None:
        began = time.monotonic()
        for ask in (store.open, store.sweep, lambda: store.get("r1", "ann")):
            with pytest.raises(StoreUnavailable, match="does not answer") as caught:
                await ask()
            assert caught.value.status == 503
        assert time.monotonic() - began < 10
        await store.close()

    with caplog.at_level(logging.DEBUG, "agent_asgi"):
        asyncio.run(main())
    assert "does not answer" in caplog.text
    assert SECRET not in caplog.text
