"""A chat in a real terminal, with a file of the user's and with a server."""

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support import talker
from tests.support.calling import until
from tests.support.commands import command
from tests.support.pages import ROOT
from tests.support.terminal import CTRL_C, CTRL_D, terminal

Serve = Callable[[Any], str]
PROMPT = "talker> "


def chat(target: str, *options: str) -> list[str]:
    return command("chat", target, *options)


def test_a_chat_streams_in_styles_and_ends_with_ctrl_d(serve: Serve, tmp_path: Path) -> None:
    with terminal(chat(serve(talker.app)), tmp_path) as person:
        person.wait_for("Talking to talker of talker, parrot. /help lists the commands")
        person.wait_for(PROMPT)
        person.type("tool\n")
        person.wait_for("\x1b[2mLet me look.\x1b[0m")
        person.wait_for('\x1b[36mlook({"at":"the sky"})')
        person.wait_for("It is blue.")
        person.wait_for(PROMPT)
        person.type("delete\n")
        person.wait_for("y, n, or a reason against it: ")
        person.type("n\n")
        person.wait_for("approve=False")
        person.wait_for(PROMPT)
        person.type("\x1b[A\x1b[A\n")  # twice up: "delete" again
        person.wait_for("y, n, or a reason against it: ")
        person.type(CTRL_D)
        assert person.end() == 0


def test_ctrl_c_stops_an_answer_and_a_second_one_leaves(serve: Serve, tmp_path: Path) -> None:
    talker.stopped.clear()
    with terminal(chat(serve(talker.single)), tmp_path) as person:
        person.wait_for(PROMPT)
        person.type("one\n")
        person.wait_for("Turn 1: one")
        person.wait_for(PROMPT)
        person.type("for ever\n")
        person.wait_for("on on on")  # it streams
        person.type(CTRL_C)
        person.wait_for("(stopped; Ctrl-C again leaves)")
        until(talker.stopped.is_set)  # so does the run
        person.wait_for(PROMPT)
        person.type("two\n")
        person.wait_for("Turn 2: two")  # the stopped turn is not part of it
        person.wait_for(PROMPT)
        person.type(CTRL_C)
        person.wait_for("again leaves")
        person.wait_for(PROMPT)
        person.type(CTRL_C)
        assert person.end() == 0


@pytest.mark.parametrize("env", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_without_styles(serve: Serve, tmp_path: Path, env: dict[str, str]) -> None:
    with terminal(chat(serve(talker.single)), tmp_path, **env) as person:
        person.wait_for(PROMPT)
        person.type("tool\n")
        person.wait_for("It is blue.")
        person.wait_for(PROMPT)
        assert "\x1b[2m" not in person.shown
        person.type("/quit\n")
        assert person.end() == 0


def test_a_target_is_served_for_the_chat(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("from tests.support.talker import app\n")
    env = {"PYTHONPATH": str(ROOT), "OTEL_SDK_DISABLED": "true"}
    with terminal(chat("mine.py"), tmp_path, **env) as person:
        person.wait_for(PROMPT)
        person.type("for ever\n")
        person.wait_for("on on on")
        person.type(CTRL_C)
        person.wait_for(PROMPT)
        person.type("Hi\n")
        person.wait_for("Turn 1: Hi")
        person.type("fail\n")
        person.wait_for("Error: It is broken. (broken)")
        person.wait_for(PROMPT)
        person.type(CTRL_D)
        assert person.end() == 0
    assert "INFO" not in person.shown


def piped(folder: Path, target: str, text: str) -> subprocess.CompletedProcess[str]:
    env = {"PYTHONPATH": str(ROOT), "PATH": "", "OTEL_SDK_DISABLED": "true"}
    return subprocess.run(
        chat(target), cwd=folder, env=env, input=text, capture_output=True, text=True, timeout=60
    )


def test_a_pipe_gets_plain_text(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("from tests.support.talker import single as app\n")
    done = piped(tmp_path, "mine:app", "Hi\ntool")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("Turn 1: Hi\nLet me look.\n")
    assert done.stdout.endswith("It is blue.\n")


def test_an_error_of_a_target_has_its_reason(tmp_path: Path) -> None:
    code = "def mine(request: str):\n    raise ValueError('no such thing')\n"
    (tmp_path / "mine.py").write_text(code)
    done = piped(tmp_path, "mine:mine", "Hi\n")
    assert done.stdout == "Error: ValueError: no such thing (agent_error)\n"


def test_an_app_that_does_not_start(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "from contextlib import asynccontextmanager\n"
        "from agent_asgi import AgentApp\n"
        "from tests.support.talker import talker\n"
        "@asynccontextmanager\n"
        "async def lifespan(app):\n"
        "    raise OSError('no database')\n"
        "    yield\n"
        "app = AgentApp(talker, lifespan=lifespan)\n"
    )
    done = piped(tmp_path, "mine:app", "Hi\n")
    assert done.returncode == 1
    assert "no database" in done.stderr
    assert done.stderr.splitlines()[-1] == "agent-asgi: The app did not start."
