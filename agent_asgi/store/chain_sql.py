"""Chains of responses in a database, of which a process keeps those that it has read lately."""

from collections.abc import Callable

from sqlalchemy.ext.asyncio import AsyncConnection

from .approval_sql import Connected
from .base import ACTIVE, Store
from .chains import Chains
from .engine import shielded
from .queries import chain_query, turns_query
from .turn import Turn

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
    async def chain(self, id: str, owner: str) -> list[Turn]:
        async with self._reading() as db:
            found = (await db.execute(chain_query(id, owner))).one()
            if not found.begins:  # it is incomplete
                return []
            most = min(PAGE_TURNS, max(1, PAGE_BYTES * found.turns // max(1, found.size)))
            return self._chains.get(id) or await self._read(db, id, owner, most)

    async def _read(self, db: AsyncConnection, id: str, owner: str, most: int) -> list[Turn]:
        """Read what is not known of a chain, `most` turns at once after the first one."""
        new: list[Turn] = []
        previous, known, rows = id, None, 1
        while previous is not None and known is None:
            page = (await db.execute(turns_query(previous, owner, rows))).all()
            if not page:  # it was deleted meanwhile
                return []
            for *fields, previous in page:
                new.append(Turn(*fields))
                known = self._chains.get(previous)
                if known is not None:
                    break
            rows = most
        new.reverse()
        if not any(turn.status in ACTIVE for turn in new):
            self._chains.add(previous, new)
        return [*(known or ()), *new]
