"""Measure open streams beside a bare Starlette app: memory of idle ones, CPU of paced ones.

make streams        10,000 idle streams, 2,000 with 5 tokens a second, 200 with 50 a second

Both apps send the same bytes. The rounds of the two alternate, and each ratio is that of a round.
"""

import argparse
import asyncio
import os
import resource
import statistics
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from tests.support.pages import ROOT
from tests.support.servers import free_port
from tests.tools.benchmarks.client import Connection, run
from tests.tools.benchmarks.load import paced, percentile
from tests.tools.benchmarks.peer import BARE, OURS, Peer
from tests.tools.benchmarks.recording import record
from tests.tools.benchmarks.rows.memory import WARM_UP, begin
from tests.tools.benchmarks.servers import FOLDER, LOAD_CORE, Server, started

AT_ONCE = 100
"""How many streams are opened at once."""
SETTLE_SECONDS = 2.0


class Pace(NamedTuple):
    """A load of paced streams."""

    streams: int
    rate: int
    """Tokens per second and stream."""
    seconds: float = 8.0

    @property
    def tokens(self) -> int:
        """The number of tokens of a stream."""
        return round(self.rate * self.seconds)


class Figures(NamedTuple):
    """What one round measured."""

    cpu: float
    """CPU of the server, in microseconds for each token."""
    p50: float
    """Delay from the yield to the client, in milliseconds."""
    p99: float


@contextmanager
def serving(peer: Peer, payload: Path, pace: float = 0.05) -> Iterator[Server]:
    """Serve a peer of the benchmarks, pinned to one core, with this environment's packages."""
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", f"{peer.module}:app", "--port", str(port)]
    command += ["--app-dir", str(FOLDER / "peers"), "--log-level", "warning", "--no-access-log"]
    command += ["--loop", "uvloop", "--http", "httptools", "--backlog", "4096"]
    given = {
        "BENCH_PACE": str(pace),
        "BENCH_PAYLOAD": str(payload),
        "BENCH_TRACING": "off",
        "PYTHONPATH": str(ROOT),
    }
    with started(peer, command, given, port, pinned=True) as server:
        server.wait_until_up(peer.health)
        yield server


def memory(server: Server, streams: int) -> float:
    """Return the memory of an open idle stream, in KB."""
    return run(_opened(server, streams)) / streams / 1000


async def _opened(server: Server, streams: int) -> int:
    warm = [await begin(server) for _ in range(WARM_UP)]
    for each in warm:
        each.close()
    await asyncio.sleep(SETTLE_SECONDS)
    before = server.memory()
    connections: list[Connection] = []
    try:
        while len(connections) < streams:
            connections += await asyncio.gather(*(begin(server) for _ in range(AT_ONCE)))
        await asyncio.sleep(SETTLE_SECONDS)
        return server.memory() - before
    finally:
        for each in connections:
            each.close()
        await asyncio.sleep(SETTLE_SECONDS)


def paced_streams(server: Server, pace: Pace) -> Figures:
    """Return what tokens that arrive one by one cost, and how late they come."""
    request = server.peer.request(f"paced {pace.tokens}", stream=True)

    def check(status: int, body: bytes) -> None:
        server.peer.check_stream(status, body, pace.tokens)

    before = server.cpu()
    delays = run(paced(server.port, request, check, streams=pace.streams, spread=1))
    used = server.cpu() - before
    cpu = used / len(delays) * 1e6
    return Figures(cpu, percentile(delays, 50) * 1e3, percentile(delays, 99) * 1e3)


def measure_memory(payload: Path, streams: int, rounds: int) -> None:
    """Measure and print the memory of idle streams."""
    measured: dict[str, list[float]] = {"ours": [], "bare": []}
    for _ in range(rounds):
        for peer in (OURS, BARE):
            with serving(peer, payload) as server:
                measured[peer.name].append(memory(server, streams))
    _print(f"{streams:,} idle streams, KB each", measured)


def measure_paced(payload: Path, pace: Pace, rounds: int) -> None:
    """Measure and print the CPU and the delays of paced streams."""
    measured: dict[str, list[Figures]] = {"ours": [], "bare": []}
    with (
        serving(OURS, payload, 1 / pace.rate) as ours,
        serving(BARE, payload, 1 / pace.rate) as bare,
    ):
        for _ in range(rounds):
            for server in (ours, bare):
                measured[server.peer.name].append(paced_streams(server, pace))
    title = f"{pace.streams:,} streams, {pace.rate} tokens/s each"
    for field, unit in (
        ("cpu", "CPU us a token"),
        ("p50", "p50 delay ms"),
        ("p99", "p99 delay ms"),
    ):
        values = {
            name: [float(getattr(each, field)) for each in figures]
            for name, figures in measured.items()
        }
        _print(f"{title}, {unit}", values)


def _print(title: str, measured: dict[str, list[float]]) -> None:
    ours, bare = measured["ours"], measured["bare"]
    ratios = [one / other for one, other in zip(ours, bare, strict=True) if other]
    spread = f"{min(ratios):.2f} to {max(ratios):.2f}" if ratios else "-"
    ratio = f"{statistics.median(ratios):.2f}" if ratios else "-"
    medians = [f"{statistics.median(values):,.3g}" for values in (ours, bare)]
    cells = [title, *medians, f"{ratio} ({spread})"]
    sys.stdout.write("| " + " | ".join(cells) + " |\n")
    sys.stdout.flush()


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--idle", type=int, default=10_000)
    parser.add_argument("--paced", type=int, default=2_000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))  # the servers inherit it
    os.sched_setaffinity(0, LOAD_CORE)
    sys.stdout.write("| what | ours | bare Starlette | ratio |\n|---|---|---|---|\n")
    with tempfile.TemporaryDirectory() as folder:
        payload = Path(folder) / "payload.json"
        with serving(OURS, payload) as server:
            record(server.port, payload)
        measure_memory(payload, options.idle, options.rounds)
        for pace in (Pace(options.paced, 5), Pace(options.paced // 10, 50)):
            measure_paced(payload, pace, options.rounds)


if __name__ == "__main__":
    main()
