"""Operations that come while an earlier one is in progress are done together."""

import asyncio
from collections.abc import Sequence

import pytest

from agent_asgi.store import gather
from agent_asgi.store.base import StoreUnavailable
from agent_asgi.store.gather import ALONE, Alone, Gather


class Doubling:
    """Doubles numbers; a negative one fails, alone or together with others."""

    def __init__(self) -> None:
        self.batches: list[Sequence[int]] = []
        self.go = asyncio.Event()

    async def __call__(self, numbers: Sequence[int]) -> Sequence[int]:
        self.batches.append(numbers)
        await self.go.wait()
        if min(numbers) < 0:
            raise ValueError(min(numbers))
        return [2 * number for number in numbers]


async def asked(double: Gather[int, int], *numbers: int) -> list[asyncio.Task[int]]:
    """Ask for several numbers at once."""
    tasks = [asyncio.create_task(_ask(double, number)) for number in numbers]
    await asyncio.sleep(0.01)
    return tasks


async def _ask(double: Gather[int, int], number: int) -> int:
    return await double(number)


def test_what_comes_meanwhile_is_done_together() -> None:
    async def main() -> None:
        doubling = Doubling()
        double = Gather(doubling)
        tasks = await asked(double, 1)
        tasks += await asked(double, 2)
        tasks += await asked(double, 3)
        doubling.go.set()
        assert await asyncio.gather(*tasks) == [2, 4, 6]
        assert doubling.batches == [[1], [2, 3]]
        assert await double(4) == 8

    asyncio.run(main())


def test_many_are_done_in_several_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gather, "MOST", 2)

    async def main() -> None:
        doubling = Doubling()
        doubling.go.set()
        tasks = await asked(Gather(doubling), 1, 2, 3, 4, 5)
        assert await asyncio.gather(*tasks) == [2, 4, 6, 8, 10]
        assert doubling.batches == [[1, 2], [3, 4], [5]]

    asyncio.run(main())


def test_an_error_reaches_its_own_caller_alone() -> None:
    async def main() -> None:
        doubling = Doubling()
        doubling.go.set()
        tasks = await asked(Gather(doubling), 1, -2, 3)
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert results[0] == 2
        assert isinstance(results[1], ValueError)
        assert results[2] == 6

    asyncio.run(main())


def test_an_error_among_the_results_is_raised() -> None:
    async def double(numbers: Sequence[int]) -> Sequence[int | Exception]:
        return [2 * number if number > 0 else ValueError(number) for number in numbers]

    async def main() -> None:
        tasks = await asked(Gather(double), 1, -2)
        assert await tasks[0] == 2
        with pytest.raises(ValueError, match="-2"):
            await tasks[1]

    asyncio.run(main())


def test_what_is_done_alone_holds_up_no_other() -> None:
    go = asyncio.Event()
    alone = []

    async def double(numbers: Sequence[int]) -> Sequence[int | Alone]:
        if len(numbers) == 1 and numbers[0] < 0:
            alone.append(numbers[0])
            await go.wait()
            return [2 * numbers[0]]
        return [2 * number if number > 0 else ALONE for number in numbers]

    async def main() -> None:
        doubled = Gather(double)
        tasks = await asked(doubled, 1, -2, -3, -4, 5)
        assert [task.done() for task in tasks] == [True, False, False, False, True]
        assert await doubled(6) == 12
        assert alone == [-2, -3], "only some at the same time"
        go.set()
        assert await asyncio.gather(*tasks) == [2, -4, -6, -8, 10]

    asyncio.run(main())


def test_nothing_is_repeated_while_the_store_does_not_answer() -> None:
    calls = []

    async def fail(numbers: Sequence[int]) -> Sequence[int]:
        calls.append(numbers)
        raise StoreUnavailable

    async def main() -> None:
        tasks = await asked(Gather(fail), 1, 2)
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert [type(each) for each in results] == [StoreUnavailable, StoreUnavailable]

    asyncio.run(main())
    assert calls == [[1, 2]]


def test_a_slow_operation_holds_up_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gather, "SLOW_SECONDS", 0.05)

    async def main() -> None:
        doubling = Doubling()
        double = Gather(doubling)
        slow, *_ = await asked(double, 1)
        async with asyncio.timeout(10):
            next_one, *_ = await asked(double, 2)
            while len(doubling.batches) < 2:
                await asyncio.sleep(0.01)
            doubling.go.set()
            assert (await slow, await next_one) == (2, 4)

    asyncio.run(main())


def test_a_caller_that_is_gone_harms_no_other() -> None:
    async def main() -> None:
        doubling = Doubling()
        tasks = await asked(Gather(doubling), 1, 2)
        tasks[0].cancel()
        await asyncio.wait([tasks[0]])
        doubling.go.set()
        assert await tasks[1] == 4

    asyncio.run(main())
