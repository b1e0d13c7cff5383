"""How long conversations are kept: what is continued lives on, what expires does so whole."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest

from agent_asgi import AgentApp, AgentRouter, ResponsesRequest
from agent_asgi.store import Store, base, memory, sql
from agent_asgi.testing import AgentClient
from tests.store.test_store import LONG, begin, make, run
from tests.support.apps import started

DAYS = 40
Body = dict[str, Any]


@pytest.fixture
def pass_days(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Return a function that sets the clock forward."""
    ahead = 0.0
    real = time.time

    def forward(days: int) -> None:
        nonlocal ahead
        ahead += days * base.DAY

    monkeypatch.setattr(time, "time", lambda: real() + ahead)
    return forward


def counting() -> AgentRouter:
    """Make an agent that returns the number of user messages in its conversation."""
    router = AgentRouter()

    @router.invoke
    async def count(request: ResponsesRequest) -> str:
        return str(sum(message["role"] == "user" for message in request.messages))

    return router


def by_response(previous: Body) -> Body:
    """Return how a request continues the response before it."""
    return {"previous_response_id": previous["id"]} if previous else {}


def by_name(_: Body) -> Body:
    """Return how a request continues a named conversation."""
    return {"conversation": "daily"}


@pytest.mark.parametrize("link", [by_response, by_name])
def test_a_conversation_that_is_used_daily_lives_on_and_then_expires_whole(
    store_url: str, pass_days: Callable[[int], None], link: Callable[[Body], Body]
) -> None:
    async def main() -> None:
        app = AgentApp(counting(), store=store_url, single_user=True)
        async with asyncio.timeout(120), started(app):
            client, store = AgentClient(app), app._config.store
            turns: list[Body] = [{}]
            for day in range(1, DAYS + 1):
                answer = await client.post("/responses", {"input": "hi", **link(turns[-1])})
                turns.append(answer.json())
                assert turns[-1]["output"][0]["content"][0]["text"] == str(day)
                pass_days(1)
                await store.sweep()
            pass_days(DAYS)
            await store.sweep()
            for turn in turns[1:]:
                assert (await client.get(f"/responses/{turn['id']}")).status == 404
            last = await client.post("/responses", {"input": "hi", **link(turns[-1])})
            if link is by_response:
                assert last.json()["error"]["code"] == "previous_response_not_found"
            else:
                assert last.json()["output"][0]["content"][0]["text"] == "1"

    asyncio.run(main())


def test_all_branches_of_a_conversation_live_as_long_as_one(store_url: str) -> None:
    async def main(store: Store) -> None:
        now = time.time()
        for id_, previous, expires_at in (
            ("r1", None, now - 2),
            ("left", "r1", now - 1),
            ("right", "r1", now + LONG),
        ):
            await store.save(make(id_, previous_id=previous, expires_at=expires_at))
        assert await store.sweep() == 0
        assert len((await store.chain("left", "ann")).turns) == 2

    run(store_url, main)


def test_a_sweep_leaves_no_half_of_a_chain(store_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (memory, sql):
        monkeypatch.setattr(module, "SWEEP", 1)

    async def main(store: Store) -> None:
        for chain in "ab":
            for number, previous in ((1, None), (2, "1"), (3, "2")):
                previous_id = previous and chain + previous
                await store.save(make(f"{chain}{number}", previous_id=previous_id, expires_at=1.0))
        sizes = []
        for _ in range(3):
            await store.sweep()
            sizes.append([len((await store.chain(f"{chain}3", "ann")).turns) for chain in "ab"])
        assert sizes == [[0, 3], [0, 0], [0, 0]]

    run(store_url, main)


def test_a_chain_is_kept_while_a_run_continues_it(store_url: str) -> None:
    async def main(store: Store) -> None:
        await store.save(make("r1", expires_at=1.0))
        await begin(store, "r2", previous_id="r1", expires_at=1.0)
        assert await store.sweep() == 0
        assert len((await store.chain("r2", "ann")).turns) == 2
        await store.release("p1")
        assert await store.sweep() == 2
        assert await store.get("r1", "ann") is await store.get("r2", "ann") is None

    run(store_url, main)
