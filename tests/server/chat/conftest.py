"""A chat without a terminal, in the test's process."""

import io
import sys
from collections.abc import Callable
from typing import Any

import pytest

from agent_asgi.server.cli import main

Say = Callable[..., str]


@pytest.fixture
def say(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Say:
    """Return a function that sends lines to a server and returns what the chat shows."""

    def run(url: str, *lines: str, options: tuple[str, ...] = (), ends: Any = None) -> str:
        monkeypatch.setattr(sys, "stdin", io.StringIO("".join(f"{line}\n" for line in lines)))
        code = None
        try:
            main(["chat", url, *options])
        except SystemExit as error:
            code = error.code
        shown = capsys.readouterr().out
        assert code == ends, shown
        return shown

    return run
