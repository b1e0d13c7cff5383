"""Deliveries in a database."""

from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from .database import Database
from .delivery_store import Delivery, DeliveryStore
from .engine import shielded
from .tables import deliveries

_DELIVERY = [each for each in deliveries.c if each.name in Delivery.__struct_fields__]


class SqlDeliveries(DeliveryStore):
    """Keeps deliveries in SQLite or PostgreSQL, where any process may take them.

    Args:
        database: The database.
    """

    def __init__(self, database: Database) -> None:
        self._operations = database.operations
        self._writing, self._reading, self._now = database.writing, database.reading, database.now

    async def add(self, db: AsyncConnection, added: Sequence[Delivery]) -> None:
        """Add deliveries, which are due at once, as part of a transaction."""
        rows = [
            {column.name: getattr(each, column.name) for column in _DELIVERY} | {"due_at": 0.0}
            for each in added
        ]
        if rows:
            await db.execute(insert(deliveries), rows)

    @shielded
    async def take(self, urls: Collection[str], limit: int, lease: float) -> Sequence[Delivery]:
        due = (
            select(deliveries.c.id)
            .where(deliveries.c.due_at <= self._now(), deliveries.c.url.in_(urls))
            .order_by(deliveries.c.due_at, deliveries.c.id)
            .limit(limit)
        )
        async with self._reading() as db:
            if (await db.execute(due)).first() is None:  # without a lock on SQLite's file
                return []
        async with self._writing() as db:
            ids = (await db.execute(due.with_for_update(skip_locked=True))).scalars().all()
            taken: Any = update(deliveries).where(deliveries.c.id.in_(ids))
            taken = taken.values(
                attempt=deliveries.c.attempt + 1, due_at=self._now() + lease
            ).returning(*_DELIVERY)
            rows = (await db.execute(taken)).mappings().all()
        found = [Delivery(**row) for row in rows]
        return sorted(found, key=lambda each: each.created_at)

    @shielded
    async def remove(self, id: str) -> None:
        async with self._writing() as db:
            await db.execute(delete(deliveries).where(deliveries.c.id == id))

    @shielded
    async def postpone(self, id: str, seconds: float) -> None:
        later = update(deliveries).where(deliveries.c.id == id)
        async with self._writing() as db:
            await db.execute(later.values(due_at=self._now() + seconds))
