"""Search in the conversations of a database: its LIKE leaves few to be looked at."""

from collections.abc import Callable
from typing import Any

from sqlalchemy import ColumnElement, String, cast, func, literal, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from .approval_sql import Connected
from .chain_sql import PAGE_BYTES
from .conversation_search import Search
from .conversation_store import Conversation, ConversationStore
from .engine import shielded
from .tables import Text, conversations
from .tables import conversation_items as items

ROWS = 64
"""How many items are read at once at most; about `PAGE_BYTES` of them."""


class SqlSearch(ConversationStore):
    """The part of a database's conversations that lists and searches them."""

    _reading: Callable[[], Connected]
    _postgres: bool

    @shielded
    async def page(self, owner: str, after: str | None, limit: int) -> list[Conversation] | None:
        return await self._page(owner, after, limit)

    @shielded
    async def candidates(
        self, owner: str, search: Search, after: str | None, limit: int
    ) -> list[Conversation] | None:
        own = (items.c.owner == owner, items.c.conversation == conversations.c.id)
        in_items = select(1).where(*own, self._like(items.c.data, search)).exists()
        in_id = conversations.c.id.ilike(search.pattern)
        in_metadata = self._like(conversations.c.metadata, search)
        return await self._page(owner, after, limit, in_id | in_metadata | in_items)

    @shielded
    async def mentions(self, conversation: Conversation, search: Search) -> bool:
        own = (items.c.owner == conversation.owner, items.c.conversation == conversation.id)
        query = select(items.c.position, items.c.data).where(*own).order_by(items.c.position)
        query = query.where(self._like(items.c.data, search))
        last, most = -1, 1
        async with self._reading() as db:
            while True:
                page = query.where(items.c.position > last).limit(most)
                rows = (await db.execute(page)).all()
                if await search.in_items(row.data for row in rows):
                    return True
                if len(rows) < most:
                    return False
                last, size = rows[-1].position, sum([len(row.data) for row in rows])
                most = min(ROWS, 4 * most, max(1, PAGE_BYTES * len(rows) // size))

    async def _page(
        self, owner: str, after: str | None, limit: int, *where: ColumnElement[bool]
    ) -> list[Conversation] | None:
        order = (conversations.c.created_at, conversations.c.id)
        query = select(conversations).where(conversations.c.owner == owner, *where)
        query = query.order_by(*(column.desc() for column in order)).limit(limit)
        async with self._reading() as db:
            if after is not None:
                created_at = await _created_at(db, owner, after)
                if created_at is None:
                    return None
                last = tuple_(literal(created_at), literal(after, Text))
                query = query.where(tuple_(*order) < last)
            return [Conversation(**row) for row in (await db.execute(query)).mappings()]

    def _like(self, data: ColumnElement[bytes], search: Search) -> ColumnElement[bool]:
        text: Any = func.convert_from(data, "UTF8") if self._postgres else cast(data, String)
        matches: ColumnElement[bool] = text.ilike(search.pattern)
        return matches


async def _created_at(db: AsyncConnection, owner: str, id: str) -> Any:
    where = (conversations.c.owner == owner, conversations.c.id == id)
    return (await db.execute(select(conversations.c.created_at).where(*where))).scalar()
