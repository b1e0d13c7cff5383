"""`Quotas`: what each user may use, and the errors and headers that tell them."""

import asyncio
import math
import time
from collections.abc import Callable, Coroutine
from contextvars import Context
from types import NoneType
from typing import TYPE_CHECKING, Any

from ..config import Quota, require
from ..errors import AgentError, TooMany
from ..store.base import Store, StoreUnavailable
from ..store.meters import MINUTE, MemoryMeters, Meters, Use

if TYPE_CHECKING:
    from .run import Run

REFUSED_SECONDS = 1.0
"""How long a user who was refused is refused again without counting, at most."""
MEASURED_SECONDS = 10.0
"""How long the size of what a user has stored counts before it is measured again."""
AWAY_SECONDS = 5.0
"""How long this process counts for itself after the store did not answer."""
ANSWERED_SECONDS = 0.1, 0.4
"""How long a run waits for the end of another, which is counted while its answer is sent."""
REMEMBERED = 10_000
"""The number of users whose refusals and sizes are remembered."""


class Permit:
    """A run that a user's quota has admitted.

    Args:
        quota: The quota.
        use: What the user uses.
        meters: What has counted the run.
        holds: Whether the run counts as one in flight until it has ended.

    Attributes:
        begun: Whether the run has begun, or is stored and will.
    """

    __slots__ = ("begun", "holds", "meters", "quota", "use")

    def __init__(self, quota: Quota, use: Use, meters: Meters, *, holds: bool) -> None:
        self.quota = quota
        self.use = use
        self.meters = meters
        self.holds = holds
        self.begun = False

    def headers(self) -> dict[str, str]:
        """Return the headers that tell the client what is left."""
        return rate_headers(self.quota, self.use)


