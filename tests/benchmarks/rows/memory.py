"""Memory: what an open stream takes, and whether a very long one takes more than its text."""

import asyncio
import time

from client import Connection, connect, run
from figures import Figure, Row, Values
from peer import BARE, MLFLOW, OURS, Peer
from servers import Bench, Server, served

MANY_OPEN = (OURS, MLFLOW, BARE)
"""AgentCore holds a thread of a pool of 40 for each stream that waits: 2,000 are not to be had."""
WARM_UP = 50
"""Streams opened and left before the count begins."""
LONG = 300_000
TEXT_BYTES = len("token 0000000 ")


def idle(bench: Bench, peer: Peer, quick: bool) -> Values:
    """Measure the memory of an open stream that has said one word and waits."""
    streams = 200 if quick else 2000
    with served(peer, environment=bench.environment(peer)) as server:
        return {"stream": run(opened(server, streams)) / streams}


async def opened(server: Server, streams: int) -> int:
    """Open so many streams; give by how many bytes the server has grown."""
    warm = [await begin(server) for _ in range(WARM_UP)]
    for each in warm:
        each.close()
    await asyncio.sleep(0.5)
    before = server.memory()
    connections: list[Connection] = []
    try:
        while len(connections) < streams:
            connections += await asyncio.gather(*(begin(server) for _ in range(50)))
        await asyncio.sleep(0.5)
        return server.memory() - before
    finally:
        for each in connections:
            each.close()
        await asyncio.sleep(0.5)


async def begin(server: Server) -> Connection:
    """Open a stream; return once its first token has come."""
    connection = await connect(server.port)
    said = asyncio.get_running_loop().create_future()
    body = bytearray()

    def take(data: bytes) -> None:
        body.extend(data)
        if b'"delta":' in body and not said.done():
            said.set_result(None)

    connection.sink = take
    asking = asyncio.ensure_future(connection.ask(server.peer.request("silent", stream=True)))
    asking.add_done_callback(lambda task: task.cancelled() or task.exception())
    async with asyncio.timeout(60):
        await said
    return connection


def long_stream(bench: Bench, peer: Peer, quick: bool) -> Values:
    """Measure how memory grows while a stream of 300,000 deltas goes on, from a tenth of it on.

    The text that was said meanwhile is taken off. The last events repeat the whole text: what they
    take is `peak`; they are on the way before the client has the last deltas, so the growth is
    looked at up to 95 % of these.
    """
    deltas = LONG // 10 if quick else LONG
    with served(peer, environment=bench.environment(peer)) as server:
        samples, peak = run(followed(server, deltas))
    tenth = next(size for count, size in samples if count >= deltas // 10)
    begun = next(count for count, _ in samples if count >= deltas // 10)
    most = max(size for count, size in samples if count >= begun)
    text = (samples[-1][0] - begun) * TEXT_BYTES
    return {"growth": most - tenth - text, "peak": peak - tenth - text, "samples": len(samples)}


async def followed(server: Server, deltas: int) -> tuple[list[tuple[int, int]], int]:
    """Follow a stream; give (deltas so far, memory) while they come, and the peak in all."""
    connection = await connect(server.port)
    counter = Counter()
    connection.sink = counter.take
    command = f"long {deltas}"
    asking = asyncio.ensure_future(connection.ask(server.peer.request(command, stream=True)))
    samples: list[tuple[int, int]] = []
    peak = 0
    until = time.monotonic() + 300
    while not asking.done() and time.monotonic() < until:
        size = server.memory()
        peak = max(peak, size)
        if counter.count < deltas * 0.95:
            samples.append((counter.count, size))
        await asyncio.sleep(0.01)
    answer = await asking
    content = answer.body.removesuffix(b"\r\n0\r\n\r\n")
    server.peer.check_stream(answer.status, b'"delta":' * counter.count + content, deltas)
    connection.close()
    return samples, max(peak, server.memory())


class Counter:
    """Counts the deltas of a stream while they come."""

    def __init__(self) -> None:
        self.count = 0
        self._rest = b""

    def take(self, data: bytes) -> None:
        """Take bytes of the stream as they come."""
        data = self._rest + data
        self.count += data.count(b'"delta":')
        self._rest = data[-7:]  # shorter than what is counted


ROWS = (
    Row(
        "idle",
        idle,
        [
            Figure(
                "stream",
                "memory of an open idle stream, KB",
                more=False,
                mlflow=1,
                bare=1.8,
                scale=1e-3,
            )
        ],
        MANY_OPEN,
        rounds=3,
    ),
    Row(
        "long",
        long_stream,
        [
            Figure(
                "growth",
                "stream of 300,000 deltas, growth beyond the text, MB",
                more=False,
                limit=2,
                scale=1e-6,
            ),
            Figure("peak", "the same with the stream's end, MB", more=False, scale=1e-6),
        ],
        (OURS, MLFLOW),
        rounds=3,
    ),
)
