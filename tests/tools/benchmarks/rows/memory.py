"""Memory of an open stream, and whether a very long stream uses more than its text."""

import asyncio
import time

from tests.tools.benchmarks.client import Connection, connect, run
from tests.tools.benchmarks.figures import Figure, Row, Values
from tests.tools.benchmarks.peer import BARE, MLFLOW, OURS, Peer
from tests.tools.benchmarks.servers import Bench, Server, served

MANY_OPEN = (OURS, MLFLOW, BARE)
"""AgentCore is excluded: each waiting stream holds one of its pool's 40 threads."""
WARM_UP = 50
"""Number of streams opened and closed before measuring."""
LONG = 300_000
TEXT_BYTES = len("token 0000000 ")


def idle(bench: Bench, peer: Peer, quick: bool) -> Values:
    """Measure the memory of an open stream that has sent one token and waits."""
    streams = 200 if quick else 2000
    with served(peer, environment=bench.environment(peer)) as server:
        return {"stream": run(opened(server, streams)) / streams}


async def opened(server: Server, streams: int) -> int:
    """Open streams; return by how many bytes the server's memory has grown."""
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
    """Open a stream; return once its first token has arrived."""
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
    """Measure how memory grows during a stream of 300,000 deltas, after the first tenth.

    The text sent meanwhile is subtracted. The last events repeat the whole text; their memory is
    reported as `peak`. They are created before the client has received the last deltas, so growth
    is only measured up to 95 % of the deltas.
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
    """Follow a stream; return samples of (deltas so far, memory), and the peak memory."""
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
    """Counts the deltas of a stream as they arrive."""

    def __init__(self) -> None:
        self.count = 0
        self._rest = b""

    def take(self, data: bytes) -> None:
        """Process bytes of the stream."""
        data = self._rest + data
        self.count += data.count(b'"delta":')
        self._rest = data[-7:]  # shorter than the marker that is counted


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
