"""`Meters`: count what each user uses, for `Quota`."""

import time
from abc import ABC, abstractmethod
from typing import NamedTuple

from ..config import Quota

MINUTE = 60.0
FULL = 1024
"""The number of users from which on those who use nothing are forgotten."""


class Use(NamedTuple):
    """What a user uses, including the run that was admitted."""

    admitted: bool
    """Whether one more run was within the quota."""
    running: int
    """The runs in flight."""
    runs: float
    """The runs that began, less what has returned since."""
    tokens: float
    """The tokens that were used, less what has returned since."""


class Meters(ABC):
    """Counts the runs and tokens of each user.

    What was used returns evenly: a minute's share of it in a minute.
    """

    @abstractmethod
    async def admit(self, user: str, quota: Quota, *, holds: bool) -> Use:
        """Count a run that begins, if it is within the quota.

        Args:
            user: The user.
            quota: The user's quota.
            holds: Whether it counts as a run in flight, until `leave` is called.
        """

    @abstractmethod
    async def leave(
        self, user: str, quota: Quota, tokens: int, *, holds: bool, begun: bool = True
    ) -> None:
        """Count the tokens of a run that has ended.

        Args:
            user: The user.
            quota: The user's quota.
            tokens: The tokens that it used.
            holds: Whether it was counted as a run in flight.
            begun: Whether it began. Default True; if not, it does not count as one that did.
        """


class _Meter:
    """What one user uses."""

    __slots__ = ("at", "quota", "running", "runs", "tokens")

    def __init__(self, quota: Quota, now: float) -> None:
        self.at = now
        self.quota = quota
        self.running = 0
        self.runs = self.tokens = 0.0

    def advance(self, now: float) -> None:
        """Subtract what has returned since the last call."""
        minutes, self.at = (now - self.at) / MINUTE, now
        self.runs = max(0.0, self.runs - minutes * (self.quota.runs_per_minute or 0))
        self.tokens = max(0.0, self.tokens - minutes * (self.quota.tokens_per_minute or 0))

    def fits(self, *, holds: bool) -> bool:
        """Return whether one more run is within the quota."""
        quota = self.quota
        return (
            (not holds or _fits(self.running, quota.concurrent_runs))
            and _fits(self.runs, quota.runs_per_minute)
            and _fits(self.tokens, quota.tokens_per_minute)
        )

    @property
    def is_idle(self) -> bool:
        return not (self.running or self.runs or self.tokens)


class MemoryMeters(Meters):
    """Counts in the memory of one process."""

    def __init__(self) -> None:
        self._meters: dict[str, _Meter] = {}
        self._full = FULL

    async def admit(self, user: str, quota: Quota, *, holds: bool) -> Use:
        meter = self._meter(user, quota)
        admitted = meter.fits(holds=holds)
        if admitted:
            meter.running += holds
            meter.runs += quota.runs_per_minute is not None
        return Use(admitted, meter.running, meter.runs, meter.tokens)

    async def leave(
        self, user: str, quota: Quota, tokens: int, *, holds: bool, begun: bool = True
    ) -> None:
        meter = self._meter(user, quota)
        meter.running -= holds
        meter.runs = max(0.0, meter.runs - (not begun))
        meter.tokens += tokens if quota.tokens_per_minute is not None else 0

    def _meter(self, user: str, quota: Quota) -> _Meter:
        now = time.monotonic()
        meter = self._meters.get(user)
        if meter is None:
            if len(self._meters) >= self._full:
                self._forget_idle(now)
            meter = self._meters[user] = _Meter(quota, now)
        meter.quota = quota
        meter.advance(now)
        return meter

    def _forget_idle(self, now: float) -> None:
        for meter in self._meters.values():
            meter.advance(now)
        self._meters = {user: each for user, each in self._meters.items() if not each.is_idle}
        self._full = max(FULL, 2 * len(self._meters))


def _fits(used: float, limit: int | None) -> bool:
    """Return whether one more is within a limit."""
    return limit is None or used + 1 <= limit
