"""No trace is lost or duplicated: in a burst, in a forked process, at shutdown."""

import contextlib
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from agent_asgi import tracing

SCRIPT = """
import asyncio, os, sys
import mlflow
from agent_asgi import AgentApp, AgentRouter, Context, Timeouts
from agent_asgi.tracing.export import pending
from agent_asgi.testing import AgentClient

router = AgentRouter("written")
kind, runs = sys.argv[1], int(sys.argv[2])

@router.invoke
async def written(context: Context) -> str:
    with mlflow.start_span("inner"):
        return "x" * 100

async def main():
    if kind == "code":
        mlflow.set_tracking_uri(sys.argv[3])
    app = AgentApp(router, timeouts=Timeouts(tracing=60, drain=300))
    client = AgentClient(app)
    left = iter(range(runs))

    async def ask():
        for _ in left:
            assert (await client.post("/responses", {"input": "x"})).status == 200

    async with app.lifespan():
        await asyncio.gather(*(ask() for _ in range(32)))

if kind == "unended":  # nobody ends the app
    async def main():
        client = AgentClient(AgentApp(router, timeouts=Timeouts(tracing=60)))
        for _ in range(runs):
            assert (await client.post("/responses", {"input": "x"})).status == 200

asyncio.run(main())
if kind == "fork":
    child = os.fork()
    asyncio.run(main())
    assert not child or os.waitpid(child, 0)[1] == 0
print("LOST", pending.lost, flush=True)
"""
APP = """
from agent_asgi import AgentApp, AgentRouter, Timeouts

router = AgentRouter("served")

@router.invoke
async def served() -> str:
    return "x"

app = AgentApp(router, timeouts=Timeouts(tracing=60))
"""


def environment(database: Path) -> dict[str, str]:
    """Return the environment of a process that traces to a database."""
    root = str(Path(tracing.__file__).parents[2])
    uri = f"sqlite:///{database}"
    return {**os.environ, "PYTHONPATH": root, "MLFLOW_TRACKING_URI": uri}


def serve(folder: Path, kind: str, runs: int, *words: str, other: str = "traces.db") -> None:
    """Run an app in a separate process until it ends."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, kind, str(runs), *words],
        cwd=folder,
        env=environment(folder / other),
        capture_output=True,
        text=True,
        timeout=400,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "LOST 0", done.stderr
    assert "Traceback" not in done.stderr


def found(folder: Path) -> tuple[int, int]:
    """Count the complete traces, and the spans."""
    with contextlib.closing(sqlite3.connect(folder / "traces.db", timeout=30)) as connection:
        whole = connection.execute(
            "SELECT count(*) FROM trace_info WHERE status = 'OK' AND request_id IN"
            " (SELECT trace_id FROM spans WHERE parent_span_id IS NULL)"
            " AND request_id IN (SELECT request_id FROM trace_tags"
            " WHERE key = 'agent_asgi.status' AND value = 'completed')"
        ).fetchone()[0]
        return whole, connection.execute("SELECT count(*) FROM spans").fetchone()[0]


@pytest.mark.alone
def test_burst_of_2000_loses_none(tmp_path: Path) -> None:
    serve(tmp_path, "burst", 2000)
    assert found(tmp_path) == (2000, 4000)


def test_uri_that_the_code_sets(tmp_path: Path) -> None:
    serve(tmp_path, "code", 20, f"sqlite:///{tmp_path}/traces.db", other="other.db")
    assert found(tmp_path) == (20, 40)


def test_forked_process_writes_its_own(tmp_path: Path) -> None:
    serve(tmp_path, "fork", 30)
    assert found(tmp_path) == (90, 180)


def test_app_that_nobody_ends_loses_none(tmp_path: Path) -> None:
    serve(tmp_path, "unended", 20)
    assert found(tmp_path) == (20, 40)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_traces_are_written_when_the_server_is_told_to_end(
    number: signal.Signals, tmp_path: Path
) -> None:
    (tmp_path / "served.py").write_text(APP)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-m", "agent_asgi.server.cli", "serve", "served:app", "--port", str(port)],
        cwd=tmp_path,
        env=environment(tmp_path / "traces.db"),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    try:
        until = time.monotonic() + 60
        while not _is_ready(port):
            assert time.monotonic() < until
            time.sleep(0.05)
        for _ in range(20):
            request = urllib.request.Request(
                f"http://127.0.0.1:{port}/responses",
                b'{"input": "x"}',
                {"content-type": "application/json"},
            )
            with urllib.request.urlopen(request, timeout=30) as answer:
                assert answer.headers["x-mlflow-trace-id"]
        process.send_signal(number)
        begun = time.monotonic()
        _, log = process.communicate(timeout=60)
        assert time.monotonic() - begun < 20
    finally:
        process.kill()
        process.communicate()
    assert process.returncode == 0, log
    assert found(tmp_path) == (20, 20)


def _is_ready(port: int) -> bool:
    with contextlib.suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/ready"):
        return True
    return False
