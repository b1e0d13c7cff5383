"""Measure the gain from a second worker process; the load shares the cores with both."""

from tests.tools.benchmarks.client import run
from tests.tools.benchmarks.figures import Figure, Row, Values
from tests.tools.benchmarks.load import closed
from tests.tools.benchmarks.peer import BARE, MLFLOW, OURS, Peer
from tests.tools.benchmarks.servers import Bench, served, unpinned


def workers(bench: Bench, peer: Peer, quick: bool) -> Values:
    """Measure invocations per second of two unpinned processes relative to one."""
    with unpinned():
        one, two = (rate(bench, peer, count, 0.5 if quick else 3) for count in (1, 2))
    return {"gain": two / one, "one": one, "two": two}


def rate(bench: Bench, peer: Peer, count: int, seconds: float) -> float:
    """Measure invocations per second."""
    variables = bench.environment(peer)
    with served(peer, pinned=False, workers=count, environment=variables) as server:
        request = peer.request()
        load = closed(server.port, request, peer.check_json, connections=32, seconds=seconds)
        return run(load).rate


ROWS = (
    Row(
        "workers",
        workers,
        [Figure("gain", "1 -> 2 workers, invoke, times as many requests/s")],
        (OURS, MLFLOW, BARE),
        rounds=3,
    ),
)
