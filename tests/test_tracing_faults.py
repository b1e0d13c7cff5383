"""Tracking servers that are down, at start or later: runs go on, the log says so once, exits end."""

import asyncio
import contextlib
import http.server
import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mlflow
import pytest
from conftest import started, traces
from mlflow.tracking.fluent import _get_active_model_id_global

from agent_asgi import AgentApp, AgentRouter, Timeouts, tracing
from agent_asgi.exports import ExportQueue
from agent_asgi.testing import AgentClient

SCRIPT = """
import asyncio, json, logging, os, sys, time
logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s %(message)s")
from agent_asgi import AgentApp, AgentRouter, Timeouts, tracing
from agent_asgi.testing import AgentClient

router = AgentRouter("fault")

@router.stream
async def fault():
    for _ in range(3):
        yield "x"
        await asyncio.sleep(0.002)

gaps = [0.0]

async def tick():
    last = time.monotonic()
    while True:
        await asyncio.sleep(0.005)
        now = time.monotonic()
        gaps[0] = max(gaps[0], now - last)
        last = now

async def main():
    ticker = asyncio.create_task(tick())
    app = AgentApp(router, timeouts=Timeouts(tracing=float(os.environ["WAIT"])))
    client = AgentClient(app)
    statuses, slowest, traced = [], 0.0, 0
    begun = time.monotonic()
    async with app.lifespan():
        up = time.monotonic() - begun
        print("UP", flush=True)
        if os.environ["LATER"] == "1":
            sys.stdin.readline()
        for number in range(int(os.environ["RUNS"])):
            begun = time.monotonic()
            stream = number % 2 == 1
            answer = await client.post("/responses", {"input": "x", "stream": stream})
            statuses.append(answer.status)
            slowest = max(slowest, time.monotonic() - begun)
            traced += "x-mlflow-trace-id" in answer.headers
    ticker.cancel()
    print(json.dumps({"statuses": statuses, "gap": gaps[0], "up": up, "slowest": slowest,
                      "traced": traced, "dropped": tracing.dropped}), flush=True)

asyncio.run(main())
"""


class Refusing:
    """A port that nobody listens at."""

    def __init__(self) -> None:
        with socket.socket() as found:
            found.bind(("127.0.0.1", 0))
            self.port = found.getsockname()[1]

    def stop(self) -> None:
        """End it."""


class Hanging:
    """Takes connections and never answers."""

    def __init__(self, port: int = 0) -> None:
        self._socket = socket.create_server(("127.0.0.1", port), backlog=100)
        self.port = self._socket.getsockname()[1]

    def stop(self) -> None:
        """End it."""
        self._socket.close()


class Failing:
    """Answers 500."""

    def __init__(self, port: int = 0) -> None:
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_error(500)

            do_POST = do_GET  # noqa: N815  http.server's name

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  its name
                """Keep quiet."""

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        """End it."""
        self._server.shutdown()
        self._server.server_close()


class Tracked:
    """A process that serves runs and traces to `uri`."""

    def __init__(self, folder: Path, uri: str, **env: str) -> None:
        root = Path(tracing.__file__).parents[1]
        given = {"WAIT": "1", "RUNS": "6", "LATER": "0", "MLFLOW_TRACKING_URI": uri, **env}
        self.process = subprocess.Popen(
            [sys.executable, "-c", SCRIPT],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(root), **given},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> "Tracked":
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()

    def result(self, line: str = "") -> tuple[dict[str, Any], list[str], float]:
        """Give what it printed, its warnings, and how long it took to end after that."""
        begun = time.monotonic()
        out, err = self.process.communicate(line, timeout=60)
        assert self.process.returncode == 0, err
        result: dict[str, Any] = json.loads(out.splitlines()[-1])
        assert set(result["statuses"]) == {200}, err
        assert result["gap"] < 0.5, result
        warned = [each for each in err.splitlines() if re.match(r".*\b(WARNING|ERROR)\b", each)]
        return result, warned, time.monotonic() - begun


@pytest.mark.parametrize("kind", [Refusing, Hanging, Failing])
def test_server_down_at_start(kind: type[Any], tmp_path: Path) -> None:
    server = kind()
    try:
        with Tracked(tmp_path, f"http://127.0.0.1:{server.port}") as tracked:
            result, warned, seconds = tracked.result()
    finally:
        server.stop()
    assert result["up"] < 2
    assert result["slowest"] < 0.5
    assert result["traced"] == 0
    assert len(warned) == 1, warned
    assert seconds < 30


