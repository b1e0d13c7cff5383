"""Deliveries in a database."""

import logging
import time
from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import structs
from sqlalchemy import Select, delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from .base import DAY, SWEEP
from .database import Database
from .delivery_store import Delivery, DeliveryStore, Notice, Subscription, chosen, deliveries_of
from .engine import shielded
from .tables import deliveries, responses, subscriptions

logger = logging.getLogger("agent_asgi")
KEPT_SECONDS = 7 * DAY
"""How long a delivery is kept whose receiver no process calls: its webhook was removed."""
_DELIVERY = [each for each in deliveries.c if each.name in Delivery.__struct_fields__]


class SqlDeliveries(DeliveryStore):
    """Keeps deliveries and subscriptions in SQLite or PostgreSQL, for all processes.

    Args:
        database: The database.
    """

    def __init__(self, database: Database) -> None:
        self._operations = database.operations
        self._writing, self._reading, self._now = database.writing, database.reading, database.now
        self._insert = database.insert

    async def add(
        self, db: AsyncConnection, added: Sequence[Delivery], notices: Sequence[Notice]
    ) -> None:
        """Add deliveries, which are due at once, and those of notices, in a transaction."""
        found = list(added)
        for notice in notices:
            rows = (await db.execute(_of_task(notice.response_id))).mappings()
            subscribed = [Subscription(**row) for row in rows]
            found += deliveries_of(notice, time.time(), subscribed)
        if found:
            await db.execute(insert(deliveries), [_row(each) for each in found])

    async def add_subscriptions(self, db: AsyncConnection, added: Sequence[Subscription]) -> None:
        """Add subscriptions, or replace those with their ids, in a transaction."""
        for each in added:
            row = structs.asdict(each)
            place = [subscriptions.c.response_id, subscriptions.c.id]
            query = self._insert(subscriptions).values(row)
            await db.execute(query.on_conflict_do_update(index_elements=place, set_=row))

    @shielded
    async def subscribe(self, subscription: Subscription) -> bool:
        query = select(responses.c.id).where(responses.c.id == subscription.response_id)
        async with self._writing() as db:  # the lock keeps the response from being deleted
            kept = await db.execute(query.with_for_update(read=True, key_share=True))
            if kept.first() is None:
                return False
            await self.add_subscriptions(db, [subscription])
        return True

    @shielded
    async def subscriptions(self, response_id: str) -> Sequence[Subscription]:
        async with self._reading() as db:
            rows = (await db.execute(_of_task(response_id))).mappings().all()
        return [Subscription(**row) for row in rows]

    @shielded
    async def unsubscribe(self, response_id: str, id: str) -> None:
        own = (subscriptions.c.response_id == response_id, subscriptions.c.id == id)
        async with self._writing() as db:
            removed = delete(subscriptions).where(*own).returning(subscriptions.c.url)
            url = (await db.execute(removed)).scalar()
            sent = (deliveries.c.response_id == response_id, deliveries.c.url == url)
            await db.execute(delete(deliveries).where(*sent))

    @shielded
    async def take(self, room: Mapping[str, int], limit: int, lease: float) -> Sequence[Delivery]:
        due = (
            select(deliveries.c.id, deliveries.c.receiver)
            .where(deliveries.c.due_at <= self._now(), deliveries.c.receiver.in_(room))
            .order_by(deliveries.c.due_at, deliveries.c.id)
            .limit(limit)
        )
        async with self._reading() as db:
            if (await db.execute(due)).first() is None:  # without a lock on SQLite's file
                return []
        async with self._writing() as db:
            rows = await db.execute(due.with_for_update(skip_locked=True))
            ids = chosen([(row.id, row.receiver) for row in rows], room)
            taken: Any = update(deliveries).where(deliveries.c.id.in_(ids))
            taken = taken.values(
                attempt=deliveries.c.attempt + 1, due_at=self._now() + lease
            ).returning(*_DELIVERY)
            found = [Delivery(**row) for row in (await db.execute(taken)).mappings()]
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

    @shielded
    async def sweep(self) -> None:
        """Drop some of the deliveries that have been kept for `KEPT_SECONDS`."""
        old = select(deliveries.c.id).where(deliveries.c.created_at < time.time() - KEPT_SECONDS)
        async with self._writing() as db:
            ids = (await db.execute(old.limit(SWEEP).with_for_update(skip_locked=True))).scalars()
            removed = delete(deliveries).where(deliveries.c.id.in_(ids.all()))
            count = (await db.execute(removed)).rowcount
        if count:
            message = "%d deliveries are given up: nobody has called their receivers for a week."
            logger.error(message, count)


def _row(delivery: Delivery) -> dict[str, Any]:
    return {column.name: getattr(delivery, column.name) for column in _DELIVERY} | {"due_at": 0.0}


def _of_task(response_id: str) -> Select[Any]:
    query = select(subscriptions).where(subscriptions.c.response_id == response_id)
    return query.order_by(subscriptions.c.id)
