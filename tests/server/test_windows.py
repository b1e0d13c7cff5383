"""The server without what Windows lacks: these names are taken away in every process."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.calling import until
from tests.support.commands import ask_text, command
from tests.support.servers import free_port

WINDOWS = """
import os, signal, socket, sys
sys.modules["fcntl"] = sys.modules["uvloop"] = None
del signal.SIGUSR1, signal.SIGUSR2, signal.SIGHUP, socket.TCP_USER_TIMEOUT
del os.fork, os.register_at_fork, os.nice, os.getuid, os.getloadavg
"""
APP = """
import signal
from agent_asgi import AgentApp, AgentRouter

router = AgentRouter("old")

@router.invoke
async def say() -> str:
    return str(hasattr(signal, "SIGUSR1"))

app = AgentApp(router)
"""


@pytest.mark.parametrize("options", [(), ("--workers", "2"), ("--reload",)])
def test_served_and_ended(options: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(WINDOWS)
    (tmp_path / "served.py").write_text(APP)
    port = free_port()
    path = os.pathsep.join([str(tmp_path), *filter(None, sys.path)])
    env = {"PYTHONPATH": path, "AGENT_ASGI_STORE": f"sqlite:///{tmp_path}/r.db"}
    env["MLFLOW_TRACKING_URI"] = f"sqlite:///{tmp_path}/mlflow.db"
    argv = command("serve", "served:app", "--port", str(port), *options)
    process = subprocess.Popen(argv, cwd=tmp_path, env=os.environ | env, start_new_session=True)
    try:
        until(lambda: answers(port) or process.poll() is not None, seconds=60)
        assert ask_text(port) == "False"
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait(60) == 0
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(10)


def answers(port: int) -> bool:
    """Return whether the server answers."""
    try:
        return bool(ask_text(port))
    except OSError:
        return False
