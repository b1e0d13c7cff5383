"""Replaces two servers one after the other, and checks that no run is lost or executed twice.

make roll                 200 streams and 100 followed background runs, this version to itself
make roll FROM=../old     the same, with servers from another checkout replaced by this version's
"""

import argparse
import asyncio
import re
import sys
from collections import Counter
from pathlib import Path

from tests.support.pages import ROOT
from tests.tools.roll.deployment import Report, Size, roll


def main() -> None:
    """Roll with the size in the arguments, and print what happened."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    for name, default in vars(Size()).items():
        parser.add_argument(f"--{name}", type=type(default), default=default)
    parser.add_argument("--from", dest="old", type=Path, default=ROOT, help="the old checkout")
    options = vars(parser.parse_args())
    old = options.pop("old").resolve()
    report = asyncio.run(roll(old, Size(**options)))
    _print(report)
    if report.faults:
        sys.exit(1)


def _print(report: Report) -> None:
    for name, value in report.table().items():
        sys.stdout.write(f"| {name} | {value} |\n")
    kinds = Counter(re.sub(r"resp_\w+|\d+", "N", fault)[:120] for fault in report.faults)
    for kind, count in kinds.most_common():
        sys.stdout.write(f"FAULT: {count} times: {kind}\n")


if __name__ == "__main__":
    main()
