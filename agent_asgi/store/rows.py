"""What the SQL store reads: rows of its tables, and the queries that follow a chain or a log."""

from typing import Any

from sqlalchemy import RowMapping, Select, literal, select

from .base import Frames, Record
from .tables import events, responses

ROWS = 64
"""How many rows of a log are read at once."""
RECORD = [each for each in responses.c if each.name in Record.__struct_fields__]
"""The columns that a `Record` is made of."""


def record_of(row: RowMapping) -> Record:
    """Make a record of a row."""
    return Record(**row)


def log_row(id: str, frames: Frames) -> dict[str, Any]:
    """Make a row of a log."""
    return {"response_id": id, "last": frames.last, "count": frames.count, "frames": frames.data}


def frames_of(row: Any) -> Frames:
    """Make a log's frames of a row."""
    last, count, data = row
    return Frames(last - count + 1, count, data)


def log_query(id: str, after: int) -> Select[Any]:
    """Make the query of a log's tail; the primary key leads straight to its first row."""
    return (
        select(events.c.last, events.c.count, events.c.frames)
        .where(events.c.response_id == id, events.c.last > after)
        .order_by(events.c.last)
        .limit(ROWS)
    )


def chain_query(id: str, owner: str) -> Select[Any]:
    """Make the query of a response and all that it continues, oldest first."""
    columns = (responses.c.id, responses.c.previous_id)
    first = select(*columns, literal(0).label("age")).where(
        responses.c.id == id, responses.c.owner == owner
    )
    walk = first.cte(recursive=True)
    older = select(*columns, walk.c.age + 1).where(
        responses.c.id == walk.c.previous_id, responses.c.owner == owner
    )
    walk = walk.union_all(older)
    return select(*RECORD).join(walk, walk.c.id == responses.c.id).order_by(walk.c.age.desc())
