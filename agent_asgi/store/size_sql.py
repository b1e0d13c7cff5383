"""How much the SQL store has."""

from collections.abc import Callable, Collection

from .approval_sql import Connected
from .base import Store
from .engine import shielded
from .queries import batches, size_query, stored_bytes_query


class SqlSizes(Store):
    """The part of a SQL store that measures responses without loading them."""

    _reading: Callable[[], Connected]

    @shielded
    async def size_of(self, ids: Collection[str], owner: str) -> int:
        async with self._reading() as db:
            queries = [size_query(some, owner) for some in batches(ids)]
            return sum([int((await db.execute(query)).scalar_one()) for query in queries])

    @shielded
    async def stored_bytes(self, owner: str) -> int:
        async with self._reading() as db:
            return sum(map(int, (await db.execute(stored_bytes_query(owner))).one()))
