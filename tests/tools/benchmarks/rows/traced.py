"""Full load with tracing on: traces found afterwards, per second of load, and traces lost."""

import asyncio
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.tools.benchmarks.client import connect, run
from tests.tools.benchmarks.figures import Figure, Row, Values
from tests.tools.benchmarks.load import Load, closed, paced, percentile
from tests.tools.benchmarks.peer import MLFLOW, OURS, Peer
from tests.tools.benchmarks.servers import Bench, Server, served, unpinned
from tests.tools.benchmarks.sinks import by_otlp, collector, found, new_database, settled, to_sqlite

BESIDE = 100
"""How many paced streams there are beside the runs."""
RUN_SECONDS = 0.1
"""The pause between these runs."""
WARM_UP = 20
"""Number of requests before the load; they count as answered."""


def sqlite(bench: Bench, peer: Peer, quick: bool) -> Values:
    """Measure with traces exported to a SQLite file."""
    return {**traced(peer, "invoke", quick, otlp=False), **traced(peer, "burst", quick, otlp=False)}


def otlp(bench: Bench, peer: Peer, quick: bool) -> Values:
    """Measure with traces exported over OTLP to a local MLflow server."""
    return {**traced(peer, "invoke", quick, otlp=True), **traced(peer, "burst", quick, otlp=True)}


def traced(peer: Peer, work: str, quick: bool, *, otlp: bool) -> Values:
    """Load a new server; count its traces once the exporter is idle and the server has stopped."""
    with tempfile.TemporaryDirectory() as folder, unpinned():
        database = new_database(Path(folder))
        with sink(database, otlp=otlp) as variables:
            with served(peer, tracing="on", pinned=False, environment=variables) as server:
                load = run(full(server, work, 1 if quick else 5))
                answered = load.answers + WARM_UP
                settled(database, answered)
                stopping = server.stop()
            count = settled(database, answered)
        assert count == found(database)
    return {
        f"{work}_found": (count - WARM_UP) / load.seconds,
        f"{work}_lost": answered - count,
        f"{work}_answered": load.rate,
        f"{work}_stop": stopping,
    }


def beside(bench: Bench, peer: Peer, quick: bool) -> Values:
    """Measure 10 traced runs a second beside 100 paced streams, and the same without tracing."""
    tokens = 40 if quick else 200
    with tempfile.TemporaryDirectory() as folder:
        database = new_database(Path(folder))
        with served(peer, tracing="on", environment=to_sqlite(database)) as server:
            traced, traced_cpu, answers = _streams_and_runs(server, tokens, database)
    with served(peer) as server:
        plain, plain_cpu, _ = _streams_and_runs(server, tokens, None)
    return {
        "cpu": max(0.0, traced_cpu - plain_cpu) / answers,
        "p99": percentile(traced, 99) / percentile(plain, 99),
    }


def _streams_and_runs(
    server: Server, tokens: int, database: Path | None
) -> tuple[list[float], float, int]:
    """Return the delays of tokens, the CPU time, and the number of runs."""
    peer = server.peer
    run(_ask_until(server.port, peer.request("x"), 20))
    if database is not None:
        settled(database, WARM_UP)
    before = server.cpu()
    delays, answers = run(_side_by_side(server, tokens))
    if database is not None:
        settled(database, WARM_UP + answers)
    return delays, server.cpu() - before, answers


async def _ask_until(port: int, request: bytes, count: int) -> None:
    connection = await connect(port)
    for _ in range(count):
        await connection.ask(request)
    connection.close()


async def _side_by_side(server: Server, tokens: int) -> tuple[list[float], int]:
    peer, port = server.peer, server.port

    def check(status: int, body: bytes) -> None:
        peer.check_stream(status, body, tokens)

    request = peer.request(f"paced {tokens}", stream=True)
    streams = asyncio.create_task(paced(port, request, check, streams=BESIDE, spread=1))
    connection, answers = await connect(port), BESIDE
    while not streams.done():
        answer = await connection.ask(peer.request("x"))
        peer.check_json(answer.status, answer.body)
        answers += 1
        await asyncio.sleep(RUN_SECONDS)
    connection.close()
    return await streams, answers


@contextmanager
def sink(database: Path, *, otlp: bool) -> Iterator[dict[str, str]]:
    """Yield the variables that send traces to a database, directly or over OTLP."""
    if not otlp:
        yield to_sqlite(database)
        return
    with collector(database) as server:
        yield by_otlp(server.port)


async def full(server: Server, work: str, seconds: float) -> Load:
    """Warm up with a few requests, then apply full load."""
    peer = server.peer

    def check(status: int, body: bytes) -> None:
        if work == "invoke":
            peer.check_json(status, body)
        else:
            peer.check_stream(status, body, 100)

    request = peer.request("burst 100", stream=work == "burst")
    await closed(server.port, request, check, connections=1, seconds=60, most=WARM_UP)
    connections = 32 if work == "invoke" else 16
    return await closed(server.port, request, check, connections=connections, seconds=seconds)


def figures(where: str) -> list[Figure]:
    """Return the figures for one way of exporting traces."""
    return [
        figure
        for work, title in (("invoke", "invoke"), ("burst", "burst stream"))
        for figure in (
            Figure(f"{work}_found", f"{title} traced {where}, traces found/s of load", mlflow=1.5),
            Figure(f"{work}_lost", f"{title} traced {where}, traces lost", more=False, limit=0),
        )
    ]


ROWS = (
    Row("traced-sqlite", sqlite, figures("to SQLite"), (OURS, MLFLOW), rounds=3),
    Row(
        "traced-beside",
        beside,
        [
            Figure(
                "cpu",
                "10 runs/s traced to SQLite during 100 paced streams, CPU ms per trace",
                more=False,
                limit=6,
                scale=1e3,
            ),
            Figure("p99", "p99 delay of a token, times untraced", more=False, limit=2),
        ],
        (OURS,),
        rounds=3,
    ),
    Row("traced-otlp", otlp, figures("by OTLP"), (OURS, MLFLOW), rounds=3),
)
