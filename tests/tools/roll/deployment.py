"""Two servers on one PostgreSQL behind a load balancer, replaced one after the other."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2 as httpx
import psycopg

from tests.support.balancer import Balancer
from tests.support.pages import ROOT
from tests.support.postgres import postgres_running
from tests.support.servers import free_port
from tests.tools.roll.clients import Seen, follow, stream

HERE = Path(__file__).parent
START_SECONDS = 120.0
END_SECONDS = 60.0
BEGIN_SECONDS = 3.0
"""The time over which the runs begin, and the streams."""
MIGRATION_SECONDS = 90.0
"""Servers look for older processes once a minute."""


@dataclass
class Size:
    """The size of a roll."""

    streams: int = 200
    runs: int = 100
    stream_steps: int = 6
    run_steps: int = 120
    pause: float = 0.5
    drain: float = 15.0
    lead: float = 8.0
    rescue: float = 10.0


@dataclass
class Report:
    """What a roll was like."""

    seen: Seen
    effects: Counter[str]
    seconds: list[float]
    """How long each server took to end."""
    versions: tuple[int, int]
    """The version of the schema before and after."""
    refused: int
    size: Size
    old: bool
    """Whether the servers were of another version, whose faults are only counted: it may close
    kept connections, and forgets the last tenth of a second of a run that it hands over."""
    faults: list[str] = field(default_factory=list)
    known: dict[str, int] = field(default_factory=dict)

    def check(self) -> "Report":
        """Collect the faults: what the clients saw, and effects that are missing or came twice."""
        repeated = {each: n for each, n in self.effects.items() if n > 1}
        if self.old:
            self.known = {"connections that old servers broke": len(self.seen.broken)}
            self.known["effects that came again"] = sum(repeated.values()) - len(repeated)
        else:
            self.faults += self.seen.broken
            self.faults += [f"an effect came {n} times: {each}" for each, n in repeated.items()]
        self.faults += self.seen.faults
        if self.refused:
            self.faults.append(f"{self.refused} connections found no server")
        expected = Counter(
            f"{id_} {number}" for id_, said in self.seen.runs.items() for number in said
        )
        if missing := expected - self.effects:
            self.faults.append(f"{len(missing)} effects are missing")
        if unknown := self.effects.keys() - expected.keys():
            self.faults.append(f"{len(unknown)} effects have no event: {list(unknown)[:3]}")
        steps = {self.size.run_steps, self.size.stream_steps}
        self.faults += [
            f"{id_} is {self.seen.statuses[id_]} with {len(said)} numbers"
            for id_, said in self.seen.runs.items()
            if len(said) not in steps or self.seen.statuses[id_] != "completed"
        ]
        return self

    def table(self) -> dict[str, Any]:
        """Return the figures by their names."""
        attempts = Counter(self.seen.attempts.values())
        followed = sum(len(said) == self.size.run_steps for said in self.seen.runs.values())
        return {
            "streams completed": len(self.seen.runs) - followed,
            "background runs completed": followed,
            "runs by attempts": dict(sorted(attempts.items())),
            "events with an effect": self.effects.total(),
            "requests sent again after a 503": self.seen.repeated,
            "followers resumed": self.seen.resumed,
            "longest silence of a follower, s": round(self.seen.longest, 1),
            "seconds from the signal to the end of each server": self.seconds,
            "schema": " to ".join(map(str, self.versions)),
            **self.known,
            "faults": len(self.faults),
        }


class Deployment:
    """The servers of one store.

    Args:
        store: The store's URL.
        folder: For the effects and the servers' logs.
        size: The size of the roll.
    """

    def __init__(self, store: str, folder: Path, size: Size) -> None:
        self.effects = folder / "effects"
        self.effects.touch()
        self._folder = folder
        self._processes: dict[int, subprocess.Popen[bytes]] = {}
        self._environment = os.environ | {
            "AGENT_ASGI_STORE": store,
            "OTEL_SDK_DISABLED": "true",
            "ROLL_EFFECTS": str(self.effects),
            "ROLL_RUN_STEPS": str(size.run_steps),
            "ROLL_STREAM_STEPS": str(size.stream_steps),
            "ROLL_PAUSE": str(size.pause),
            "ROLL_DRAIN": str(size.drain),
            "ROLL_LEAD": str(size.lead),
            "ROLL_RESCUE": str(size.rescue),
        }

    def start(self, tree: Path) -> int:
        """Start a server with the code of a checkout; return its port."""
        port = free_port()
        module = "server.cli" if (tree / "agent_asgi/server/cli.py").exists() else "cli"
        command = [sys.executable, "-m", f"agent_asgi.{module}", "serve", "agent:app"]
        with (self._folder / f"{port}.log").open("wb") as log:
            self._processes[port] = subprocess.Popen(
                [*command, "--port", str(port)],
                cwd=HERE,
                env=self._environment | {"PYTHONPATH": str(tree)},
                stdout=log,
                stderr=log,
            )
        return port

    async def join(self, balancer: Balancer, port: int) -> None:
        """Put a server behind the load balancer once it is ready.

        Raises:
            AssertionError: It does not start.
        """
        balancer.add(port)
        until = time.monotonic() + START_SECONDS
        while not balancer.ready(port):
            if self._processes[port].poll() is not None or time.monotonic() > until:
                raise AssertionError(f"a server does not start: {self.log(port)}")
            await asyncio.sleep(0.05)

    async def end(self, port: int) -> float:
        """End a server with SIGTERM; return the seconds it took.

        Raises:
            AssertionError: It did not end in order.
        """
        process = self._processes.pop(port)
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        try:
            code = await asyncio.to_thread(process.wait, END_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            code = None
        if code:
            raise AssertionError(f"exit code {code}: {self.log(port)}")
        return round(time.monotonic() - began, 1)

    def log(self, port: int) -> str:
        """Return the end of a server's log."""
        return (self._folder / f"{port}.log").read_text()[-3000:]

    def kill(self) -> None:
        """Kill the servers that are left."""
        for process in self._processes.values():
            process.kill()
            process.wait()


