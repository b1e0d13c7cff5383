"""What every store promises about conversations: memory, SQLite and a real PostgreSQL."""

import asyncio
import json
import time
from collections.abc import Iterable
from typing import Any

import pytest
from msgspec import structs

from agent_asgi.store import MemoryStore, Store
from agent_asgi.store.conversation_store import Addition, Conversation, ItemExists, StoredItem
from tests.store.test_store import ENDING, LONG, begin, group, lost, make, run


def talk(id: str = "c1", **more: Any) -> Conversation:
    """Make a conversation."""
    return structs.replace(Conversation(id, "ann", 100.0), **more)


def some(*ids: str, text: str = "x") -> list[StoredItem]:
    """Make items."""
    return [
        StoredItem(id_, b'{"id":"%b","text":"%b"}' % (id_.encode(), text.encode())) for id_ in ids
    ]


async def ids_of(store: Store, id: str = "c1", owner: str = "ann", **more: Any) -> list[str] | None:
    """Return the ids of a conversation's items."""
    items = await store.conversations.items(id, owner, **more)
    return None if items is None else [item.id for item in items]


def test_a_conversation_is_created_with_its_items(store_url: str) -> None:
    async def main(store: Store) -> None:
        full = talk(metadata=b'{"a":"b"}', expires_at=time.time() + LONG)
        await store.conversations.create(full, some("i2", "i1"))
        assert await store.conversations.get("c1", "ann") == full
        assert await store.conversations.items("c1", "ann") == some("i2", "i1")
        assert await store.conversations.item("c1", "ann", "i1") == some("i1")[0]
        size = sum(len(item.data) for item in some("i2", "i1"))
        assert await store.conversations.use("c1", "ann") == (2, size)
        assert await store.conversations.get("c2", "ann") is None
        assert await store.conversations.item("c1", "ann", "i3") is None

    run(store_url, main)


def test_what_is_handed_out_is_a_copy(store_url: str) -> None:
    async def main(store: Store) -> None:
        given = talk()
        await store.conversations.create(given)
        got = await store.conversations.get("c1", "ann")
        listed = await store.conversations.page("ann", None, 1) or []
        changed = await store.conversations.set_metadata("c1", "ann", b'{"a":"b"}')
        for each in (given, got, changed, *listed):
            assert each is not None
            each.metadata = b"spoilt"
        kept = await store.conversations.get("c1", "ann")
        assert kept is not None
        assert kept.metadata == b'{"a":"b"}'

    run(store_url, main)


def test_another_owners_conversation_is_not_there(store_url: str) -> None:
    async def main(store: Store) -> None:
        conversations = store.conversations
        await conversations.create(talk(), some("i1"))
        assert await conversations.get("c1", "bob") is None
        assert await conversations.use("c1", "bob") is None
        assert await conversations.set_metadata("c1", "bob", b"{}") is None
        assert await ids_of(store, owner="bob") == []
        assert await conversations.item("c1", "bob", "i1") is None
        assert not await conversations.remove("c1", "bob", "i1")
        assert not await conversations.add("c1", "bob", some("i2"))
        assert not await conversations.delete("c1", "bob")
        assert await conversations.page("bob", None, 9) == []
        assert await conversations.page("bob", "c1", 9) is None
        await store.save(make(owner="bob"), Addition("c1", some("i3"), ""))
        assert await ids_of(store) == ["i1"]

    run(store_url, main)


def test_two_owners_may_use_one_name(store_url: str) -> None:
    async def main(store: Store) -> None:
        for owner in ("ann", "bob"):
            assert await store.conversations.use("talk", owner) is None
            assert await store.conversations.use("talk", owner, create=True) == (0, 0)
            assert await store.conversations.add("talk", owner, some(owner, "same"))
        for owner in ("ann", "bob"):
            assert await ids_of(store, "talk", owner) == [owner, "same"]
        assert await store.conversations.delete("talk", "ann")
        assert await ids_of(store, "talk", "bob") == ["bob", "same"]
        assert await ids_of(store, "talk", "ann") == []

    run(store_url, main)


def test_a_conversation_is_created_at_first_use_only(store_url: str) -> None:
    async def main(store: Store) -> None:
        uses = [store.conversations.use("talk", "ann", create=True) for _ in range(6)]
        assert await asyncio.gather(*uses) == [(0, 0)] * 6
        await store.conversations.add("talk", "ann", some("i1"))
        size = await store.conversations.use("talk", "ann", create=True)
        assert size == (1, len(some("i1")[0].data))

    run(store_url, main)


