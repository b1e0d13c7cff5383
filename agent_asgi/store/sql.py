"""The store in a database: SQLite for one machine, PostgreSQL for several."""

import asyncio
import logging
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from sqlalchemy import ColumnElement, Select, delete, insert, or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from .approval_sql import SqlApprovals, claim_in, keep_in, release_in
from .base import DAY, EXPIRES_AFTER, SWEEP, Enqueue, Page, Record
from .chain_sql import CACHE_BYTES, SqlChains
from .chains import Chains
from .conversation_sql import SINCE, SqlConversations
from .conversation_store import Addition
from .database import Database
from .delivery_sql import SqlDeliveries
from .engine import shielded
from .expiry import delete_in, expired_in
from .lines import Lines
from .lock_sql import is_blocked
from .log_sql import SqlLogs
from .meters_sql import SqlMeters
from .migrations import VERSION, frames_of
from .queries import (
    RECORD,
    batches,
    items_query,
    lock_rows,
    owned_by,
    page_query,
    renew_chain,
    root_of,
    unclaimed,
)
from .run_sql import SqlRuns
from .size_sql import SqlSizes
from .tables import active, events, items, locks, memberships, meters, responses, waiting

if TYPE_CHECKING:
    from .notifications import Listener

logger = logging.getLogger("agent_asgi")
POOLED_POLL_SECONDS = 0.25
"""How often a reader polls behind a pooler, which passes no notifications on."""
ABANDONED = 100
"""How many abandoned runs are returned at once."""
SLICE_ROWS = 200
"""How many rows become records before the event loop serves others."""


