"""Sends mixed traffic for half an hour, and checks that nothing leaks or is lost: `make soak`.

    python -m tests.tools.soak [--minutes 30]

A real `agent-asgi serve` with SQLite for responses and traces gets well and badly behaved requests
to all endpoints, at half the rate that it can handle. At the end its memory is what it was after
the warm-up, no task, thread, file or span is left over, and each accepted run has reached one
terminal state: the store, the traces and the metrics have the same counts.
"""

import argparse
import asyncio
import collections
import contextlib
import os
import signal
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2 as httpx
import psutil
from prometheus_client.parser import text_string_to_metric_families

from tests.support.commands import command
from tests.support.servers import free_port
from tests.tools.soak_traffic import TOKENS, Status, Traffic

HERE = Path(__file__).parent
CALIBRATION_SECONDS = 20.0
SAMPLE_SECONDS = 5.0
GROWTH = 1.05
"""Maximum ratio of the memory at the end to the memory after the warm-up."""


class Watched:
    """The memory of the server's process, sampled while it runs."""

    def __init__(self, process: psutil.Process) -> None:
        self.process = process
        self.memory: list[tuple[float, float]] = []
        self._began = time.monotonic()

    async def sample(self) -> None:
        """Sample until cancelled."""
        while True:
            megabytes = self.process.memory_info().rss / 1e6
            self.memory.append((time.monotonic() - self._began, megabytes))
            await asyncio.sleep(SAMPLE_SECONDS)

    def between(self, first: float, last: float) -> float:
        """Return the median memory during a part of the time, in MB."""
        whole = self.memory[-1][0]
        return statistics.median(
            each for at, each in self.memory if first * whole <= at <= last * whole
        )


async def closed_loop(traffic: Traffic, seconds: float) -> float:
    """Send as fast as a few clients can; return the rate in requests per second."""
    end = time.monotonic() + seconds

    async def work() -> None:
        while time.monotonic() < end:
            await traffic.one()

    before = traffic.done.total()
    await asyncio.gather(*(work() for _ in range(16)))
    return (traffic.done.total() - before) / seconds


async def fill_pools(traffic: Traffic) -> None:
    """Send so many requests at once that each pool of connections and threads has its full size."""
    for _ in range(3):
        await asyncio.gather(*(traffic.one() for _ in range(300)))


async def paced(traffic: Traffic, rate: float, seconds: float) -> None:
    """Send at a fixed rate, without waiting for the answers."""
    begun = time.monotonic()
    tasks: set[asyncio.Task[None]] = set()
    sent = 0
    while (now := time.monotonic() - begun) < seconds:
        if sent < now * rate and len(tasks) < 300:
            task = asyncio.create_task(traffic.one())
            tasks.add(task)
            task.add_done_callback(tasks.discard)
            sent += 1
        else:
            await asyncio.sleep(0.5 / rate)
    if tasks:
        await asyncio.wait(tasks, timeout=60)


async def quiet(traffic: Traffic, watched: Watched) -> dict[str, int]:
    """Wait until the server is idle; return what the process still holds."""
    await asyncio.sleep(8)  # keep-alive connections close, stubborn handlers are abandoned
    found = await traffic.tell()
    files = collections.Counter(Path(each.path).name for each in watched.process.open_files())
    say(f"open files: {dict(sorted(files.items()))}")
    return found | {"files": watched.process.num_fds()}


def of_metrics(text: str) -> dict[str, Status]:
    """Return the runs by agent and status, according to the metrics."""
    runs: dict[str, Status] = collections.defaultdict(collections.Counter)
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name == "agent_asgi_runs_total" and sample.value:
                runs[sample.labels["agent"]][sample.labels["status"]] += int(sample.value)
    return runs


def of_store(path: Path) -> Status:
    """Return the responses by status, according to the store."""
    with contextlib.closing(sqlite3.connect(path)) as db:
        query = "SELECT status, count(*) FROM agent_asgi_responses GROUP BY status"
        return collections.Counter(dict(db.execute(query).fetchall()))


