"""What receivers have not accepted yet, in every store: how much of it, and for how long."""

import logging
import time
from collections.abc import Sequence
from typing import Any

import pytest
from msgspec import structs

from agent_asgi.store import Store, delivery_memory
from agent_asgi.store.base import DAY
from agent_asgi.store.delivery_store import Delivery, Notice, Subscription
from tests.store.test_store import ENDING, LONG, begin, found, group, run


def delivery(id: str, receiver: str = "a", age: float = 0.0, body: bytes = b"{}") -> Delivery:
    return Delivery(id, receiver, f"https://{receiver}", body, time.time() - age)


async def end(store: Store, id: str, *deliveries: Delivery, notices: Sequence[Notice] = ()) -> None:
    """Execute a run whose end is to be delivered."""
    await begin(store, id)
    ending = structs.replace(ENDING, deliveries=deliveries, notices=notices)
    await store.finish(id, 1, group(2), ending)


async def take(store: Store, limit: int = 20, **room: int) -> list[str]:
    """Return the ids of what is taken for receivers with room."""
    return [each.id for each in await store.deliveries.take(room, limit, LONG)]


def test_one_receiver_takes_only_its_room(store_url: str) -> None:
    async def main(store: Store) -> None:
        await end(store, "r1", *(delivery(f"a{number}") for number in range(6)))
        await end(store, "r2", delivery("b0", "b"), delivery("c0", "c"))
        assert sorted(await take(store, a=4, b=4)) == ["a0", "a1", "a2", "a3", "b0"]
        assert await take(store, b=4) == []
        assert sorted(await take(store, a=1, c=4)) == ["a4", "c0"]
        await store.deliveries.remove("a4")
        assert await take(store, a=4) == ["a5"]

    run(store_url, main)


def test_many_for_one_receiver_do_not_hide_the_others(store_url: str) -> None:
    async def main(store: Store) -> None:
        await end(store, "r1", *(delivery(f"a{number}") for number in range(9)))
        await end(store, "r2", delivery("b0", "b"))
        room = {"a": 2, "b": 2}
        taken: list[str] = []
        while room:  # as the deliverer does
            ids = await take(store, 3, **room)
            taken += ids
            counts = {name: sum(id_.startswith(name) for id_ in taken) for name in room}
            room = {name: 2 - count for name, count in counts.items() if count < 2 and ids}
        assert sorted(taken) == ["a0", "a1", "b0"]

    run(store_url, main)


@pytest.mark.parametrize("bound", ["MAX_DELIVERIES", "MAX_BYTES"])
def test_memory_gives_up_the_oldest(
    bound: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(delivery_memory, bound, 3 if bound == "MAX_DELIVERIES" else 30)

    async def main(store: Store) -> None:
        await end(store, "r1", *(delivery(f"a{number}", body=b"x" * 10) for number in range(3)))
        await store.deliveries.remove("a0")
        await store.deliveries.remove("a0")
        with caplog.at_level(logging.ERROR, "agent_asgi"):
            await end(store, "r2", delivery("b0", body=b"x" * 10))
            assert not caplog.records
            await end(store, "r3", delivery("b1", body=b"x" * 10), delivery("b2", body=b"x" * 10))
        assert await take(store, a=9) == ["b0", "b1", "b2"]
        assert [each.args for each in caplog.records] == [("a1", "a"), ("a2", "a")]

    run("memory://", main)


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_what_nobody_has_called_for_a_week_is_given_up(
    kind: str, tmp_path: Any, request: pytest.FixtureRequest, caplog: pytest.LogCaptureFixture
) -> None:
    url = f"sqlite:///{tmp_path}/r.db"
    if kind == "postgres":
        url = request.getfixturevalue("postgres")

    async def main(store: Store) -> None:
        await end(store, "r1", delivery("old", age=8 * DAY), delivery("new", age=6 * DAY))
        with caplog.at_level(logging.ERROR, "agent_asgi"):
            await store.sweep()
            await store.sweep()
        assert await take(store, a=9) == ["new"]
        assert [each.getMessage()[:27] for each in caplog.records] == [
            "1 deliveries are given up: "
        ]

    run(url, main)


def test_a_notice_is_made_only_for_those_who_want_it(
    store_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    made: list[str] = []

    def body() -> bytes:
        made.append("body")
        return b"ended"

    def broken() -> bytes:
        raise KeyError("r3")

    async def subscribe(store: Store, id: str) -> None:
        assert await store.deliveries.subscribe(Subscription(id, "s", "a", "https://a", b"{}"))

    async def main(store: Store) -> None:
        await end(store, "r1", notices=[Notice("r1", body)])
        assert (made, await take(store, a=9)) == ([], [])
        await subscribe(store, "r1")
        await end(store, "r2", notices=[Notice("r1", body)])
        (sent,) = await store.deliveries.take({"a": 9}, 9, LONG)
        assert (made, sent.body, sent.response_id) == (["body"], b"ended", "r1")
        await end(store, "r3", notices=[Notice("r1", broken)])
        assert (await found(store, "r3")).status == "completed"
        assert await take(store, a=9) == []
        assert "r1: its subscribers are not notified" in caplog.text

    run(store_url, main)
