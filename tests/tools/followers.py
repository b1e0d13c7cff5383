"""Measure what followers of background runs cost, and how late they hear: `make followers`.

    python -m tests.tools.followers [--trees DIR ...] [--rounds 3] [--only CASE ...]

Real servers with each store run side by side, two on each database; the clients of one of them
follow runs that it executes itself ("same") or that the other one executes ("other"). Rounds of all
measurements alternate, between several trees of the source too, so that the noise of the machine
falls on all alike; a figure is the median of its rounds. CPU is that of the process that serves the
followers, without the runs' own share, which a round without followers measures.
"""

import argparse
import asyncio
import contextlib
import json
import os
import re
import statistics
import subprocess
import tempfile
import time
import urllib.request
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import psutil

from tests.support.commands import command
from tests.support.postgres import postgres_running
from tests.support.servers import free_port
from tests.tools.fairness import say
from tests.tools.hostile.wire import Address, Connection, answer, connect, post

SETTLE_SECONDS = 2.0
SECONDS = 8.0
SAID = re.compile(rb'"delta":"at=([0-9.]+) "')
CALLS = re.compile(r'agent_asgi_store_seconds_count\{.*operation="(\w+)"\} ([0-9.]+)')
READS = ("events", "get", "heads", "tails")
WRITES = ("append", "finish")


class Server(NamedTuple):
    """A process that serves the agent."""

    address: Address
    process: psutil.Process

    def cpu(self) -> float:
        """Return the seconds of CPU that it has used."""
        times = self.process.cpu_times()
        return float(times.user + times.system)

    async def calls(self, names: tuple[str, ...]) -> float:
        """Return how often it has called some operations of its store."""
        connection = await connect(self.address)
        connection.writer.write(b"GET /metrics HTTP/1.1\r\nhost: localhost\r\n\r\n")
        async with asyncio.timeout(120):
            _, told = await answer(connection.reader)
        connection.leave()
        return sum(float(count) for name, count in CALLS.findall(told.decode()) if name in names)


@dataclass
class Follower:
    """A client that follows a run, and how late it heard each word, in seconds."""

    connection: Connection
    chunks: int = 0
    late: list[float] = field(default_factory=list)

    async def read(self) -> None:
        """Read until the connection ends."""
        rest = b""
        while chunk := await self.connection.reader.read(1 << 16):
            now = time.monotonic()
            self.chunks += 1
            text = rest + chunk
            last = 0
            for said in SAID.finditer(text):
                self.late.append(now - float(said[1]))
                last = said.end()
            rest = text[last:][-200:]
            if b"[DONE]" in chunk:
                return


async def begin(address: Address, what: str) -> str:
    """Begin a background run; return its id."""
    body = json.dumps({"input": what, "background": True}).encode()
    connection = await connect(address)
    connection.writer.write(post(body, "/responses"))
    status, got = await answer(connection.reader)
    connection.leave()
    if status not in (200, 202):
        raise RuntimeError(f"{status}: {got!r}")
    return str(json.loads(got)["id"])


async def delete(address: Address, id: str) -> None:
    """Delete a run, which cancels it."""
    connection = await connect(address)
    connection.writer.write(f"DELETE /responses/{id} HTTP/1.1\r\nhost: localhost\r\n\r\n".encode())
    await answer(connection.reader)
    connection.leave()


async def follow(address: Address, id: str) -> Follower:
    """Follow a run."""
    connection = await connect(address)
    path = f"/responses/{id}?stream=true"
    connection.writer.write(f"GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n".encode())
    return Follower(connection)


class Figures(NamedTuple):
    """What one round measured."""

    core: float
    """The share of a core that the followers' server used."""
    reads: float
    """Reads of the store per second, by the followers' server."""
    writes: float
    """Writes of logs per second, by the runs' server."""
    words: int
    """Words that all followers together heard."""
    late: float
    """The median of how late they heard them, in seconds."""
    late_99: float
    """The 99th percentile."""


async def measure(runs: Server, served: Server, what: str, count: int, followers: int) -> Figures:
    """Follow runs for some seconds.

    Args:
        runs: The server that executes them.
        served: The server of the followers.
        what: What each run does.
        count: How many runs there are.
        followers: How many follow each of them.
    """
    ids = [await begin(runs.address, what) for _ in range(count)]
    all_ = [await follow(served.address, id_) for _ in range(followers) for id_ in ids]
    reading = [asyncio.create_task(each.read()) for each in all_]
    async with asyncio.timeout(120):
        while not all(each.chunks for each in all_):
            await asyncio.sleep(0.1)
    await asyncio.sleep(SETTLE_SECONDS)
    for each in all_:
        each.late.clear()
    reads, writes = await served.calls(READS), await runs.calls(WRITES)
    cpu, begun = served.cpu(), time.monotonic()
    await asyncio.sleep(SECONDS)
    seconds = time.monotonic() - begun
    core = (served.cpu() - cpu) / seconds
    late = sorted(late for each in all_ for late in each.late) or [0.0]
    reads, writes = await served.calls(READS) - reads, await runs.calls(WRITES) - writes
    for task in reading:
        task.cancel()
    await asyncio.gather(*reading, return_exceptions=True)
    for each in all_:
        each.connection.leave()
    for id_ in ids:
        await delete(runs.address, id_)
    words = 0 if late == [0.0] else len(late)
    median, worst = statistics.median(late), late[int(len(late) * 0.99)]
    return Figures(core, reads / seconds, writes / seconds, words, median, worst)


