"""Startup: before MLflow is imported, without it if tracing is off, and in several processes."""

import asyncio
import fcntl
import gc
import json
import os
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from agent_asgi import AgentApp, AgentRouter, Timeouts, tracing
from agent_asgi.testing import AgentClient
from agent_asgi.tracing import setup
from agent_asgi.tracing.export import pending
from agent_asgi.tracing.options import TraceOptions
from agent_asgi.tracing.setup import only_process
from agent_asgi.tracing.tracer import Tracer
from tests.support.servers import Server

SCRIPT = """
import asyncio, gc, json, os, sys
before = dict(os.environ), gc.get_freeze_count(), gc.isenabled()
from agent_asgi import AgentApp, AgentRouter, Timeouts
from agent_asgi.testing import AgentClient

router = AgentRouter("off")

@router.stream
async def off():
    yield "x"

async def main():
    app = AgentApp(router, timeouts=Timeouts(tracing=60))
    async with app.lifespan():
        started = sys.modules.keys() & {"mlflow", "opentelemetry", "sqlalchemy"}
        client = AgentClient(app)
        bodies = [{"input": "x"}, {"input": "x", "stream": True}]
        answers = [await client.post("/responses", body) for body in bodies]
        heavy = sys.modules.keys() & {"mlflow", "opentelemetry", "sqlalchemy"}
    print(json.dumps({
        "statuses": [each.status for each in answers],
        "traced": ["x-mlflow-trace-id" in each.headers for each in answers],
        "started": sorted(started),
        "heavy": sorted(heavy),
        "same": (dict(os.environ), gc.get_freeze_count(), gc.isenabled()) == before,
    }))

asyncio.run(main())
"""
SPAN = """
import mlflow
with mlflow.start_span("own") as span:
    print(span.trace_id)
"""


def run(script: str, folder: Path, **env: str) -> str:
    """Run a script in a separate process; return what it prints."""
    root = Path(tracing.__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(root), **env},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_switched_off_serves_without_mlflow(tmp_path: Path) -> None:
    result = json.loads(
        run(SCRIPT, tmp_path, OTEL_SDK_DISABLED="true", AGENT_ASGI_STORE="memory://")
    )
    assert result["statuses"] == [200, 200]
    assert result["traced"] == [False, False]
    assert result["heavy"] == []
    assert result["same"]
    assert list(tmp_path.iterdir()) == []


