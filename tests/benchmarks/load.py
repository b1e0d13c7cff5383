"""Load: so many connections, each asking again as soon as it has its answer."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

from client import Answer, Connection, connect

Check = Callable[[int, bytes], None]


@dataclass(frozen=True)
class Load:
    """What a load gave.

    Args:
        answers: How many whole right answers there were.
        seconds: From the first request to the last answer.
        busy: Share of a core that the load itself used; near 1 it was the limit.
        delays: Seconds each answer took.
    """

    answers: int
    seconds: float
    busy: float
    delays: list[float]

    @property
    def rate(self) -> float:
        """Answers per second."""
        return self.answers / self.seconds


async def closed(
    port: int, request: bytes, check: Check, *, connections: int, seconds: float, most: int = 10**9
) -> Load:
    """Ask over many connections for a time; each answer is checked.

    Args:
        port: Where.
        request: What is sent.
        check: Raises where an answer is wrong.
        connections: How many ask at once.
        seconds: After this no more is asked; what is under way is waited for.
        most: How many requests at the most.

    Raises:
        WrongAnswer: An answer is wrong.
    """
    open_ones = [await connect(port) for _ in range(connections)]
    delays: list[float] = []
    sent = 0
    begun, used = time.perf_counter(), time.process_time()

    async def ask(connection: Connection) -> None:
        nonlocal sent
        while sent < most and time.perf_counter() < begun + seconds:
            sent += 1
            at = time.perf_counter()
            answer = await connection.ask(request)
            delays.append(time.perf_counter() - at)
            check(answer.status, answer.body)

    try:
        async with asyncio.timeout(seconds + 120), asyncio.TaskGroup() as group:
            for each in open_ones:
                group.create_task(ask(each))
    finally:
        for each in open_ones:
            each.close()
    took = time.perf_counter() - begun
    return Load(len(delays), took, (time.process_time() - used) / took, delays)


async def paced(
    port: int, request: bytes, check: Check, *, streams: int, spread: float
) -> list[float]:
    """Follow many streams of stamped tokens at once; give each token's delay in seconds.

    Args:
        port: Where.
        request: What is sent.
        check: Raises where a stream, as (status, last bytes and count of tokens), is wrong.
        streams: How many.
        spread: The streams begin evenly over so many seconds, so that they do not keep step.
    """
    delays: list[float] = []

    async def follow(number: int) -> None:
        await asyncio.sleep(number * spread / streams)
        connection = await connect(port)
        stamps = Stamps()
        connection.sink = stamps.take
        answer = await connection.ask(request)
        connection.close()
        delays.extend(stamps.delays)
        check(answer.status, stamps.whole(answer))

    async with asyncio.timeout(600), asyncio.TaskGroup() as group:
        for number in range(streams):
            group.create_task(follow(number))
    return delays


class Stamps:
    """Reads when a stream's tokens left from their texts, while they arrive."""

    def __init__(self) -> None:
        self.delays: list[float] = []
        self._rest = b""

    def take(self, data: bytes) -> None:
        """Take bytes of the stream as they come."""
        now = time.time_ns()
        data = self._rest + data
        at = data.find(b'"delta":')
        while at >= 0 and (end := data.find(b'"', at + 10)) >= 0:
            stamp = data[at + 8 : end].strip(b' "')
            self.delays.append((now - int(stamp)) / 1e9)
            at = data.find(b'"delta":', end)
        self._rest = data[max(at, 0) :] if at >= 0 else data[-8:]

    def whole(self, answer: Answer) -> bytes:
        """Stand for the body in a check: as many deltas, and the same end."""
        content = answer.body.removesuffix(b"\r\n0\r\n\r\n")
        return b'"delta":' * len(self.delays) + content


async def first(port: int, request: bytes, check: Check, count: int) -> list[float]:
    """Ask for streams one after the other; give each one's time to its first token."""
    connection = await connect(port)
    delays: list[float] = []
    arrived: list[float] = []
    body = bytearray()

    def take(data: bytes) -> None:
        body.extend(data)
        if not arrived and b'"delta":' in body:
            arrived.append(time.perf_counter())

    connection.sink = take
    try:
        for _ in range(count):
            arrived.clear()
            body.clear()
            at = time.perf_counter()
            answer = await connection.ask(request)
            delays.append(arrived[0] - at)
            check(answer.status, bytes(body).removesuffix(b"\r\n0\r\n\r\n"))
    finally:
        connection.close()
    return delays


def percentile(values: list[float], percent: float) -> float:
    """Give the value that so many percent are not above."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]
