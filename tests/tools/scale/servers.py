"""Real servers of the scale agent, and how much CPU they and PostgreSQL have used."""

import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import psycopg

from tests.support.pages import ROOT
from tests.support.servers import free_port
from tests.tools.benchmarks.peer import OURS
from tests.tools.benchmarks.servers import Server, cpu, descendants, started

REPORT_SECONDS = 11.0
"""An idle connection reports its transactions up to 10 seconds late."""


@contextmanager
def serving(store: str = "", *, concurrency: int = 200, pinned: bool = False) -> Iterator[Server]:
    """Serve the agent, with the settings of `agent-asgi serve` that matter here."""
    port = free_port()
    command = [sys.executable, "-m", "agent_asgi.server.cli", "serve"]
    command += ["tests.tools.scale.agent:app", "--port", str(port), "--log-level", "warning"]
    command += ["--allowed-host", "bench"]  # as the load calls it
    given = {
        "OTEL_SDK_DISABLED": "true",
        "PYTHONPATH": str(ROOT),
        "SCALE_CONCURRENCY": str(concurrency),
    }
    if store:
        given["AGENT_ASGI_STORE"] = store
    with started(OURS, command, given, port, pinned=pinned) as server:
        server.wait_until_up("/ready")
        time.sleep(1)  # what the start has left to do
        yield server


class Idle(NamedTuple):
    """What happens per second without any runs: heartbeats, sweeps, polls."""

    servers: Sequence[float] = ()
    """CPU of each server, in microseconds."""
    database: float = 0.0
    """CPU of PostgreSQL, in microseconds."""
    commits: float = 0.0
    """Transactions."""


class Meter:
    """Measures the CPU of servers and of a PostgreSQL, and its transactions, from its creation on.

    Args:
        servers: The servers.
        url: The database's URL. Default "": none.
        idle: What is not counted. Default: nothing.
    """

    def __init__(self, servers: Sequence[Server], url: str = "", idle: Idle | None = None) -> None:
        self._servers = servers
        self._url = url
        self._idle = idle or Idle([0.0] * len(servers))
        self._began = time.monotonic()
        self._begun = [each.cpu() for each in servers]
        self._database = self._database_cpu()
        self._commits = self._committed()

    @property
    def _seconds(self) -> float:
        return time.monotonic() - self._began

    def servers(self) -> list[float]:
        """Return the CPU that each server has used, in microseconds."""
        parts = zip(self._servers, self._begun, self._idle.servers, strict=True)
        return [
            (server.cpu() - begun) * 1e6 - idle * self._seconds for server, begun, idle in parts
        ]

    def database(self) -> float:
        """Return the CPU that PostgreSQL has used, in microseconds."""
        return (self._database_cpu() - self._database) * 1e6 - self._idle.database * self._seconds

    def commits(self) -> float:
        """Return the number of transactions, once all have been reported."""
        time.sleep(REPORT_SECONDS)
        return self._committed() - self._commits - self._idle.commits * self._seconds

    def idle(self) -> Idle:
        """Wait a while, and return what happened meanwhile, per second."""
        commits = self.commits()
        seconds = self._seconds
        servers = [used / seconds for used in self.servers()]
        return Idle(servers, self.database() / seconds, commits / seconds)

    def _database_cpu(self) -> float:
        if not self._url:
            return 0.0
        with psycopg.connect(self._url) as connection:
            row = connection.execute(_FOLDER).fetchone()
        assert row is not None
        pid = int((Path(row[0]) / "postmaster.pid").read_text().split()[0])
        used = cpu(pid) + _ended_children(pid)
        for each in descendants(pid):
            try:
                used += cpu(each)
            except OSError:  # it has just ended
                continue
        return used

    def _committed(self) -> int:
        if not self._url:
            return 0
        with psycopg.connect(self._url) as connection:
            row = connection.execute(_COMMITTED).fetchone()
        assert row is not None
        return int(row[0])


def machine() -> str:
    """Return the processor and the number of its cores."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = [line.partition(": ")[2] for line in lines if line.startswith("model name")]
    return f"{names[0] if names else 'unknown'}, {os.cpu_count()} cores"


def _ended_children(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[13]) + int(fields[14])) / os.sysconf("SC_CLK_TCK")


_FOLDER = "SHOW data_directory"
_COMMITTED = "SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()"
