"""The locks of conversations in the SQL store."""

from collections.abc import Callable
from typing import Any

from sqlalchemy import ColumnElement, delete, exists, or_, select

from .approval_sql import Connected
from .base import Store
from .engine import shielded
from .tables import active, locks, responses

_in_use = exists().where(responses.c.id == locks.c.response_id, active)
"""True for the lock of a run that has not ended."""


class SqlLocks(Store):
    """The part of a SQL store that locks conversations."""

    _reading: Callable[[], Connected]
    _controlling: Callable[[], Connected]
    _insert: Callable[[Any], Any]
    _now: Callable[[], Any]

    @shielded
    async def lock(self, conversation: str, owner: str, response_id: str, seconds: float) -> bool:
        new = self._insert(locks).values(
            owner=owner,
            conversation=conversation,
            response_id=response_id,
            until=self._now() + seconds,
        )
        query = new.on_conflict_do_update(
            index_elements=[locks.c.owner, locks.c.conversation],
            set_={"response_id": new.excluded.response_id, "until": new.excluded.until},
            where=or_(locks.c.response_id == response_id, ~self._holds()),
        ).returning(locks.c.response_id)
        async with self._controlling() as db:
            return (await db.execute(query)).first() is not None

    @shielded
    async def locked_by(self, conversation: str, owner: str) -> str | None:
        own = (locks.c.owner == owner, locks.c.conversation == conversation)
        async with self._reading() as db:
            id_: str | None = await db.scalar(
                select(locks.c.response_id).where(*own, self._holds())
            )
        return id_

    @shielded
    async def unlock(self, response_id: str) -> None:
        async with self._controlling() as db:
            await db.execute(delete(locks).where(locks.c.response_id == response_id, ~_in_use))

    def _holds(self) -> ColumnElement[bool]:
        """Return the condition that a lock has not expired."""
        return or_(locks.c.until > self._now(), _in_use)