class Quotas:
    """Admits the runs of each user within their quota.

    Args:
        quota: The quota of each user, or a function that returns the quota of a user by their id,
            which is empty without authentication; None for no bound.
        store: The store. Its meters count for all processes; without them this process counts.
    """

    def __init__(self, quota: Quota | Callable[[str], Quota | None], store: Store) -> None:
        self._quota = quota
        self._store = store
        self._local = MemoryMeters()
        self._away_until = 0.0
        self._refused: dict[tuple[str, bool], tuple[float, Quota, Use]] = {}
        self._stored: dict[str, tuple[float, int]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def check(self, user: str, *, holds: bool) -> None:
        """Refuse a user who has just been refused: a flood of requests must not cost much.

        Args:
            user: The user's id.
            holds: Whether the run would count as one in flight.

        Raises:
            TooMany: The quota is used up.
        """
        refused = self._refused.get((user, holds))
        if refused is not None:
            until, quota, use = refused
            if time.monotonic() < until:
                raise exceeded(quota, use)
            del self._refused[user, holds]

    async def admit(self, run: "Run") -> None:
        """Count a run, which gets a permit; call `leave` if it does not begin.

        Raises:
            TooMany: The quota is used up.
            AgentError: The user has stored too much.
        """
        user, quota = run.owner, self._quota_of(run.owner)
        if quota is None:
            return
        if _stores(run):
            await self.check_stored(user)
        holds = not run.request.background
        try:
            meters = self._meters()
            use = await _admit(meters, user, quota, holds=holds)
        except StoreUnavailable:  # better counted here than refused
            self._away_until = time.monotonic() + AWAY_SECONDS
            meters = self._local
            use = await meters.admit(user, quota, holds=holds)
        if not use.admitted:
            _make_room(self._refused)
            self._refused[user, holds] = time.monotonic() + REFUSED_SECONDS, quota, use
            raise exceeded(quota, use)
        run.permit = Permit(quota, use, meters, holds=holds)

    def leave(self, run: "Run") -> None:
        """Stop counting a run, unless it has ended before; one that did not begin uses nothing."""
        self._settle(run, 0)

    def end(self, run: "Run") -> None:
        """Count the end of a run and the tokens that it used, while its answer is sent."""
        usage, permit = run.output.usage, run.permit
        tokens = 0 if usage is None else usage.input_tokens + usage.output_tokens
        if permit is not None:
            permit.begun = True
            self._settle(run, tokens)
        elif tokens and (quota := self._quota_of(run.owner)) is not None:
            self._start(self._meters().leave(run.owner, quota, tokens, holds=False))

    async def close(self) -> None:
        """Wait until the ends of all runs are counted."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    def _settle(self, run: "Run", tokens: int) -> None:
        permit, owner = run.permit, run.owner
        if permit is None:
            return
        holds, begun = permit.holds, permit.begun
        permit.holds, permit.begun = False, True
        if holds or tokens or not begun:
            for key in (True, False):
                self._refused.pop((owner, key), None)
            left = permit.meters.leave(owner, permit.quota, tokens, holds=holds, begun=begun)
            self._start(left)

    def _start(self, counting: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(counting, context=Context())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _meters(self) -> Meters:
        shared = self._store.meters
        return self._local if shared is None or time.monotonic() < self._away_until else shared

    def _quota_of(self, user: str) -> Quota | None:
        if isinstance(self._quota, Quota):
            return self._quota
        quota = self._quota(user)
        require("AgentApp", {"quota(user)": (quota, Quota, NoneType)})
        return quota

    async def check_stored(self, user: str) -> None:
        """Refuse to store more for a user who has stored too much.

        Raises:
            AgentError: The user has.
        """
        quota = self._quota_of(user)
        if quota is not None and quota.stored_bytes is not None:
            await self._check_stored(user, quota.stored_bytes)

    async def _check_stored(self, user: str, limit: int) -> None:
        until, size = self._stored.get(user, (0.0, 0))
        if time.monotonic() >= until:
            size = await self._store.stored_bytes(user)
            _make_room(self._stored)
            self._stored[user] = time.monotonic() + MEASURED_SECONDS, size
        if size >= limit:
            raise AgentError(
                f"Your stored responses and conversations have {size} bytes (limit {limit}). "
                "Delete some, or send `store: false`.",
                429,
                "storage_limit_exceeded",
                headers={"x-should-retry": "false"},
            )


async def _admit(meters: Meters, user: str, quota: Quota, *, holds: bool) -> Use:
    """Count a run. If it is refused, but no rate is used up, one may just have ended: try again."""
    use = await meters.admit(user, quota, holds=holds)
    for seconds in () if isinstance(meters, MemoryMeters) else ANSWERED_SECONDS:
        if use.admitted or _reached(quota, use):
            break
        await asyncio.sleep(seconds)
        use = await meters.admit(user, quota, holds=holds)
    return use


def exceeded(quota: Quota, use: Use) -> TooMany:
    """Return the error of a user whose quota is used up."""
    concurrent = 1.0, f"concurrent runs (limit {quota.concurrent_runs})"
    seconds, what = max(_reached(quota, use), default=concurrent)
    retry_after = math.ceil(seconds)
    message = f"Too many {what}. Retry in {retry_after} s."
    error = TooMany(message, "rate_limit_exceeded", retry_after)
    error.headers.update(rate_headers(quota, use))
    return error


def _reached(quota: Quota, use: Use) -> list[tuple[float, str]]:
    """Return the rates that are used up: after how many seconds they allow a run, and which."""
    return [
        ((used + 1 - limit) * MINUTE / limit, f"{unit} per minute (limit {limit})")
        for limit, used, unit in (
            (quota.runs_per_minute, use.runs, "runs"),
            (quota.tokens_per_minute, use.tokens, "tokens"),
        )
        if limit is not None and used + 1 > limit
    ]


def rate_headers(quota: Quota, use: Use) -> dict[str, str]:
    """Return the headers that tell what is left of a quota, as OpenAI's API has them."""
    headers: dict[str, str] = {}
    for limit, used, unit in (
        (quota.runs_per_minute, use.runs, "requests"),
        (quota.tokens_per_minute, use.tokens, "tokens"),
    ):
        if limit is not None:
            headers[f"x-ratelimit-limit-{unit}"] = str(limit)
            headers[f"x-ratelimit-remaining-{unit}"] = str(max(0, math.floor(limit - used)))
            headers[f"x-ratelimit-reset-{unit}"] = _duration(used * MINUTE / limit)
    return headers


def _duration(seconds: float) -> str:
    """Return a time as OpenAI's API writes it, such as `120ms`, `1.5s` or `6m0s`."""
    if seconds < 1:
        return f"{math.ceil(seconds * 1000)}ms"
    minutes, rest = divmod(round(seconds, 3), MINUTE)
    return f"{int(minutes)}m{rest:g}s" if minutes else f"{rest:g}s"


def _stores(run: "Run") -> bool:
    return run.router.protocol == "responses" and run.request.store is not False


def _make_room(remembered: dict[Any, Any]) -> None:
    if len(remembered) >= REMEMBERED:
        remembered.clear()
