"""Runs one client against a server: `python -m tests.clients.python.driver CLIENT URL CELL...`.

It prints one line of JSON for each cell: what the client saw, or how it failed.
"""

import asyncio
import importlib
import json
import sys
import traceback
from typing import Any

SECONDS = 20
"""How long one cell may take."""


async def main(client: str, url: str, *cells: str) -> None:
    module, _, name = client.partition(":")
    made = getattr(importlib.import_module(f"{__package__}.{module}"), name)(url)
    for cell in cells:
        print(json.dumps({"cell": cell, **await outcome(made, cell)}), flush=True)  # noqa: T201


async def outcome(client: Any, cell: str) -> dict[str, Any]:
    try:
        async with asyncio.timeout(SECONDS):
            return {"seen": await getattr(client, cell)()}
    except Exception as error:
        return {"failed": f"{error}\n{traceback.format_exc(limit=-4)}"}


asyncio.run(main(*sys.argv[1:]))