@contextlib.contextmanager
def tracking_server(folder: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port)]
        + ["--workers", "1", "--backend-store-uri", f"sqlite:///{folder}/server.db"],
        cwd=folder,
        env={each: value for each, value in os.environ.items() if each != "MLFLOW_TRACKING_URI"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        until = time.monotonic() + 90
        while time.monotonic() < until and process.poll() is None:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            time.sleep(0.1)
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, 9)
        process.wait(30)


def await_up(tracked: Tracked) -> None:
    assert tracked.process.stdout is not None
    assert tracked.process.stdout.readline() == "UP\n"


@pytest.mark.parametrize("kind", [Refusing, Hanging, Failing])
def test_server_that_dies_later(kind: type[Any], tmp_path: Path) -> None:
    port = Refusing().port
    fast = {"MLFLOW_ASYNC_TRACE_LOGGING_MAX_INTERVAL_MILLIS": "100"}
    with tracking_server(tmp_path, port) as server:
        with Tracked(tmp_path, f"http://127.0.0.1:{port}", LATER="1", WAIT="60", **fast) as tracked:
            await_up(tracked)
            os.killpg(server.pid, 9)
            server.wait(30)
            dead = kind(port) if kind is not Refusing else None
            try:
                result, warned, seconds = tracked.result("go\n")
            finally:
                if dead is not None:
                    dead.stop()
    assert result["traced"] == 6
    assert result["slowest"] < 0.6
    assert len(warned) == 1, warned
    assert seconds < 30


def test_dead_collector(tmp_path: Path) -> None:
    env = {
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": f"http://127.0.0.1:{Refusing().port}/v1/traces",
        "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/protobuf",
    }
    pytest.importorskip("opentelemetry.exporter.otlp.proto.http.trace_exporter")
    with Tracked(tmp_path, "sqlite:///unused.db", WAIT="30", **env) as tracked:
        result, warned, seconds = tracked.result()
    assert result["traced"] == 6
    assert len(warned) == 1, warned
    assert seconds < 60


class Held:
    """An export that waits."""

    def __init__(self, gate: threading.Event) -> None:
        self._gate = gate

    def handle(self) -> None:
        """Wait."""
        self._gate.wait(30)


def test_trace_without_room_is_dropped_and_counted(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    router = AgentRouter("t-room")

    @router.invoke
    async def hurried() -> str:
        return "x"

    gate = threading.Event()
    jammed = ExportQueue(1, 1, lambda: None)

    async def main() -> list[float]:
        seconds = []
        async with started(AgentApp(router, timeouts=Timeouts(tracing=60))) as app:
            client = AgentClient(app)
            await client.post("/responses", {"input": "first"})
            with monkeypatch.context() as patch:
                patch.setattr(tracing, "_queue", lambda: jammed)
                jammed.put(Held(gate))
                await asyncio.sleep(0.05)
                jammed.put(Held(gate))
                for _ in range(2):
                    begun = time.monotonic()
                    assert (await client.post("/responses", {"input": "lost"})).status == 200
                    seconds.append(time.monotonic() - begun)
                gate.set()
            await client.post("/responses", {"input": "last"})
        return seconds

    before = tracing.dropped
    monkeypatch.setattr(tracing, "_reported", 0.0)
    seconds = asyncio.run(main())
    assert all(0.2 < each < 0.5 for each in seconds), seconds
    assert tracing.dropped == before + 2
    found = [each.data.spans[0].inputs["input"] for each in traces(agent="t-room")]
    assert found == ["first", "last"]
    reports = [each for each in caplog.messages if "fallen behind" in each]
    assert reports == [f"Trace exports have fallen behind: {before + 1} traces dropped so far."]


def test_git_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def git(*words: str) -> str:
        who = ["-c", "user.name=a", "-c", "user.email=a@b"]
        done = subprocess.run(["git", *who, *words], cwd=tmp_path, check=True, capture_output=True)
        return done.stdout.decode().strip()

    git("init", "-q")
    git("commit", "-q", "--allow-empty", "-m", "one")
    monkeypatch.chdir(tmp_path)
    router = AgentRouter("t-git")

    @router.invoke
    async def versioned() -> str:
        return "x"

    async def main() -> None:
        async with started(AgentApp(router)) as app:
            await AgentClient(app).post("/responses", {"input": "x"})

    try:
        assert tracing.track_git_version("shop") == f"shop-git-{git('rev-parse', '--short=8', 'HEAD')}"
        model = _get_active_model_id_global()
        assert model is not None
        asyncio.run(main())
    finally:
        mlflow.clear_active_model()
    (trace,) = traces(agent="t-git")
    assert trace.info.trace_metadata["mlflow.modelId"] == model


def test_no_git_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    assert tracing.track_git_version() is None
    assert "The git version is not tracked" in caplog.text
