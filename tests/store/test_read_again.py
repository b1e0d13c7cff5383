"""What was read of a chain or a conversation is not read again, but no change is missed."""

import asyncio
import tracemalloc
from collections.abc import Awaitable, Callable
from contextlib import suppress

from agent_asgi.store import Store, open_store
from agent_asgi.store.chains import SEGMENT_BYTES, TURN_BYTES, Chains
from agent_asgi.store.conversation_store import Addition
from agent_asgi.store.item_cache import ItemCache, Known
from agent_asgi.store.sql import SqlStore
from agent_asgi.store.turn import NO_CHAIN, Turn
from tests.store.test_conversation_store import some, talk
from tests.store.test_store import make


def turn(id: str, size: int = 10) -> Turn:
    return Turn(id, b"", b"x" * size, "completed", True)


def ids(turns: list[Turn]) -> str:
    return "".join(each.id for each in turns)


def test_chains_that_fork_have_their_beginning_in_common() -> None:
    chains = Chains()
    chains.add(None, [turn("a"), turn("b")])
    chains.add("b", [turn("c")])
    chains.add("b", [turn("d"), turn("e")])
    chains.add("a", [turn("f")])
    chains.add("unknown", [turn("g")])
    assert [ids(chains.get(each)) for each in "abcdefg"] == [
        *("a", "ab", "abc", "abd", "abde", "af", "")
    ]


def test_nothing_after_a_removed_turn_is_known() -> None:
    chains = Chains()
    chains.add(None, [turn("a"), turn("b"), turn("c")])
    chains.add("b", [turn("d")])
    chains.add("a", [turn("e")])
    chains.remove("b")
    chains.add("c", [turn("f"), turn("g")])
    assert [ids(chains.get(each)) for each in "abcdefg"] == ["a", "", "", "", "ae", "", ""]
    for each in "acde":
        chains.remove(each)
    assert not chains._places
    assert not chains._segments
    assert chains._size == 0


def test_chains_used_least_recently_are_forgotten() -> None:
    chains = Chains(max_bytes=2 * SEGMENT_BYTES + 3 * (TURN_BYTES + 10))
    chains.add(None, [turn("a"), turn("b")])
    chains.add(None, [turn("c")])
    chains.get("b")
    chains.add(None, [turn("d")])
    assert [ids(chains.get(each)) for each in "abcd"] == ["a", "ab", "", "d"]
    chains.add(None, [turn("e", 10_000)])
    assert not chains._places


def test_conversations_used_least_recently_are_forgotten() -> None:
    item = {"i": b"x" * 1_000}
    cache = ItemCache(max_bytes=3 * Known(1.0, item).memory)
    for name in "abc":
        cache.put(("", name), Known(1.0, item))
    cache.get(("", "a"))
    cache.put(("", "c"), Known(2.0, item | {"j": b"x"}))
    assert [cache.get(("", each)) is not None for each in "abc"] == [True, False, True]
    cache.forget(("", "a"))
    cache.forget(("", "c"))
    assert cache._size == 0


def test_what_is_kept_of_small_turns_and_items_needs_no_more_memory_than_the_bound() -> None:
    bound = 2 << 20
    chains, cache = Chains(bound), ItemCache(bound)

    def fill(number: int) -> None:
        name = f"resp_{number:032d}"
        chains.add(None, [Turn(name, b"{%d}" % number, b"{%d}" % number, "completed", True)])
        cache.put(("ann", name), Known(float(number), {f"msg_{number:032d}": b"{%d}" % number}))

    tracemalloc.start()
    try:
        for number in range(10_000):
            fill(number)
        used, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert 0.5 < used / (2 * bound) < 1.2


def both(url: str, main: Callable[[Store, Store], Awaitable[None]]) -> None:
    """Run a test with two servers' stores of one database."""

    async def opened() -> None:
        stores = [open_store(url) for _ in range(2)]
        for store in stores:
            await store.open()
        try:
            await main(*stores)
        finally:
            for store in stores:
                await store.close()

    asyncio.run(opened())


