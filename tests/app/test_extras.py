"""What is not installed is named in one sentence, with the command that installs it here."""

import importlib.metadata
import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from agent_asgi.errors import MissingExtra
from tests.support.commands import command

STORE = """
from agent_asgi import AgentApp, ResponsesRequest

async def tutor(request: ResponsesRequest) -> str:
    return "x"

app = AgentApp(tutor, store="sqlite:///responses.db")
"""


@pytest.mark.parametrize(
    ("origin", "shown"),
    [
        (None, "pip install 'agent-asgi[sqlite]'"),
        (
            {"url": "file:///src/a%20clone", "dir_info": {"editable": True}},
            "pip install -e '/src/a clone[sqlite]'",
        ),
        (
            {"url": "file:///src/clone", "dir_info": {}},
            "pip install 'agent-asgi[sqlite] @ file:///src/clone'",
        ),
        (
            {"url": "https://host/agent-asgi", "vcs_info": {"vcs": "git", "commit_id": "1"}},
            "pip install 'agent-asgi[sqlite] @ git+https://host/agent-asgi'",
        ),
    ],
)
def test_the_command_installs_from_where_the_package_came(
    monkeypatch: pytest.MonkeyPatch, origin: Any, shown: str
) -> None:
    text = None if origin is None else json.dumps(origin)
    installed = SimpleNamespace(read_text=lambda name: text)
    monkeypatch.setattr("agent_asgi.errors.distribution", lambda name: installed)
    error = MissingExtra("The store", "sqlite")
    assert str(error) == f"The store needs packages that are not installed: {shown}"


def test_a_package_that_is_only_on_the_path_has_a_command_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def missing(name: str) -> None:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr("agent_asgi.errors.distribution", missing)
    assert "'agent-asgi[mcp]'" in str(MissingExtra("MCP", "mcp"))


def test_the_command_line_says_what_a_store_needs_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "agent.py").write_text(STORE)
    (tmp_path / "sitecustomize.py").write_text("import sys; sys.modules['sqlalchemy'] = None\n")
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        command("serve", "agent.py"),
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1, sys.executable
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"agent-asgi: {tmp_path / 'agent.py'}, line 7: The store sqlite:... ")
    assert "[sqlite]" in line
