"""`Limiter`: users take turns, and a crowd makes room."""

import asyncio
from collections.abc import Iterable

import pytest

from agent_asgi.errors import TooMany
from agent_asgi.runs.admission import Limiter


async def queue_up(limiter: Limiter, users: Iterable[str]) -> tuple[list[str], dict[str, int]]:
    """Let users wait in an order, one run each; return who enters, and how often one is refused."""
    entered, refused = list[str](), dict[str, int]()

    async def run(user: str) -> None:
        try:
            await limiter.enter(user)
        except TooMany:
            refused[user] = refused.get(user, 0) + 1
        else:
            entered.append(user)
            limiter.leave()

    tasks = []
    for user in users:
        tasks.append(asyncio.create_task(run(user)))
        await asyncio.sleep(0)
    limiter.leave()  # of the one who was inside
    await asyncio.gather(*tasks)
    return entered, refused


def test_users_take_turns() -> None:
    async def main() -> None:
        limiter = Limiter(1, "runs", None)
        await limiter.enter("ann")
        entered, refused = await queue_up(limiter, ["ann"] * 50 + ["bob", "carl", "bob"])
        assert entered[:5] == ["ann", "bob", "carl", "ann", "bob"]
        assert (len(entered), refused, limiter.free) == (53, {}, 1)

    asyncio.run(main())


def test_a_single_user_keeps_the_order() -> None:
    async def main() -> None:
        limiter, order = Limiter(1, "runs", None), list[int]()
        await limiter.enter()

        async def run(number: int) -> None:
            await limiter.enter()
            order.append(number)
            limiter.leave()

        tasks = [asyncio.create_task(run(number)) for number in range(9)]
        await asyncio.sleep(0)
        limiter.leave()
        await asyncio.gather(*tasks)
        assert order == list(range(9))

    asyncio.run(main())


def test_a_crowd_makes_room_for_others() -> None:
    async def main() -> None:
        limiter = Limiter(4, "runs", 10)
        for _ in range(4):
            await limiter.enter("ann")
        entered, refused = await queue_up(limiter, ["ann"] * 6 + ["bob", "bob", "bob", "carl"])
        # two of ann's find the room full; then bob takes two places of hers, and carl one
        assert refused == {"ann": 5, "bob": 1}
        assert sorted(entered) == ["ann", "bob", "bob", "carl"]

    asyncio.run(main())


def test_a_wait_that_times_out_leaves_the_line() -> None:
    async def main() -> None:
        limiter = Limiter(1, "runs", 0.01)
        await limiter.enter("ann")
        for _ in range(3):
            with pytest.raises(TooMany):
                await limiter.enter("bob")
        assert (limiter._lines, limiter._waiting) == ({}, 0)
        limiter.leave()
        assert limiter.free == 1

    asyncio.run(main())


def test_whoever_was_put_out_while_leaving_frees_nothing() -> None:
    async def main() -> None:
        limiter = Limiter(2, "runs", 10)
        for _ in range(2):
            await limiter.enter("ann")
        waits = [asyncio.create_task(limiter.enter("ann")) for _ in range(2)]
        await asyncio.sleep(0)
        newcomer = asyncio.create_task(limiter.enter("bob"))
        await asyncio.sleep(0)  # the last of ann's has been put out, but does not know it yet
        waits[1].cancel()
        await asyncio.wait([waits[1]])
        limiter.leave()
        limiter.leave()
        await asyncio.gather(waits[0], newcomer)
        assert limiter.free == 0

    asyncio.run(main())
