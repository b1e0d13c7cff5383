"""`agent-asgi worker`, and what `agent-asgi serve` says about stores."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from agent_asgi import AgentApp, AgentRouter, Limits, ResponsesRequest
from agent_asgi.testing import AgentClient
from tests.support.apps import started
from tests.support.commands import command, running
from tests.support.servers import free_port

APP = """
import os
from agent_asgi import AgentApp, AgentRouter, Limits, ResponsesRequest

router = AgentRouter("echo")

@router.invoke
async def echo(request: ResponsesRequest) -> str:
    return f"by {os.getpid()}"

app = AgentApp(router, limits=Limits(worker_concurrency=int(os.environ.get("WORKERS", "1"))))
number = 3
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "worked.py").write_text(APP)
    return tmp_path


def test_a_worker_executes_what_servers_accept(postgres: str, folder: Path) -> None:
    router = AgentRouter("echo")

    @router.invoke
    async def never(request: ResponsesRequest) -> str:
        raise AssertionError("no run is executed here")

    async def main() -> tuple[dict[str, Any], int, int]:
        app = AgentApp(router, store=postgres, limits=Limits(worker_concurrency=0))
        async with started(app):
            client = AgentClient(app)
            body = {"input": "x", "background": True}
            id_ = (await client.post("/responses", body)).json()["id"]
            await asyncio.sleep(0.5)
            assert (await client.get(f"/responses/{id_}")).json()["status"] == "queued"
            env = os.environ | {"AGENT_ASGI_STORE": postgres, "WORKERS": "0"}
            argv = command("worker", "worked:app", "--concurrency", "2")
            worker = await asyncio.create_subprocess_exec(*argv, cwd=folder, env=env)
            try:
                async with asyncio.timeout(60):
                    await client.get(f"/responses/{id_}?stream=true")
                worker.send_signal(signal.SIGTERM)
                async with asyncio.timeout(30):
                    code = await worker.wait()
            finally:
                if worker.returncode is None:
                    worker.kill()
            return (await client.get(f"/responses/{id_}")).json(), worker.pid, code

    response, pid, code = asyncio.run(main())
    assert response["output"][0]["content"][0]["text"] == f"by {pid}"
    assert code == 0


@pytest.mark.parametrize(
    ("target", "line"),
    [
        ("worked:app", "agent-asgi: A worker needs a PostgreSQL store: postgresql://..."),
        ("worked:number", "agent-asgi: 'worked:number' is not an app but of type int."),
        ("worked:echo", "agent-asgi: 'worked:echo' is not an app but a function. Serve AgentApp("),
    ],
)
def test_a_worker_that_cannot_work(folder: Path, target: str, line: str) -> None:
    done = subprocess.run(
        command("worker", target), cwd=folder, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith(line)


def test_workers_whose_responses_are_in_memory_are_warned_of(
    folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    port = free_port()
    with running(
        command("serve", "worked:app", "--port", str(port), "--workers", "2"), folder, port
    ):
        pass
    assert "workers without a shared store" in capfd.readouterr().err


def test_no_store_without_workers_but_postgresql() -> None:
    with pytest.raises(ValueError, match="worker_concurrency may be 0 only with a PostgreSQL"):
        AgentApp(AgentRouter(), limits=Limits(worker_concurrency=0))


def test_the_store_of_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("AGENT_ASGI_STORE", f"sqlite:///{tmp_path}/r.db")
    assert AgentApp(AgentRouter()).store.durable
    assert not AgentApp(AgentRouter(), store="memory://").store.durable


def test_no_database_package_is_imported_without_need() -> None:
    code = "import sys, agent_asgi.server.cli; sys.exit('sqlalchemy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0
