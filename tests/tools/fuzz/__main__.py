"""`python -m tests.tools.fuzz`: run all the fuzzing and print counts; see `make fuzz`."""

import argparse
import os
import subprocess
import sys
import time

os.environ.setdefault("OTEL_SDK_DISABLED", "true")

from tests.tools.fuzz import over_openapi
from tests.tools.fuzz.properties import PROPERTIES


def main() -> None:
    """Run the selected parts; stop at the first failure."""
    parser = argparse.ArgumentParser(prog="python -m tests.tools.fuzz", description=__doc__)
    parser.add_argument("--requests", type=int, default=10_000, help="of schemathesis")
    parser.add_argument("--cases", type=int, default=50_000, help="of hypothesis, in all")
    parser.add_argument("--seconds", type=int, default=300, help="of atheris")
    asked = parser.parse_args()
    if asked.cases:
        properties(asked.cases)
    if asked.requests:
        begun = time.monotonic()
        found = over_openapi.run(asked.requests)
        tell("schemathesis, requests", sum(found.values()), begun, str(found))
    if asked.seconds:
        codec(asked.seconds)


def properties(cases: int) -> None:
    """Check each property on its share of the cases."""
    whole = 0
    begun = time.monotonic()
    for each in PROPERTIES:
        since, tried = time.monotonic(), 0
        due = -(-cases * each.share // 100)
        while tried < due:
            tried += each.run(due - tried)
        tell(f"hypothesis, {each.name}", tried, since)
        whole += tried
    tell("hypothesis, cases in all", whole, begun)


def codec(seconds: int) -> None:
    """Run atheris in a subprocess, because it exits its own process."""
    options = (f"-max_total_time={seconds}", "-max_len=4096", "-timeout=10", "-print_final_stats=1")
    subprocess.run([sys.executable, "-m", "tests.tools.fuzz.with_atheris", *options], check=True)


def tell(name: str, count: int, begun: float, more: str = "") -> None:
    """Print the number of cases and how long they took."""
    print(f"{name}: {count} in {time.monotonic() - begun:.0f} s {more}", flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
