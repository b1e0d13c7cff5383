"""Conversations in a database."""

import time
from collections.abc import Sequence
from functools import partial
from typing import Any

from sqlalchemy import ColumnElement, delete, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from .chain_sql import CACHE_BYTES, PAGE_BYTES
from .conversation_search_sql import SqlSearch
from .conversation_store import Addition, Conversation, Size, StoredItem
from .database import Database
from .engine import shielded
from .item_cache import ItemCache, Known
from .queries import batches
from .repeats import renamed, unrepeated
from .tables import conversation_items as items
from .tables import conversations

PAGE_ITEMS = 200
"""How many items are read at once."""
SINCE = 3
"""The first version of the schema that has conversations."""


class SqlConversations(SqlSearch):
    """Keeps conversations in SQLite or PostgreSQL.

    A transaction that changes items first updates the conversation's row. It holds that row's lock
    until it ends, so that positions are unique and in order.

    Args:
        database: The database.
        expires_after: How long an unused conversation is kept, in seconds.
    """

    def __init__(self, database: Database, expires_after: float) -> None:
        self._operations = database.operations
        self._writing = partial(database.writing, SINCE)
        self._reading = partial(database.reading, SINCE)
        self._insert_into = database.insert
        self._postgres = database.postgres
        self._expires_after = expires_after
        self._cache = ItemCache(CACHE_BYTES)

    @shielded
    async def create(self, conversation: Conversation, items: Sequence[StoredItem] = ()) -> None:
        async with self._writing() as db:
            await self._create(db, conversation)
            await self._insert(db, conversation.id, conversation.owner, items)

    @shielded
    async def get(self, id: str, owner: str) -> Conversation | None:
        query = select(conversations).where(*_own(conversations, id, owner))
        async with self._reading() as db:
            row = (await db.execute(query)).mappings().first()
        return None if row is None else Conversation(**row)

    @shielded
    async def use(self, id: str, owner: str, *, create: bool = False) -> Size | None:
        sizes = select(func.count(), func.coalesce(func.sum(func.length(items.c.data)), 0))
        async with self._writing() as db:
            if create:
                await self._create(db, Conversation(id, owner, time.time()))
            known = await self._unchanged(db, id, owner)
            if known is not None:
                self._cache.put((owner, id), known)
                return Size(len(known.items), known.size)
            if not await self._renew(db, id, owner):
                return None
            count, size = (await db.execute(sizes.where(*_items_of(id, owner)))).one()
        return Size(count, int(size))

    @shielded
    async def set_metadata(self, id: str, owner: str, metadata: bytes) -> Conversation | None:
        values = {"metadata": metadata, "expires_at": self._expires_at()}
        query = (
            update(conversations)
            .where(*_own(conversations, id, owner))
            .values(values)
            .returning(*conversations.c)
        )
        async with self._writing() as db:
            row = (await db.execute(query)).mappings().first()
        return None if row is None else Conversation(**row)

    @shielded
    async def delete(self, id: str, owner: str) -> bool:
        query = delete(conversations).where(*_own(conversations, id, owner))
        async with self._writing() as db:
            existed = bool((await db.execute(query)).rowcount)
            await db.execute(delete(items).where(*_items_of(id, owner)))
        self._cache.forget((owner, id))
        return existed

    @shielded
    async def add(
        self, id: str, owner: str, items: Sequence[StoredItem]
    ) -> list[StoredItem] | None:
        async with self._writing() as db:
            if not await self._renew(db, id, owner):
                return None
            had = await self._with_ids_of(db, id, owner, items)
            await self._insert(db, id, owner, unrepeated(items, had))
        return [StoredItem(item.id, had.get(item.id, item.data)) for item in items]

    @shielded
    async def items(
        self,
        id: str,
        owner: str,
        *,
        after: str | None = None,
        limit: int | None = None,
        newest_first: bool = False,
    ) -> list[StoredItem] | None:
        query = select(items.c.id, items.c.data).where(*_items_of(id, owner)).limit(limit)
        query = query.order_by(items.c.position.desc() if newest_first else items.c.position)
        async with self._reading() as db:
            if after is not None:
                last = await self._position(db, id, owner, after)
                if last is None:
                    return None
                position = items.c.position
                query = query.where(position < last if newest_first else position > last)
            return [StoredItem(*row) for row in await db.execute(query)]

    @shielded
    async def history(self, id: str, owner: str) -> dict[str, bytes]:
        query = select(conversations.c.expires_at).where(*_own(conversations, id, owner))
        async with self._reading() as db:
            expires_at: float | None = (await db.execute(query)).scalar()
            if expires_at is None:
                return {}
            known = self._cache.get((owner, id))
            if known is None or known.expires_at != expires_at:
                known = Known(expires_at, await self._all_items(db, id, owner))
                self._cache.put((owner, id), known)
        return dict(known.items)

    async def _all_items(self, db: AsyncConnection, id: str, owner: str) -> dict[str, bytes]:
        """Return the items by their ids, read in parts of about `PAGE_BYTES`."""
        found: dict[str, bytes] = {}
        last, most, size = -1, PAGE_ITEMS, 0
        query = select(items.c.position, items.c.id, items.c.data).where(*_items_of(id, owner))
        query = query.order_by(items.c.position)
        while True:
            page = query.where(items.c.position > last).limit(most)
            rows = (await db.execute(page)).all()
            found |= {id_: data for _, id_, data in rows}
            if len(rows) < most:
                return found
            last, size = rows[-1].position, size + sum([len(row.data) for row in rows])
            most = min(PAGE_ITEMS, max(1, PAGE_BYTES * len(found) // size))

    @shielded
    async def item(self, id: str, owner: str, item_id: str) -> StoredItem | None:
        where = (*_items_of(id, owner), items.c.id == item_id)
        async with self._reading() as db:
            row = (await db.execute(select(items.c.id, items.c.data).where(*where))).first()
        return None if row is None else StoredItem(*row)

    @shielded
    async def remove(self, id: str, owner: str, item_id: str) -> bool:
        query = delete(items).where(*_items_of(id, owner), items.c.id == item_id)
        async with self._writing() as db:
            await self._renew(db, id, owner)
            return bool((await db.execute(query)).rowcount)

    async def append(self, db: AsyncConnection, owner: str, addition: Addition) -> bool:
        """Add what a run adds, in a transaction; return whether the conversation exists."""
        id_, last = addition.conversation, addition.replaces_after
        known = None if last is not None else await self._unchanged(db, id_, owner)
        if known is not None:
            added = list(renamed(addition.items, known.items))
            await self._insert(db, id_, owner, added)
            self._cache.put((owner, id_), known.extended(dict(added)))
            return True
        if not await self._renew(db, id_, owner):
            return False
        if last is not None:
            position = await self._position(db, id_, owner, last) if last else -1
            if position is not None:
                later = items.c.position > position
                await db.execute(delete(items).where(*_items_of(id_, owner), later))
        had = await self._with_ids_of(db, id_, owner, addition.items)
        await self._insert(db, id_, owner, list(renamed(addition.items, had)))
        return True

    async def sweep(self, db: AsyncConnection, limit: int) -> None:
        """Delete conversations that have expired and that nobody uses now, in a transaction."""
        expired = (
            select(conversations.c.id, conversations.c.owner)
            .where(conversations.c.expires_at <= time.time())
            .limit(limit)
            .with_for_update(skip_locked=True)
        )
        for id_, owner in (await db.execute(expired)).all():
            await db.execute(delete(conversations).where(*_own(conversations, id_, owner)))
            await db.execute(delete(items).where(*_items_of(id_, owner)))

    async def _create(self, db: AsyncConnection, conversation: Conversation) -> None:
        row = {column.name: getattr(conversation, column.name) for column in conversations.c}
        row["expires_at"] = conversation.expires_at or self._expires_at()
        await db.execute(self._insert_into(conversations).values(row).on_conflict_do_nothing())

    async def _renew(self, db: AsyncConnection, id: str, owner: str) -> bool:
        query = update(conversations).where(*_own(conversations, id, owner))
        return bool((await db.execute(query.values(expires_at=self._expires_at()))).rowcount)

    async def _unchanged(self, db: AsyncConnection, id: str, owner: str) -> Known | None:
        """Renew a conversation that is as this process last saw it.

        Returns:
            It with its new time of expiry; None if it has changed.
        """
        known = self._cache.get((owner, id))
        if known is None:
            return None
        query = update(conversations).where(*_own(conversations, id, owner))
        query = query.where(conversations.c.expires_at == known.expires_at)
        expires_at = self._expires_at()
        if not (await db.execute(query.values(expires_at=expires_at))).rowcount:
            self._cache.forget((owner, id))
            return None
        return Known(expires_at, known.items, known.size)

    async def _insert(
        self, db: AsyncConnection, id: str, owner: str, added: Sequence[StoredItem]
    ) -> None:
        if not added:
            return
        query = select(func.max(items.c.position)).where(*_items_of(id, owner))
        last = (await db.execute(query)).scalar()
        first = 0 if last is None else last + 1
        rows = [
            {"owner": owner, "conversation": id, "position": n, "id": item.id, "data": item.data}
            for n, item in enumerate(added, first)
        ]
        await db.execute(self._insert_into(items), rows)

    async def _with_ids_of(
        self, db: AsyncConnection, id: str, owner: str, added: Sequence[StoredItem]
    ) -> dict[str, bytes]:
        """Return the items of a conversation that have the ids of others, by id."""
        had: dict[str, bytes] = {}
        for ids in batches([item.id for item in added]):
            query = select(items.c.id, items.c.data).where(*_items_of(id, owner))
            had |= {row.id: row.data for row in await db.execute(query.where(items.c.id.in_(ids)))}
        return had

    async def _position(self, db: AsyncConnection, id: str, owner: str, item_id: str) -> int | None:
        query = select(items.c.position).where(*_items_of(id, owner), items.c.id == item_id)
        position: int | None = (await db.execute(query)).scalar()
        return position

    def _expires_at(self) -> float:
        return time.time() + self._expires_after


def _own(table: Any, id: str, owner: str) -> tuple[ColumnElement[bool], ...]:
    return (table.c.owner == owner, table.c.id == id)


def _items_of(id: str, owner: str) -> tuple[ColumnElement[bool], ...]:
    return (items.c.owner == owner, items.c.conversation == id)
