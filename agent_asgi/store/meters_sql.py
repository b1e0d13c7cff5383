"""The meters of several processes in PostgreSQL: a row for each user, a statement for each call."""

import asyncio
import logging
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, nullcontext, suppress
from contextvars import Context
from itertools import count
from typing import Any, NamedTuple
from weakref import WeakValueDictionary

from sqlalchemy import TextClause, text

from ..config import Quota
from .base import StoreUnavailable
from .database import Database
from .engine import POOL_SECONDS, shielded
from .meters import MINUTE, Meters, Use

logger = logging.getLogger("agent_asgi")
LEASE_SECONDS = 20.0
"""How long the runs of a process count after it was last heard of."""
BEAT_SECONDS = 5.0
"""How often a process says that its runs are still in flight."""
UNLIMITED = 1e15
"""Stands for no limit."""


class _End(NamedTuple):
    """The end of a run, as `leave` gets it."""

    user: str
    quota: Quota
    tokens: int
    holds: bool
    begun: bool


class SqlMeters(Meters):
    """Counts in PostgreSQL, for all processes.

    Args:
        database: The database.
    """

    def __init__(self, database: Database) -> None:
        self._operations = database.operations
        self._connect = database.reading  # each statement is a transaction
        self._process = uuid.uuid4().hex
        self._running: Counter[str] = Counter()  # with the run that is being admitted
        self._stale: set[str] = set()  # users for whom the database may count one too many
        self._unsent: list[_End] = []
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._versions = count(1)
        self._heart: asyncio.Task[None] | None = None

    async def admit(self, user: str, quota: Quota, *, holds: bool) -> Use:
        if not holds:
            return await self._admit(self._values(user, quota, holds=False))
        self._start_beating()
        async with self._turn(user):
            use = None
            self._running[user] += 1
            try:
                use = await self._admit(self._values(user, quota, holds=True))
            finally:
                if use is None or not use.admitted:
                    self._running[user] -= 1
                    self._stale.add(user)
        return use

    @shielded
    async def _admit(self, values: Mapping[str, Any]) -> Use:
        async with self._connect() as db:
            row = (await db.execute(_ADMIT, values)).first()
            admitted = row is not None
            if row is None:
                row = (await db.execute(_READ, values)).first()
        return Use(admitted, *(row or (0, 0.0, 0.0)))

    async def leave(
        self, user: str, quota: Quota, tokens: int, *, holds: bool, begun: bool = True
    ) -> None:
        if holds:
            self._running[user] -= 1
        end = _End(user, quota, tokens, holds, begun)
        try:
            await self._count(end)
        except StoreUnavailable:
            self._unsent.append(end)
            self._start_beating()

    async def _count(self, end: _End) -> None:
        async with self._turn(end.user) if end.holds else nullcontext():
            values = self._values(end.user, end.quota, holds=end.holds)
            await self._execute(_LEAVE, values | {"tokens": end.tokens, "back": not end.begun})

    @asynccontextmanager
    async def _turn(self, user: str) -> AsyncIterator[None]:
        """Change a user's number of runs alone, so that it is known when it is sent."""
        lock = self._turns.setdefault(user, asyncio.Lock())
        try:
            async with asyncio.timeout(POOL_SECONDS):
                await lock.acquire()
        except TimeoutError:
            raise StoreUnavailable from None
        try:
            yield
        finally:
            lock.release()

    def _start_beating(self) -> None:
        if self._heart is None:
            self._heart = asyncio.create_task(self._beat(), context=Context())

    async def close(self) -> None:
        """Stop saying that runs are in flight; count the ends that could not be counted."""
        if self._heart is not None:
            self._heart.cancel()
            await asyncio.wait([self._heart])
            self._heart = None
            with suppress(StoreUnavailable):
                await self._send()

    def _values(self, user: str, quota: Quota, *, holds: bool) -> dict[str, Any]:
        return {
            "user": user,
            "process": self._process,
            "lease": LEASE_SECONDS,
            "holds": holds,
            "held": self._running[user],
            "version": next(self._versions),
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
        await self._send()
        stale, self._stale = self._stale, set()
        self._running = +self._running
        if users := stale.union(self._running):
            values = {"process": self._process, "lease": LEASE_SECONDS}
            held = {"users": [*users], "held": [self._running[user] for user in users]}
            try:
                await self._execute(_RENEW, values | held | {"version": next(self._versions)})
            except BaseException:
                self._stale |= stale
                raise

    async def _send(self) -> None:
        while self._unsent:
            await self._count(self._unsent[0])
            del self._unsent[0]

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
_OTHERS = f"{_RUNNING[:-1]} AND each.key <> {_PROCESS})"
_VERSION = "CAST(:version AS bigint)"
_IS_NEWER = f"coalesce((m.running->{_PROCESS}->>2)::bigint, 0) < {_VERSION}"
_HELD = "CAST(:held AS int)"


def _entry(held: str) -> str:
    """Return the SQL of a process's entry with a number of runs."""
    return f"jsonb_build_object({_PROCESS}, jsonb_build_array({held}, {_UNTIL}, {_VERSION}))"


_ADMIT = text(f"""
INSERT INTO agent_asgi_meters AS m (owner, runs, tokens, at, running)
VALUES (:user, 1, 0, {_NOW}, CASE WHEN :holds THEN {_entry(_HELD)} ELSE '{{}}' END)
ON CONFLICT (owner) DO UPDATE SET runs = {_RUNS} + 1, tokens = {_TOKENS}, at = {_NOW},
    running = CASE WHEN :holds AND {_IS_NEWER} THEN
        (SELECT coalesce(jsonb_object_agg(each.key, each.value), '{{}}') {_LIVE})
        || {_entry(_HELD)} ELSE m.running END
WHERE {_OTHERS} + {_HELD} <= CAST(:concurrent AS float8)
    AND {_RUNS} + 1 <= CAST(:run_limit AS float8) AND {_TOKENS} + 1 <= CAST(:token_limit AS float8)
RETURNING {_RUNNING}, m.runs, m.tokens
""")  # noqa: S608  constants, as below
"""The row of `running` has, for each process, its runs, the time until which they count, and the
version: each statement sets the process's number of runs, so one that is repeated, or arrives after
later ones, changes nothing."""
_READ = text(
    f"SELECT {_RUNNING}, {_RUNS}, {_TOKENS} FROM agent_asgi_meters AS m WHERE owner = :user"  # noqa: S608
)
_LEAVE = text(f"""
UPDATE agent_asgi_meters AS m
SET runs = greatest(0, {_RUNS} - CASE WHEN :back THEN 1 ELSE 0 END),
    tokens = {_TOKENS} + CAST(:tokens AS float8), at = {_NOW},
    running = CASE WHEN :holds AND {_IS_NEWER} THEN m.running || {_entry(_HELD)}
        ELSE m.running END
WHERE owner = :user
""")  # noqa: S608
_RENEW = text(f"""
UPDATE agent_asgi_meters AS m
SET running = CASE WHEN {_IS_NEWER} THEN m.running || {_entry("o.held")} ELSE m.running END
FROM (
    SELECT owner, u.held FROM agent_asgi_meters AS r
    JOIN unnest(CAST(:users AS text[]), CAST(:held AS int[])) AS u (owner, held) USING (owner)
    ORDER BY owner FOR UPDATE OF r
) AS o
WHERE m.owner = o.owner
""")  # noqa: S608
"""Locks the rows in one order, so that two processes cannot wait for each other."""
