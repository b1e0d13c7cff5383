"""Load generators: closed loops, paced streams and first tokens."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

from tests.tools.benchmarks.client import Answer, Connection, connect

Check = Callable[[int, bytes], None]


@dataclass(frozen=True)
class Load:
    """The results of a load.

    Args:
        answers: The number of complete, correct answers.
        seconds: The time from the first request to the last answer.
        busy: Share of a core that the load itself used; near 1, the load was the bottleneck.
        delays: The seconds that each answer took.
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
    """Send requests over many connections for some time, and check each answer.

    Each connection sends its next request as soon as it has its answer.

    Args:
        port: The port of the server.
        request: The request to send.
        check: Raises an error if an answer is wrong.
        connections: The number of concurrent connections.
        seconds: How long to send requests; pending answers are awaited after that.
        most: The maximum number of requests.

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
    """Follow many streams of timestamped tokens at once; return each token's delay in seconds.

    Args:
        port: The port of the server.
        request: The request to send.
        check: Raises an error if a stream is wrong; gets its status and `Stamps.whole`.
        streams: The number of streams.
        spread: Seconds over which the starts are spread evenly, so that streams are out of step.
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
    """Computes the delay of each token of a stream from the send time in its text."""

    def __init__(self) -> None:
        self.delays: list[float] = []
        self._rest = b""

    def take(self, data: bytes) -> None:
        """Process bytes of the stream."""
        now = time.time_ns()
        data = self._rest + data
        at = data.find(b'"delta":')
        while at >= 0 and (end := data.find(b'"', at + 10)) >= 0:
            stamp = data[at + 8 : end].strip(b' "')
            self.delays.append((now - int(stamp)) / 1e9)
            at = data.find(b'"delta":', end)
        self._rest = data[max(at, 0) :] if at >= 0 else data[-8:]

    def whole(self, answer: Answer) -> bytes:
        """Return a substitute for the body in a check: as many deltas, and the same end."""
        content = answer.body.removesuffix(b"\r\n0\r\n\r\n")
        return b'"delta":' * len(self.delays) + content


async def first(port: int, request: bytes, check: Check, count: int) -> list[float]:
    """Request streams one after the other; return each one's time to its first token."""
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
    """Return a percentile of the values."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]
