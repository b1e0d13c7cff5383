"""Transactions on PostgreSQL that meet at the same rows wait for each other, without a deadlock."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import psycopg
import pytest

from agent_asgi.store import Store
from agent_asgi.store.approval_claim import ApprovalClaim
from agent_asgi.store.base import StoreUnavailable
from tests.store.test_store import ENDING, LONG, accept, begin, group, make, run

Operation = Callable[[Store], Awaitable[Any]]
WAITING = (
    "SELECT count(*) FROM pg_stat_activity"
    " WHERE datname = current_database() AND wait_event_type = 'Lock'"
)


async def meet(store: Store, url: str, held: str, *operations: Operation) -> None:
    """Start operations one after another while rows are held; each waits before the next starts.

    PostgreSQL serves those that wait for a row in their order, so they meet in the same way each
    time.
    """
    async with await psycopg.AsyncConnection.connect(url) as other:
        await other.execute(f"SELECT 1 FROM {held} FOR UPDATE".encode())
        tasks = []
        async with await psycopg.AsyncConnection.connect(url, autocommit=True) as watching:
            for number, operation in enumerate(operations, 1):
                tasks.append(asyncio.ensure_future(operation(store)))
                until = time.monotonic() + 10
                while not tasks[-1].done() and time.monotonic() < until:
                    row = await (await watching.execute(WAITING)).fetchone()
                    if row is not None and row[0] >= number:
                        break
                    await asyncio.sleep(0.01)
        await other.rollback()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert not [each for each in results if isinstance(each, StoreUnavailable)]


def test_a_heartbeat_meets_the_end_of_a_run(postgres: str) -> None:
    async def main(store: Store) -> None:
        await begin(store)
        assert await store.lock("talk", "ann", "r1", LONG)
        await meet(
            store,
            postgres,
            "agent_asgi_locks",
            lambda store: store.renew("p1", ["r1"], LONG),
            lambda store: store.finish("r1", 1, group(2), ENDING),
        )
        assert await store.lock("talk", "ann", "r2", LONG)

    run(postgres, main)


def test_a_write_meets_the_release_of_all_runs(postgres: str) -> None:
    async def main(store: Store) -> None:
        await begin(store, "r2")
        await begin(store, "r1")
        await meet(
            store,
            postgres,
            "agent_asgi_responses WHERE id = 'r2'",
            lambda store: store.release("p1"),
            lambda store: store.append({"r1": (1, group(2)), "r2": (1, group(2))}),
        )
        assert await store.claim("r1", "p2", LONG)

    run(postgres, main)


def test_an_answer_meets_the_deletion_of_what_it_answers(postgres: str) -> None:
    claim = ApprovalClaim("r1", {"a1": "input[0]"})

    async def main(store: Store) -> None:
        await store.save(make("r1", approvals=("a1", "a2")))
        await meet(
            store,
            postgres,
            "agent_asgi_approvals",
            lambda store: accept(store, "r2", previous_id="r1", approval_claim=claim),
            lambda store: store.delete("r1", "ann"),
        )
        assert await store.get("r1", "ann") is None
        assert await store.get("r2", "ann") is not None

    run(postgres, main)


@pytest.mark.parametrize("table", ["responses", "conversations"])
def test_a_sweep_does_not_wait(postgres: str, table: str) -> None:
    async def main(store: Store) -> None:
        await store.save(make("r1", expires_at=1.0))
        await store.save(make("r2", expires_at=1.0))
        await store.conversations.use("c1", "ann", create=True)
        async with await psycopg.AsyncConnection.connect(postgres) as other:
            await other.execute("UPDATE agent_asgi_conversations SET expires_at = 1")
            await other.commit()
            await other.execute(f"SELECT 1 FROM agent_asgi_{table} LIMIT 1 FOR UPDATE".encode())
            async with asyncio.timeout(10):
                assert await store.sweep() == (1 if table == "responses" else 2)
        assert await store.sweep() == (1 if table == "responses" else 0)
        assert await store.conversations.get("c1", "ann") is None

    run(postgres, main)


def test_the_turn_of_a_run_meets_its_deletion(postgres: str) -> None:
    async def main(store: Store) -> None:
        assert await store.lock("talk", "ann", "r0", LONG)
        assert await store.wait_for("talk", "ann", "r1", LONG, 1, 1)
        await accept(store, "r1", "", 0)
        await store.unlock("r0")
        await meet(
            store,
            postgres,
            "agent_asgi_waiting",
            lambda store: store.claim("r1", "p1", LONG),
            lambda store: store.delete("r1", "ann"),
        )
        assert await store.get("r1", "ann") is None

    run(postgres, main)
