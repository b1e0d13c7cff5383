"""Rows, their figures, and the ratios computed from them."""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from tests.tools.benchmarks.peer import BARE, MLFLOW, OURS, Peer
from tests.tools.benchmarks.servers import Bench

Values = dict[str, float]
Measured = dict[str, list[Values]]
"""The values of each round, by peer."""


@dataclass(frozen=True)
class Figure:
    """One line of the table.

    Args:
        key: Its name in the values of a round.
        title: Its description, with the unit.
        more: Whether more is better.
        mlflow: Target for the ratio ours / MLflow: a minimum, or a maximum if less is better.
        bare: The same for ours / bare.
        limit: The maximum for the value of ours itself.
        scale: Factor by which the value is multiplied for display.
    """

    key: str
    title: str
    more: bool = True
    mlflow: float | None = None
    bare: float | None = None
    limit: float | None = None
    scale: float = 1


@dataclass(frozen=True)
class Row:
    """One measurement.

    Args:
        name: Its name for `--only`.
        measure: Measures one round of one peer; with `quick`, a small one.
        figures: The figures that it measures.
        peers: The peers that it compares.
        rounds: The default number of rounds.
    """

    name: str
    measure: Callable[[Bench, Peer, bool], Values]
    figures: Sequence[Figure]
    peers: Sequence[Peer] = (OURS, MLFLOW, BARE)
    rounds: int = 7


@dataclass
class Ratio:
    """How ours compares with a peer: the median of the rounds' ratios, and their range."""

    values: list[float] = field(default_factory=list)

    @property
    def median(self) -> float:
        """The median."""
        return statistics.median(self.values)

    def __str__(self) -> str:
        if not self.values:
            return "-"
        low, high = min(self.values), max(self.values)
        return f"{number(self.median)} ({number(low)} to {number(high)})"


def ratio(measured: Measured, figure: Figure, peer: str) -> Ratio:
    """Compare ours with a peer, round by round."""
    pairs = zip(measured.get("ours", []), measured.get(peer, []), strict=False)
    key = figure.key
    return Ratio([a[key] / b[key] for a, b in pairs if key in a and key in b and b[key]])


def misses(measured: Measured, figure: Figure) -> list[str]:
    """Return a short description of each target that a figure misses."""
    missed = []
    for name, wanted in (("mlflow", figure.mlflow), ("bare", figure.bare)):
        found = ratio(measured, figure, name)
        if wanted is None or not found.values:
            continue
        if found.median < wanted if figure.more else found.median > wanted:
            missed.append(f"{name} {number(found.median)} for {number(wanted)}")
    ours = [each[figure.key] * figure.scale for each in measured.get("ours", [])]
    if figure.limit is not None and ours and max(ours) > figure.limit:
        missed.append(f"{number(max(ours))} for {number(figure.limit)}")
    return missed


def number(value: float) -> str:
    """Format a number with three significant digits, or as an integer from 100 on."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
