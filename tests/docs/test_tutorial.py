"""Follow the tutorials step by step, as a reader would, with a scripted model.

A comment before a block says what to do with it: `<!-- tutorial: save NAME -->`, `serve`, `run`,
`run soon` (until it prints what follows), `prints` (what the last command printed), `kill`
(the server, after a command), `install` (the environment of the tests stands in for it).
"""

import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from agent_asgi import AgentApp, AgentRouter, FunctionCall, FunctionCallOutput, ResponsesRequest
from tests.support.calling import Serve
from tests.support.pages import FENCE, ROOT
from tests.support.servers import free_port

EXPORT = re.compile(r"^export (\w+)=(.*)$", re.MULTILINE)


model = AgentRouter("model")


@model.stream
async def answer(request: ResponsesRequest) -> AsyncIterator[FunctionCall | str]:
    """Answer as the model of the tutorial: by its tools, if it has any."""
    newest, asked = request.input[-1], request.input_text
    city = "Oslo" if "Oslo" in asked else "Paris"
    if not request.tools:
        yield f"I can't look outside, so I don't know the weather in {city}."
    elif isinstance(newest, FunctionCallOutput):
        said = str(newest.output)
        yield said if "umbrella" in said else f"In {city}: {said}."
    else:
        name = "buy_umbrella" if "umbrella" in asked else "look_up"
        yield FunctionCall(name, {"city": city})


class Reader:
    """Follows a page in a separate folder, with the server on a free port."""

    patience = 60.0
    """Seconds that a command, or the start of a server, may take."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.printed = ""
        self.soon = ""
        self.server: subprocess.Popen[bytes] | None = None
        path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
        self.env = {**os.environ, "PATH": path}

    def follow(self, step: str, code: str) -> None:
        """Carry out one block."""
        code = code.replace("127.0.0.1:8000", f"127.0.0.1:{self.port}")
        what, _, name = step.partition(" ")
        if what == "save":
            (self.folder / name).write_text(code)
        elif what == "serve":
            self.end(signal.SIGTERM)
            self.serve(code)
        elif what == "run":
            self.run(code)
            self.soon = code if name == "soon" else ""
        elif what == "prints":
            until = time.monotonic() + 10
            while self.soon and self.printed != code and time.monotonic() < until:
                self.run(self.soon)
            assert [line.rstrip() for line in self.printed.splitlines()] == code.splitlines()
        elif what == "kill":
            self.run(code.partition(";")[0])
            self.end(signal.SIGKILL)
        else:
            assert what == "install"

    def run(self, code: str) -> None:
        """Run commands; keep what they print."""
        done = subprocess.run(
            ["bash", "-ec", code],
            cwd=self.folder,
            env=self.env,
            capture_output=True,
            text=True,
            timeout=self.patience,
        )
        assert done.returncode == 0, done.stderr
        self.printed = done.stdout

    def serve(self, code: str) -> None:
        """Start the server, keeping the variables exported for it; wait until it answers."""
        self.env |= dict(EXPORT.findall(code))
        command = [*code.splitlines()[-1].split(), "--port", str(self.port)]
        self.server = subprocess.Popen(
            command, cwd=self.folder, env=self.env, start_new_session=True
        )
        until = time.monotonic() + self.patience
        while True:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/ready", timeout=5):
                    return
            except OSError as error:
                if getattr(error, "code", None) == 404:  # it answers, and has no probes
                    return
                assert time.monotonic() < until, "the server does not answer"
                time.sleep(0.1)

    def end(self, number: signal.Signals) -> None:
        """Stop the server and wait until it has exited."""
        if self.server is not None:
            os.killpg(self.server.pid, number)
            self.server.wait(20)
            self.server = None


@contextmanager
def reading(folder: Path) -> Iterator[Reader]:
    """Yield a reader; stop its server when the block ends."""
    reader = Reader(folder)
    try:
        yield reader
    finally:
        reader.end(signal.SIGKILL)


@pytest.mark.parametrize("page", ["tutorial", "crash-recovery"])
def test_the_page_step_by_step(page: str, tmp_path: Path, serve: Serve) -> None:
    with reading(tmp_path) as reader:
        reader.env["OPENAI_BASE_URL"] = f"{serve(AgentApp(model))}/v1"
        for found in FENCE.finditer((ROOT / "docs" / f"{page}.md").read_text()):
            what, _, step = (found["how"] or "").partition(": ")
            if what == "tutorial":
                reader.follow(step, found["code"])
