"""What a second worker process adds; the load shares the cores with both."""

from client import run
from figures import Figure, Row, Values
from load import closed
from peer import BARE, MLFLOW, OURS, Peer
from servers import Bench, served, unpinned


def workers(bench: Bench, peer: Peer, quick: bool) -> Values:
    """Measure invocations per second of two processes over those of one, none of them pinned."""
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
