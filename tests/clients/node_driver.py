"""Runs the cells of a client that is written for Node, against a running server."""

import json
import subprocess
from typing import Any

from tests.clients.packages import FOLDER, NODE
from tests.support.machine import lacking

SECONDS = 120
"""How long a client may take for all its cells."""


def seen(program: str, url: str, *cells: str) -> dict[str, Any]:
    """Return what a client saw, by cell, or how it failed.

    Args:
        program: The module in `node/` and the function that makes its cells: "ag_ui:version1".
        url: The server.
        *cells: The cells.
    """
    if not (FOLDER / "node" / "node_modules").exists():
        lacking("the clients for Node: `make install-clients` installs them")
    command = [str(NODE), str(FOLDER / "node" / "driver.mjs"), program, url, *cells]
    done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS)
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith('{"cell"')]
    assert lines, done.stderr[-2000:]
    return {line["cell"]: line.get("seen", line.get("failed")) for line in lines}