class SqlStore(SqlApprovals, SqlLogs, SqlRuns, SqlSizes, SqlChains):
    """Keeps responses in SQLite (WAL) or PostgreSQL.

    A transaction takes the locks of rows in one order, so that none waits for another in a circle:
    responses by their ids (the root of a chain before a new response), approval requests, locks,
    runs that wait, conversations. Sweeps skip rows that others have locked.

    Args:
        url: `sqlite:///responses.db` or `postgresql://user@host/name`.
        expires_after: How long a response is kept, in seconds. Default 30 days.

    Raises:
        ImportError: The database's driver is not installed.
    """

    durable = True
    shared = True
    write_seconds = 0.1
    meters: SqlMeters | None = None
    _listener: "Listener | None" = None

    def __init__(self, url: str, *, expires_after: float = EXPIRES_AFTER) -> None:
        super().__init__(expires_after=expires_after)
        self._chains = Chains(CACHE_BYTES)
        self._database = database = Database(url)
        self._operations = database.operations
        self._writing, self._reading = database.writing, database.reading
        self._controlling = partial(database.writing, control=True)
        self._insert, self._now = database.insert, database.now
        self.conversations: SqlConversations = SqlConversations(database, expires_after)
        self.deliveries: SqlDeliveries = SqlDeliveries(database)
        self.poll_seconds = 1.0 if database.postgres else 0.1
        self.url = database.plain_url.render_as_string()
        if database.postgres:
            from .notifications import Listener  # needs psycopg, which SQLite does not

            self.conninfo = database.plain_url.render_as_string(hide_password=False)
            self._listener = Listener(self.conninfo, self.signals, database.backends)
            self.meters = SqlMeters(database)

    async def open(self) -> None:
        await self._database.open()
        if self._listener is not None:
            if await self._database.is_pooled():
                self.poll_seconds = POOLED_POLL_SECONDS
                logger.info("The database is behind a pooler: its changes are polled.")
            else:
                self._listener.start()

    async def close(self) -> None:
        if self._listener is not None:
            await self._listener.stop()
        if self.meters is not None:
            await self.meters.close()
        await self._database.close()

    @shielded
    async def save(self, record: Record, addition: Addition | None = None) -> None:
        async with self._writing() as db:
            values = self._row(record, "", 0.0)
            await self._renew_chain(db, record, values["expires_at"])
            row = self._insert(responses).values(values)
            await db.execute(row.on_conflict_do_nothing())  # a retry may find it saved already
            await self._join(db, record)
            await keep_in(db, self._insert, record.id, record.owner, record)
            if addition is not None:
                await self.conversations.append(db, record.owner, addition)

    @shielded
    async def accept(
        self,
        record: Record,
        begun: Lines,
        holder: str,
        lease: float,
        enqueue: Enqueue | None = None,
    ) -> Record | None:
        row = self._row(record, holder, 0.0) | {"logged": True}
        row["lease_until"] = self._now() + lease if lease else 0.0
        try:
            async with self._writing() as db:
                await self._renew_chain(db, record, row["expires_at"])
                names = [name for name, value in row.items() if isinstance(value, ColumnElement)]
                computed = {name: row.pop(name) for name in names}
                await db.execute(insert(responses).values(computed), row)  # faster than values(row)
                await db.execute(insert(events), self._log_row(record.id, begun))
                await self._join(db, record)
                await self.deliveries.add_subscriptions(db, record.subscriptions)
                if record.approval_claim is not None:
                    await claim_in(db, record.approval_claim, record.id)
                if enqueue is not None:
                    await enqueue((await db.get_raw_connection()).driver_connection, record)
        except IntegrityError:
            if record.key is None:
                raise
            existing = await self.by_key(record.key, record.owner)
            # None: it was deleted meanwhile
            return existing or await self.accept(record, begun, holder, lease, enqueue)
        return None

    @shielded
    async def get(self, id: str, owner: str) -> Record | None:
        return await self._one(responses.c.id == id, owned_by(owner))

    @shielded
    async def get_all(self, ids: Collection[str], owner: str) -> list[Record]:
        query = select(*RECORD).where(owned_by(owner))
        records: list[Record] = []
        for some in batches(ids):
            records += await self._records(query.where(responses.c.id.in_(some)))
        return records

    @shielded
    async def by_key(self, key: str, owner: str) -> Record | None:
        return await self._one(responses.c.key == key, responses.c.owner == owner)

    @shielded
    async def delete(self, id: str, owner: str) -> bool:
        query = select(responses.c.attempt, responses.c.holder, active.label("active"))
        query = query.where(responses.c.id == id, owned_by(owner)).with_for_update()
        async with self._writing() as db:
            row = (await db.execute(query)).first()
            if row is not None:
                if row.active and not row.attempt:
                    await release_in(db, id)
                at_work = bool(row.active and row.attempt and row.holder)
                await delete_in(db, [id], at_work=at_work)
                await self._notify(db, [id])
        self._chains.remove(id)
        self.signals.notify(id)
        return row is not None

    @shielded
    async def page(
        self,
        owner: str,
        agents: Sequence[str],
        after: str | None,
        limit: int,
        max_bytes: int,
        conversation: str | None = None,
    ) -> Page | None:
        last = None
        async with self._reading() as db:
            if after is not None:
                where = (responses.c.id == after, owned_by(owner))
                created = select(responses.c.created_at).where(*where)
                created_at = (await db.execute(created)).scalar()
                if created_at is None:
                    return None
                last = created_at, after
            query = page_query(owner, agents, conversation, last, limit + 1)
            rows = (await db.execute(query)).all()
        ids: list[str] = []
        size = 0
        for id_, length in rows[:limit]:
            size += length
            if ids and size > max_bytes:
                break
            ids.append(id_)
        query = select(*RECORD).where(responses.c.id.in_(ids), owned_by(owner))
        order = (responses.c.created_at.desc(), responses.c.id.desc())
        return Page(await self._records(query.order_by(*order)), has_more=len(ids) < len(rows))

    @shielded
    async def find_items(self, ids: Collection[str], owner: str) -> Mapping[str, str]:
        found: dict[str, str] = {}
        async with self._reading() as db:
            for some in batches(ids):
                rows = await db.execute(items_query(some, owner))
                found |= {row.id: row.response_id for row in rows}
        return found

    @shielded
    async def renew(self, holder: str, ids: Collection[str], lease: float) -> Mapping[str, int]:
        own = (active, responses.c.holder == holder, responses.c.id.in_(ids))
        renewed = update(responses).where(*own).values(lease_until=self._now() + lease)
        renewed_locks = update(locks).where(locks.c.response_id.in_(ids))
        async with self._controlling() as db:
            await lock_rows(db, responses, *own)
            rows = await db.execute(renewed.returning(responses.c.id, responses.c.attempt))
            await db.execute(renewed_locks.values(until=self._now() + lease))
            waits = update(waiting).where(waiting.c.response_id.in_(ids))
            await db.execute(waits.values(until=self._now() + lease))
            return {row.id: row.attempt for row in rows}

    @shielded
    async def append(self, groups: Mapping[str, tuple[int, Lines]]) -> Collection[str]:
        held = select(responses.c.id, responses.c.attempt).where(responses.c.id.in_(groups), active)
        held = held.order_by(responses.c.id).with_for_update()
        async with self._writing() as db:
            owned = {row.id for row in await db.execute(held) if groups[row.id][0] == row.attempt}
            await self._write(db, {id_: groups[id_][1] for id_ in owned})
        for id_ in owned:
            self.signals.notify(id_, groups[id_][1])
        return groups.keys() - owned

    @shielded
    async def release(self, holder: str) -> None:
        held = (active, responses.c.holder == holder)
        async with self._controlling() as db:
            await lock_rows(db, responses, *held)
            await db.execute(update(responses).where(*held).values(holder="", lease_until=0.0))

    @shielded
    async def want_cancel(self, id: str, owner: str) -> None:
        where = (responses.c.id == id, owned_by(owner), active)
        async with self._controlling() as db:
            await db.execute(update(responses).where(*where).values(cancel_wanted=True))

    @shielded
    async def to_cancel(self, holder: str) -> Collection[str]:
        where = (active, responses.c.holder == holder, responses.c.cancel_wanted)
        async with self._database.reading(control=True) as db:
            return (await db.execute(select(responses.c.id).where(*where))).scalars().all()

    @shielded
    async def abandoned(self, agents: Sequence[str]) -> Sequence[Record]:
        query = (
            select(*RECORD)
            .where(unclaimed(self._now()), responses.c.agent.in_(agents))
            .where(or_(responses.c.cancel_wanted, ~is_blocked(self._now())))
            .order_by(responses.c.created_at)
            .limit(ABANDONED)
        )
        return await self._records(query)

    @shielded
    async def sweep(self) -> int:
        if self._database.version < VERSION:
            await self._database.migrate()
        idle = or_(~active, responses.c.lease_until <= self._now())
        has_chains = self._database.version >= SINCE
        async with self._writing() as db:
            ids = await expired_in(db, idle, SWEEP, has_chains=has_chains)
            await delete_in(db, ids)
            if has_chains:
                await self.conversations.sweep(db, SWEEP)
            await db.execute(delete(meters).where(meters.c.at < self._now() - DAY))
        await self._sweep_locks()
        await self.deliveries.sweep()
        return len(ids)

    async def _write(self, db: AsyncConnection, groups: Mapping[str, Lines]) -> None:
        rows = [self._log_row(id_, lines) for id_, lines in groups.items() if lines.count]
        if rows:  # a retry may find them written already
            await db.execute(self._insert(events).on_conflict_do_nothing(), rows)
        await self._notify(db, groups)

    def _log_row(self, id: str, lines: Lines) -> dict[str, Any]:
        data = lines.data if self._database.version > 1 else frames_of(lines.data)
        return {"response_id": id, "last": lines.last, "count": lines.count, "lines": data}

    async def _notify(self, db: AsyncConnection, ids: Collection[str]) -> None:
        if ids and self._listener is not None:
            await db.execute(self._listener.notification(ids))

    async def _one(self, *where: Any) -> Record | None:
        records = await self._records(select(*RECORD).where(*where))
        return records[0] if records else None

    async def _records(self, query: Select[Any]) -> list[Record]:
        records: list[Record] = []
        async with self._reading() as db:
            for rows in (await db.execute(query)).mappings().partitions(SLICE_ROWS):
                records += [Record(**row) for row in rows]
                if len(rows) == SLICE_ROWS:
                    await asyncio.sleep(0)
        return records

    async def _index(
        self, db: AsyncConnection, indexed: Iterable[tuple[str, str, Sequence[str]]]
    ) -> None:
        rows = [
            {"response_id": id_, "id": item_id, "owner": owner}
            for id_, owner, item_ids in indexed
            for item_id in dict.fromkeys(item_ids)
        ]
        if rows:
            await db.execute(self._insert(items).on_conflict_do_nothing(), rows)

    async def _join(self, db: AsyncConnection, record: Record) -> None:
        await self._index(db, [(record.id, record.owner, record.item_ids)])
        if record.conversation is not None:
            row = {"response_id": record.id, "owner": record.owner}
            row["conversation"] = record.conversation
            await db.execute(self._insert(memberships).on_conflict_do_nothing(), row)

    async def _renew_chain(self, db: AsyncConnection, record: Record, expires_at: float) -> None:
        if record.previous_id is not None and self._database.version >= SINCE:
            await db.execute(renew_chain(record.previous_id, record.owner, expires_at))

    def _row(self, record: Record, holder: str, lease_until: float) -> dict[str, Any]:
        row = {column.name: getattr(record, column.name) for column in RECORD}
        row["expires_at"] = record.expires_at or time.time() + self.expires_after
        if record.previous_id is not None and self._database.version >= SINCE:
            row["root_id"] = root_of(record.previous_id, record.owner)
        return row | {"holder": holder, "lease_until": lease_until}
