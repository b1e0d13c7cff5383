"""Runs a client in a separate process against a real server, and collects what it saw."""

import contextlib
import json
import logging
import os
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from tests.clients.agents import app
from tests.clients.clients import CLIENTS
from tests.clients.expectations import COLUMNS, Client, Json
from tests.clients.packages import FOLDER, NODE, PYTHON
from tests.support.pages import ROOT
from tests.support.servers import serving

SECONDS = 120
"""How long one client may take for all its cells."""
CLOSED = "http://127.0.0.1:9"
"""A proxy that does not exist, for whatever is not this machine."""


class Outcome(NamedTuple):
    """What came of one cell."""

    seen: Any = None
    """What the client reported."""
    failed: str | None = None
    """How the client failed."""
    runs: tuple[str, ...] = ()
    """How the runs of the cell's agent ended, in order."""


def run(name: str) -> dict[str, Outcome]:
    """Run all cells of a client.

    Args:
        name: Its key in `CLIENTS`.
    """
    client = CLIENTS[name]
    cells = [cell for cell in COLUMNS if cell not in client.absent]
    with recorded_runs() as runs, serving(app()) as server:
        told = dict(_reports(client, server.url, cells))
    return {cell: Outcome(**told[cell], runs=tuple(runs.get(cell, ()))) for cell in cells}


@contextlib.contextmanager
def recorded_runs() -> Iterator[dict[str, list[str]]]:
    """Record how each run ends, by the name of its agent."""
    runs: dict[str, list[str]] = {}

    class Recorder(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            runs.setdefault(record.__dict__["agent"], []).append(record.__dict__["status"])

    logger, recorder = logging.getLogger("agent_asgi.runs"), Recorder()
    before = logger.level
    logger.addHandler(recorder)
    logger.setLevel(logging.INFO)
    try:
        yield runs
    finally:
        logger.removeHandler(recorder)
        logger.setLevel(before)


def _reports(client: Client, url: str, cells: list[str]) -> Iterator[tuple[str, Json]]:
    """Run a client's program; yield each cell with what it says of it."""
    with tempfile.TemporaryDirectory() as home:
        out, err = Path(home, "out"), Path(home, "err")
        with out.open("w") as stdout, err.open("w") as stderr:
            process = subprocess.Popen(
                [*_command(client), client.program, url, *cells],
                cwd=ROOT,
                env=_environment(home, url),
                stdout=stdout,
                stderr=stderr,
                start_new_session=True,
            )
            try:
                process.wait(SECONDS)
            except subprocess.TimeoutExpired:
                stderr.write(f"It took longer than {SECONDS} s.")
            finally:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        lines = [line for line in out.read_text().splitlines() if line.startswith('{"cell"')]
        told = {line.pop("cell"): line for line in map(json.loads, lines)}
        for cell in cells:
            yield cell, told.get(cell) or {"failed": f"no word of it; {err.read_text()[-1000:]}"}


def _command(client: Client) -> list[str]:
    if client.language == "python":
        return [str(PYTHON), "-m", "tests.clients.python.driver"]
    return [str(NODE), str(FOLDER / "node" / "driver.mjs")]


def _environment(home: str, url: str) -> dict[str, str]:
    """Return an environment in which a client calls nobody but the server."""
    return {
        "PATH": os.environ["PATH"],
        "HOME": home,
        "NO_PROXY": "127.0.0.1",
        "HTTP_PROXY": CLOSED,
        "HTTPS_PROXY": CLOSED,
        "PYTHONWARNINGS": "ignore",
        "LITELLM_LOCAL_MODEL_COST_MAP": "true",
        "OPENAI_AGENTS_DISABLE_TRACING": "1",
        "OPENAI_API_KEY": "none",
        "OPENAI_BASE_URL": f"{url}/v1",
    }
