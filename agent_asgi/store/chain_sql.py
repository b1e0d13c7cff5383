"""Chains of responses in a database, of which a process keeps those that it has read lately."""

from collections.abc import Callable

from sqlalchemy.ext.asyncio import AsyncConnection

from .approval_sql import Connected
from .base import ACTIVE, Store
from .chains import Chains
from .conversation_store import Size
from .engine import shielded
from .queries import chain_query, turns_query
from .turn import NO_BOUND, NO_CHAIN, Chain, Turn

CACHE_BYTES = 64 << 20
"""The size of the turns that a process keeps."""
PAGE_BYTES = 256 << 10
"""About how many bytes are read at once."""
PAGE_TURNS = 200
"""How many turns are read at once."""


class SqlChains(Store):
    """The part of a SQL store that reads chains.

    A response that has ended never changes, so that only the database's count of a chain, which
    shows whether a part was deleted, and the turns that this process has not read yet are needed.
    """

    _chains: Chains
    _reading: Callable[[], Connected]

    @shielded
    async def chain(self, id: str, owner: str, most: Size = NO_BOUND) -> Chain:
        async with self._reading() as db:
            found = (await db.execute(chain_query(id, owner))).one()
            if not found.begins:  # a part is missing
                return NO_CHAIN
            size = Size(found.items, int(found.size))
            if size.exceeds(most):
                return Chain(size, [])
            page = min(PAGE_TURNS, max(1, PAGE_BYTES * found.turns // max(1, size.size)))
            turns = self._chains.get(id) or await self._read(db, id, owner, page)
        return Chain(size, turns) if turns else NO_CHAIN

    async def _read(self, db: AsyncConnection, id: str, owner: str, page: int) -> list[Turn]:
        """Read what is not known of a chain: the newest turn, then `page` turns at once."""
        new: list[Turn] = []
        known: list[Turn] = []
        previous: str | None = id
        most = 1
        while previous is not None and not known:
            rows = (await db.execute(turns_query(previous, owner, most))).all()
            if not rows:  # it was deleted meanwhile
                return []
            for *fields, previous in rows:
                new.append(Turn(*fields))
                if known := self._chains.get(previous):
                    break
            most = page
        new.reverse()
        if not any(turn.status in ACTIVE for turn in new):
            self._chains.add(previous, new)
        return known + new
