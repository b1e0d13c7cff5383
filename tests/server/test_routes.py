"""`agent-asgi routes`, `--version`, and the help."""

import os
import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from agent_asgi.server.cli import main
from tests.support.commands import command

APPS = """
from starlette.applications import Starlette
from starlette.routing import Mount
from tests.support.talker import app, single

host = Starlette(routes=[Mount("/agents", app)])

async def bare(scope, receive, send):
    pass
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "listed.py").write_text(APPS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "listed", raising=False)


def rows(target: str, capsys: pytest.CaptureFixture[str]) -> list[list[str]]:
    main(["routes", target])
    return [re.split(r"  +", line) for line in capsys.readouterr().out.splitlines()]


def test_routes_of_one_agent(capsys: pytest.CaptureFixture[str]) -> None:
    head, *table = rows("listed:single", capsys)
    assert head == ["METHOD", "PATH", "WHAT IT DOES", "AGENT"]
    runs = "Run the agent with the OpenAI Responses API"
    for path in ("/responses", "/v1/responses"):
        assert ["POST", path, runs, "talker"] in table
    assert ["WEBSOCKET", "/responses", "WebSocket", "talker"] in table
    assert ["GET", "/health", "Check that the process answers"] in table
    assert [row for row in table if re.search(r"\w_\w|\w\.\w", row[2])] == []  # no one's names


@pytest.mark.parametrize(("target", "prefix"), [("listed:app", ""), ("listed:host", "/agents")])
def test_routes_of_several_agents(
    capsys: pytest.CaptureFixture[str], target: str, prefix: str
) -> None:
    table = rows(target, capsys)
    runs = "Run the agent with the OpenAI Responses API"
    assert ["POST", f"{prefix}/responses", runs] in table
    own = ["POST", f"{prefix}/parrot/responses", runs, "parrot"]
    assert own in table


def test_a_reader_that_leaves_is_no_error(tmp_path: Path) -> None:
    read, write = os.pipe()
    os.close(read)
    argv = command("routes", "listed:app")
    env = os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])}
    done = subprocess.run(argv, stdout=write, stderr=subprocess.PIPE, env=env, timeout=60)
    os.close(write)
    assert (done.returncode, done.stderr) == (1, b"")


def test_an_app_without_routes() -> None:
    with pytest.raises(SystemExit, match="is a function and lists no routes"):
        main(["routes", "listed:bare"])


def test_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--version"])
    assert capsys.readouterr().out == f"agent-asgi {version('agent-asgi')}\n"


def test_alone_it_shows_help_with_examples(capsys: pytest.CaptureFixture[str]) -> None:
    main([])
    shown = capsys.readouterr().out
    assert "examples:" in shown
    for name in ("chat", "new", "routes", "serve", "worker"):
        assert name in shown


@pytest.mark.parametrize("command", ["chat", "new", "routes"])
def test_each_command_has_examples(capsys: pytest.CaptureFixture[str], command: str) -> None:
    with pytest.raises(SystemExit) as ended:
        main([command, "--help"])
    assert ended.value.code == 0
    assert f"agent-asgi {command} " in capsys.readouterr().out.partition("example")[2]