class Case(NamedTuple):
    """One measurement."""

    what: str
    runs: int
    followers: int


CASES = {
    "idle 300": Case("silent", 1, 300),
    "idle 1000": Case("silent", 1, 1000),
    "idle 300 runs": Case("silent", 300, 1),
    "token": Case("10 60", 1, 100),
    "token, none": Case("10 60", 1, 0),
    "late": Case("20 60", 1, 1),
    "late, load": Case("10 60", 100, 1),
}


@contextlib.contextmanager
def served(store: str, tree: str, *, works: bool) -> Iterator[Server]:
    """Serve the agent in a process, which works on background runs or leaves them to the other."""
    port = free_port()
    env = os.environ | {"OTEL_SDK_DISABLED": "true", "AGENT_ASGI_STORE": store, "PYTHONPATH": tree}
    env["FOLLOWERS_WORKERS"] = "400" if works or not store.startswith("postgres") else "0"
    argv = command("serve", "followers_agent:app", "--port", str(port))
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(argv, cwd=Path(__file__).parent, env=env, stderr=log, stdout=log)
        try:
            until_ready(port, process)
            yield Server(Address("127.0.0.1", port), psutil.Process(process.pid))
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def until_ready(port: int, process: subprocess.Popen[bytes]) -> None:
    """Wait until a server is ready."""
    until = time.monotonic() + 90
    while True:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/ready", timeout=5).close()
        except OSError:
            if time.monotonic() > until or process.poll() is not None:
                raise
            time.sleep(0.1)
        else:
            return


def pairs(stack: contextlib.ExitStack, tree: str, stores: list[str]) -> dict[str, list[Server]]:
    """Start two servers on each store, but one in memory."""
    urls = {"memory": "memory://"}
    if "sqlite" in stores:
        urls["sqlite"] = f"sqlite:///{stack.enter_context(tempfile.TemporaryDirectory())}/r.db"
    if "postgres" in stores:
        urls["postgres"] = stack.enter_context(postgres_running()).get_uri()
    return {
        name: [
            stack.enter_context(served(url, tree, works=works))
            for works in (True, False)[: 1 + (name != "memory")]
        ]
        for name, url in urls.items()
        if name in stores
    }


def report(trees: list[str], found: dict[tuple[str, ...], list[Figures]]) -> None:
    """Print the table."""
    say("| case | store | runs | tree | core % | us/word | reads/s | writes/s | p50 ms | p99 ms |")
    say("|---|---|---|---|---|---|---|---|---|---|")
    for (name, store, where, tree), rounds in sorted(found.items()):
        median = Figures(*map(statistics.median, zip(*rounds, strict=True)))
        base = found.get(("token, none", store, where, tree))
        cost = ""
        if name == "token" and base and median.words:
            own = statistics.median(each.core for each in base)
            cost = f"{(median.core - own) * SECONDS / median.words * 1e6:.0f}"
        cells = [name, store, where, Path(tree).name, f"{median.core:.1%}", cost]
        cells += [f"{each:.0f}" for each in (median.reads, median.writes)]
        cells += [f"{each * 1000:.1f}" for each in (median.late, median.late_99)]
        say(f"| {' | '.join(cells)} |")


async def compare(
    servers: dict[str, dict[str, list[Server]]], rounds: int, only: list[str]
) -> None:
    """Measure all cases in rounds, and print the medians."""
    found: dict[tuple[str, ...], list[Figures]] = defaultdict(list)
    for _ in range(rounds):
        for name, case in CASES.items():
            if only and name not in only:
                continue
            for store in ("memory", "sqlite", "postgres"):
                for tree, pair in servers.items():
                    for where, server in zip(("same", "other"), pair.get(store, ()), strict=False):
                        runs = pair[store][0]
                        figures = await measure(runs, server, *case)
                        found[name, store, where, tree].append(figures)
    report(list(servers), found)


def main() -> None:
    """Start the servers and measure."""
    parser = argparse.ArgumentParser(description="Measure what followers cost.")
    here = str(Path(__file__).parents[2])
    parser.add_argument("--trees", nargs="+", default=[here], help="folders with agent_asgi")
    parser.add_argument("--stores", nargs="+", default=["memory", "sqlite", "postgres"])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs="+", default=[], choices=CASES, help="some cases")
    options = parser.parse_args()
    with contextlib.ExitStack() as stack:
        servers = {tree: pairs(stack, tree, options.stores) for tree in options.trees}
        asyncio.run(compare(servers, options.rounds, options.only))


if __name__ == "__main__":
    main()
