"""Ours beside MLflow's AgentServer, BedrockAgentCoreApp and a Starlette app by hand: `make bench`.

Prints a Markdown table of ratios, each the median of so many rounds with their range. The peers
take turns within each round (A B C, A B C, ...), the server has one core and the load another,
and every answer is checked.

    python tests/benchmarks/run.py [--only NAME ...] [--rounds N] [--quick] [--json FILE]
"""

import argparse
import json
import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import recording
from environments import CannotInstall, interpreter
from figures import Measured, Row, number
from peer import BARE, OURS, PEERS
from rows import ROWS
from servers import LOAD_CORE, Bench
from table import machine, table


def main() -> None:
    """Measure the rows that are asked for and print the table."""
    options = arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))
    known = {row.name: row for row in ROWS}
    chosen = [known[name] for name in options.only or known]
    absent = missing()
    measured: dict[str, Measured] = {}
    os.sched_setaffinity(0, LOAD_CORE)
    try:
        with Bench() as bench:
            recording.compare(bench.server(OURS).port, bench.server(BARE).port)
            for row in chosen:
                rounds = options.rounds or (1 if options.quick else row.rounds)
                measured[row.name] = measure(bench, row, rounds, options.quick, absent)
    finally:
        report(measured, known, absent, options.json)


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Compare with other agent servers.")
    names = [row.name for row in ROWS]
    parser.add_argument("--only", nargs="+", choices=names, metavar="NAME", help=", ".join(names))
    parser.add_argument("--rounds", type=int, help="rounds of each row; its own number by default")
    parser.add_argument("--quick", action="store_true", help="small loads, one round: a try-out")
    parser.add_argument("--json", type=Path, help="write all values to this file")
    return parser.parse_args()


def missing() -> dict[str, str]:
    """Make the environments; give the peers that cannot be installed, and why."""
    found = {}
    for peer in PEERS:
        try:
            interpreter(peer.environment)
        except CannotInstall as error:
            if peer in (OURS, BARE):
                raise
            found[peer.name] = str(error)
    return found


def measure(
    bench: Bench, row: Row, rounds: int, quick: bool, absent: Sequence[str] | dict[str, str]
) -> Measured:
    """Measure a row, the peers in turns."""
    peers = [peer for peer in row.peers if peer.name not in absent]
    measured: Measured = {peer.name: [] for peer in peers}
    for turn in range(rounds):
        for peer in peers:
            begun = time.monotonic()
            values = row.measure(bench, peer, quick)
            measured[peer.name].append(values)
            told = ", ".join(f"{key} {number(value)}" for key, value in values.items())
            say(
                f"{row.name} {turn + 1}/{rounds} {peer.name}: {told} "
                f"[{time.monotonic() - begun:.0f} s]"
            )
    return measured


def report(
    measured: dict[str, Measured], known: dict[str, Row], absent: dict[str, str], path: Path | None
) -> None:
    """Print the table of what has been measured so far, and write its values."""
    about = machine()
    notes = [f"{name} is not compared: {reason}" for name, reason in absent.items()]
    sys.stdout.write("\n".join([*about.values(), *notes, "", table(measured, known), ""]))
    if path is not None:
        path.write_text(json.dumps({**about, "absent": absent, "rows": measured}, indent=1))


def say(text: str) -> None:
    """Tell how far it is, apart from the table."""
    sys.stderr.write(text + "\n")


if __name__ == "__main__":
    main()
