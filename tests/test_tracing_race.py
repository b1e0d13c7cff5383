"""Processes that start at the same time on a database that is not there yet."""

import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest

from agent_asgi.tracing.alone import alone

ASK = """
import asyncio
from agent_asgi import AgentApp, AgentRouter, ResponsesRequest
from agent_asgi.testing import AgentClient

router = AgentRouter()

@router.invoke
async def say(request: ResponsesRequest) -> str:
    return "x"

app = AgentApp(router)

async def main() -> None:
    async with app.lifespan():
        answer = await AgentClient(app).post("/responses", {"input": "x"})
    print(answer.headers.get("x-mlflow-trace-id", "untraced"))

asyncio.run(main())
"""


def test_all_of_them_trace(tmp_path: Path) -> None:
    """MLflow's migrations, run twice at once, broke the database in four of six tries."""
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
    with alone(uri.format(tmp_path)), (tmp_path / lock).open() as file:
        with pytest.raises(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    with (tmp_path / lock).open() as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


@pytest.mark.parametrize(
    "uri", ["sqlite://", "sqlite:///:memory:", "http://127.0.0.1:1/x", "postgresql:///x", "mlruns"]
)
def test_no_file_needs_no_lock(uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with alone(uri):
        assert not list(tmp_path.iterdir())


def test_without_a_place_for_the_lock_it_goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()  # root may write in any folder, but in no file
    done = False
    with alone(f"sqlite:///{tmp_path}/file/mlflow.db"):
        done = True
    assert done
    assert "without a lock" in caplog.text
    with pytest.raises(OSError, match="its own"), alone(f"sqlite:///{tmp_path}/mlflow.db"):
        raise OSError("its own")
    assert caplog.text.count("without a lock") == 1