def test_items_are_appended_once(store_url: str) -> None:
    async def main(store: Store) -> None:
        await store.conversations.create(talk(), some("i1"))
        more = some("i2", "i1", "i3", "i2")
        assert await store.conversations.add("c1", "ann", more) == more
        assert await ids_of(store) == ["i1", "i2", "i3"]
        with pytest.raises(ItemExists, match="i1"):
            await store.conversations.add("c1", "ann", [*some("i4"), *some("i1", text="new")])
        assert await ids_of(store) == ["i1", "i2", "i3"]
        assert await store.conversations.item("c1", "ann", "i1") == some("i1")[0]
        assert not await store.conversations.add("c9", "ann", some("i1"))
        assert await ids_of(store, "c9") == []

    run(store_url, main)


def test_what_a_run_adds_is_kept_under_a_new_id_if_its_id_is_used(store_url: str) -> None:
    async def main(store: Store) -> None:
        await store.conversations.create(talk(), some("i1"))
        added = [*some("i1", text="new"), *some("i1"), *some("i2"), *some("i2", text="new")]
        await store.save(make(), Addition("c1", added))
        items = await store.conversations.items("c1", "ann") or []
        assert [json.loads(item.data)["text"] for item in items] == ["x", "new", "x", "new"]
        assert [item.id for item in items] == [json.loads(item.data)["id"] for item in items]
        assert len({item.id for item in items}) == 4

    run(store_url, main)


def test_items_appended_at_the_same_time_are_all_there(store_url: str) -> None:
    async def main(store: Store) -> None:
        await store.conversations.create(talk())
        groups = [[f"{n}{m}" for m in range(3)] for n in range(6)]
        await asyncio.gather(*(store.conversations.add("c1", "ann", some(*g)) for g in groups))
        found = await ids_of(store) or []
        assert sorted(found) == sorted(id_ for each in groups for id_ in each)
        for each in groups:
            first = found.index(each[0])
            assert found[first : first + 3] == each

    run(store_url, main)


def test_items_are_paged_in_both_orders(store_url: str) -> None:
    async def main(store: Store) -> None:
        await store.conversations.create(talk(), some("a", "b", "c", "d"))
        assert await ids_of(store, limit=2) == ["a", "b"]
        assert await ids_of(store, after="b") == ["c", "d"]
        assert await ids_of(store, after="d") == []
        assert await ids_of(store, newest_first=True, limit=3) == ["d", "c", "b"]
        assert await ids_of(store, newest_first=True, after="b", limit=3) == ["a"]
        assert await ids_of(store, after="z") is None

    run(store_url, main)


def test_an_item_is_removed(store_url: str) -> None:
    async def main(store: Store) -> None:
        await store.conversations.create(talk(), some("a", "b", "c"))
        assert await store.conversations.remove("c1", "ann", "c")
        assert not await store.conversations.remove("c1", "ann", "c")
        await store.conversations.add("c1", "ann", some("d", "c"))
        assert await ids_of(store) == ["a", "b", "d", "c"]
        assert (await store.conversations.use("c1", "ann") or (0,))[0] == 4

    run(store_url, main)


def test_a_conversation_goes_with_its_items(store_url: str) -> None:
    async def main(store: Store) -> None:
        for way in ("delete", "expire"):
            expires_at = 1.0 if way == "expire" else 0.0
            await store.conversations.create(talk(expires_at=expires_at), some("i1"))
            await store.conversations.create(talk("c2"), some("i1"))
            assert await store.sweep() == 0
            if way == "delete":
                assert await store.conversations.delete("c1", "ann")
            assert not await store.conversations.delete("c1", "ann")
            assert await store.conversations.get("c1", "ann") is None
            assert await ids_of(store) == []
            assert await ids_of(store, "c2") == ["i1"]
            await store.conversations.create(talk())
            assert await ids_of(store) == []
            assert await store.conversations.delete("c1", "ann")
            await store.conversations.delete("c2", "ann")

    run(store_url, main)


