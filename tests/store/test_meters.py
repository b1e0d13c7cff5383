"""Meters: one contract for memory and PostgreSQL, and several processes that share them."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from agent_asgi import Quota
from agent_asgi.store import meters, meters_sql
from agent_asgi.store.base import StoreUnavailable
from agent_asgi.store.meters import MemoryMeters, Meters
from agent_asgi.store.meters_sql import SqlMeters
from agent_asgi.store.sql import SqlStore


@asynccontextmanager
async def processes(url: str, count: int = 2) -> AsyncIterator[list[SqlMeters]]:
    """Yield the meters of several processes that share a database."""
    stores = [SqlStore(url) for _ in range(count)]
    for store in stores:
        await store.open()
    try:
        yield [store.meters for store in stores if store.meters is not None]
    finally:
        for store in stores:
            await store.close()


@pytest.fixture(params=["memory", "postgres"])
def check(request: pytest.FixtureRequest) -> Callable[[Callable[[Meters], Awaitable[None]]], None]:
    """Return a function that runs a check with the meters of each kind."""
    url = "" if request.param == "memory" else request.getfixturevalue("postgres")

    def run(work: Callable[[Meters], Awaitable[None]]) -> None:
        async def main() -> None:
            if not url:
                await work(MemoryMeters())
                return
            async with processes(url, 1) as (shared,):
                await work(shared)

        asyncio.run(main())

    return run


def test_concurrent_runs(check: Any) -> None:
    async def work(shared: Meters) -> None:
        quota = Quota(concurrent_runs=2)
        used = [await shared.admit("ann", quota, holds=True) for _ in range(3)]
        assert [(use.admitted, use.running) for use in used] == [(True, 1), (True, 2), (False, 2)]
        assert (await shared.admit("ann", quota, holds=False)).admitted
        assert (await shared.admit("bob", quota, holds=True)).admitted
        await shared.leave("ann", quota, 0, holds=True)
        await shared.leave("ann", quota, 5, holds=False)
        assert (await shared.admit("ann", quota, holds=True)).running == 2
        for _ in range(2):
            await shared.leave("ann", quota, 0, holds=True)
        assert (await shared.admit("ann", quota, holds=True)).running == 1

    check(work)


def test_runs_return_evenly(check: Any) -> None:
    async def work(shared: Meters) -> None:
        quota = Quota(runs_per_minute=600)  # ten a second
        used = [await shared.admit("ann", quota, holds=False) for _ in range(600)]
        assert all(use.admitted for use in used)
        ten = Quota(runs_per_minute=10)
        assert not (await shared.admit("ann", ten, holds=False)).admitted
        before = used[-1].runs
        await asyncio.sleep(0.3)
        after = (await shared.admit("ann", quota, holds=False)).runs
        assert before + 1 - after == pytest.approx(3, abs=2.9)
        assert before + 1 - after > 2

    check(work)


def test_tokens_are_counted_at_the_end(check: Any) -> None:
    async def work(shared: Meters) -> None:
        quota = Quota(tokens_per_minute=100)
        assert (await shared.admit("ann", quota, holds=False)).tokens == 0
        await shared.leave("ann", quota, 250, holds=False)
        use = await shared.admit("ann", quota, holds=False)
        assert not use.admitted
        assert use.tokens == pytest.approx(250, abs=5)
        assert (await shared.admit("ann", Quota(runs_per_minute=9), holds=False)).admitted

    check(work)


def test_several_processes_never_admit_too_many(postgres: str) -> None:
    quota = Quota(concurrent_runs=5, runs_per_minute=1_000)

    async def main() -> None:
        async with processes(postgres) as (one, two):
            running, most, admitted = 0, 0, 0

            async def run(shared: SqlMeters) -> None:
                nonlocal running, most, admitted
                if (await shared.admit("ann", quota, holds=True)).admitted:
                    running += 1
                    admitted += 1
                    most = max(most, running)
                    await asyncio.sleep(0.005)
                    running -= 1
                    await shared.leave("ann", quota, 1, holds=True)

            for _ in range(10):
                await asyncio.gather(*(run(each) for each in (one, two) * 10))
            assert most <= 5
            assert admitted >= 50
            assert (await one.admit("ann", quota, holds=True)).running == 1

            limited = Quota(runs_per_minute=30)
            uses = [each.admit("bob", limited, holds=False) for each in (one, two) * 30]
            admitted = sum([use.admitted for use in await asyncio.gather(*uses)])
            assert 30 <= admitted <= 32

    asyncio.run(main())


def test_the_runs_of_a_dead_process_stop_counting(
    postgres: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(meters_sql, "LEASE_SECONDS", 0.5)
    monkeypatch.setattr(meters_sql, "BEAT_SECONDS", 0.1)
    quota = Quota(concurrent_runs=2)

    async def main() -> None:
        async with processes(postgres) as (dead, alive):
            assert (await dead.admit("ann", quota, holds=True)).admitted
            assert (await alive.admit("ann", quota, holds=True)).admitted
            await dead.close()
            await asyncio.sleep(1)
            use = await alive.admit("ann", quota, holds=True)
            assert (use.admitted, use.running) == (True, 2)  # its own run has been renewed

    asyncio.run(main())


def test_an_end_that_could_not_be_counted_is_counted_later(
    postgres: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(meters_sql, "BEAT_SECONDS", 0.05)
    quota = Quota(concurrent_runs=1)

    async def main() -> None:
        async with processes(postgres) as (shared, other):
            await shared.admit("ann", quota, holds=True)
            execute, failures = shared._execute, 2

            async def failing(*args: Any) -> None:
                nonlocal failures
                failures -= 1
                if failures >= 0:
                    raise StoreUnavailable
                await execute(*args)

            monkeypatch.setattr(shared, "_execute", failing)
            await shared.leave("ann", quota, 0, holds=True)
            assert not (await other.admit("ann", quota, holds=True)).admitted
            async with asyncio.timeout(5):
                while not (await other.admit("ann", quota, holds=True)).admitted:
                    await asyncio.sleep(0.02)

    asyncio.run(main())


def test_an_end_that_is_counted_late_frees_one_place(
    postgres: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The database counts an end, but its answer is lost: it is sent again."""
    monkeypatch.setattr(meters_sql, "BEAT_SECONDS", 0.05)
    quota = Quota(concurrent_runs=3)

    async def main() -> None:
        async with processes(postgres) as (shared, other):
            for _ in range(3):
                assert (await shared.admit("ann", quota, holds=True)).admitted
            execute, is_lost = shared._execute, True

            async def losing(*args: Any) -> None:
                nonlocal is_lost
                await execute(*args)
                if is_lost:
                    is_lost = False
                    raise StoreUnavailable

            monkeypatch.setattr(shared, "_execute", losing)
            await shared.leave("ann", quota, 0, holds=True)
            async with asyncio.timeout(5):
                while shared._unsent:
                    await asyncio.sleep(0.02)
            uses = [await other.admit("ann", quota, holds=True) for _ in range(2)]
            assert [(use.admitted, use.running) for use in uses] == [(True, 3), (False, 3)]

    asyncio.run(main())


