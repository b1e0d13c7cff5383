"""Approval requests and saved states, in each store."""

import asyncio

import pytest
from msgspec import structs

from agent_asgi.errors import InvalidRequest
from agent_asgi.store import Store, open_store
from agent_asgi.store.approval_claim import AlreadyAnswered, ApprovalClaim, Asked
from tests.store.test_store import ENDING, LONG, accept, begin, group, make, run

BOTH = ApprovalClaim(
    "r1", {"m1": "input[0].approval_request_id", "m2": "input[1].approval_request_id"}
)
ONE = ApprovalClaim("r1", {"m2": "input[0].approval_request_id"})


async def ask(store: Store) -> None:
    """Save a response that asks for two approvals."""
    await store.save(make(approvals=("m1", "m2"), state=b"\x00state"))


def test_approval_requests_and_state_are_found(store_url: str) -> None:
    async def main(store: Store) -> None:
        await ask(store)
        await ask(store)  # a retry
        asked = Asked("r1", "tutor", None)
        assert await store.find_approvals(["m1", "m2", "m3"], "ann") == {"m1": asked, "m2": asked}
        assert await store.find_approvals(["m1"], "bob") == {}
        assert await store.state("r1") == b"\x00state"
        assert await store.state("r2") is None
        await store.save(make("r2", approvals=("m1",), created_at=200.0))
        await store.claim_approvals(ONE, "r3")
        assert await store.find_approvals(["m1", "m2"], "ann") == {
            "m1": Asked("r2", "tutor", None),
            "m2": Asked("r1", "tutor", "r3"),
        }

    run(store_url, main)


def test_a_detached_run_keeps_them_when_it_ends(store_url: str) -> None:
    async def main(store: Store) -> None:
        await begin(store)
        assert await store.find_approvals(["m1"], "ann") == {}
        ending = structs.replace(ENDING, approvals=("m1",), state=b"state")
        await store.finish("r1", 1, group(2), ending)
        assert await store.find_approvals(["m1"], "ann") == {"m1": Asked("r1", "tutor", None)}
        assert await store.state("r1") == b"state"

    run(store_url, main)


def test_approval_requests_are_claimed_once_all_together(store_url: str) -> None:
    async def main(store: Store) -> None:
        await ask(store)
        await store.claim_approvals(ONE, "r2")
        with pytest.raises(InvalidRequest, match="has already been answered") as raised:
            await store.claim_approvals(BOTH, "r3")
        assert raised.value.param == "input[0].approval_request_id"  # closed by the other answer
        await store.release_approvals("r2")
        await store.claim_approvals(BOTH, "r3")  # the failed claim left nothing claimed
        await store.release_approvals("r2")
        with pytest.raises(InvalidRequest):
            await store.claim_approvals(ONE, "r2")

    run(store_url, main)


def test_a_detached_run_claims_them_when_it_is_accepted(store_url: str) -> None:
    async def main(store: Store) -> None:
        await ask(store)
        assert await accept(store, "r2", approval_claim=BOTH, key="k") is None
        earlier = await accept(store, "r3", approval_claim=BOTH, key="k")
        assert earlier is not None  # a retry does not claim
        assert earlier.id == "r2"
        with pytest.raises(InvalidRequest):
            await accept(store, "r4", approval_claim=ONE)
        assert await store.get("r4", "ann") is None

    run(store_url, main)


def test_a_run_that_never_started_gives_them_back(store_url: str) -> None:
    async def main(store: Store) -> None:
        await ask(store)
        await accept(store, "r2", approval_claim=BOTH)
        await store.claim("r2", "p1", LONG)
        await store.finish("r2", 1, group(2), structs.replace(ENDING, started=False))
        await accept(store, "r3", approval_claim=BOTH)
        assert await store.delete("r3", "ann")  # while it is queued
        await accept(store, "r4", approval_claim=BOTH)
        await store.claim("r4", "p1", LONG)
        await store.finish("r4", 1, group(2), ENDING)
        assert await store.delete("r4", "ann")
        with pytest.raises(InvalidRequest):
            await store.claim_approvals(ONE, "r5")

    run(store_url, main)


def test_they_are_deleted_with_their_response(store_url: str) -> None:
    async def main(store: Store) -> None:
        await ask(store)
        assert await store.delete("r1", "ann")
        assert await store.find_approvals(["m1"], "ann") == {}
        assert await store.state("r1") is None
        with pytest.raises(InvalidRequest):
            await store.claim_approvals(ONE, "r2")
        await store.save(make(expires_at=1.0, approvals=("m1",), state=b"state"))
        assert await store.sweep() == 1
        assert await store.state("r1") is None

    run(store_url, main)


def test_of_two_servers_one_claims(postgres: str) -> None:
    async def main() -> None:
        first, second = open_store(postgres), open_store(postgres)
        await asyncio.gather(first.open(), second.open())
        await ask(first)
        claims = [
            store.claim_approvals(BOTH, f"r{number}")
            for number in range(2, 22, 2)
            for store in (first, second)
        ]
        results = await asyncio.gather(*claims, return_exceptions=True)
        await asyncio.gather(first.close(), second.close())
        assert sorted(type(result).__name__ for result in results) == (
            [AlreadyAnswered.__name__] * 19 + ["NoneType"]
        )

    asyncio.run(main())
