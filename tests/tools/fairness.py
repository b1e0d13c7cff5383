"""Measure what 1,000 users notice of one who floods the server: `make fairness`.

    python -m tests.tools.fairness [--callers 1000] [--flood 500] [--store memory|postgres]

Each user of a real `agent-asgi serve` sends a run every ten seconds over a new connection, answered
by JSON and as a stream in turn. One more user sends many times as many as their quota
allows, whatever comes back. Quiet and flooded periods alternate; the report has the other users'
latencies, from when a request was due until the whole answer had arrived, and the ratio of the p99
in each flooded period to that of the quiet periods around it. It fails if the median of the ratios
is above 1.2. How noisy the machine is shows in the quiet periods' p99.
"""

import argparse
import asyncio
import contextlib
import itertools
import os
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from tests.support.commands import command
from tests.support.postgres import postgres_running
from tests.support.servers import free_port
from tests.tools.hostile.watched import pinned
from tests.tools.hostile.wire import Address, answer, connect, post

PACE = 10.0
"""Seconds between two runs of a user."""
FLOOD_CONNECTIONS = 32
MOST = 1.2
BODIES = (b'{"input": "hi"}', b'{"input": "hi", "stream": true}')


async def ask(address: Address, user: str, turn: int) -> int:
    """Send a user's run over a new connection; return the status, or 0 if there is no answer."""
    try:
        connection = await connect(address)
        try:
            connection.writer.write(post(BODIES[turn % 2], "/responses", f"x-user: {user}"))
            return (await answer(connection.reader))[0]
        finally:
            connection.leave()
    except (OSError, asyncio.IncompleteReadError):
        return 0


class Period:
    """The latencies of the users in a period, and the answers of the one who floods."""

    def __init__(self) -> None:
        self.latencies: list[float] = []
        self.answers: Counter[int] = Counter()
        self.flood: Counter[int] = Counter()

    @property
    def p99(self) -> float:
        """The 99th percentile, in seconds."""
        return sorted(self.latencies)[int(len(self.latencies) * 0.99)]


async def call(address: Address, period: Period, number: int, due: float, end: float) -> None:
    """Send a user's runs of a period."""
    turn = number
    while due < end:
        await asyncio.sleep(due - time.monotonic())
        period.answers[await ask(address, f"user-{number}", turn)] += 1
        period.latencies.append(time.monotonic() - due)
        due += PACE
        turn += 1


def flood(address: Address, seconds: float, rate: float) -> Counter[int]:
    """Send one user's runs at a fixed rate in this process; return how they were answered."""
    answers: Counter[int] = Counter()

    async def send(due: float, end: float) -> None:
        for turn in itertools.count():
            due = max(due + FLOOD_CONNECTIONS / rate, time.monotonic())
            if due >= end:
                return
            await asyncio.sleep(due - time.monotonic())
            answers[await ask(address, "flooder", turn)] += 1

    async def send_all() -> None:
        begin = time.monotonic()
        works = [send(begin + n / rate, begin + seconds) for n in range(FLOOD_CONNECTIONS)]
        await asyncio.gather(*works)

    asyncio.run(send_all())
    return answers


async def measure(
    address: Address, callers: int, seconds: float, flooding: asyncio.Future[Counter[int]] | None
) -> Period:
    """Measure one period."""
    period, begin = Period(), time.monotonic() + 0.1
    end = begin + seconds
    works = [
        call(address, period, number, begin + number * PACE / callers, end)
        for number in range(callers)
    ]
    await asyncio.gather(*works)
    period.flood = Counter() if flooding is None else await flooding
    return period


async def compare(address: Address, callers: int, seconds: float, rate: float, rounds: int) -> None:
    """Print quiet and flooded periods, and exit with 1 if the others notice too much."""
    await measure(address, callers, PACE, None)  # a warm-up
    quiet = [await measure(address, callers, seconds, None)]
    ratios: list[float] = []
    loop, pool = asyncio.get_running_loop(), ProcessPoolExecutor(1)
    for _ in range(rounds):
        flooding = loop.run_in_executor(pool, flood, address, seconds, rate)
        flooded = await measure(address, callers, seconds, flooding)
        quiet.append(await measure(address, callers, seconds, None))
        around = statistics.mean([quiet[-2].p99, quiet[-1].p99])
        ratios.append(flooded.p99 / around)
        for name, each in (("quiet", quiet[-1]), ("flood", flooded)):
            median = statistics.median(each.latencies)
            say(
                f"{name}: p50 {median * 1000:.1f} ms, p99 {each.p99 * 1000:.1f} ms, "
                f"answers {dict(each.answers)}, flooder {dict(each.flood)}"
            )
        say(f"ratio of the p99: {ratios[-1]:.2f}")
    pool.shutdown()
    noise = [each.p99 * 1000 for each in quiet]
    ratio = statistics.median(ratios)
    say(f"quiet p99 from {min(noise):.1f} to {max(noise):.1f} ms; median ratio {ratio:.2f}")
    if ratio > MOST:
        sys.exit(1)


@contextlib.contextmanager
def served(store: str) -> Iterator[Address]:
    """Serve the agent in a process."""
    port = free_port()
    folder = Path(__file__).parent
    env = os.environ | {"OTEL_SDK_DISABLED": "true", "AGENT_ASGI_STORE": store}
    argv = command("serve", "fairness_agent:app", "--port", str(port))
    process = subprocess.Popen(argv, cwd=folder, env=env)
    try:
        asyncio.run(until_ready(Address("127.0.0.1", port)))
        yield Address("127.0.0.1", port)
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


async def until_ready(address: Address) -> None:
    """Wait until a run is answered."""
    until = time.monotonic() + 60
    while await ask(address, "first", 0) != 200:
        if time.monotonic() > until:
            raise TimeoutError("The server does not answer.")
        await asyncio.sleep(0.1)


def say(text: str) -> None:
    """Print a line at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def main() -> None:
    """Serve the agent, and measure in a process of its own core."""
    parser = argparse.ArgumentParser(description="Measure how fair the server is.")
    parser.add_argument("--callers", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--flood", type=float, default=500, help="runs a second")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--store", choices=["memory", "postgres"], default="memory")
    parser.add_argument("--address", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.address is not None:
        host, _, port = options.address.partition(":")
        sizes = options.callers, options.seconds, options.flood, options.rounds
        asyncio.run(compare(Address(host, int(port)), *sizes))
        return
    with contextlib.ExitStack() as stack:
        store = "memory://"
        if options.store == "postgres":
            store = stack.enter_context(postgres_running()).get_uri()
        host, port = stack.enter_context(served(store))
        argv = [*pinned(), sys.executable, "-m", "tests.tools.fairness", *sys.argv[1:]]
        sys.exit(subprocess.run([*argv, "--address", f"{host}:{port}"], check=False).returncode)


if __name__ == "__main__":
    main()