@contextlib.contextmanager
def _deployed(size: Size) -> Iterator[tuple[Deployment, str]]:
    with tempfile.TemporaryDirectory() as folder, postgres_running() as postgres:
        deployment = Deployment(postgres.get_uri(), Path(folder), size)
        with psycopg.connect(postgres.get_uri(), autocommit=True) as connection:
            connection.execute("ALTER SYSTEM SET fsync = off")  # the database is not what ends
            connection.execute("SELECT pg_reload_conf()")
        try:
            yield deployment, postgres.get_uri()
        finally:
            deployment.kill()


async def roll(old: Path, size: Size) -> Report:
    """Replace two servers while clients use them.

    Args:
        old: The checkout of the servers that are replaced.
        size: The size of the roll.
    """
    with _deployed(size) as (deployment, url):
        async with Balancer().running() as balancer:
            ports = [deployment.start(old)]
            await deployment.join(balancer, ports[0])
            ports.append(deployment.start(old))
            await deployment.join(balancer, ports[1])
            before = _version(url)
            seen, seconds = await _replaced(deployment, balancer, ports, size)
            after = await _migrated(url, before, newest=old != ROOT)
            effects = Counter(deployment.effects.read_text().splitlines())
            versions, refused = (before, after), balancer.refused
            report = Report(seen, effects, seconds, versions, refused, size, old != ROOT)
            return report.check()


async def _replaced(
    deployment: Deployment, balancer: Balancer, ports: list[int], size: Size
) -> tuple[Seen, list[float]]:
    """Replace each server by one of this version; return what the clients saw."""
    seen, over = Seen(), asyncio.Event()
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
    client = httpx.AsyncClient(base_url=balancer.url, timeout=60, limits=limits)
    async with client, asyncio.TaskGroup() as group:
        for _ in range(size.runs):
            group.create_task(follow(client, seen))
            await asyncio.sleep(BEGIN_SECONDS / size.runs)
        for _ in range(size.streams):
            group.create_task(stream(client, seen, over))
            await asyncio.sleep(BEGIN_SECONDS / size.streams)
        await asyncio.sleep(2 * size.pause)
        seconds: list[float] = []
        for port in ports:
            await deployment.join(balancer, deployment.start(ROOT))
            seconds.append(await deployment.end(port))
            balancer.remove(port)
        over.set()
    return seen, seconds


def _version(url: str) -> int:
    with psycopg.connect(url) as connection:
        row = connection.execute("SELECT max(version) FROM agent_asgi_schema").fetchone()
    return int(row[0]) if row else 0


async def _migrated(url: str, before: int, *, newest: bool) -> int:
    """Return the version of the schema, once it has been migrated if it is to be."""
    until = time.monotonic() + MIGRATION_SECONDS
    while newest and _version(url) == before and time.monotonic() < until:
        await asyncio.sleep(1)
    return _version(url)
