"""Measure what short background runs cost on PostgreSQL: `make throughput`.

    python -m tests.tools.throughput [--runs 2000] [--workers 2] [--pause 0] [--rounds 3]

A server accepts the runs and executes none; `agent-asgi worker` processes execute them. Three
phases follow one another: the server accepts runs while the workers are stopped, the workers then
execute them, and at last both happen at once. For each phase the report has runs per second,
PostgreSQL's commits for each run, and the processor time for each run of the server, of the workers
and of PostgreSQL. Times depend on the machine's other load, commits do not.

Idle processes commit too, for heartbeats and polls: as much is measured first and subtracted. An
idle connection reports its commits up to ten seconds late, so that each phase ends with a pause.
With `--statements` PostgreSQL logs its statements, and the report counts them; no time is then
right.
"""

import argparse
import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import psutil
import psycopg

from tests.support.commands import command
from tests.support.postgres import postgres_running
from tests.support.servers import free_port
from tests.tools.hostile.watched import ended
from tests.tools.hostile.wire import Address, answer, connect, post

LATE_SECONDS = 11.0
"""After this time idle connections have reported their commits."""
POLL_SECONDS = 0.1
CONNECTIONS = 16
REQUEST = post(b'{"input": "hi", "background": true}')
COUNTS = b"""SELECT count(*) FILTER (WHERE status = 'completed'),
    count(*) FILTER (WHERE attempt > 1 OR status NOT IN ('queued', 'in_progress', 'completed'))
    FROM agent_asgi_responses"""
COMMITS = b"SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()"
READY = b"SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'LISTEN agent_asgi %'"
TARGET = "tests.tools.throughput_agent:app"


class Machine:
    """The database, the server and the workers.

    Args:
        database: PostgreSQL.
        server: The process that accepts runs.
        workers: The processes that execute them.
        port: The server's.
    """

    def __init__(self, database: Any, server: int, workers: list[int], port: int) -> None:
        self.address = Address("127.0.0.1", port)
        self.workers = workers
        self._connection = psycopg.connect(database.get_uri(), autocommit=True)
        self._asked = 0
        self._groups = {"server": [server], "workers": workers, "PostgreSQL": [database.get_pid()]}

    def commits(self) -> int:
        """Return how many transactions all others have committed, once all have reported them."""
        time.sleep(LATE_SECONDS)
        (count,) = self._ask(COMMITS)
        return int(count) - self._asked

    def completed(self) -> int:
        """Return how many runs have completed.

        Raises:
            AssertionError: A run ended in another way, or was executed twice.
        """
        completed, wrong = self._ask(COUNTS)
        if wrong:
            raise AssertionError(f"{wrong} runs failed or were executed twice")
        return int(completed)

    def used(self) -> dict[str, float]:
        """Return the processor time of each group of processes so far, in seconds."""
        return {name: sum(map(used_by, pids)) for name, pids in self._groups.items()}

    def wait(self) -> None:
        """Wait until all processes have started."""
        until = time.monotonic() + 60
        while self._ask(READY) != (1 + len(self.workers),):
            if time.monotonic() > until:
                raise TimeoutError("The processes do not start.")
            time.sleep(POLL_SECONDS)

    def signal(self, number: int) -> None:
        """Send a signal to the workers."""
        for pid in self.workers:
            os.kill(pid, number)

    def _ask(self, query: bytes) -> tuple[Any, ...]:
        self._asked += 1
        row = self._connection.execute(query).fetchone()
        return row or ()


def used_by(pid: int) -> float:
    """Return the processor time of a process and of all that it has started."""
    process = psutil.Process(pid)
    own = process.cpu_times()
    children = sum(sum(each.cpu_times()[:2]) for each in process.children(recursive=True))
    return own.user + own.system + own.children_user + own.children_system + children


async def accept(address: Address, runs: int) -> None:
    """Send runs over some connections, as fast as they are accepted."""
    left = iter(range(runs))

    async def send() -> None:
        connection = await connect(address)
        for _ in left:
            connection.writer.write(REQUEST)
            status, body = await answer(connection.reader)
            if status != 200:
                raise AssertionError(f"{status}: {body!r}")
        connection.leave()

    await asyncio.gather(*[send() for _ in range(CONNECTIONS)])


