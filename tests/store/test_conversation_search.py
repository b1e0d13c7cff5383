"""The search of conversations: memory, SQLite and a real PostgreSQL find the same."""

import asyncio
from itertools import pairwise
from typing import Any

import pytest
from sqlalchemy import event

from agent_asgi.schema import codec
from agent_asgi.store import Store
from agent_asgi.store.conversation_search import Search
from agent_asgi.store.conversation_store import MAX_LOOKED, Conversation, StoredItem
from agent_asgi.store.sql import SqlStore
from tests.store.test_store import run


async def talk(
    store: Store, id: str, *items: dict[str, Any], owner: str = "ann", at: float = 0.0, **pairs: str
) -> None:
    """Store a conversation."""
    stored = [StoredItem(f"i{n}", codec.encode(item)) for n, item in enumerate(items)]
    await store.conversations.create(Conversation(id, owner, at, codec.encode(pairs)), stored)


def said(text: str) -> dict[str, Any]:
    """Return a message of the user's."""
    content = [{"type": "input_text", "text": text}]
    return {"type": "message", "role": "user", "id": "msg_1", "content": content}


async def found(store: Store, text: str, limit: int = 10, owner: str = "ann") -> list[str] | None:
    result = await store.conversations.search(owner, text, None, limit)
    return None if result is None else [each.id for each in result.conversations]


def test_a_text_is_found_in_titles_names_and_items_of_the_owner_alone(store_url: str) -> None:
    async def main(store: Store) -> None:
        await talk(store, "c1", said("How much TAX do I pay?"), at=1.0)
        await talk(store, "c2", at=2.0, title="My taxes")
        await talk(store, "c3", said("Hello"), at=3.0, title="Greetings")
        await talk(store, "tax-2026", at=4.0)
        await talk(store, "c5", said("tax"), owner="bob", at=5.0)
        assert await found(store, "tax") == ["tax-2026", "c2", "c1"]
        assert await found(store, "Tax", owner="bob") == ["c5"]
        assert await found(store, "how much tax do") == ["c1"]
        assert await found(store, "nothing") == []

    run(store_url, main)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("100%", ["percent"]),
        ("a_b", ["underscore"]),
        ("\\", ["escaped"]),
        ('say "hi"', ["escaped"]),
        ("größe", ["umlaut"]),
        ("GRÖSSE", []),
        ("日本", ["kanji"]),
        ("line\nbreak", ["escaped"]),
    ],
)
def test_wildcards_and_escapes_are_characters(
    store_url: str, text: str, expected: list[str]
) -> None:
    async def main(store: Store) -> None:
        await talk(store, "percent", said("100% sure"))
        await talk(store, "underscore", said("a_b"))
        await talk(store, "decoy", said("100 axb grosse"))
        await talk(store, "umlaut", title="GRÖßE")
        await talk(store, "kanji", {"type": "message", "content": "日本語"})
        await talk(store, "escaped", said('say "hi" \\ line\nbreak'))
        assert await found(store, text) == expected

    run(store_url, main)


def test_types_roles_ids_and_hidden_calls_are_not_searched(store_url: str) -> None:
    async def main(store: Store) -> None:
        hidden = {"type": "mcp_call", "name": "secret_tool", "output": "secret", "id": "mcp_1"}
        kept = {"agent_asgi:call_id": "call_1", "agent_asgi:hidden": True}
        call = {"type": "function_call", "name": "weather", "arguments": '{"city": "Oslo"}'}
        image = {"type": "input_image", "image_url": "data:image/png;base64,AAAA"}
        message = {"type": "message", "role": "user", "content": [image]}
        await talk(store, "c1", said("Hi"), hidden | kept, call, message)
        for text in ("message", "user", "input_text", "msg_1", "secret", "base64", "call_1"):
            assert await found(store, text) == []
        assert await found(store, "oslo") == ["c1"]
        assert await found(store, "weather") == ["c1"]

    run(store_url, main)


def test_a_search_goes_on_after_its_last_conversation(store_url: str) -> None:
    async def main(store: Store) -> None:
        for number in range(6):
            await talk(store, f"c{number}", said("match" if number % 2 else "no"), at=number)
        first = await store.conversations.search("ann", "match", None, 2)
        assert first is not None
        assert [each.id for each in first.conversations] == ["c5", "c3"]
        assert first.last == "c3"
        second = await store.conversations.search("ann", "match", first.last, 2)
        assert second is not None
        assert [each.id for each in second.conversations] == ["c1"]
        assert second.last is None
        assert await store.conversations.search("ann", "match", "c9", 2) is None

    run(store_url, main)


def test_one_search_looks_at_a_bounded_number_and_at_all_items_of_each(store_url: str) -> None:
    async def main(store: Store) -> None:
        decoys = [said("no") for _ in range(70)]  # "user" is in each, but not in its words
        await talk(store, "oldest", *decoys, said("a user"), at=0.0)
        for number in range(MAX_LOOKED):
            await talk(store, f"c{number}", said("no"), at=1.0 + number)
        first = await store.conversations.search("ann", "user", None, 5)
        assert first is not None
        assert (first.conversations, first.last) == ([], "c0")
        second = await store.conversations.search("ann", "user", first.last, 5)
        assert second is not None
        assert [each.id for each in second.conversations] == ["oldest"]

    run(store_url, main)


def test_a_search_looks_at_no_further_conversation_after_a_number_of_bytes(
    store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent_asgi.store.conversation_store.MAX_LOOKED_BYTES", 2_000)

    async def main(store: Store) -> None:
        for number in range(5):
            text = "no" if number else "100%"
            await talk(store, f"c{number}", said("no" * 600), said(text), at=number)
        pages: list[tuple[list[str], str | None]] = []
        last: str | None = None
        while not pages or last is not None:
            page = await store.conversations.search("ann", "%", last, 5)
            assert page is not None
            last = page.last
            pages.append(([each.id for each in page.conversations], last))
        assert pages == [([], "c3"), ([], "c1"), (["c0"], None)]

    run(store_url, main)


def test_other_requests_are_served_while_large_items_are_searched(
    store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main(store: Store) -> None:
        await talk(store, "c1", *[said("x" * 100_000)] * 30)
        others: list[int] = []
        in_item = Search._in_item

        async def serve() -> None:
            while True:
                others.append(0)
                await asyncio.sleep(0)

        def counted(search: Search, data: bytes) -> bool:
            others.append(len(data))
            return in_item(search, data)

        monkeypatch.setattr(Search, "_in_item", counted)
        other = asyncio.create_task(serve())
        assert await found(store, "%") == []
        other.cancel()
        looked = [size for size in others if size]
        assert len(looked) == 30
        assert not any(one and two for one, two in pairwise(others))

    run(store_url, main)


def test_a_database_reads_large_items_a_few_at_once(durable_url: str) -> None:
    async def main(store: Store) -> None:
        assert isinstance(store, SqlStore)
        statements: list[str] = []

        def note(*args: Any) -> None:
            statements.append(args[2])

        await talk(store, "c1", *[said("x" * 100_000)] * 30)
        event.listen(store._database.engine.sync_engine, "before_cursor_execute", note)
        assert await found(store, "%") == []
        assert len(statements) >= 15

    run(durable_url, main)


def test_a_database_looks_for_the_longest_part_that_it_finds_as_it_is() -> None:
    assert Search("100% of Größe").pattern == "% of Gr%"
    assert Search("%_%").pattern == "%%"
