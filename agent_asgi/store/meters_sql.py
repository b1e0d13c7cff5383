"""The meters of several processes in PostgreSQL: a row for each user, a statement for each call."""

import asyncio
import logging
import uuid
from collections import Counter
from collections.abc import Mapping
from contextvars import Context
from typing import Any

from sqlalchemy import TextClause, text

from ..config import Quota
from .base import StoreUnavailable
from .database import Database
from .engine import shielded
from .meters import MINUTE, Meters, Use

logger = logging.getLogger("agent_asgi")
LEASE_SECONDS = 20.0
"""How long the runs of a process count after it was last heard of."""
BEAT_SECONDS = 5.0
"""How often a process says that its runs are still in flight."""
UNLIMITED = 1e15
"""Stands for no limit."""


class _Caller:
    """A caller of `admit`: whether it has been admitted, and whether it was cancelled meanwhile."""

    is_admitted = has_left = False


class SqlMeters(Meters):
    """Counts in PostgreSQL, for all processes.

    Args:
        database: The database.
    """

    def __init__(self, database: Database) -> None:
        self._operations = database.operations
        self._connect = database.reading  # each statement is a transaction
        self._process = uuid.uuid4().hex
        self._running: Counter[str] = Counter()
        self._unsent: list[Mapping[str, Any]] = []  # the runs whose end is not counted yet
        self._heart: asyncio.Task[None] | None = None

    async def admit(self, user: str, quota: Quota, *, holds: bool) -> Use:
        caller = _Caller()
        try:
            return await self._admit(user, quota, caller, holds=holds)
        except BaseException:
            caller.has_left = True
            if caller.is_admitted:  # just as it was cancelled
                await self.leave(user, quota, 0, holds=True)
            raise

    @shielded
    async def _admit(self, user: str, quota: Quota, caller: "_Caller", *, holds: bool) -> Use:
        values = self._values(user, quota, holds=holds)
        async with self._connect() as db:
            row = (await db.execute(_ADMIT, values)).first()
            admitted = row is not None
            if row is None:
                row = (await db.execute(_READ, values)).first()
        if admitted and holds:
            self._running[user] += 1
            self._start_beating()
            if caller.has_left:
                await self.leave(user, quota, 0, holds=True)
            caller.is_admitted = not caller.has_left
        return Use(admitted, *(row or (0, 0.0, 0.0)))

    async def leave(self, user: str, quota: Quota, tokens: int, *, holds: bool) -> None:
        if holds:
            self._running[user] -= 1
        values = self._values(user, quota, holds=holds) | {"tokens": tokens}
        try:
            await self._execute(_LEAVE, values)
        except StoreUnavailable:
            self._unsent.append(values)
            self._start_beating()

    def _start_beating(self) -> None:
        if self._heart is None:
            self._heart = asyncio.create_task(self._beat(), context=Context())

    async def close(self) -> None:
        """Stop saying that runs are in flight."""
        if self._heart is not None:
            self._heart.cancel()
            await asyncio.wait([self._heart])
            self._heart = None

    def _values(self, user: str, quota: Quota, *, holds: bool) -> dict[str, Any]:
        return {
            "user": user,
            "process": self._process,
            "lease": LEASE_SECONDS,
            "holds": holds,
            "concurrent": float((quota.concurrent_runs if holds else None) or UNLIMITED),
            "run_limit": float(quota.runs_per_minute or UNLIMITED),
            "token_limit": float(quota.tokens_per_minute or UNLIMITED),
        }

    async def _beat(self) -> None:
        """Renew the leases of the runs in flight, and count what could not be counted."""
        while True:
            await asyncio.sleep(BEAT_SECONDS)
            try:
                await self._renew()
            except StoreUnavailable:
                pass  # until the next beat
            except Exception:
                logger.exception("The quotas of runs in flight could not be renewed.")

    async def _renew(self) -> None:
        while self._unsent:
            await self._execute(_LEAVE, self._unsent[0])
            del self._unsent[0]
        self._running = +self._running
        if self._running:
            values = {"process": self._process, "lease": LEASE_SECONDS}
            await self._execute(_RENEW, values | {"users": [*self._running]})

    @shielded
    async def _execute(self, statement: TextClause, values: Mapping[str, Any]) -> None:
        async with self._connect() as db:
            await db.execute(statement, values)


_NOW = "extract(epoch FROM clock_timestamp())::float8"
_PROCESS = "CAST(:process AS text)"
_UNTIL = f"({_NOW} + CAST(:lease AS float8))"
_RUNS = f"greatest(0, m.runs - ({_NOW} - m.at) / {MINUTE} * CAST(:run_limit AS float8))"
_TOKENS = f"greatest(0, m.tokens - ({_NOW} - m.at) / {MINUTE} * CAST(:token_limit AS float8))"
_LIVE = f"FROM jsonb_each(m.running) AS each WHERE (each.value->>1)::float8 > {_NOW}"
_RUNNING = f"(SELECT coalesce(sum((each.value->>0)::int), 0)::int {_LIVE})"
_HELD = f"coalesce((m.running->{_PROCESS}->>0)::int, 0)"
_ADMIT = text(f"""
INSERT INTO agent_asgi_meters AS m (owner, runs, tokens, at, running)
VALUES (:user, 1, 0, {_NOW}, CASE WHEN :holds
    THEN jsonb_build_object({_PROCESS}, jsonb_build_array(1, {_UNTIL})) ELSE '{{}}' END)
ON CONFLICT (owner) DO UPDATE SET runs = {_RUNS} + 1, tokens = {_TOKENS}, at = {_NOW},
    running = CASE WHEN :holds THEN
        (SELECT coalesce(jsonb_object_agg(each.key, each.value), '{{}}') {_LIVE})
        || jsonb_build_object({_PROCESS}, jsonb_build_array({_HELD} + 1, {_UNTIL}))
        ELSE m.running END
WHERE {_RUNNING} + 1 <= CAST(:concurrent AS float8)
    AND {_RUNS} + 1 <= CAST(:run_limit AS float8) AND {_TOKENS} + 1 <= CAST(:token_limit AS float8)
RETURNING {_RUNNING}, m.runs, m.tokens
""")  # noqa: S608  constants, as below
"""The row of `running` has, for each process, its runs and the time until which they count."""
_READ = text(
    f"SELECT {_RUNNING}, {_RUNS}, {_TOKENS} FROM agent_asgi_meters AS m WHERE owner = :user"  # noqa: S608
)
_LEAVE = text(f"""
UPDATE agent_asgi_meters AS m
SET runs = {_RUNS}, tokens = {_TOKENS} + CAST(:tokens AS float8), at = {_NOW},
    running = CASE WHEN NOT :holds THEN m.running
        WHEN {_HELD} <= 1 THEN m.running - {_PROCESS}
        ELSE jsonb_set(m.running, ARRAY[{_PROCESS}, '0'], to_jsonb({_HELD} - 1)) END
WHERE owner = :user
""")  # noqa: S608
_RENEW = text(f"""
UPDATE agent_asgi_meters AS m
SET running = jsonb_set(m.running, ARRAY[{_PROCESS}, '1'], to_jsonb({_UNTIL}))
FROM (SELECT owner FROM agent_asgi_meters WHERE owner = ANY(:users) ORDER BY owner FOR UPDATE) AS o
WHERE m.owner = o.owner AND jsonb_exists(m.running, {_PROCESS})
""")  # noqa: S608
"""Locks the rows in one order, so that two processes cannot wait for each other."""
