"""Compare with MLflow's AgentServer, BedrockAgentCoreApp and plain Starlette: `make bench`.

Prints a Markdown table of ratios, each as the median and the range of several rounds. The peers
take turns in each round (A B C, A B C, ...), the server and the load run on separate cores, and
every answer is checked.

    python -m tests.tools.benchmarks [--only NAME ...] [--rounds N] [--quick] [--json FILE]
        [--write docs/benchmarks.md] [--keep FILE]
"""

import argparse
import json
import os
import signal
import sys
import time
from pathlib import Path

from tests.tools.benchmarks import recording
from tests.tools.benchmarks.environments import CannotInstall, interpreter
from tests.tools.benchmarks.figures import Measured, Row, number
from tests.tools.benchmarks.peer import BARE, OURS, PEERS
from tests.tools.benchmarks.rows import ROWS
from tests.tools.benchmarks.servers import LOAD_CORE, Bench
from tests.tools.benchmarks.table import filled, machine, table


def main() -> None:
    """Measure the chosen rows and print the table."""
    options = arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))
    known = {row.name: row for row in ROWS}
    chosen = [known[name] for name in options.only or known]
    notes = missing()
    measured: dict[str, Measured] = {}
    os.sched_setaffinity(0, LOAD_CORE)
    try:
        with Bench() as bench:
            recording.compare(bench.server(OURS).port, bench.server(BARE).port)
            for row in chosen:
                rounds = options.rounds or (1 if options.quick else row.rounds)
                measured[row.name] = {peer.name: [] for peer in row.peers}
                measure(bench, row, rounds, options.quick, measured[row.name], notes)
    finally:
        report(measured, known, notes, options)
    if notes:
        sys.exit(1)


def arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description="Compare with other agent servers.")
    names = [row.name for row in ROWS]
    parser.add_argument("--only", nargs="+", choices=names, metavar="NAME", help=", ".join(names))
    parser.add_argument("--rounds", type=int, help="rounds of each row; its own number by default")
    parser.add_argument("--quick", action="store_true", help="small loads, one round: a try-out")
    parser.add_argument("--json", type=Path, help="write all values to this file")
    parser.add_argument("--write", type=Path, help="put the table of all rows into this page")
    parser.add_argument("--keep", type=Path, help="--json's file of before, for the other rows")
    options = parser.parse_args()
    if options.write is not None and options.quick:
        parser.error("--write is for rows measured in full")
    return options


def missing() -> dict[str, str]:
    """Create the environments; return the peers that cannot be installed, with the reasons."""
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
    bench: Bench, row: Row, rounds: int, quick: bool, measured: Measured, notes: dict[str, str]
) -> None:
    """Measure a row with the peers in turn; one that fails or is missing gets a note instead."""
    for turn in range(rounds):
        for peer in row.peers:
            if peer.name in notes or f"{row.name} of {peer.name}" in notes:
                continue
            begun = time.monotonic()
            try:
                values = row.measure(bench, peer, quick)
            except Exception as error:
                notes[f"{row.name} of {peer.name}"] = cause(error)
                say(f"{row.name} {turn + 1}/{rounds} {peer.name}: {cause(error)}")
                continue
            measured[peer.name].append(values)
            told = ", ".join(f"{key} {number(value)}" for key, value in values.items())
            took = time.monotonic() - begun
            say(f"{row.name} {turn + 1}/{rounds} {peer.name}: {told} [{took:.0f} s]")


def cause(error: BaseException) -> str:
    """Return the first error of a group, on one line."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return f"{type(error).__name__}: {error}".replace("\n", " ")[:500]


def report(
    measured: dict[str, Measured],
    known: dict[str, Row],
    notes: dict[str, str],
    options: argparse.Namespace,
) -> None:
    """Print the results so far as a table, and write the files that the options name."""
    about = machine()
    if options.keep is not None:
        kept = json.loads(options.keep.read_text())["rows"]
        measured = {name: measured.get(name) or kept[name] for name in known}
    failed = [f"Not measured: {name}: {reason}" for name, reason in notes.items()]
    text = "\n\n".join([*about.values(), *failed, table(measured, known)])
    sys.stdout.write(f"{text}\n")
    if options.json is not None:
        options.json.write_text(json.dumps({**about, "failed": notes, "rows": measured}, indent=1))
    if options.write is not None and len(measured) == len(known):
        options.write.write_text(filled(options.write.read_text(), text))


def say(text: str) -> None:
    """Print progress to stderr, separate from the table."""
    sys.stderr.write(text + "\n")


if __name__ == "__main__":
    main()
