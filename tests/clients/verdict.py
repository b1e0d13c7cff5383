"""Compares what a client saw with what is expected of it."""

from collections.abc import Iterator
from typing import Any

from tests.clients.clients import CLIENTS
from tests.clients.expectations import Expected
from tests.clients.harness import Outcome

SHOWN = 1000
"""How much of a client's failure is shown, in characters."""


def wrong(name: str, outcomes: dict[str, Outcome]) -> dict[str, str]:
    """Return the columns in which a client did not see what is expected, each with the reason."""
    expected = CLIENTS[name].expected
    reasons = {column: "; ".join(_wrong(expected(column), o)) for column, o in outcomes.items()}
    return {column: reason for column, reason in reasons.items() if reason}


def _wrong(expected: Expected, outcome: Outcome) -> Iterator[str]:
    if outcome.failed is not None:
        yield f"the client failed: {outcome.failed[:SHOWN]}"
    elif not _fits(expected.seen, outcome.seen):
        yield f"the client saw {outcome.seen}, not {expected.seen}"
    if outcome.runs != expected.runs:
        yield f"the runs ended {outcome.runs}, not {expected.runs}"


def _fits(expected: dict[str, Any], seen: Any) -> bool:
    if not isinstance(seen, dict) or seen.keys() != expected.keys():
        return False
    return all(
        value in str(seen[name]) if name in ("message", "streamed") else value == seen[name]
        for name, value in expected.items()
    )
