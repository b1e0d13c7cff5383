"""Traces that find no room, and the git version that traces are tied to."""

import asyncio
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

import mlflow
import pytest
from conftest import started, traces
from mlflow.tracking.fluent import _get_active_model_id_global

from agent_asgi import AgentApp, AgentRouter, Timeouts, track_git_version
from agent_asgi.testing import AgentClient
from agent_asgi.tracing import exports
from agent_asgi.tracing.queues import ExportQueue


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
                patch.setattr(exports, "_queue", lambda: jammed)
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

    before = exports.dropped
    monkeypatch.setattr(exports, "_reported", 0.0)
    seconds = asyncio.run(main())
    assert all(0.2 < each < 0.5 for each in seconds), seconds
    assert exports.dropped == before + 2
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
        commit = git("rev-parse", "--short=8", "HEAD")
        assert track_git_version("shop") == f"shop-git-{commit}"
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
    assert track_git_version() is None
    assert "The git version is not tracked" in caplog.text


def test_a_run_that_is_cancelled_while_its_trace_waits_ends_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its answer is there already, and so is its status in the store and the metrics."""

    async def slow() -> bool:
        await asyncio.sleep(0.3)
        return True

    monkeypatch.setattr("agent_asgi.tracing.trace.wait_for_room", slow)
    router = AgentRouter("waits")

    @router.invoke
    async def say(request: dict[str, Any]) -> str:
        return "x"

    app = AgentApp(router)

    async def main() -> None:
        async with started(app):
            asking = asyncio.create_task(AgentClient(app).post("/responses", {"input": "x"}))
            await asyncio.sleep(0.1)
            for task in asyncio.all_tasks():
                if "call" in repr(task.get_coro()):
                    task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asking
            statuses = app._service.counts.runs["waits"]["json"].statuses
            assert {name: number for name, number in statuses.items() if number} == {"completed": 1}

    asyncio.run(main())
    assert [each.info.tags["agent_asgi.status"] for each in traces(agent="waits")] == ["completed"]