def of_traces(path: Path) -> dict[str, Status]:
    """Return the traces by agent and status, according to MLflow's database."""
    found: dict[str, Status] = collections.defaultdict(collections.Counter)
    query = """
        SELECT agent.value, status.value, count(*) FROM trace_info
        LEFT JOIN trace_tags agent
            ON agent.request_id = trace_info.request_id AND agent.key = 'agent_asgi.agent'
        LEFT JOIN trace_tags status
            ON status.request_id = trace_info.request_id AND status.key = 'agent_asgi.status'
        WHERE trace_info.status IN ('OK', 'ERROR') GROUP BY 1, 2"""
    with contextlib.closing(sqlite3.connect(path)) as db:
        for agent, status, number in db.execute(query):
            found[agent][status] += number
    return found


@contextlib.contextmanager
def serving(folder: Path, port: int) -> Iterator[psutil.Process]:
    """Run the server until the block ends."""
    env = os.environ | {
        "AGENT_ASGI_STORE": f"sqlite:///{folder}/responses.db",
        "MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db",
        "MALLOC_ARENA_MAX": "2",
    }
    argv = command("serve", "soak_agent:app", "--port", str(port), "--log-format", "json")
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(argv, cwd=HERE, env=env, stdout=log, stderr=log)
        try:
            yield psutil.Process(process.pid)
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(90)
            finally:
                process.kill()


async def started(port: int) -> None:
    """Wait until the server accepts runs."""
    async with httpx.AsyncClient() as client:
        for _ in range(600):
            with contextlib.suppress(httpx.TransportError):
                if (await client.get(f"http://127.0.0.1:{port}/ready")).status_code == 200:
                    return
            await asyncio.sleep(0.1)
    raise RuntimeError("the server did not start")


async def soak(port: int, process: psutil.Process, minutes: float) -> tuple[list[str], Traffic]:
    """Send the traffic; return the problems found, and the traffic."""
    await started(port)
    traffic = Traffic(port)
    watched = Watched(process)
    await fill_pools(traffic)
    rate = await closed_loop(traffic, CALIBRATION_SECONDS) / 2
    before = await quiet(traffic, watched)
    say(f"half load is {rate:.1f} requests a second; before: {before}")
    sampling = asyncio.create_task(watched.sample())
    await paced(traffic, rate, minutes * 60)
    sampling.cancel()
    after = await quiet(traffic, watched)
    warm, end = watched.between(1 / 6, 1 / 3), watched.between(5 / 6, 1)
    say(f"after: {after}; memory {warm:.1f} MB after the warm-up, {end:.1f} MB at the end")
    wrong = [f"{k}: {before[k]} before, {after[k]} after" for k in after if after[k] > before[k]]
    if end > warm * GROWTH:
        wrong.append(f"memory grew by {end / warm - 1:.1%}")
    wrong += [f"{number} x {what}" for what, number in traffic.problems.items()]
    metrics = of_metrics((await traffic.get("/metrics", TOKENS[0])).text)
    await traffic.close()
    traffic.metrics = metrics
    return wrong, traffic


def compare(folder: Path, traffic: Traffic) -> list[str]:
    """Compare the runs in metrics, store and traces; return the differences."""
    metrics, traces = traffic.metrics, of_traces(folder / "mlflow.db")
    store = of_store(folder / "responses.db") + traffic.deleted
    wrong = []
    for agent in sorted({*metrics, *traces} - {"debug"}):
        say(f"{agent}: metrics {dict(metrics[agent])}, traces {dict(traces[agent])}")
        if metrics[agent] != traces[agent]:
            wrong.append(f"{agent}: metrics and traces differ")
    say(f"store: {dict(store)}, deleted ones among them")
    if store != metrics["soak"]:
        wrong.append("metrics and store differ")
    return wrong


def say(text: str) -> None:
    """Print a line immediately."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def main() -> None:
    """Soak, compare and print the result; exit with 1 if something is wrong."""
    parser = argparse.ArgumentParser(description="Mixed traffic, and then nothing is left.")
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--keep", help="a folder for the databases and the log")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        folder, port = Path(options.keep or made), free_port()
        folder.mkdir(exist_ok=True)
        with serving(folder, port) as process:
            wrong, traffic = asyncio.run(soak(port, process, options.minutes))
        wrong += compare(folder, traffic)
        say(f"{traffic.done.total()} requests: {dict(traffic.done)}")
    say("\n".join(wrong) or "Nothing is left, nothing is lost.")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
