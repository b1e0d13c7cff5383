"""Runs that begin and end at once: in one transaction, each as if it were alone."""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager

import psycopg
import pytest
from msgspec import structs

from agent_asgi.store import Store
from agent_asgi.store.base import LostRun
from agent_asgi.store.sql import SqlStore
from tests.store.test_store import ENDING, LONG, accept, found, group, read, run

RUNS = 20


async def accepted(store: Store) -> list[str]:
    """Accept runs that no process holds; return their ids."""
    ids = [f"r{number}" for number in range(RUNS)]
    for id_ in ids:
        assert await accept(store, id_, "", 0) is None
    return ids


def test_runs_that_are_claimed_at_once(store_url: str) -> None:
    async def main(store: Store) -> None:
        ids = await accepted(store)
        await store.want_cancel(ids[0], "ann")
        assert await store.claim(ids[1], "p2", LONG)
        assert await store.lock("talk", "ann", "other", LONG)
        assert await store.wait_for("talk", "ann", ids[2], LONG, 5, 5)
        claims = await asyncio.gather(*(store.claim(id_, "p1", LONG) for id_ in [*ids, ids[3]]))
        assert [each is None for each in claims[:4]] == [False, True, True, False]
        assert all(claims[3:])
        assert claims[0] is not None
        assert claims[0].cancel_wanted
        assert sorted(each.attempt for each in claims[3:] if each and each.id == ids[3]) == [1, 2]
        for id_, record in zip(ids[4:], claims[4:], strict=False):
            assert record is not None
            assert (record.id, record.attempt, record.status) == (id_, 1, "in_progress")
            assert record.begun in ((), (group(0, 2),))
        taken = await asyncio.gather(*(store.claim(id_, "p2", LONG) for id_ in ids[3:]))
        assert not any(taken)

    run(store_url, main)


def test_runs_that_end_at_once(store_url: str) -> None:
    async def main(store: Store) -> None:
        ids = await accepted(store)
        for id_ in ids:
            assert await store.claim(id_, "p1", LONG)
            assert await store.lock(f"talk-{id_}", "ann", id_, LONG)
        stale = await store.claim(ids[0], "p1", LONG)
        assert stale is not None
        assert stale.attempt == 2
        await store.delete(ids[1], "ann")

        async def finish(id_: str) -> bool:
            ending = structs.replace(ENDING, response=b'{"id":"%b"}' % id_.encode())
            try:
                await store.finish(id_, 1, group(2), ending)
            except LostRun:
                return False
            return True

        ended = await asyncio.gather(*map(finish, ids))
        assert ended == [False, False] + [True] * (RUNS - 2)
        assert (await found(store, ids[0])).status == "in_progress"
        assert await read(store, ids[0]) == group(0, 2).data
        assert await store.get(ids[1], "ann") is None
        for id_ in ids[2:]:
            record = await found(store, id_)
            assert (record.status, record.response) == ("completed", b'{"id":"%b"}' % id_.encode())
            assert await read(store, id_) == group(0, 3).data
            assert await store.locked_by(f"talk-{id_}", "ann") is None
        assert await store.find_items(ENDING.item_ids, "ann")

    run(store_url, main)


@pytest.mark.parametrize("store_url", ["sqlite", "postgres"], indirect=True)
def test_one_transaction_for_all(store_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main(store: Store) -> None:
        assert isinstance(store, SqlStore)
        ids = await accepted(store)
        writing, count = store._database.writing, 0

        def counted(*arguments: object, **options: object) -> object:
            nonlocal count
            count += 1
            return writing(*arguments, **options)  # type: ignore[arg-type]  # passed on

        monkeypatch.setattr(store, "_writing", counted)
        monkeypatch.setattr(store, "_controlling", counted)
        assert all(await asyncio.gather(*(store.claim(id_, "p1", LONG) for id_ in ids)))
        assert count == 1
        endings = (store.finish(id_, 1, group(2), ENDING) for id_ in ids)
        await asyncio.gather(*endings)
        assert count == 2

    run(store_url, main)


@asynccontextmanager
async def locked(url: str, id: str) -> AsyncIterator[None]:
    """Lock a run's row within a block."""
    async with await psycopg.AsyncConnection.connect(url) as other:
        await other.execute("SELECT FROM agent_asgi_responses WHERE id = %s FOR UPDATE", [id])
        yield
        await other.rollback()


def test_a_locked_row_holds_up_no_other_run(postgres: str) -> None:
    async def all_but_one(operations: list[Awaitable[object]]) -> list[object]:
        """Do operations at once; return all results, of which one has to wait for the lock."""
        async with locked(postgres, "r5"), asyncio.timeout(10):
            tasks = [asyncio.ensure_future(each) for each in operations]
            while sum(task.done() for task in tasks) < RUNS - 1:
                await asyncio.sleep(0.01)
            assert not tasks[5].done()
        return await asyncio.gather(*tasks)

    async def main(store: Store) -> None:
        ids = await accepted(store)
        assert all(await all_but_one([store.claim(id_, "p1", LONG) for id_ in ids]))
        await all_but_one([store.finish(id_, 1, group(2), ENDING) for id_ in ids])
        for id_ in ids:
            assert (await found(store, id_)).status == "completed"

    run(postgres, main)
