"""Run 64 concurrent sync handlers that block for 100 ms, and poll `/health` meanwhile."""

import asyncio
import time

from tests.tools.benchmarks.client import connect, run
from tests.tools.benchmarks.figures import Figure, Row, Values
from tests.tools.benchmarks.load import Load, closed
from tests.tools.benchmarks.peer import AGENTCORE, MLFLOW, OURS, Peer, WrongAnswer, get
from tests.tools.benchmarks.servers import Bench, Server, served

AT_ONCE = 64
PAUSE = 0.01
"""Seconds between two requests to `/health`."""


def sync(bench: Bench, peer: Peer, quick: bool) -> Values:
    """Measure requests per second and the slowest `/health` answer."""
    with served(peer, environment={"BENCH_AGENT": "sync"}) as server:
        load, healths = run(both(server, 1 if quick else 3))
    return {"naps": load.rate, "health": max(healths), "looks": len(healths)}


async def both(server: Server, seconds: float) -> tuple[Load, list[float]]:
    """Load a server and poll its health at the same time."""
    peer = server.peer
    watching = asyncio.create_task(watch(server))
    try:
        load = await closed(
            server.port, peer.request(), peer.check_json, connections=AT_ONCE, seconds=seconds
        )
    finally:
        watching.cancel()
    return load, await watching


async def watch(server: Server) -> list[float]:
    """Poll `/health` until cancelled; return the seconds that each answer took."""
    connection = await connect(server.port)
    took: list[float] = []
    begun = time.perf_counter()
    try:
        while True:
            begun = time.perf_counter()
            answer = await connection.ask(get(server.peer.health))
            if answer.status != 200:
                raise WrongAnswer(f"{server.peer.health}: {answer.status}")
            took.append(time.perf_counter() - begun)
            await asyncio.sleep(PAUSE)
    except asyncio.CancelledError:
        return took or [time.perf_counter() - begun]
    finally:
        connection.close()


ROWS = (
    Row(
        "sync",
        sync,
        [
            Figure("naps", "64 sync handlers of 100 ms at once, requests/s", mlflow=20),
            Figure("health", "slowest `/health` meanwhile, ms", more=False, limit=20, scale=1e3),
        ],
        (OURS, MLFLOW, AGENTCORE),
        rounds=3,
    ),
)
