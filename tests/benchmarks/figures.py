"""Rows, their figures, and the ratios that are made of them."""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from peer import BARE, MLFLOW, OURS, Peer
from servers import Bench

Values = dict[str, float]
Measured = dict[str, list[Values]]
"""For each peer, what its rounds gave."""


@dataclass(frozen=True)
class Figure:
    """One line of the table.

    Args:
        key: Its name in what a round gives.
        title: What it is, with its unit.
        more: Whether more is better.
        mlflow: Ratio ours / MLflow that is wanted: at least, or at most where less is better.
        bare: The same against bare.
        limit: What ours may be at most, in itself.
        scale: Shown is the value times this.
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
        name: What `--only` calls it.
        measure: Measures one round of one peer; `quick` asks for a small one.
        figures: What it gives.
        peers: Whom it compares.
        rounds: How many rounds unless told.
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
    """Give the targets that a figure misses, each as a few words."""
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
    """Write a number with three figures, large ones whole."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
