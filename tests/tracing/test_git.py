"""The git version linked to traces."""

import asyncio
import subprocess
from pathlib import Path

import mlflow
import pytest
from mlflow.tracking.fluent import _get_active_model_id_global

from agent_asgi import AgentApp, AgentRouter, track_git_version
from agent_asgi.testing import AgentClient
from tests.support.apps import started
from tests.support.traces import traces


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
