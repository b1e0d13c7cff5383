"""Requests and streams per second, with the server on one core and tracing off."""

import warnings

from tests.tools.benchmarks.client import run
from tests.tools.benchmarks.figures import Figure, Row, Values
from tests.tools.benchmarks.load import closed
from tests.tools.benchmarks.peer import AGENTCORE, BARE, MLFLOW, OURS, Peer
from tests.tools.benchmarks.servers import Bench

ALL = (OURS, MLFLOW, BARE, AGENTCORE)
BUSY = 0.9
"""Above this share of its core, the load may be the bottleneck instead of the server."""


def invoke(bench: Bench, peer: Peer, quick: bool) -> Values:
    """Measure invocations per second."""
    port = bench.server(peer).port
    seconds = 0.5 if quick else 3
    load = run(closed(port, peer.request(), peer.check_json, connections=32, seconds=seconds))
    return checked(peer, "invoke", load.rate, load.busy)


def burst(bench: Bench, peer: Peer, quick: bool) -> Values:
    """Measure streams of 100 deltas per second."""
    return stream(bench, peer, 100, 0.5 if quick else 3)


def long_burst(bench: Bench, peer: Peer, quick: bool) -> Values:
    """Measure deltas per second of streams of 2,000 deltas."""
    return stream(bench, peer, 2000, 0.5 if quick else 3)


def stream(bench: Bench, peer: Peer, deltas: int, seconds: float) -> Values:
    """Measure streams and deltas per second."""
    port = bench.server(peer).port

    def check(status: int, body: bytes) -> None:
        peer.check_stream(status, body, deltas)

    request = peer.request(f"burst {deltas}", stream=True)
    load = run(closed(port, request, check, connections=16, seconds=seconds))
    return {**checked(peer, "streams", load.rate, load.busy), "deltas": load.rate * deltas}


def checked(peer: Peer, key: str, rate: float, busy: float) -> Values:
    """Return a rate, and warn if the load was too busy to measure it reliably."""
    if busy > BUSY:
        warnings.warn(f"{key} of {peer.name}: the load used {busy:.0%} of its core", stacklevel=2)
    return {key: rate, "busy": busy}


ROWS = (
    Row(
        "invoke",
        invoke,
        [Figure("invoke", "invoke, requests/s", mlflow=3, bare=0.7)],
        ALL,
    ),
    Row(
        "burst",
        burst,
        [Figure("streams", "burst stream of 100 deltas, streams/s", mlflow=4, bare=1.2)],
        ALL,
    ),
    Row(
        "long-burst",
        long_burst,
        [Figure("deltas", "burst stream of 2,000 deltas, deltas/s", mlflow=4.5, bare=1.5)],
        ALL,
    ),
)
