"""Streams whose tokens arrive one by one, as from a model, and the time to the first token."""

from tests.tools.benchmarks.client import run
from tests.tools.benchmarks.figures import Figure, Row, Values
from tests.tools.benchmarks.load import first, paced, percentile
from tests.tools.benchmarks.peer import AGENTCORE, BARE, MLFLOW, OURS, Peer
from tests.tools.benchmarks.servers import Bench

STREAMS = 300
ALL = (OURS, MLFLOW, BARE, AGENTCORE)


def paced_streams(bench: Bench, peer: Peer, quick: bool) -> Values:
    """Measure CPU time and delays of 300 concurrent streams with 20 tokens per second each.

    The CPU time is everything the server's process used from before the first request until after
    the last answer; nothing is subtracted.
    """
    server = bench.server(peer)
    tokens = 40 if quick else 200

    def check(status: int, body: bytes) -> None:
        peer.check_stream(status, body, tokens)

    request = peer.request(f"paced {tokens}", stream=True)
    before = server.cpu()
    delays = run(paced(server.port, request, check, streams=STREAMS, spread=1))
    used = server.cpu() - before
    return {
        "cpu": used / len(delays) * 1e6,
        "p50": percentile(delays, 50),
        "p99": percentile(delays, 99),
    }


def first_token(bench: Bench, peer: Peer, quick: bool) -> Values:
    """Measure the time to the first token of a stream on an otherwise idle server."""
    port = bench.server(peer).port

    def check(status: int, body: bytes) -> None:
        peer.check_stream(status, body, 1)

    request = peer.request("first", stream=True)
    delays = run(first(port, request, check, 50 if quick else 400))
    return {"p50": percentile(delays, 50), "p99": percentile(delays, 99)}


ROWS = (
    Row(
        "paced",
        paced_streams,
        [
            Figure(
                "cpu", "paced stream, CPU s per million tokens", more=False, mlflow=0.75, bare=1.25
            ),
            Figure("p99", "paced stream, p99 delay, ms", more=False, mlflow=1, bare=1.5, scale=1e3),
        ],
        ALL,
        rounds=5,
    ),
    Row(
        "first",
        first_token,
        [
            Figure("p50", "first token, p50, ms", more=False, mlflow=1, bare=1.2, scale=1e3),
            Figure("p99", "first token, p99, ms", more=False, mlflow=1, bare=1.2, scale=1e3),
        ],
        ALL,
    ),
)
