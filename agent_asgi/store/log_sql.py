"""The logs of the SQL store."""

from collections.abc import Callable, Collection, Mapping

import msgspec

from .approval_sql import Connected
from .database import Database
from .engine import shielded
from .lines import Lines
from .logs import Head, Logs
from .migrations import lines_of
from .queries import HEADS, POSTGRES_TAILS, ROWS, SQLITE_TAILS, batches, log_query


class SqlLogs(Logs):
    """The part of a SQL store that reads logs."""

    _database: Database
    _reading: Callable[[], Connected]

    @shielded
    async def events(self, id: str, after: int) -> list[Lines]:
        async with self._reading() as db:
            rows = (await db.execute(log_query(id, after))).all()
        return [lines_in(*row) for row in rows]

    @shielded
    async def heads(self, ids: Collection[str]) -> Mapping[str, Head]:
        heads: dict[str, Head] = {}
        async with self._reading() as db:
            for some in batches(ids):
                for row in await db.execute(HEADS, {"ids": some}):
                    heads[row.id] = Head(-1 if row.last is None else row.last, bool(row.active))
        return heads

    @shielded
    async def tails(self, after: Mapping[str, int]) -> Mapping[str, list[Lines]]:
        query = POSTGRES_TAILS if self._database.postgres else SQLITE_TAILS
        values = {"after": msgspec.json.encode(after).decode(), "rows": ROWS}
        async with self._reading() as db:
            rows = (await db.execute(query, values)).all()
        tails: dict[str, list[Lines]] = {}
        for id_, *row in rows:
            tails.setdefault(id_, []).append(lines_in(*row))
        return tails


def lines_in(last: int, count: int, data: bytes) -> Lines:
    """Return the lines in a row of a log."""
    return Lines(last - count + 1, count, lines_of(data))