def test_a_statement_that_arrives_late_changes_nothing(postgres: str) -> None:
    quota = Quota(concurrent_runs=2)

    async def main() -> None:
        async with processes(postgres) as (shared, other):
            assert (await shared.admit("ann", quota, holds=True)).admitted
            late = shared._values("ann", quota, holds=True) | {"tokens": 0, "back": False}
            assert (await shared.admit("ann", quota, holds=True)).admitted
            await shared._execute(meters_sql._LEAVE, late | {"held": 0})
            use = await other.admit("ann", quota, holds=True)
            assert (use.admitted, use.running) == (False, 2)

    asyncio.run(main())


def test_runs_that_outlive_their_lease_count_again(
    postgres: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process was not heard of for a while."""
    quota = Quota(concurrent_runs=3)

    async def main() -> None:
        async with processes(postgres) as (slow, other):
            monkeypatch.setattr(meters_sql, "LEASE_SECONDS", 0.1)
            for _ in range(2):
                assert (await slow.admit("ann", quota, holds=True)).admitted
            await asyncio.sleep(0.2)
            monkeypatch.setattr(meters_sql, "LEASE_SECONDS", 20)
            assert (await other.admit("ann", quota, holds=True)).running == 1
            assert not (await slow.admit("ann", quota, holds=True)).admitted
            await slow.leave("ann", quota, 0, holds=True)
            uses = [await other.admit("ann", quota, holds=True) for _ in range(2)]
            assert [(use.admitted, use.running) for use in uses] == [(True, 3), (False, 3)]

    asyncio.run(main())


def test_a_run_that_did_not_begin_is_not_one_per_minute(check: Any) -> None:
    async def work(shared: Meters) -> None:
        quota = Quota(runs_per_minute=1)
        for holds in (True, False, True):
            assert (await shared.admit("ann", quota, holds=holds)).admitted
            await shared.leave("ann", quota, 0, holds=holds, begun=False)
        assert (await shared.admit("ann", quota, holds=True)).admitted
        await shared.leave("ann", quota, 0, holds=True)
        assert not (await shared.admit("ann", quota, holds=True)).admitted

    check(work)


def test_a_cancelled_admission_holds_no_place(postgres: str) -> None:
    quota = Quota(concurrent_runs=1)

    async def main() -> None:
        async with processes(postgres, 1) as (shared,):
            for pause in (0, 0.0005, 0.001, 0.002, 0.005):
                task = asyncio.create_task(shared.admit("ann", quota, holds=True))
                await asyncio.sleep(pause)
                if not task.done():
                    task.cancel()
                    await asyncio.wait([task])
                if not task.cancelled() and task.result().admitted:
                    await shared.leave("ann", quota, 0, holds=True)
                async with asyncio.timeout(5):
                    while not (await shared.admit("ann", quota, holds=True)).admitted:
                        await asyncio.sleep(0.01)
                await shared.leave("ann", quota, 0, holds=True)
            assert not +shared._running

    asyncio.run(main())


def test_rows_of_users_who_left_are_removed(postgres: str) -> None:
    async def main() -> None:
        store = SqlStore(postgres)
        await store.open()
        assert store.meters is not None
        for user in ("ann", "bob"):
            await store.meters.admit(user, Quota(runs_per_minute=1), holds=False)
        async with store._writing() as db:
            await db.exec_driver_sql(
                "UPDATE agent_asgi_meters SET at = at - 90000 WHERE owner='ann'"
            )
        await store.sweep()
        async with store._reading() as db:
            rows = await db.exec_driver_sql("SELECT owner FROM agent_asgi_meters")
            assert rows.scalars().all() == ["bob"]
        await store.close()

    asyncio.run(main())


def test_memory_forgets_users_who_use_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(meters, "FULL", 10)
    quick, slow = Quota(concurrent_runs=5), Quota(runs_per_minute=1)

    async def main() -> None:
        shared = MemoryMeters()
        await shared.admit("held", quick, holds=True)
        await shared.admit("recent", slow, holds=False)
        for number in range(100):
            await shared.admit(str(number), quick, holds=True)
            await shared.leave(str(number), quick, 9, holds=True)
        assert len(shared._meters) <= 12
        assert {"held", "recent"} <= shared._meters.keys()

    asyncio.run(main())
