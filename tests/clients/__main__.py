"""Runs every client, prints what is wrong, and writes the table; `make clients` runs it."""

import logging
import os
import sys

from tests.clients.clients import CLIENTS
from tests.clients.harness import run
from tests.clients.packages import installed
from tests.clients.page import MARKS, PAGE, table
from tests.clients.verdict import wrong


def main(*names: str) -> None:
    """Run clients; write the table if all of them ran.

    Args:
        *names: The clients. Default: all.
    """
    found = {}
    for name in names or CLIENTS:
        found[name] = wrong(name, run(name))
        failed = [f"  {column}: {reason}" for column, reason in found[name].items()]
        print(f"{name}: {len(failed)} wrong", *failed, sep="\n", flush=True)  # noqa: T201
    if not names:
        PAGE.write_text(MARKS.sub(lambda _: table(installed(), found), PAGE.read_text()))


os.environ["OTEL_SDK_DISABLED"] = "true"  # no traces
logging.getLogger("agent_asgi").addHandler(logging.NullHandler())
logging.getLogger("agent_asgi").propagate = False
main(*sys.argv[1:])