def test_the_app_starts_before_mlflow_and_changes_nothing_process_wide(tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    result = json.loads(run(SCRIPT, tmp_path, MLFLOW_TRACKING_URI=uri, OTEL_SDK_DISABLED=""))
    assert result["started"] == []
    assert result["traced"] == [True, True]
    assert result["same"]


def test_the_variable_holds_for_mlflow_too(tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    printed = run(SPAN, tmp_path, OTEL_SDK_DISABLED="true", MLFLOW_TRACKING_URI=uri)
    assert printed.strip() == "MLFLOW_NO_OP_SPAN_TRACE_ID"


@pytest.mark.parametrize(
    ("value", "off"), [("true", True), (" TRUE ", True), ("", False), ("1", False), ("no", False)]
)
def test_only_true_switches_off(monkeypatch: pytest.MonkeyPatch, value: str, off: bool) -> None:
    monkeypatch.setenv("OTEL_SDK_DISABLED", value)
    assert (set_up(monkeypatch) == []) is off


def test_collector_works_on_in_a_host(monkeypatch: pytest.MonkeyPatch) -> None:
    frozen = gc.get_freeze_count()
    assert set_up(monkeypatch) == [True]
    assert gc.get_freeze_count() == frozen


def test_collector_rests_during_the_import_of_a_server_of_our_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(setup, "owns_process", True)
    monkeypatch.delitem(sys.modules, "mlflow", raising=False)
    try:
        assert set_up(monkeypatch) == [False]
        assert gc.isenabled()
        assert gc.get_freeze_count() > 1000
    finally:
        gc.unfreeze()


def set_up(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Start a tracer; return whether the collector was enabled during its setup."""
    seen = []

    def look(*_: Any) -> dict[str | None, str]:
        seen.append(gc.isenabled())
        return {}

    monkeypatch.setattr(setup, "set_up", look)

    async def main() -> None:
        tracing = Tracer([], TraceOptions(), timeout=5)
        tracing.start()
        await tracing.wait()
        assert tracing.settled
        await tracing.stop(1)

    asyncio.run(main())
    return seen


def slow(monkeypatch: pytest.MonkeyPatch, gate: threading.Event) -> None:
    """Make MLflow's setup wait until a gate is open."""
    original = setup.set_up

    def wait(names: Iterable[str], stop: threading.Event) -> dict[str | None, str]:
        assert gate.wait(30)
        return original(names, stop)

    monkeypatch.setattr(setup, "set_up", wait)


def early() -> AgentRouter:
    """Make an agent."""
    router = AgentRouter("early")

    @router.invoke
    async def say() -> str:
        return "x"

    return router


def status_of(url: str) -> int:
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


def test_ready_and_the_first_runs_wait_for_mlflow(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gate = threading.Event()
    slow(monkeypatch, gate)
    server = Server(AgentApp(early(), timeouts=Timeouts(tracing=30)))
    url = server.url
    try:
        assert status_of(f"{url}/health") == 200
        assert status_of(f"{url}/ready") == 503
        threading.Timer(0.3, gate.set).start()
        body = json.dumps({"input": "x"}).encode()
        request = urllib.request.Request(f"{url}/responses", body)
        request.add_header("content-type", "application/json")
        with urllib.request.urlopen(request, timeout=30) as answer:
            assert gate.is_set()
            assert answer.headers["x-mlflow-trace-id"]
        assert status_of(f"{url}/ready") == 200
    finally:
        gate.set()
        server.stop()


@pytest.mark.parametrize("reloads", [False, True])
def test_runs_go_untraced_after_a_time_and_the_log_says_so_once_unless_it_reloads(
    reloads: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    gate = threading.Event()
    slow(monkeypatch, gate)
    monkeypatch.setattr(setup, "reloads", reloads)
    pending._logged.clear()
    app = AgentApp(early(), timeouts=Timeouts(tracing=60 if reloads else 0.4))

    async def main() -> None:
        async with app.lifespan():
            client, begun = AgentClient(app), time.monotonic()
            async with asyncio.timeout(30):
                for _ in range(2):
                    answer = await client.post("/responses", {"input": "x"})
                    assert answer.status == 200
                    assert "x-mlflow-trace-id" not in answer.headers
            if not reloads:
                assert time.monotonic() - begun > 0.3
            assert (await client.get("/ready")).status == 200
            gate.set()
            async with asyncio.timeout(20):
                while "x-mlflow-trace-id" not in answer.headers:
                    await asyncio.sleep(0.05)
                    answer = await client.post("/responses", {"input": "x"})

    try:
        asyncio.run(main())
    finally:
        gate.set()
    assert sum("untraced" in message for message in caplog.messages) == (0 if reloads else 1)


def test_an_app_that_ends_during_the_import_ends_in_order(tmp_path: Path) -> None:
    script = SCRIPT.replace("client = AgentClient(app)", "await asyncio.sleep(0.3)\n        return")
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    run(script, tmp_path, MLFLOW_TRACKING_URI=uri)


ASK = """
import asyncio
from agent_asgi import AgentApp, AgentRouter, ResponsesRequest, Timeouts
from agent_asgi.testing import AgentClient

router = AgentRouter()

@router.invoke
async def say(request: ResponsesRequest) -> str:
    return "x"

app = AgentApp(router, timeouts=Timeouts(tracing=60))

async def main() -> None:
    async with app.lifespan():
        answer = await AgentClient(app).post("/responses", {"input": "x"})
    print(answer.headers.get("x-mlflow-trace-id", "untraced"))

asyncio.run(main())
"""


def test_all_of_them_trace(tmp_path: Path) -> None:
    """Running MLflow's migrations twice at once broke the database in four of six attempts."""
    env = os.environ | {"MLFLOW_TRACKING_URI": f"sqlite:///{tmp_path}/mlflow.db"}
    processes = [
        subprocess.Popen([sys.executable, "-c", ASK], env=env, stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    try:
        said = [each.communicate(timeout=120)[0].split()[-1] for each in processes]
    finally:
        for each in processes:
            each.kill()
    assert all(each.startswith("tr-") for each in said), said


@pytest.mark.parametrize(
    ("uri", "lock"),
    [
        ("sqlite:///mlflow.db", "mlflow.db.agent_asgi.lock"),
        ("sqlite:///new/mlflow.db?timeout=5", "new/mlflow.db.agent_asgi.lock"),
        ("sqlite:///{}/my%20runs.db", "my runs.db.agent_asgi.lock"),
        ("sqlite+pysqlite:///{}/mlflow.db?a=/b", "mlflow.db.agent_asgi.lock"),
    ],
)
def test_the_lock_is_beside_the_database(
    uri: str, lock: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with only_process(uri.format(tmp_path)), (tmp_path / lock).open() as file:
        with pytest.raises(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    with (tmp_path / lock).open() as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


@pytest.mark.parametrize(
    "uri", ["sqlite://", "sqlite:///:memory:", "http://127.0.0.1:1/x", "postgresql:///x", "mlruns"]
)
def test_no_file_needs_no_lock(uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with only_process(uri):
        assert not list(tmp_path.iterdir())


def test_without_a_place_for_the_lock_it_goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()  # root can write in any folder, but not below a file
    done = False
    with only_process(f"sqlite:///{tmp_path}/file/mlflow.db"):
        done = True
    assert done
    assert "without a lock" in caplog.text
    with pytest.raises(OSError, match="its own"), only_process(f"sqlite:///{tmp_path}/mlflow.db"):
        raise OSError("its own")
    assert caplog.text.count("without a lock") == 1
