"""What an app counts: its runs, what it refused, the time its store took. Pure; plain numbers."""

from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import msgspec

RunMode = Literal["json", "stream", "websocket", "background"]
"""How a run is answered."""
MODES: tuple[RunMode, ...] = get_args(RunMode)
GIVEN_BACK = "given_back"
"""The status of an attempt whose end was not stored: another one goes on, or it was deleted."""
STATUSES = ("completed", "failed", "incomplete", "cancelled", GIVEN_BACK)
BOUNDS = (
    *(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5),
    *(1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0),
)
"""The upper bounds of a histogram's buckets, in seconds."""
OTHER = "other"
CODES = frozenset(
    {
        "authentication_error",
        "bad_gateway",
        "body_timeout",
        "conversation_locked",
        "forbidden",
        "gateway_timeout",
        "idempotency_key_reused",
        "invalid_json",
        "invalid_request",
        "invalid_token",
        "item_not_found",
        "model_not_found",
        "nested_too_deeply",
        "no_handler",
        "not_found",
        "not_supported",
        "origin_not_allowed",
        "permission_error",
        "previous_response_not_found",
        "request_too_large",
        "response_not_found",
        "server_error",
        "timeout",
        "too_many_nodes",
        "too_many_queued",
        "too_many_requests",
        "too_many_runs",
        "too_many_streams",
        "unauthenticated",
        "unavailable",
    }
)
"""The codes that refusals are counted by; all others, such as an app's own, are `other`, since a
label of Prometheus must not have any number of values."""


@dataclass(slots=True)
class Histogram:
    """How long something took, again and again."""

    buckets: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS) + 1))
    """How often up to each of `BOUNDS`, and no more than the one before; the last: longer."""
    sum: float = 0.0
    """All of it, in seconds."""

    def add(self, seconds: float) -> None:
        """Count a duration."""
        self.buckets[bisect_left(BOUNDS, seconds)] += 1
        self.sum += seconds


@dataclass(slots=True)
class Runs:
    """The runs of one agent in one mode."""

    in_flight: int = 0
    """How many have begun and not ended."""
    statuses: dict[str, int] = field(default_factory=lambda: dict.fromkeys(STATUSES, 0))
    """How many have ended, by status."""
    seconds: Histogram = field(default_factory=Histogram)
    """How long they took."""
    first_event: Histogram = field(default_factory=Histogram)
    """How long until the handler's first output."""
    events: int = 0
    """How many events their streams had."""
    input_tokens: int = 0
    """The tokens that their handlers said were used, likewise `output_tokens`."""
    output_tokens: int = 0


@dataclass(slots=True)
class Counts:
    """What one app counts in one process, or all processes together."""

    runs: dict[str, dict[RunMode, Runs]] = field(default_factory=dict)
    """By agent and mode."""
    refused: dict[str, int] = field(default_factory=dict)
    """The 4xx and 5xx that were answered before a handler started, by error code."""
    store: dict[str, Histogram] = field(default_factory=dict)
    """How long the store's operations took, by name."""
    traces_waiting: int = 0
    """How many exports of traces wait; of the process, whatever app they are of."""
    traces_dropped: int = 0
    """How many traces the process gave up because exports had fallen behind."""

    @classmethod
    def of(cls, agents: Iterable[str]) -> "Counts":
        """Make the counts of some agents."""
        return cls({agent: {mode: Runs() for mode in MODES} for agent in agents})

    def refuse(self, code: str) -> None:
        """Count a request that was refused before a handler started."""
        why = code if code in CODES else OTHER
        self.refused[why] = self.refused.get(why, 0) + 1

    def add_store(self, operation: str, seconds: float) -> None:
        """Count a call of the store."""
        if operation not in self.store:
            self.store[operation] = Histogram()
        self.store[operation].add(seconds)

    def bury(self) -> None:
        """Leave out what only a living process has."""
        self.traces_waiting = 0
        for modes in self.runs.values():
            for runs in modes.values():
                runs.in_flight = 0


def total(counts: Iterable[Counts]) -> Counts:
    """Give the sum, a copy."""
    added: Any = {}
    for each in counts:
        added = _add(added, msgspec.to_builtins(each))
    return msgspec.convert(added, Counts)


def _add(one: Any, other: Any) -> Any:
    if isinstance(one, dict):
        both = {name: _add(one[name], value) for name, value in other.items() if name in one}
        return {**one, **other, **both}
    if isinstance(one, list):
        return [_add(*each) for each in zip(one, other, strict=True)]
    return one + other