@contextmanager
def phase(machine: Machine, name: str, runs: int, idle: float) -> Iterator[None]:
    """Measure a block and print the figures."""
    commits, used, begun = machine.commits(), machine.used(), time.monotonic()
    yield
    took = time.monotonic() - begun
    spent = {each: seconds - used[each] for each, seconds in machine.used().items()}
    count = machine.commits() - commits - idle * (took + LATE_SECONDS)
    times = {each: round(seconds / runs * 1000, 2) for each, seconds in spent.items()}
    figures = {"runs/s": round(runs / took), "commits/run": round(count / runs, 2)}
    say(json.dumps({"phase": name, **figures, "CPU ms/run": times}))


def until_completed(machine: Machine, count: int) -> None:
    """Wait until that many runs have completed."""
    until = time.monotonic() + 300
    while machine.completed() < count:
        if time.monotonic() > until:
            raise AssertionError(f"{machine.completed()} of {count} runs have completed")
        time.sleep(POLL_SECONDS)


def measure(machine: Machine, runs: int, rounds: int) -> None:
    """Print the figures of each phase."""
    asyncio.run(accept(machine.address, runs // 10))  # a warm-up
    until_completed(machine, runs // 10)
    before = machine.commits()
    idle = (machine.commits() - before) / LATE_SECONDS
    say(f"idle: {idle:.1f} commits/s")
    done = machine.completed()
    for _ in range(rounds):
        machine.signal(signal.SIGSTOP)
        with phase(machine, "accept", runs, idle / 3):
            asyncio.run(accept(machine.address, runs))
        with phase(machine, "execute", runs, idle):
            machine.signal(signal.SIGCONT)
            until_completed(machine, done + runs)
        with phase(machine, "both", runs, idle):
            asyncio.run(accept(machine.address, runs))
            until_completed(machine, done + 2 * runs)
        done += 2 * runs


def statements(machine: Machine, database: Any, runs: int) -> None:
    """Print which statements PostgreSQL executes for each run."""
    done = machine.completed()
    log = Path(database.log)
    begin = log.stat().st_size
    asyncio.run(accept(machine.address, runs))
    until_completed(machine, done + runs)
    text = log.read_bytes()[begin:].decode()
    found = re.findall(r"(?:statement|execute [^:]*): (.*)", text)
    counts = Counter(re.sub(r"\s+|\d+", " ", each)[:110] for each in found)
    for statement, count in counts.most_common(40):
        say(f"{count / runs:6.2f}  {statement}")


@contextmanager
def started(number: int, *arguments: str) -> Iterator[int]:
    """Run a process that executes a number of runs at once, until the block ends."""
    environment = os.environ | {"THROUGHPUT_CONCURRENCY": str(number)}
    argv = command(*arguments, TARGET, "--log-level", "warning")
    process = subprocess.Popen(argv, env=environment)
    try:
        yield process.pid
    finally:
        ended(process)


def say(text: str) -> None:
    """Print a line at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def main() -> None:
    """Start the processes, and measure."""
    parser = argparse.ArgumentParser(description="Measure background runs on PostgreSQL.")
    parser.add_argument("--runs", type=int, default=2000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--words", type=int, default=10)
    parser.add_argument("--pause", type=float, default=0, help="between two words, in seconds")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--statements", action="store_true")
    options = parser.parse_args()
    with ExitStack() as stack:
        database = stack.enter_context(postgres_running())
        if options.statements:
            database.psql("ALTER SYSTEM SET log_statement = 'all'; SELECT pg_reload_conf();")
        os.environ |= {
            "AGENT_ASGI_STORE": database.get_uri(),
            "OTEL_SDK_DISABLED": "true",
            "THROUGHPUT_WORDS": str(options.words),
            "THROUGHPUT_PAUSE": str(options.pause),
        }
        port = free_port()
        server = stack.enter_context(started(0, "serve", "--port", str(port)))
        workers = [stack.enter_context(started(20, "worker")) for _ in range(options.workers)]
        machine = Machine(database, server, workers, port)
        machine.wait()
        if options.statements:
            statements(machine, database, options.runs)
        else:
            measure(machine, options.runs, options.rounds)


if __name__ == "__main__":
    main()
