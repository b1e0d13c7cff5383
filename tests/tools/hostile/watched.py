"""The server under attack and the well-behaved client, each in a separate process."""

import json
import os
import shutil
import subprocess
import sys
import time
import urllib.request
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import psutil

HERE = Path(__file__).parent


@dataclass
class Bench:
    """The server and the well-behaved client."""

    server: psutil.Process
    port: int
    seen: Path
    _read: int = 0
    _lines: list[tuple[float, float, int]] = field(default_factory=list)

    def state(self) -> dict[str, int]:
        """Return the server's state: the lowest of five samples, as the steady client keeps on."""
        looks = [self._look() for _ in range(5)]
        return {name: min(each[name] for each in looks) for name in looks[0]}

    def _look(self) -> dict[str, int]:
        time.sleep(0.05)
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/state", timeout=60) as told:
            state: dict[str, int] = json.load(told)
        memory = self.server.memory_info().rss >> 20
        return {**state, "files": self.server.num_fds(), "MiB": memory}

    def latencies(self, begin: float, end: float) -> list[float]:
        """Return the latencies of the requests that were due between two times.

        Raises:
            AssertionError: The well-behaved client got an answer other than 200.
        """
        with self.seen.open() as file:
            file.seek(self._read)
            for line in file.read().rpartition("\n")[0].splitlines():
                due, took, status = line.split()
                self._lines.append((float(due), float(took), int(status)))
                self._read += len(line) + 1
        within = [each for each in self._lines if begin <= each[0] < end]
        wrong = {each[2] for each in within} - {200}
        if wrong:
            raise AssertionError(f"the well-behaved client was answered {wrong}")
        return [each[1] for each in within]


def pinned() -> list[str]:
    """Return a command prefix that pins the clients to one core; the server needs the others."""
    cores = sorted(os.sched_getaffinity(0))
    enough = len(cores) > 1 and shutil.which("taskset") is not None
    return ["taskset", "-c", str(cores[-1])] if enough else []


def start(stack: ExitStack, folder: Path) -> Bench:
    """Start the server and the well-behaved client; the stack stops both."""
    from tests.support.servers import free_port

    port = free_port()
    env = os.environ | {
        "MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "PYTHONPATH": os.pathsep.join([str(HERE), *sys.path]),
    }
    command = ["-m", "agent_asgi.server.cli", "serve", "served:app", "--port", str(port)]
    log = stack.enter_context((folder / "server.log").open("wb"))
    server = subprocess.Popen([sys.executable, *command], env=env, cwd=HERE, stdout=log, stderr=log)
    stack.callback(ended, server)
    bench = Bench(psutil.Process(server.pid), port, folder / "seen")
    until = time.monotonic() + 60
    while time.monotonic() < until:
        try:
            bench.state()
            break
        except OSError:
            time.sleep(0.2)
    seen = stack.enter_context(bench.seen.open("wb"))
    client = subprocess.Popen(
        [
            *pinned(),
            sys.executable,
            "-u",
            "-m",
            "tests.tools.hostile.steady",
            "127.0.0.1",
            str(port),
        ],
        stdin=subprocess.PIPE,
        stdout=seen,
    )
    stack.callback(ended, client)
    time.sleep(5)  # until MLflow's database is created
    return bench


def ended(process: subprocess.Popen[bytes]) -> None:
    """Stop a process."""
    process.terminate()
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
