"""`agent-asgi dev` as a process in a folder, with its log."""

import os
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import openai

from tests.support.calling import connect, until
from tests.support.commands import command
from tests.support.servers import free_port

UNTRACED = {"OTEL_SDK_DISABLED": "true"}


class Development:
    """A running `agent-asgi dev`.

    Args:
        folder: Its current folder.
        process: The process.
        port: Its port.
    """

    def __init__(self, folder: Path, process: subprocess.Popen[bytes], port: int) -> None:
        self.process = process
        self.url = f"http://127.0.0.1:{port}"
        self.client: openai.OpenAI = connect(self.url, timeout=60)
        self._log = folder / "log"

    @property
    def log(self) -> str:
        """What it has printed."""
        return self._log.read_text()

    def says(self, text: str) -> str:
        """Wait until it has printed a text; return all that it has printed."""
        return until(lambda: self.log, lambda log: text in log, seconds=60)

    def ask(self, said: str = "x") -> str:
        """Return the answer to a question; ask again if a reload cuts or refuses it."""
        end = time.monotonic() + 60
        while True:
            try:
                return self.client.responses.create(input=said).output_text
            except (openai.APIConnectionError, openai.InternalServerError):
                assert time.monotonic() < end, self.log

    def get(self, path: str, accept: str = "*/*") -> tuple[int, str]:
        """Return the status and the text of a page."""
        request = urllib.request.Request(self.url + path, headers={"accept": accept})
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()


@contextmanager
def developing(
    folder: Path, *arguments: str, env: dict[str, str] = UNTRACED, ready: str = "  Docs "
) -> Iterator[Development]:
    """Run `agent-asgi dev` until the block ends.

    Args:
        folder: Its current folder.
        arguments: Its arguments besides the port.
        env: Variables for it. Default: no traces.
        ready: What it prints once it serves. Default: a line of its banner.
    """
    port = free_port()
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            command("dev", *arguments, "--port", str(port)),
            cwd=folder,
            env=os.environ | env,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    development = Development(folder, process, port)
    try:
        development.says(ready)
        yield development
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGINT)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait(5)
