"""What only the in-memory store promises: a size limit, and no traces of deleted runs."""

import asyncio
from typing import Any

import pytest

from agent_asgi.store import MemoryStore
from agent_asgi.store.lines import Lines
from tests.store.test_store import ENDING, LONG, SHORT, accept, add, begin, group, make


def kept(store: MemoryStore) -> list[str]:
    """Return the ids of the stored responses."""
    return list(store._entries)


def left(store: MemoryStore) -> dict[str, Any]:
    """Return the store's non-empty dicts by attribute name."""
    return {name: held for name, held in vars(store).items() if isinstance(held, dict) and held}


def test_the_oldest_one_that_has_ended_makes_room() -> None:
    async def main() -> None:
        store = MemoryStore(max_responses=3)
        for number in range(5):
            await store.save(make(f"r{number}"))
        assert kept(store) == ["r2", "r3", "r4"]
        assert await store.get("r1", "ann") is None

    asyncio.run(main())


def test_an_active_run_never_makes_room() -> None:
    async def main() -> None:
        store = MemoryStore(max_responses=2)
        await accept(store, "queued")
        await begin(store, "begun")
        for number in range(3):
            await begin(store, f"more{number}")
        assert kept(store) == ["queued", "begun", "more0", "more1", "more2"]

    asyncio.run(main())


def test_an_active_run_stays_where_ended_ones_go() -> None:
    async def main() -> None:
        store = MemoryStore(max_responses=2)
        await begin(store)
        for number in range(3):
            await store.save(make(f"ended{number}"))
        assert kept(store) == ["r1", "ended2"]
        await store.finish("r1", 1, group(2), ENDING)
        await store.save(make("last"))
        assert kept(store) == ["ended2", "last"]

    asyncio.run(main())


def test_the_bound_holds_again_once_many_runs_have_ended() -> None:
    async def main() -> None:
        store = MemoryStore(max_responses=2)
        for number in range(5):
            await begin(store, f"r{number}")
        for number in range(5):
            await store.finish(f"r{number}", 1, group(2), ENDING)
        await store.save(make("last"))
        assert kept(store) == ["r4", "last"]

    asyncio.run(main())


@pytest.mark.parametrize("name", ["max_responses", "max_bytes"])
@pytest.mark.parametrize("number", [0, -1])
def test_a_bound_is_at_least_one(name: Any, number: int) -> None:
    with pytest.raises(ValueError, match=name):
        MemoryStore(**{name: number})


def test_large_responses_make_room_by_their_bytes() -> None:
    async def main() -> None:
        store = MemoryStore(max_bytes=10_000)
        await begin(store, "active", request=b"x" * 4_000)
        for number in range(5):
            await store.save(make(f"r{number}", request=b"x" * 1_000, response=b"y" * 1_000))
        assert kept(store) == ["active", "r3", "r4"]
        await add(store, Lines(2, 1, b"z" * 3_000), "active")
        assert kept(store) == ["active", "r4"]
        await store.finish("active", 1, Lines(3, 1, b"z" * 3_000), ENDING)
        assert kept(store) == ["active"]
        await store.save(make("new", request=b"x" * 4_000))
        assert kept(store) == ["new"]
        await store.save(make("new", request=b"x" * 9_000))  # again, after a failure
        assert kept(store) == ["new"]
        await store.delete("new", "ann")
        assert store._bytes == 0

    asyncio.run(main())


def test_a_store_keeps_a_thousand() -> None:
    async def main() -> None:
        store = MemoryStore()
        for number in range(1001):
            await store.save(make(f"r{number}"))
        assert len(kept(store)) == 1000

    asyncio.run(main())


async def full_run(store: MemoryStore, id: str, **more: Any) -> None:
    """Start a run with everything a run can have: a lock, a key, items, a log."""
    assert await store.lock(f"conversation of {id}", "ann", id, LONG)
    await begin(store, id, key=f"key of {id}", item_ids=(f"in {id}",), **more)
    await add(store, group(2), id)


def test_nothing_is_left_of_what_is_deleted() -> None:
    async def main() -> None:
        store = MemoryStore()
        await full_run(store, "active")
        await full_run(store, "ended")
        await store.finish("ended", 1, group(3), ENDING)
        for each in ("active", "ended"):
            assert await store.delete(each, "ann")
        await store.unlock("active")  # its handler has ended
        assert left(store) == {}

    asyncio.run(main())


def test_nothing_is_left_of_what_is_swept() -> None:
    async def main() -> None:
        store = MemoryStore()
        for number in range(3):
            await full_run(store, f"r{number}", expires_at=1.0)
        await store.finish("r1", 1, group(3), ENDING)
        assert await store.sweep() == 1  # the others are still running
        await store.release("p1")
        assert await store.sweep() == 2
        assert left(store) == {}

    asyncio.run(main())


def test_nothing_is_left_of_what_made_room() -> None:
    async def main() -> None:
        store = MemoryStore(max_responses=1)
        for number in range(3):
            await full_run(store, f"r{number}")
            await store.finish(f"r{number}", 1, group(3), ENDING)
        await store.save(make("last"))
        assert list(left(store)) == ["_entries"]
        assert kept(store) == ["last"]

    asyncio.run(main())


def test_nothing_is_left_of_a_run_that_is_not_kept() -> None:
    async def main() -> None:
        store = MemoryStore()
        await accept(store, key="k")
        assert await accept(store, "r2", key="k", item_ids=("i2",)) is not None
        assert await store.delete("r1", "ann")
        assert left(store) == {}

    asyncio.run(main())


def test_a_response_with_an_item_of_an_older_one_takes_it_along() -> None:
    async def main() -> None:
        store = MemoryStore()
        for each in ("r1", "r2"):
            await store.save(
                make(
                    each,
                    item_ids=(
                        "i1",
                        "i1",
                    ),
                )
            )
        for each in ("r1", "r2"):
            assert await store.delete(each, "ann")
        assert left(store) == {}

    asyncio.run(main())


def test_nothing_is_left_of_locks() -> None:
    async def main() -> None:
        store = MemoryStore()
        assert await store.lock("c", "ann", "r1", SHORT)
        await asyncio.sleep(2 * SHORT)
        for each in ("r2", "r3"):
            assert await store.lock("c", "ann", each, 0)  # each takes over an expired lock
        await store.unlock("r3")
        assert left(store) == {}

    asyncio.run(main())
