"""Says how many servers a number of streams needs, and which resource is saturated first.

make scale                       from the costs in costs.json
make scale ARGS=--measure        measures the costs on this machine, and writes them there
make scale ARGS="--check 1000"   compares the simulation with a real run of one server
make scale ARGS=--partitions     tries a log that is partitioned by time on a real PostgreSQL
"""

import argparse
import os
import sys

from tests.tools.benchmarks.servers import LOAD_CORE
from tests.tools.scale.bend import bend, fit, saturated
from tests.tools.scale.check import check
from tests.tools.scale.costs import Costs, load, save
from tests.tools.scale.measure import measure
from tests.tools.scale.partitions import try_partitions
from tests.tools.scale.simulation import KINDS, simulate
from tests.tools.scale.traffic import Profile

STREAMS = (1_000, 3_000, 10_000, 30_000, 100_000)
MOST = 1_000_000


def main() -> None:
    """Do what the arguments say."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--measure", action="store_true")
    parser.add_argument("--check", type=int, metavar="STREAMS", default=0)
    parser.add_argument("--partitions", action="store_true")
    parser.add_argument("--database-cores", type=int, default=8)
    options = parser.parse_args()
    if options.measure:
        save(measure())
    if options.partitions:
        try_partitions()
    elif options.check:
        os.sched_setaffinity(0, LOAD_CORE)
        check(load(), Profile(), options.check)
    else:
        _print_tables(load(), Profile(), options.database_cores)


def _print_tables(costs: Costs, profile: Profile, cores: int) -> None:
    _print(
        f"{costs.machine}, {costs.date}, load {costs.load}. A stream lasts {profile.seconds:g} s."
    )
    for kind in KINDS:
        _print("", "| streams | servers | used | p50, p99 ms | memory GB | network MB/s |")
        _print("|---|---|---|---|---|---|")
        for streams in STREAMS:
            deployment = fit(kind, streams, costs, profile, cores)
            result = simulate(deployment, costs, profile)
            used = " ".join(
                f"{name} {100 * use:.0f} %" for name, use in result.use.items() if use > 0.005
            )
            delays = f"{1e3 * result.p50:.1f}, {1e3 * result.p99:.1f}"
            sizes = f"{result.memory / 1e9:.1f} | {result.network / 1e6:.0f}"
            _print(f"| {streams:,} {kind} | {deployment.processes} | {used} | {delays} | {sizes} |")
        found = bend(kind, costs, profile, cores, MOST)
        if found is None:
            _print(f"{kind}: nothing is saturated up to {MOST:,} streams.")
        else:
            _print(
                f"{kind}: with {found.streams:,} streams on {found.processes} servers, "
                f"{saturated(found, costs, profile)} is saturated first."
            )


def _print(*lines: str) -> None:
    sys.stdout.write("\n".join(lines) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
