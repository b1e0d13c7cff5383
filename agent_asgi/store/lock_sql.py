"""The locks of conversations in the SQL store, and the runs that wait for them."""

from collections.abc import Callable
from typing import Any

from sqlalchemy import ColumnElement, and_, delete, exists, func, insert, literal, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from .approval_sql import Connected
from .base import ACTIVE, SWEEP, Store
from .conversation_locks import check_room
from .database import Database
from .engine import shielded
from .queries import unclaimed
from .tables import Text, active, locks, responses, waiting

QUEUE_LOCK = 0x7475726E  # "turn"
"""The first half of PostgreSQL's advisory locks; the second is a conversation's hash."""
_in_use = exists().where(responses.c.id == locks.c.response_id, active)
"""True for the lock of a run that has not ended."""


class SqlLocks(Store):
    """The part of a SQL store that locks conversations."""

    _database: Database
    _reading: Callable[[], Connected]
    _controlling: Callable[[], Connected]
    _insert: Callable[[Any], Any]
    _now: Callable[[], Any]

    @shielded
    async def lock(self, conversation: str, owner: str, response_id: str, seconds: float) -> bool:
        async with self._controlling() as db:
            return await self._lock_in(db, conversation, owner, response_id, seconds)

    @shielded
    async def locked_by(self, conversation: str, owner: str) -> str | None:
        own = (locks.c.owner == owner, locks.c.conversation == conversation)
        query = select(locks.c.response_id).where(*own, self._holds())
        async with self._reading() as db:
            id_: str | None = await db.scalar(query)
        return id_

    @shielded
    async def unlock(self, response_id: str) -> None:
        async with self._controlling() as db:
            await db.execute(delete(locks).where(locks.c.response_id == response_id, ~_in_use))

    @shielded
    async def wait_for(
        self,
        conversation: str,
        owner: str,
        response_id: str,
        seconds: float,
        most: int,
        most_in_all: int,
    ) -> bool:
        row = {"owner": owner, "conversation": conversation, "response_id": response_id}
        own = and_(waiting.c.owner == owner, waiting.c.conversation == conversation)
        by_owner = func.count().filter(waiting.c.owner == owner)
        counts = select(func.count().filter(own), by_owner, func.count()).select_from(waiting)
        async with self._controlling() as db:
            if self._database.postgres:  # others must not count meanwhile
                name = func.hashtext(literal(f"{owner}/{conversation}", Text))
                await db.execute(select(func.pg_advisory_xact_lock(QUEUE_LOCK, name)))
            found = await db.execute(counts.where(_waits(waiting, self._now())))
            here, all_own, in_all = found.one()
            if here >= most:
                return False
            check_room(owner, all_own, in_all, most_in_all)
            await db.execute(insert(waiting).values(**row, until=self._now() + seconds))
        return True

    @shielded
    async def next_waiting(self, conversation: str, owner: str) -> str | None:
        others = waits_in(waiting, self._now(), owner, conversation)
        query = select(waiting.c.response_id).where(others).order_by(waiting.c.position).limit(1)
        async with self._reading() as db:
            id_: str | None = await db.scalar(query)
        return id_

    @shielded
    async def stop_waiting(self, response_id: str) -> None:
        async with self._controlling() as db:
            stored = exists().where(responses.c.id == waiting.c.response_id, active)
            await db.execute(delete(waiting).where(waiting.c.response_id == response_id, ~stored))

    async def _take_turn(
        self, db: AsyncConnection, response_id: str, holder: str, seconds: float
    ) -> bool:
        """Lock the conversation that a run waits for; return whether it waited and may continue.

        A run that another process holds does not.
        """
        free = or_(responses.c.holder == holder, unclaimed(self._now()))
        query = select(waiting).join(responses, responses.c.id == waiting.c.response_id)
        query = query.where(waiting.c.response_id == response_id, active, free)
        row = (await db.execute(query.with_for_update(of=responses))).first()
        if row is None:
            return False
        its_turn = await self._lock_in(db, row.conversation, row.owner, response_id, seconds)
        if its_turn:
            await db.execute(delete(waiting).where(waiting.c.response_id == response_id))
        return its_turn

    async def _lock_in(
        self, db: AsyncConnection, conversation: str, owner: str, response_id: str, seconds: float
    ) -> bool:
        own = select(waiting.c.position).where(waiting.c.response_id == response_id)
        others = waiting.alias()
        is_earlier = or_(~exists(own), others.c.position < own.limit(1).scalar_subquery())
        is_first = ~exists().where(
            waits_in(others, self._now(), owner, conversation),
            others.c.response_id != response_id,
            is_earlier,
        )
        values = (
            literal(owner, Text),
            literal(conversation, Text),
            literal(response_id, Text),
            self._now() + seconds,
        )
        names = ["owner", "conversation", "response_id", "until"]
        new = self._insert(locks).from_select(names, select(*values).where(is_first))
        may_replace = and_(~self._holds(), is_first)
        query = new.on_conflict_do_update(
            index_elements=[locks.c.owner, locks.c.conversation],
            set_={"response_id": new.excluded.response_id, "until": new.excluded.until},
            where=or_(locks.c.response_id == response_id, may_replace),
        ).returning(locks.c.response_id)
        return (await db.execute(query)).first() is not None

    async def _sweep_locks(self) -> None:
        """Delete some of what attached runs have left whose processes died."""
        now = self._now()
        async with self._controlling() as db:
            for table, dead in ((locks, ~self._holds()), (waiting, ~_waits(waiting, now))):
                query = select(table.c.response_id).where(dead).limit(SWEEP)
                ids = (await db.execute(query.with_for_update(skip_locked=True))).scalars().all()
                await db.execute(delete(table).where(table.c.response_id.in_(ids), dead))

    def _holds(self) -> ColumnElement[bool]:
        """Return the condition that a lock has not expired."""
        return or_(locks.c.until > self._now(), _in_use)


def waits_in(table: Any, now: Any, owner: Any, conversation: Any) -> ColumnElement[bool]:
    """Return the condition that a row is a run that waits for a conversation."""
    own = table.c.owner == owner, table.c.conversation == conversation
    return and_(*own, _waits(table, now))


def _waits(table: Any, now: Any) -> ColumnElement[bool]:
    """Return the condition that the run of a row still waits."""
    stored = responses.alias()
    is_active = exists().where(stored.c.id == table.c.response_id, stored.c.status.in_(ACTIVE))
    return or_(table.c.until > now, is_active)


def is_blocked(now: Any) -> ColumnElement[bool]:
    """Return the condition that a response's run waits for a turn that has not come."""
    own, earlier = waiting.alias(), waiting.alias()
    holder = responses.alias()
    is_held = exists().where(
        locks.c.owner == own.c.owner,
        locks.c.conversation == own.c.conversation,
        or_(
            locks.c.until > now,
            exists().where(holder.c.id == locks.c.response_id, holder.c.status.in_(ACTIVE)),
        ),
    )
    is_behind = exists().where(
        waits_in(earlier, now, own.c.owner, own.c.conversation),
        earlier.c.position < own.c.position,
    )
    return exists().where(own.c.response_id == responses.c.id, or_(is_held, is_behind))