def test_a_response_that_another_server_deletes_is_missed(durable_url: str) -> None:
    async def main(here: Store, there: Store) -> None:
        for number in range(1, 5):
            previous = f"r{number - 1}" if number > 1 else None
            await there.save(make(f"r{number}", previous_id=previous))
            turns = (await here.chain(f"r{number}", "ann")).turns
            assert [each.id for each in turns] == [f"r{n}" for n in range(1, number + 1)]
        assert await here.chain("r4", "bob") == NO_CHAIN
        assert await there.delete("r2", "ann")
        assert await here.chain("r4", "ann") == await here.chain("r3", "ann") == NO_CHAIN
        assert len((await here.chain("r1", "ann")).turns) == 1

    both(durable_url, main)


def test_what_another_server_changes_in_a_conversation_is_read(durable_url: str) -> None:
    async def main(here: Store, there: Store) -> None:
        async def same() -> list[str]:
            sizes = [await each.conversations.use("c1", "ann") for each in (here, there)]
            histories = [await each.conversations.history("c1", "ann") for each in (here, there)]
            items = await here.conversations.items("c1", "ann")
            assert sizes[0] == sizes[1]
            assert list(histories[0].items()) == list(histories[1].items()) == items
            return list(histories[0])

        await here.conversations.create(talk(), some("i1", "i2"))
        assert await same() == ["i1", "i2"]
        await here.save(make("r1"), Addition("c1", some("i3")))
        assert await same() == ["i1", "i2", "i3"]
        await there.save(make("r2"), Addition("c1", some("i3", "i4")))
        assert await same() == ["i1", "i2", "i3", "i4"]
        await there.save(make("r3"), Addition("c1", some("i5"), "i2"))
        assert await same() == ["i1", "i2", "i5"]
        await here.conversations.remove("c1", "ann", "i1")
        await there.conversations.add("c1", "ann", some("i6"))
        assert await same() == ["i2", "i5", "i6"]
        await there.conversations.delete("c1", "ann")
        assert await here.conversations.history("c1", "ann") == {}
        await there.conversations.create(talk(), some("i7"))
        assert await same() == ["i7"]

    both(durable_url, main)


def test_an_addition_that_fails_is_not_in_the_conversation(durable_url: str) -> None:
    async def main(here: Store, _: Store) -> None:
        assert isinstance(here, SqlStore)
        await here.conversations.create(talk(), some("i1"))
        assert list(await here.conversations.history("c1", "ann")) == ["i1"]
        with suppress(ZeroDivisionError):
            async with here._database.writing() as db:
                assert await here.conversations.append(db, "ann", Addition("c1", some("i2")))
                raise ZeroDivisionError
        assert await here.conversations.use("c1", "ann") == (1, len(some("i1")[0].data))
        assert list(await here.conversations.history("c1", "ann")) == ["i1"]

    both(durable_url, main)


def test_an_addition_that_fails_is_not_in_the_one_that_waited_for_it(postgres: str) -> None:
    async def main(here: Store, _: Store) -> None:
        assert isinstance(here, SqlStore)
        database, conversations = here._database, here.conversations
        ready, go = asyncio.Event(), asyncio.Event()

        async def fail() -> None:
            with suppress(ZeroDivisionError):
                async with database.writing() as db:
                    await ready.wait()
                    go.set()
                    assert await conversations.append(db, "ann", Addition("c1", some("lost")))
                    raise ZeroDivisionError

        async def succeed() -> None:
            async with database.writing() as db:
                ready.set()
                await go.wait()
                assert await conversations.append(db, "ann", Addition("c1", some("i2")))

        await conversations.create(talk(), some("i1"))
        await conversations.history("c1", "ann")
        await asyncio.gather(fail(), succeed())
        items = some("i1", "i2")
        assert await conversations.items("c1", "ann") == items
        assert list((await conversations.history("c1", "ann")).items()) == items
        size = sum(len(item.data) for item in items)
        assert await conversations.use("c1", "ann") == (2, size)

    both(postgres, main)
