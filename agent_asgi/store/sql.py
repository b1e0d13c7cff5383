"""The store in a database: SQLite for one machine, PostgreSQL for many. Needs SQLAlchemy."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from typing import TYPE_CHECKING, Any

from sqlalchemy import (
    delete,
    exists,
    func,
    insert,
    literal,
    or_,
    select,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DataError, IntegrityError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection

from .base import EXPIRES_AFTER, SWEEP, Ending, Frames, LostRun, Record, Store, StoreUnavailable
from .engine import Unbroken, make_engine, unbroken, use_wal
from .rows import RECORD, chain_query, frames_of, log_query, log_row, record_of
from .signals import Signals
from .tables import active, ended, events, items, locks, migrate, responses

if TYPE_CHECKING:
    from .listen import Listener

ABANDONED = 100
"""How many abandoned runs are looked up at once."""

logger = logging.getLogger("agent_asgi")


class SqlStore(Store):
    """Keeps responses in SQLite (WAL) or PostgreSQL.

    Args:
        url: `sqlite:///responses.db` or `postgresql://user@host/name`.
        expires_after: How long a response is kept, in seconds. Default 30 days.

    Raises:
        ImportError: The database's driver is not installed.
    """

    durable = True
    shared = True
    write_seconds = 0.1

    def __init__(self, url: str, *, expires_after: float = EXPIRES_AFTER) -> None:
        super().__init__(expires_after=expires_after)
        given = make_url(url)
        self.postgres = given.get_backend_name() in ("postgresql", "postgres")
        self.poll_seconds = 1.0 if self.postgres else 0.1
        self.url = given.set(
            drivername="postgresql+psycopg" if self.postgres else "sqlite+aiosqlite"
        )
        self._engine = make_engine(self.url, postgres=self.postgres)
        self._reader = self._engine.execution_options(isolation_level="AUTOCOMMIT")
        self._insert = postgresql.insert if self.postgres else sqlite.insert
        self._away = False
        self._unbroken = Unbroken()
        self._turn: AbstractAsyncContextManager[None] = nullcontext()
        self._listener: Listener | None = None
        if self.postgres:
            plain = self.url.set(drivername="postgresql")
            self.conninfo = plain.render_as_string(hide_password=False)
            self._listener = _listener(self.conninfo, self.signals)

    async def open(self) -> None:
        """Make ready, the schema included."""
        if not self.postgres:
            self._turn = asyncio.Lock()  # SQLite's own lock is not fair: some would wait too long
            await use_wal(self._reader)
        async with self._writing() as db:
            await db.run_sync(migrate)
        if self._listener is not None:
            self._listener.start()

    async def close(self) -> None:
        """Let go of connections."""
        if self._listener is not None:
            await self._listener.stop()
        await self._unbroken.wait()
        await self._engine.dispose()

    @unbroken
    async def save(self, record: Record) -> None:
        """Keep a response whose run has ended."""
        async with self._writing() as db:
            row = self._insert(responses).values(self._row(record, "", 0.0))
            await db.execute(row.on_conflict_do_nothing())  # tried again, it may be there
            await self._index(db, record.id, record.owner, record.item_ids)

    @unbroken
    async def accept(
        self, record: Record, begun: Frames, holder: str, lease: float
    ) -> Record | None:
        """Keep a response whose run is still to come, with the first events of its log."""
        row = self._row(record, holder, 0.0) | {"logged": True}
        row["lease_until"] = self._now() + lease if lease else 0.0
        try:
            async with self._writing() as db:
                await db.execute(insert(responses).values(row))
                await db.execute(insert(events), log_row(record.id, begun))
                await self._index(db, record.id, record.owner, record.item_ids)
        except IntegrityError:
            if record.key is None:
                raise
            there = await self.by_key(record.key, record.owner)
            if there is None:  # it was deleted meanwhile
                return await self.accept(record, begun, holder, lease)
            return there
        return None

    @unbroken
    async def get(self, id: str, owner: str) -> Record | None:
        """Give a response; None where this owner has none of that id."""
        return await self._one(responses.c.id == id, responses.c.owner == owner)

    @unbroken
    async def by_key(self, key: str, owner: str) -> Record | None:
        """Give the response that was made under an idempotency key."""
        return await self._one(responses.c.key == key, responses.c.owner == owner)

    @unbroken
    async def delete(self, id: str, owner: str) -> bool:
        """Remove a response and all that belongs to it; tell whether there was one."""
        async with self._writing() as db:
            gone = await db.execute(
                delete(responses).where(responses.c.id == id, responses.c.owner == owner)
            )
            if gone.rowcount:
                await self._remove_parts(db, [id])
                await self._notify(db, [id])
        self.signals.notify(id)
        return bool(gone.rowcount)

    @unbroken
    async def chain(self, id: str, owner: str) -> list[Record]:
        """Give a response and all that it continues, oldest first; empty where one is missing."""
        query = chain_query(id, owner)
        async with self._reading() as db:
            found = [record_of(row) for row in (await db.execute(query)).mappings()]
        return found if found and found[0].previous_id is None else []

    @unbroken
    async def find_items(self, ids: Collection[str], owner: str) -> Mapping[str, str]:
        """Give for each item id the newest response that has such an item."""
        query = (
            select(items.c.id, items.c.response_id)
            .join(responses, responses.c.id == items.c.response_id)
            .where(items.c.id.in_(ids), items.c.owner == owner)
            .order_by(responses.c.created_at)
        )
        async with self._reading() as db:
            return {row.id: row.response_id for row in await db.execute(query)}

    @unbroken
    async def claim(self, id: str, holder: str, lease: float) -> Record | None:
        """Begin the next attempt of a run that nobody has; None where somebody has it."""
        free = or_(responses.c.lease_until <= self._now(), responses.c.holder == holder)
        query = (
            update(responses)
            .where(responses.c.id == id, active, free)
            .values(
                attempt=responses.c.attempt + 1,
                status="in_progress",
                holder=holder,
                lease_until=self._now() + lease,
            )
            .returning(*RECORD)
        )
        async with self._writing() as db:
            row = (await db.execute(query)).mappings().first()
        return None if row is None else record_of(row)

    @unbroken
    async def renew(self, holder: str, ids: Collection[str], lease: float) -> Mapping[str, int]:
        """Keep runs of a process; give those of them that it still has, with their attempts."""
        held = (  # in the order of `append`: else each may wait for the other
            select(responses.c.id)
            .where(active, responses.c.holder == holder, responses.c.id.in_(ids))
            .order_by(responses.c.id)
            .with_for_update()
        )
        query = (
            update(responses)
            .where(responses.c.id.in_(held))
            .values(lease_until=self._now() + lease)
            .returning(responses.c.id, responses.c.attempt)
        )
        locked = update(locks).where(locks.c.response_id.in_(ids))
        async with self._writing() as db:
            await db.execute(locked.values(until=self._now() + lease))
            return {row.id: row.attempt for row in await db.execute(query)}

    @unbroken
    async def append(self, groups: Mapping[str, tuple[int, Frames]]) -> Collection[str]:
        """Add events to logs, in one step."""
        held = (
            select(responses.c.id, responses.c.attempt)
            .where(responses.c.id.in_(groups), active)
            .order_by(responses.c.id)
            .with_for_update()
        )
        async with self._writing() as db:
            having = {row.id for row in await db.execute(held) if groups[row.id][0] == row.attempt}
            await self._write(db, {id_: groups[id_][1] for id_ in having})
        for id_ in having:
            self.signals.notify(id_)
        return groups.keys() - having

    @unbroken
    async def finish(
        self,
        id: str,
        attempt: int,
        frames: Frames,
        ending: Ending,
    ) -> None:
        """Add the last events to a log and end the run, in one step; unlock its conversation."""
        query = (
            update(responses)
            .where(responses.c.id == id, responses.c.attempt == attempt, active)
            .values(
                status=ending.status,
                response=ending.response,
                failure=ending.failure,
                holder="",
            )
            .returning(responses.c.owner)
        )
        async with self._writing() as db:
            owner = (await db.execute(query)).scalar()
            if owner is None:
                raise LostRun
            await self._write(db, {id: frames})
            await self._index(db, id, owner, ending.item_ids)
            await db.execute(delete(locks).where(locks.c.response_id == id))
        self.signals.notify(id)

    @unbroken
    async def release(self, holder: str) -> None:
        """Give the runs of a process up, so that another one may claim them at once."""
        mine = update(responses).where(active, responses.c.holder == holder)
        async with self._writing() as db:
            await db.execute(mine.values(holder="", lease_until=0.0))

    @unbroken
    async def want_cancel(self, id: str, owner: str) -> None:
        """Ask whoever has a run to cancel it."""
        mine = (responses.c.id == id, responses.c.owner == owner)
        async with self._writing() as db:
            await db.execute(update(responses).where(*mine, active).values(cancel_wanted=True))

    @unbroken
    async def to_cancel(self, holder: str) -> Collection[str]:
        """Give the runs of a process that are to be cancelled."""
        mine = (active, responses.c.holder == holder, responses.c.cancel_wanted)
        async with self._reading() as db:
            return (await db.execute(select(responses.c.id).where(*mine))).scalars().all()

    @unbroken
    async def abandoned(self, agents: Sequence[str]) -> Sequence[Record]:
        """Give some of the agents' runs that nobody has, oldest first."""
        query = (
            select(*RECORD)
            .where(active, responses.c.lease_until <= self._now(), responses.c.agent.in_(agents))
            .order_by(responses.c.created_at)
            .limit(ABANDONED)
        )
        async with self._reading() as db:
            return [record_of(row) for row in (await db.execute(query)).mappings()]

    @unbroken
    async def frames(self, id: str, after: int) -> list[Frames]:
        """Give a part of a log, from what comes after a sequence number on."""
        async with self._reading() as db:
            return [frames_of(row) for row in await db.execute(log_query(id, after))]

    @unbroken
    async def lock(self, conversation: str, owner: str, response_id: str, seconds: float) -> bool:
        """Lock a conversation for a run; tell whether it is free."""
        at_work = exists().where(responses.c.id == locks.c.response_id, active)
        new = self._insert(locks).values(
            owner=owner,
            conversation=conversation,
            response_id=response_id,
            until=self._now() + seconds,
        )
        query = new.on_conflict_do_update(
            index_elements=[locks.c.owner, locks.c.conversation],
            set_={"response_id": new.excluded.response_id, "until": new.excluded.until},
            where=or_(
                locks.c.response_id == response_id, (locks.c.until <= self._now()) & ~at_work
            ),
        ).returning(locks.c.response_id)
        async with self._writing() as db:
            return (await db.execute(query)).first() is not None

    @unbroken
    async def unlock(self, response_id: str) -> None:
        """Unlock what a run has locked."""
        async with self._writing() as db:
            await db.execute(delete(locks).where(locks.c.response_id == response_id))

    @unbroken
    async def sweep(self) -> int:
        """Remove some of what has expired; tell how many responses."""
        idle = or_(ended, responses.c.lease_until <= self._now())
        old = responses.c.expires_at <= time.time()
        query = select(responses.c.id).where(old, idle).limit(SWEEP)
        async with self._writing() as db:
            expired = (await db.execute(query)).scalars().all()
            if expired:
                await db.execute(delete(responses).where(responses.c.id.in_(expired)))
                await self._remove_parts(db, expired)
        return len(expired)

    async def _write(self, db: AsyncConnection, groups: Mapping[str, Frames]) -> None:
        """Write events of runs that this process has."""
        rows = [log_row(id_, frames) for id_, frames in groups.items() if frames.count]
        if rows:  # tried again, they may be there
            await db.execute(self._insert(events).on_conflict_do_nothing(), rows)
        await self._notify(db, groups)

    async def _notify(self, db: AsyncConnection, ids: Collection[str]) -> None:
        if ids and self._listener is not None:
            await db.execute(self._listener.notification(ids))

    async def _one(self, *where: Any) -> Record | None:
        async with self._reading() as db:
            row = (await db.execute(select(*RECORD).where(*where))).mappings().first()
        return None if row is None else record_of(row)

    async def _index(
        self,
        db: AsyncConnection,
        id: str,
        owner: str,
        item_ids: Sequence[str],
    ) -> None:
        rows = [{"response_id": id, "id": each, "owner": owner} for each in dict.fromkeys(item_ids)]
        if rows:
            await db.execute(self._insert(items).on_conflict_do_nothing(), rows)

    async def _remove_parts(self, db: AsyncConnection, ids: Sequence[str]) -> None:
        for table in (items, events, locks):
            await db.execute(delete(table).where(table.c.response_id.in_(ids)))

    def _now(self) -> Any:
        """Give the time by one clock for all: the database's own where it is a server."""
        if self.postgres:
            return func.extract("epoch", func.clock_timestamp())
        return literal(time.time())

    def _row(self, record: Record, holder: str, lease_until: float) -> dict[str, Any]:
        row = {column.name: getattr(record, column.name) for column in RECORD}
        row["expires_at"] = record.expires_at or time.time() + self.expires_after
        return row | {"holder": holder, "lease_until": lease_until}

    @asynccontextmanager
    async def _writing(self) -> AsyncIterator[AsyncConnection]:
        async with self._turn, self._answering(self._engine.begin()) as db:
            yield db

    def _reading(self) -> AbstractAsyncContextManager[AsyncConnection]:
        return self._answering(self._reader.connect())

    @asynccontextmanager
    async def _answering(
        self, connection: AbstractAsyncContextManager[AsyncConnection]
    ) -> AsyncIterator[AsyncConnection]:
        """Give a connection; whatever keeps the database from answering is `StoreUnavailable`."""
        try:
            async with connection as db:
                yield db
        except (IntegrityError, DataError):  # it answers; asked again, it would say the same
            raise
        except (SQLAlchemyError, OSError) as error:
            if not self._away:
                logger.warning("The store does not answer: %s", str(error).partition("\n")[0])
            self._away = True
            raise StoreUnavailable from error
        if self._away:
            logger.warning("The store answers again.")
        self._away = False


def _listener(conninfo: str, signals: Signals) -> "Listener":
    from .listen import Listener  # needs psycopg, which SQLite does not

    return Listener(conninfo, signals)
