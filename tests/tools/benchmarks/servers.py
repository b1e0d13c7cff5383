"""Start the benchmark servers, pin them to one core, measure them through /proc, stop them."""

import http.client
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from tests.support.servers import free_port
from tests.tools.benchmarks import recording
from tests.tools.benchmarks.environments import interpreter
from tests.tools.benchmarks.peer import OURS, Peer

FOLDER = Path(__file__).parent
TICKS = os.sysconf("SC_CLK_TCK")
CORES = sorted(os.sched_getaffinity(0))
SERVER_CORE, LOAD_CORE = {CORES[0]}, {CORES[-1]}
START_SECONDS = 120
STOP_SECONDS = 90


class NotServing(Exception):
    """A server did not start or stop; the message contains the end of its log."""


class Server:
    """A running server.

    Attributes:
        peer: The peer that it serves.
        port: Its port on 127.0.0.1.
        started: Its start time, from `time.perf_counter`.
    """

    def __init__(self, peer: Peer, port: int, process: subprocess.Popen[bytes], log: Path) -> None:
        self.peer = peer
        self.port = port
        self.started = time.perf_counter()
        self._process = process
        self._log = log

    def cpu(self) -> float:
        """Return the user and system CPU time it has used, in seconds."""
        return cpu(self._process.pid)

    def memory(self) -> int:
        """Return its resident memory in bytes."""
        pages = int(Path(f"/proc/{self._process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    def wait_until_up(self, path: str) -> None:
        """Wait until it answers 200.

        Raises:
            NotServing: It has exited or takes too long.
        """
        until = time.monotonic() + START_SECONDS
        while get(self.port, path) != 200:
            if self._process.poll() is not None or time.monotonic() > until:
                raise NotServing(f"{self.peer.name} did not start: {self.log()}")
            time.sleep(0.02)

    def wait_until_idle(self) -> None:
        """Wait until its workers have been idle for a while, which means all have started."""
        until = time.monotonic() + START_SECONDS
        before, now = -1.0, self._workers_cpu()
        while before < now and time.monotonic() < until:
            time.sleep(0.5)
            before, now = now, self._workers_cpu()

    def _workers_cpu(self) -> float:
        used = 0.0
        for below in descendants(self._process.pid):
            with suppress(OSError):  # it has exited meanwhile
                used += cpu(below)
        return used

    def log(self) -> str:
        """Return the end of its log."""
        return self._log.read_text(errors="replace")[-2000:]

    def stop(self) -> float:
        """Stop it with SIGTERM, or SIGKILL if that takes too long; return the seconds it took.

        Raises:
            NotServing: It had to be killed.
        """
        begun = time.monotonic()
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            raise NotServing(f"{self.peer.name} did not end: {self.log()}") from None
        return time.monotonic() - begun

    def kill(self) -> None:
        """Kill it and its workers by their process ids."""
        for worker in children(self._process.pid):
            with suppress(ProcessLookupError):
                os.kill(worker, signal.SIGKILL)
        self._process.kill()
        self._process.wait()


@contextmanager
def served(
    peer: Peer,
    *,
    tracing: str = "off",
    pinned: bool = True,
    workers: int = 1,
    environment: Mapping[str, str] | None = None,
    wait: bool = True,
) -> Iterator[Server]:
    """Serve a peer while the block runs.

    Args:
        peer: The peer.
        tracing: "off", or "on" if `environment` names the destination.
        pinned: Whether it gets one core to itself, which the load does not use.
        workers: The number of worker processes.
        environment: Additional environment variables.
        wait: Whether to wait until it is up.
    """
    port = free_port()
    command = [str(interpreter(peer.environment)), "-m", "uvicorn", f"{peer.module}:app"]
    command += ["--app-dir", str(FOLDER / "peers"), "--port", str(port), "--log-level", "warning"]
    command += ["--no-access-log", "--loop", "uvloop", "--http", "httptools"]
    command += ["--workers", str(workers)] if workers > 1 else []
    given = {"BENCH_TRACING": tracing, **(environment or {})}
    with ExitStack() as stack:
        server = stack.enter_context(started(peer, command, given, port, pinned=pinned))
        if wait:
            server.wait_until_up(peer.health)
        if workers > 1:
            server.wait_until_idle()
        yield server


@contextmanager
def started(
    peer: Peer, command: list[str], given: Mapping[str, str], port: int, *, pinned: bool
) -> Iterator[Server]:
    """Run a command that serves a port, in a temporary folder, while the block runs."""
    cores = SERVER_CORE if pinned else set(CORES)
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                command,
                cwd=folder,
                env=clean_environment(given),
                stdout=output,
                stderr=subprocess.STDOUT,
                preexec_fn=lambda: os.sched_setaffinity(0, cores),
            )
        server = Server(peer, port, process, log)
        try:
            yield server
            server.stop()
        finally:
            if process.poll() is None:
                server.kill()


def clean_environment(given: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a server, without the caller's tracing or store settings."""
    ours = ("MLFLOW_", "OTEL_", "BENCH_", "AGENT_ASGI_", "PYTHON")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    quiet = {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}
    return {**kept, **quiet, **given}


class Bench:
    """The servers that rows share: pinned, with tracing off, and started when first needed."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._servers: dict[str, Server] = {}
        self._payload: Path | None = None

    def __enter__(self) -> "Bench":
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def server(self, peer: Peer) -> Server:
        """Return a peer's server."""
        if peer.name not in self._servers:
            context = served(peer, environment=self.environment(peer))
            self._servers[peer.name] = self._stack.enter_context(context)
        return self._servers[peer.name]

    def environment(self, peer: Peer) -> dict[str, str]:
        """Return the variables that a peer needs: for bare, the recorded answers of ours."""
        if peer.module != "bare":
            return {}
        if self._payload is None:
            folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory()))
            self._payload = folder / "payload.json"
            recording.record(self.server(OURS).port, self._payload)
        return {"BENCH_PAYLOAD": str(self._payload)}


@contextmanager
def unpinned() -> Iterator[None]:
    """Let the load use any core while the block runs."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, set(CORES))
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def get(port: int, path: str) -> int:
    """Send one GET request; return the status, or 0 if there is no answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return 0
    finally:
        connection.close()


def cpu(pid: int) -> float:
    """Return the user and system CPU time that a process has used, in seconds."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def children(pid: int) -> list[int]:
    """Return the ids of a process's children."""
    found: list[int] = []
    with suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            found += map(int, (task / "children").read_text().split())
    return found


def descendants(pid: int) -> list[int]:
    """Return the ids of all descendants of a process."""
    below = children(pid)
    return below + [each for child in below for each in descendants(child)]
