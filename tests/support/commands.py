"""The command `agent-asgi`, run as a process."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def command(*arguments: str) -> list[str]:
    """Return the command line of `agent-asgi`."""
    return [sys.executable, "-m", "agent_asgi.server.cli", *arguments]


@contextmanager
def running(argv: list[str], folder: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server until the block ends; wait until it answers."""
    env = os.environ | {"OTEL_SDK_DISABLED": "true"}  # tracing is tested elsewhere
    process = subprocess.Popen(argv, cwd=folder, env=env, start_new_session=True)
    try:
        until = time.monotonic() + 60
        while True:
            try:
                ask_text(port)
                break
            except OSError:
                if time.monotonic() > until or process.poll() is not None:
                    raise
                time.sleep(0.1)
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait(5)


def ask_text(port: int) -> str:
    """Ask the echo agent and return its text."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/v1/responses",
        json.dumps({"input": "x"}).encode(),
        {"content-type": "application/json", "connection": "close"},
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        text: str = json.load(answer)["output"][0]["content"][0]["text"]
        return text