@pytest.mark.parametrize("way", ["use", "add", "remove", "set_metadata", "save", "finish"])
def test_a_conversation_that_is_used_lives_on(store_url: str, way: str) -> None:
    async def main(store: Store) -> None:
        conversations = store.conversations
        soon = time.time() + LONG
        await conversations.create(talk(expires_at=soon), some("i1"))
        if way == "use":
            await conversations.use("c1", "ann")
        elif way == "add":
            await conversations.add("c1", "ann", [])
        elif way == "remove":
            await conversations.remove("c1", "ann", "i1")
        elif way == "set_metadata":
            await conversations.set_metadata("c1", "ann", b"{}")
        elif way == "save":
            await store.save(make(), Addition("c1", some("i2")))
        else:
            await begin(store)
            ending = structs.replace(ENDING, addition=Addition("c1", some("i2")))
            await store.finish("r1", 1, group(2), ending)
        kept = await conversations.get("c1", "ann")
        assert kept is not None
        assert kept.expires_at > soon + LONG

    run(store_url, main)


def test_conversations_are_listed_newest_first(store_url: str) -> None:
    async def main(store: Store) -> None:
        async def page(after: str | None, limit: int) -> Iterable[str] | None:
            found = await store.conversations.page("ann", after, limit)
            return None if found is None else [each.id for each in found]

        assert await page(None, 9) == []
        for id_, created_at in (("c1", 10.0), ("c3", 20.0), ("c2", 20.0), ("c4", 30.0)):
            await store.conversations.create(talk(id_, created_at=created_at))
        await store.conversations.create(talk("c5", owner="bob"))
        await store.conversations.use("c1", "ann")
        assert await page(None, 9) == ["c4", "c3", "c2", "c1"]
        assert await page(None, 2) == ["c4", "c3"]
        assert await page("c3", 2) == ["c2", "c1"]
        assert await page("c1", 2) == []
        assert await page("c5", 2) is None

    run(store_url, main)


@pytest.mark.parametrize("way", ["save", "finish"])
def test_a_run_adds_to_its_conversation_in_the_step_that_ends_it(store_url: str, way: str) -> None:
    async def main(store: Store) -> None:
        async def end(id: str, addition: Addition) -> None:
            if way == "save":
                await store.save(make(id), addition)
                await store.save(make(id), addition)  # a retry
            else:
                await begin(store, id)
                ending = structs.replace(ENDING, addition=addition)
                await store.finish(id, 1, group(2), ending)

        await store.conversations.create(talk(), some("a", "b", "c"))
        await end("r1", Addition("c1", some("d", "b")))
        assert await ids_of(store) == ["a", "b", "c", "d"]
        await end("r2", Addition("c1", some("e"), "b"))
        assert await ids_of(store) == ["a", "b", "e"]
        await end("r3", Addition("c1", some("f"), "gone"))
        assert await ids_of(store) == ["a", "b", "e", "f"]
        await end("r4", Addition("c1", some("b", "g"), ""))
        assert await ids_of(store) == ["b", "g"]
        await end("r5", Addition("deleted", some("h")))
        assert await store.conversations.get("deleted", "ann") is None
        assert await ids_of(store, "deleted") == []
        assert await store.get("r5", "ann")

    run(store_url, main)


def test_a_lost_run_adds_nothing(store_url: str) -> None:
    async def main(store: Store) -> None:
        await store.conversations.create(talk())
        await begin(store)
        await store.claim("r1", "p1", LONG)
        await lost(store, 1, structs.replace(ENDING, addition=Addition("c1", some("a"))))
        assert await ids_of(store) == []

    run(store_url, main)


def test_memory_keeps_the_conversations_used_last(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        store = MemoryStore(max_responses=3)
        for id_ in ("c1", "c2", "c3"):
            await store.conversations.create(talk(id_), some("a" * 100))
        await store.conversations.use("c1", "ann")
        await store.conversations.create(talk("c4"), some("a" * 100))
        assert await store.conversations.get("c2", "ann") is None
        monkeypatch.setattr("agent_asgi.store.conversation_memory.MAX_BYTES", 300)
        await store.conversations.use("c1", "ann")
        kept = await store.conversations.page("ann", None, 9) or []
        assert sorted(each.id for each in kept) == ["c1", "c4"]
        await store.conversations.add("c1", "ann", some("b" * 1000))
        kept = await store.conversations.page("ann", None, 9) or []
        assert [each.id for each in kept] == ["c1"]

    asyncio.run(main())
