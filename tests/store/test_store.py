"""What every store promises, tested on each: memory, SQLite and a real PostgreSQL."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from msgspec import structs

from agent_asgi.store import MemoryStore, Record, Store, open_store
from agent_asgi.store.base import Ending, LostRun
from agent_asgi.store.lines import Lines
from agent_asgi.store.turn import NO_CHAIN

LONG = 60.0
SHORT = 0.05
DAYS_30 = 30 * 24 * 60 * 60
ENDING = Ending(status="completed", response=b'{"output":[],"ended":1}', item_ids=("msg_out",))


def run(url: str, main: Callable[[Store], Awaitable[None]]) -> None:
    """Open the store of a URL, run `main` with it, and close it."""

    async def opened() -> None:
        store = open_store(url)
        try:
            await store.open()
            await main(store)
        finally:
            await store.close()

    asyncio.run(opened())


def make(id: str = "r1", **more: Any) -> Record:
    """Make a record, completed by default."""
    fields: dict[str, Any] = {
        "owner": "ann",
        "agent": "tutor",
        "status": "completed",
        "created_at": 100.0,
        "request": b'{"input":[]}',
        "response": b'{"output":[]}',
    }
    return Record(id=id, **(fields | more))


def group(first: int, count: int = 1) -> Lines:
    """Make consecutive events."""
    numbers = range(first, first + count)
    return Lines(
        first, count, b"".join(b'{"type":"e","sequence_number":%d}\n' % each for each in numbers)
    )


async def accept(
    store: Store, id: str = "r1", holder: str = "p1", lease: float = LONG, **more: Any
) -> Record | None:
    """Accept a queued run with two events."""
    record = make(id, status="queued", **more)
    return await store.accept(record, group(0, 2), holder, lease)


async def begin(store: Store, id: str = "r1", **more: Any) -> Record:
    """Accept a run and claim it for `p1`."""
    assert await accept(store, id, **more) is None
    claimed = await store.claim(id, "p1", LONG)
    assert claimed is not None
    return claimed


async def add(store: Store, lines: Lines, id: str = "r1", attempt: int = 1) -> None:
    """Append events to a log."""
    assert not await store.append({id: (attempt, lines)})


async def read(store: Store, id: str = "r1", after: int = -1) -> bytes:
    """Read a log to its end, starting after a sequence number."""
    data = b""
    while groups := await store.events(id, after):
        for each in groups:
            data += each.after(after)
            after = each.last
    return data


async def found(store: Store, id: str = "r1", owner: str = "ann") -> Record:
    """Return a response that must exist."""
    record = await store.get(id, owner)
    assert record is not None
    return record


def spoil(record: Record | None) -> None:
    """Modify a record that a store returned."""
    assert record is not None
    record.owner, record.status, record.attempt, record.key = "eve", "failed", 9, None


def test_what_is_saved_is_there(store_url: str) -> None:
    async def main(store: Store) -> None:
        full = make(
            expires_at=time.time() + LONG,
            previous_id="r0",
            background=True,
            visible=False,
            request=b"\x00\xff",
            caller=b'{"user":"u"}',
            key="k",
            digest="d",
            failure=b"f",
            attempt=2,
            logged=True,
            cancel_wanted=True,
        )
        await store.save(full)
        assert await found(store) == full
        await store.save(full)  # a retry
        assert await found(store) == full
        assert await store.get("r2", "ann") is None

    run(store_url, main)


def test_what_is_saved_with_a_key_is_found_by_it_and_can_be_removed(store_url: str) -> None:
    async def main(store: Store) -> None:
        await store.save(make(key="k"))
        there = await store.by_key("k", "ann")
        assert await store.delete("r1", "ann")
        assert await store.by_key("k", "ann") is None
        assert there == structs.replace(make(key="k"), expires_at=there.expires_at if there else 0)

    run(store_url, main)


def test_what_is_handed_out_is_a_copy(store_url: str) -> None:
    async def main(store: Store) -> None:
        given = make("r0")
        await store.save(given)
        spoil(given)
        spoil(await found(store, "r0"))
        assert (await found(store, "r0")).status == "completed"
        await accept(store, lease=0, key="k")
        spoil((await store.abandoned(["tutor"]))[0])
        spoil(await accept(store, "r2", key="k"))
        spoil(await store.by_key("k", "ann"))
        spoil(await store.claim("r1", "p1", LONG))
        kept = await found(store)
        assert (kept.status, kept.attempt, kept.key) == ("in_progress", 1, "k")

    run(store_url, main)


def test_another_owners_response_is_not_there(store_url: str) -> None:
    async def main(store: Store) -> None:
        await begin(store, key="k", item_ids=("i1",))
        await store.save(make("r2", owner="bob", previous_id="r1"))
        await store.want_cancel("r1", "bob")
        assert not (await found(store)).cancel_wanted
        assert await store.get("r1", "bob") is None
        assert await store.by_key("k", "bob") is None
        assert await store.chain("r1", "bob") == NO_CHAIN
        assert await store.chain("r2", "bob") == NO_CHAIN
        assert await store.find_items(["i1"], "bob") == {}
        assert not await store.delete("r1", "bob")
        assert await found(store)
        assert await read(store)

    run(store_url, main)


def test_a_key_keeps_the_first_response_only(store_url: str) -> None:
    async def main(store: Store) -> None:
        assert await accept(store, key="k", digest="d") is None
        there = await accept(store, "r2", key="k", item_ids=("i2",))
        assert there == await found(store) == await store.by_key("k", "ann")
        assert (there.digest, there.logged, there.attempt) == ("d", True, 0)
        assert await store.get("r2", "ann") is None
        assert await store.events("r2", -1) == []
        assert await store.find_items(["i2"], "ann") == {}
        assert await accept(store, "r3", key="k", owner="bob") is None
        assert (await found(store, "r3", "bob")).key == "k"
        assert await accept(store, "r4") is None
        assert await accept(store, "r5") is None

    run(store_url, main)


def test_of_concurrent_runs_with_one_key_one_is_kept(store_url: str) -> None:
    async def main(store: Store) -> None:
        ids = [f"r{number}" for number in range(6)]
        answers = await asyncio.gather(*(accept(store, each, key="k") for each in ids))
        kept = [each for each in ids if await store.get(each, "ann") is not None]
        assert len(kept) == 1
        assert [id_ for id_, there in zip(ids, answers, strict=True) if there is None] == kept
        assert {there.id for there in answers if there is not None} == set(kept)

    run(store_url, main)


def test_a_chain_is_oldest_first(store_url: str) -> None:
    async def main(store: Store) -> None:
        await store.save(make("r3", previous_id="r2"))
        await store.save(make("r1"))
        await begin(store, "r2", previous_id="r1")
        assert [each.id for each in (await store.chain("r3", "ann")).turns] == ["r1", "r2", "r3"]
        assert [each.id for each in (await store.chain("r1", "ann")).turns] == ["r1"]
        assert await store.chain("r9", "ann") == NO_CHAIN
        assert await store.delete("r1", "ann")
        assert await store.chain("r3", "ann") == NO_CHAIN

    run(store_url, main)


def test_the_size_of_a_chain(store_url: str) -> None:
    async def main(store: Store) -> None:
        await store.save(make("r1", item_ids=("i1", "o1")))
        await store.save(make("r2", previous_id="r1", item_ids=("i2",)))
        await begin(store, "r3", previous_id="r2", item_ids=("i3",))
        await store.finish("r3", 1, group(2), ENDING)
        size = len(b'{"input":[]}' + b'{"output":[]}')
        assert (await store.chain("r1", "ann")).size == (2, size)
        assert (await store.chain("r2", "ann")).size == (3, 2 * size)
        items = 4 + len(ENDING.item_ids)
        assert (await store.chain("r3", "ann")).size == (
            items,
            3 * size - len(b'{"output":[]}') + len(ENDING.response),
        )
        assert (
            (await store.chain("r3", "bob")).size == (await store.chain("r9", "ann")).size == (0, 0)
        )

    run(store_url, main)


def test_a_chain_that_is_continued_lives_on(store_url: str) -> None:
    async def main(store: Store) -> None:
        now = time.time()
        for id_, previous in (("r1", None), ("r2", "r1"), ("r3", "r2")):
            await store.save(make(id_, previous_id=previous, expires_at=now - 1))
        await store.save(make("other", expires_at=now - 1))
        await begin(store, "r4", previous_id="r3", expires_at=now + LONG)
        await store.finish("r4", 1, group(2), ENDING)
        await store.save(make("r5", previous_id="r4", expires_at=now + 1))
        assert await store.sweep() == 1
        assert [each.id for each in (await store.chain("r5", "ann")).turns] == [
            *("r1", "r2", "r3", "r4", "r5")
        ]
        await asyncio.sleep(max(0.0, now + 1.1 - time.time()))
        assert await store.sweep() == 0
        assert len((await store.chain("r5", "ann")).turns) == 5

    run(store_url, main)


def test_a_chain_that_is_not_continued_expires_as_a_whole(store_url: str) -> None:
    async def main(store: Store) -> None:
        now = time.time()
        await store.save(make("r1", expires_at=now - 2))
        await store.save(make("r2", previous_id="r1", expires_at=now - 1))
        await store.save(make("r3", owner="bob", previous_id="r1", expires_at=now + LONG))
        while await store.sweep():
            pass
        assert await store.get("r1", "ann") is await store.get("r2", "ann") is None
        assert await found(store, "r3", "bob")

    run(store_url, main)


def test_a_page_has_the_newest_responses_first(store_url: str) -> None:
    async def main(store: Store) -> None:
        async def page(after: str | None, limit: int, size: int = 1000) -> list[str] | None:
            found = await store.page("ann", ["tutor", "poet"], after, limit, size)
            if found is None:
                return None
            return [each.id for each in found.records] + ["more"] * found.has_more

        assert await page(None, 9) == []
        await store.save(make("r1", created_at=10.0))
        await store.save(make("r3", created_at=20.0, agent="poet"))
        await store.save(make("r2", created_at=20.0))
        await begin(store, "r4", created_at=30.0)
        await store.save(make("hidden", created_at=40.0, visible=False))
        await store.save(make("coder", created_at=40.0, agent="coder"))
        await store.save(make("bob", created_at=40.0, owner="bob"))
        assert await page(None, 9) == ["r4", "r3", "r2", "r1"]
        assert await page(None, 2) == ["r4", "r3", "more"]
        assert await page("r3", 2) == ["r2", "r1"]
        assert await page("r1", 2) == []
        assert await page("bob", 2) is await page("r9", 2) is None
        assert await page(None, 9, 1) == ["r4", "more"]
        assert await page("r4", 9, 2 * len(b'{"output":[]}')) == ["r3", "r2", "more"]

    run(store_url, main)


def test_a_page_of_one_conversation(store_url: str) -> None:
    async def main(store: Store) -> None:
        await store.save(make("r1", created_at=1.0, conversation="c1"))
        await store.save(make("r2", created_at=2.0, conversation="c2"))
        await store.save(make("r3", created_at=3.0))
        await accept(store, "r4", created_at=4.0, conversation="c1")
        await store.save(make("r5", created_at=5.0, conversation="c1", owner="bob"))

        async def ids(conversation: str | None, after: str | None = None) -> list[str]:
            page = await store.page("ann", ["tutor"], after, 9, 1 << 20, conversation)
            return [] if page is None else [record.id for record in page.records]

        assert await ids("c1") == ["r4", "r1"]
        assert await ids("c1", after="r4") == ["r1"]
        assert await ids("c2") == ["r2"]
        assert await ids("c3") == []
        assert await ids(None) == ["r4", "r3", "r2", "r1"]
        await store.delete("r1", "ann")
        assert await ids("c1") == ["r4"]

    run(store_url, main)


def test_an_item_belongs_to_the_newest_response(store_url: str) -> None:
    async def main(store: Store) -> None:
        await store.save(
            make(
                "r1",
                item_ids=(
                    "i1",
                    "i2",
                    "i2",
                ),
            )
        )
        await store.save(
            make(
                "r2",
                created_at=200.0,
                item_ids=(
                    "i2",
                    "i3",
                ),
            )
        )
        wanted = ["i1", "i2", "i3", "i4"]
        assert await store.find_items(wanted, "ann") == {"i1": "r1", "i2": "r2", "i3": "r2"}
        assert await store.find_items([], "ann") == {}
        assert await store.delete("r2", "ann")
        assert await store.find_items(wanted, "ann") == {"i1": "r1", "i2": "r1"}

    run(store_url, main)


def test_a_response_is_as_old_as_its_run(store_url: str) -> None:
    async def main(store: Store) -> None:
        await begin(store)
        await store.save(make("r2", created_at=200.0, item_ids=("msg_out",)))
        await store.finish("r1", 1, group(2), ENDING)
        assert await store.find_items(["msg_out"], "ann") == {"msg_out": "r2"}

    run(store_url, main)


def test_a_run_is_claimed_by_one_at_a_time(store_url: str) -> None:
    async def main(store: Store) -> None:
        await accept(store)
        assert (await found(store)).attempt == 0
        assert await store.claim("r1", "p2", LONG) is None
        first = await store.claim("r1", "p1", LONG)
        assert first is not None
        assert first.begun in ((), tuple(await store.events("r1", -1)))
        same = structs.replace(await found(store), attempt=1, status="in_progress")
        assert structs.replace(first, begun=()) == same
        assert await store.claim("r1", "p2", LONG) is None
        again = await store.claim("r1", "p1", SHORT)
        assert again is not None
        assert again.attempt == 2
        await asyncio.sleep(2 * SHORT)
        other = await store.claim("r1", "p2", LONG)
        assert other is not None
        assert other.attempt == 3
        assert await store.claim("r1", "p1", LONG) is None

    run(store_url, main)


def test_of_concurrent_claims_one_is_granted(store_url: str) -> None:
    async def main(store: Store) -> None:
        await accept(store, holder="", lease=0)
        claims = [store.claim("r1", f"p{number}", LONG) for number in range(6)]
        assert sum(each is not None for each in await asyncio.gather(*claims)) == 1
        assert (await found(store)).attempt == 1

    run(store_url, main)


def test_a_run_that_has_ended_is_not_claimed(store_url: str) -> None:
    async def main(store: Store) -> None:
        await begin(store)
        await store.finish("r1", 1, group(2), ENDING)
        await store.save(make("r2"))
        for each in ("r1", "r2", "r3"):
            assert await store.claim(each, "p1", LONG) is None
        assert (await found(store)).attempt == 1

    run(store_url, main)


async def lost(store: Store, attempt: int, ending: Ending = ENDING) -> None:
    """Assert that an attempt can no longer write or change anything."""
    before, log = await store.get("r1", "ann"), await read(store)
    assert set(await store.append({"r1": (attempt, group(9))})) == {"r1"}
    with pytest.raises(LostRun):
        await store.finish("r1", attempt, group(9), ending)
    assert await store.get("r1", "ann") == before
    assert await read(store) == log
    assert await store.find_items(["msg_out"], "ann") == {}


def test_only_the_last_attempt_writes(store_url: str) -> None:
    async def main(store: Store) -> None:
        await begin(store)
        await add(store, group(2))
        await store.claim("r1", "p1", LONG)
        await lost(store, 1)
        await lost(store, 3)
        await add(store, group(3), attempt=2)
        await store.finish("r1", 2, group(4), structs.replace(ENDING, item_ids=()))
        await lost(store, 2)
        assert await store.delete("r1", "ann")
        await lost(store, 2)
        assert await read(store) == b""

    run(store_url, main)


def test_events_are_added_to_many_logs_at_once(store_url: str) -> None:
    async def main(store: Store) -> None:
        for each in ("r1", "r2", "old", "ended"):
            await begin(store, each)
        await store.claim("old", "p1", LONG)
        await store.finish("ended", 1, group(2), ENDING)
        groups = {each: (1, group(2)) for each in ("r1", "old", "r2", "ended", "gone")}
        assert set(await store.append(groups)) == {"old", "ended", "gone"}
        for each, count in (("r1", 3), ("r2", 3), ("old", 2), ("ended", 3), ("gone", 0)):
            assert await read(store, each) == group(0, count).data
        assert not await store.append({})

    run(store_url, main)


def test_a_log_is_read_from_any_number_on(store_url: str) -> None:
    async def main(store: Store) -> None:
        await begin(store)
        for first, count in ((2, 1), (3, 5), (8, 2)):
            await add(store, group(first, count))
        for after in range(-1, 10):
            assert await read(store, after=after) == group(after + 1, 9 - after).data
        assert (await store.events("r1", 4))[0].first == 3
        assert await store.events("r1", 9) == await store.events("r2", -1) == []

    run(store_url, main)


def test_a_log_of_many_groups_is_read_whole(store_url: str) -> None:
    async def main(store: Store) -> None:
        await begin(store)
        for number in range(2, 82):
            await add(store, group(number))
        assert await read(store) == group(0, 82).data
        assert await read(store, after=9) == group(10, 72).data

    run(store_url, main)


def test_a_run_ends_in_one_step(store_url: str) -> None:
    async def main(store: Store) -> None:
        assert await store.lock("c", "ann", "r1", LONG)
        await begin(store, item_ids=("msg_in",))
        ending = structs.replace(ENDING, status="failed", failure=b"f")
        await store.finish("r1", 1, group(2, 3), ending)
        kept = await found(store)
        assert (kept.status, kept.response, kept.failure) == (
            "failed",
            b'{"output":[],"ended":1}',
            b"f",
        )
        assert (kept.logged, kept.active) == (True, False)
        assert await read(store) == group(0, 5).data
        owners = await store.find_items(["msg_in", "msg_out"], "ann")
        assert owners == {"msg_in": "r1", "msg_out": "r1"}
        assert await store.lock("c", "ann", "r2", LONG)

    run(store_url, main)


def test_a_run_may_end_without_more_events(store_url: str) -> None:
    async def main(store: Store) -> None:
        await begin(store)
        await store.finish("r1", 1, Lines(2, 0, b""), ENDING)
        kept = await found(store)
        assert kept.status == "completed"
        assert await read(store) == group(0, 2).data

    run(store_url, main)


def test_who_lives_keeps_its_runs(store_url: str) -> None:
    async def main(store: Store) -> None:
        await begin(store, "ended")
        await store.finish("ended", 1, group(2), ENDING)
        await accept(store, "other", "p2")
        await accept(store, "r1", lease=SHORT)
        await begin(store, "r2")
        await accept(store, "r3", lease=SHORT)
        ids = ["ended", "other", "r1", "r2", "none"]
        assert await store.renew("p1", ids, LONG) == {"r1": 0, "r2": 1}
        await asyncio.sleep(2 * SHORT)
        assert await store.claim("r1", "p2", LONG) is None
        assert await store.claim("r3", "p2", LONG) is not None
        assert await store.renew("p3", ids, LONG) == {}

    run(store_url, main)


def test_who_has_a_run_hears_of_its_cancellation(store_url: str) -> None:
    async def main(store: Store) -> None:
        for each in ("r1", "r2"):
            await begin(store, each)
        await accept(store, "r3", "p2")
        for each in ("r1", "r3", "r4"):
            await store.want_cancel(each, "ann")
        assert (await found(store)).cancel_wanted
        assert list(await store.to_cancel("p1")) == ["r1"]
        await store.finish("r1", 1, group(2), ENDING)
        await store.finish("r2", 1, group(2), ENDING)
        await store.want_cancel("r2", "ann")
        assert list(await store.to_cancel("p1")) == []
        assert not (await found(store, "r2")).cancel_wanted

    run(store_url, main)


def test_a_run_that_is_given_up_is_free_at_once(store_url: str) -> None:
    async def main(store: Store) -> None:
        await begin(store)
        await accept(store, "r2", "p2")
        await store.release("p1")
        assert [each.id for each in await store.abandoned(["tutor"])] == ["r1"]
        assert await store.renew("p1", ["r1"], LONG) == {}
        assert await store.claim("r2", "p1", LONG) is None
        claimed = await store.claim("r1", "p2", LONG)
        assert claimed is not None
        assert claimed.attempt == 2

    run(store_url, main)


def test_abandoned_runs_are_those_that_nobody_has(store_url: str) -> None:
    async def main(store: Store) -> None:
        await store.save(make("ended"))
        await begin(store, "held")
        await accept(store, "r2", "p2", SHORT, created_at=20.0)
        await accept(store, "r1", "", 0, created_at=10.0)
        await accept(store, "r3", "", 0, created_at=30.0, agent="coder")
        await accept(store, "r4", "", 0, agent="poet")
        await asyncio.sleep(2 * SHORT)
        agents = ["tutor", "coder"]
        assert [each.id for each in await store.abandoned(agents)] == ["r1", "r2", "r3"]
        assert await store.abandoned([]) == []

    run(store_url, main)


def test_a_conversation_is_locked_by_one_run(store_url: str) -> None:
    async def main(store: Store) -> None:
        assert await store.lock("c", "ann", "r1", LONG)
        assert not await store.lock("c", "ann", "r2", LONG)
        assert await store.lock("c", "ann", "r1", LONG)  # the same run again
        assert await store.lock("c", "bob", "r3", LONG)
        assert await store.lock("d", "ann", "r4", LONG)
        await store.unlock("r2")
        assert not await store.lock("c", "ann", "r2", LONG)
        await store.unlock("r1")
        assert await store.lock("c", "ann", "r2", LONG)
        await store.unlock("r9")

    run(store_url, main)


def test_who_has_locked_a_conversation_is_known(store_url: str) -> None:
    async def main(store: Store) -> None:
        assert await store.locked_by("c1", "ann") is None
        await store.lock("c1", "ann", "r1", LONG)
        assert await store.locked_by("c1", "ann") == "r1"
        assert await store.locked_by("c1", "bob") is None
        await store.unlock("r1")
        assert await store.locked_by("c1", "ann") is None
        await store.lock("c1", "ann", "r2", SHORT)
        await asyncio.sleep(SHORT * 2)
        assert await store.locked_by("c1", "ann") is None
        await store.lock("c1", "ann", "r3", SHORT)
        await begin(store, "r3")
        await asyncio.sleep(SHORT * 2)
        assert await store.locked_by("c1", "ann") == "r3"

    run(store_url, main)


def test_a_lock_that_is_over_can_be_taken(store_url: str) -> None:
    async def main(store: Store) -> None:
        assert await store.lock("c", "ann", "r1", SHORT)
        await asyncio.sleep(2 * SHORT)
        assert await store.lock("c", "ann", "r2", LONG)
        assert not await store.lock("c", "ann", "r1", LONG)
        await store.unlock("r1")
        assert not await store.lock("c", "ann", "r3", LONG)

    run(store_url, main)


def test_a_run_that_lost_its_lock_may_unlock_late(store_url: str) -> None:
    async def main(store: Store) -> None:
        assert await store.lock("c", "ann", "r1", SHORT)
        await asyncio.sleep(2 * SHORT)
        assert await store.lock("c", "ann", "r2", LONG)
        await store.unlock("r2")
        await store.unlock("r1")
        assert await store.lock("c", "ann", "r3", LONG)

    run(store_url, main)


def test_all_that_a_run_locked_is_unlocked(store_url: str) -> None:
    async def main(store: Store) -> None:
        for each in ("c", "d"):
            assert await store.lock(each, "ann", "r1", LONG)
        await store.unlock("r1")
        for each in ("d", "c"):
            assert await store.lock(each, "ann", "r2", LONG)

    run(store_url, main)


def test_an_active_run_keeps_its_lock(store_url: str) -> None:
    async def main(store: Store) -> None:
        assert await store.lock("c", "ann", "r1", SHORT)
        await begin(store)
        await asyncio.sleep(2 * SHORT)
        assert not await store.lock("c", "ann", "r2", LONG)
        await store.finish("r1", 1, group(2), ENDING)
        assert await store.lock("c", "ann", "r2", LONG)

    run(store_url, main)


def test_the_lock_of_a_deleted_run_stays_until_its_handler_has_ended(store_url: str) -> None:
    async def main(store: Store) -> None:
        assert await store.lock("c", "ann", "r1", LONG)
        await begin(store)
        await store.unlock("r1")  # it is active
        assert await store.delete("r1", "ann")
        assert not await store.lock("c", "ann", "r2", LONG)
        await store.unlock("r1")
        assert await store.lock("c", "ann", "r2", LONG)

    run(store_url, main)


def test_all_that_belongs_to_a_response_goes_with_it(store_url: str) -> None:
    async def main(store: Store) -> None:
        for expires_at in (0.0, 1.0):  # deleted explicitly, then by the sweep
            assert await store.lock("c", "ann", "r1", LONG)
            await begin(store, key="k", item_ids=("i1",), expires_at=expires_at)
            assert await store.sweep() == 0  # it is still running
            await store.release("p1")
            gone = await store.sweep() if expires_at else await store.delete("r1", "ann")
            assert gone == 1
            assert await store.get("r1", "ann") is None
            assert await store.by_key("k", "ann") is None
            assert await store.events("r1", -1) == []
            assert await store.find_items(["i1"], "ann") == {}
            assert await store.lock("c", "ann", "r2", LONG)
            await store.unlock("r2")
        assert not await store.delete("r1", "ann")

    run(store_url, main)


def test_what_has_expired_is_swept(store_url: str) -> None:
    async def main(store: Store) -> None:
        now = time.time()
        await store.save(make("r1", expires_at=now - 1))
        await store.save(make("r2", expires_at=now + LONG))
        await store.save(make("r3", expires_at=now + 1))
        assert await store.sweep() == 1
        assert await store.get("r1", "ann") is None
        await asyncio.sleep(max(0.0, now + 1.1 - time.time()))
        assert await store.sweep() == 1
        assert await store.sweep() == 0
        assert await found(store, "r2")

    run(store_url, main)


@pytest.mark.parametrize("seconds", [None, 5.0])
def test_a_response_is_kept_for_a_time(store_url: str, seconds: float | None) -> None:
    async def main(store: Store) -> None:
        store.expires_after = store.expires_after if seconds is None else seconds
        until = time.time() + (seconds or DAYS_30)
        await store.save(make())
        await accept(store, "r2")
        await accept(store, "r3", expires_at=7.0)
        for each in ("r1", "r2"):
            assert (await found(store, each)).expires_at == pytest.approx(until, abs=4)
        assert (await found(store, "r3")).expires_at == 7.0

    run(store_url, main)


def test_a_time_to_keep_responses_is_more_than_none() -> None:
    for seconds in (0, -1.0):
        with pytest.raises(ValueError, match="expires_after"):
            MemoryStore(expires_after=seconds)


def test_who_watches_a_response_is_woken(store_url: str) -> None:
    async def main(store: Store) -> None:
        await begin(store)
        with store.signals.watch("r1") as watcher:
            await add(store, group(2))
            assert await watcher.wait(5)
            await store.finish("r1", 1, group(3), ENDING)
            assert await watcher.wait(5)
            await store.delete("r1", "ann")
            assert await watcher.wait(5)

    run(store_url, main)


def test_how_far_logs_have_been_written(store_url: str) -> None:
    async def main(store: Store) -> None:
        await begin(store)
        await accept(store, "r2")
        await store.save(make("r3"))
        await add(store, group(2, 3))
        heads = await store.heads(["r1", "r2", "r3", "r9"])
        assert heads == {"r1": (4, True), "r2": (1, True), "r3": (-1, False)}
        await store.finish("r1", 1, group(5), ENDING)
        await store.delete("r2", "ann")
        assert await store.heads(["r1", "r2"]) == {"r1": (5, False)}
        assert await store.heads([]) == {}

    run(store_url, main)


def test_the_next_parts_of_several_logs(store_url: str) -> None:
    async def main(store: Store) -> None:
        ids = [f"r{number}" for number in range(5)]
        for id_ in ids:
            await begin(store, id_)
        for first in range(2, 102, 2):
            assert not await store.append({id_: (1, group(first, 2)) for id_ in ids})
        after = {"r0": 101, "r1": 99, "r2": 50, "r3": -1, "r4": 90, "r9": -1}
        read: dict[str, list[Lines]] = {id_: [] for id_ in after}
        while tails := {i: rows for i, rows in (await store.tails(after)).items() if rows}:
            for id_, rows in tails.items():
                read[id_] += rows
                after[id_] = rows[-1].last
        assert not read["r0"]
        assert not read["r9"]
        assert read["r1"] == [group(100, 2)]
        assert read["r2"][0].last == 51
        for id_ in ("r2", "r3", "r4"):
            firsts = [lines.first for lines in read[id_]]
            assert firsts == list(range(firsts[0], 102, 2))
        assert await store.tails({}) == {}

    run(store_url, main)
