"""The SQL store's queries: of a chain, of a log, of what a process may execute."""

from collections.abc import Collection, Iterator, Sequence
from functools import lru_cache
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Float,
    Select,
    and_,
    bindparam,
    case,
    exists,
    func,
    literal,
    literal_column,
    or_,
    select,
    text,
    tuple_,
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.sql.dml import Update

from .base import Record
from .tables import (
    Text,
    active,
    conversation_items,
    events,
    items,
    memberships,
    responses,
    waiting,
)
from .turn import Turn

ROWS = 64
"""How many rows of a log are read at once."""
WAITS = (5.0, 30.0, 120.0, 600.0)
"""How long a run waits after the second death of a process that executed it, after the third and so
on, in seconds: a run that ends processes must not keep a server down."""
IDS = 5000
"""How many ids one statement names; SQLite bounds its parameters."""
RECORD = [column for column in responses.c if column.name in Record.__struct_fields__]
"""The columns of a `Record`."""
TURN = [responses.c[name] for name in Turn._fields]
"""The columns of a `Turn`."""


def batches(ids: Collection[str]) -> Iterator[Sequence[str]]:
    """Yield ids in groups that a statement has room for."""
    all_ids = list(ids)
    for at in range(0, len(all_ids), IDS):
        yield all_ids[at : at + IDS]


def log_query(id: str, after: int) -> Select[Any]:
    """Return the query of a log's end; it seeks its first row by the primary key."""
    return (
        select(events.c.last, events.c.count, events.c.lines)
        .where(events.c.response_id == id, events.c.last > after)
        .order_by(events.c.last)
        .limit(ROWS)
    )


_last: Any = select(func.max(events.c.last)).where(events.c.response_id == responses.c.id)
HEADS = select(responses.c.id, active.label("active"), _last.scalar_subquery().label("last")).where(
    responses.c.id.in_(bindparam("ids", expanding=True))
)
"""The query of how far logs have been written, and whether their runs are active."""
SQLITE_TAILS = text(
    "SELECT response_id, last, count, frames FROM json_each(:after)"
    " CROSS JOIN agent_asgi_events ON response_id = key AND last > value LIMIT :rows"
)
"""The query of the next rows of several logs, in order for each of them.

CROSS JOIN keeps the order of the tables, so that each log is sought by the primary key.
"""
POSTGRES_TAILS = text(
    "SELECT tail.* FROM json_each_text(CAST(:after AS json)) AS log CROSS JOIN LATERAL"
    " (SELECT response_id, last, count, frames FROM agent_asgi_events"
    " WHERE response_id = log.key AND last > CAST(log.value AS integer)"
    " ORDER BY last LIMIT :rows) AS tail LIMIT :rows"
)
"""The same for PostgreSQL; json, unlike jsonb, keeps the order of the logs."""


def owned_by(owner: str, table: Any = responses) -> ColumnElement[bool]:
    """Return whether a response that is named by its id is an owner's.

    PostgreSQL cannot use the indexes of owners for it. Before its first statistics it would, and
    read all responses of the owner; without authentication these are all there are.

    Args:
        owner: The owner.
        table: The table, or an alias of it. Default: of responses.
    """
    owned: ColumnElement[bool] = table.c.owner.concat(literal_column("''")) == owner
    return owned


def _walk(id: str, owner: str, most: int | None = None) -> Any:
    """Return a table of a response and what it continues: ids, what these continue, and ages.

    The first response of a chain continues "". The last row continues None if there is no response
    of the owner with its id. Each step is a subquery: PostgreSQL may choose a slow kind of join.

    Args:
        id: The response.
        owner: Its owner.
        most: The number of rows. Default: all.
    """
    previous_id = func.coalesce(responses.c.previous_id, "").label("previous_id")
    first = select(responses.c.id, previous_id, literal(0).label("age"))
    walk = first.where(responses.c.id == id, owned_by(owner)).cte(recursive=True)
    previous = select(previous_id).where(responses.c.id == walk.c.previous_id, owned_by(owner))
    older = select(walk.c.previous_id, previous.scalar_subquery(), walk.c.age + 1)
    older = older.where(walk.c.previous_id > "")
    if most is not None:
        older = older.where(walk.c.age < most - 1)
    return walk.union_all(older)


def chain_query(id: str, owner: str) -> Select[Any, Any, Any, Any]:
    """Return the query of a chain: its responses, how many begin it, its items and its bytes."""
    walk = _walk(id, owner)
    begins = func.count().filter(walk.c.previous_id == "").label("begins")
    of_chain = items.c.response_id.in_(select(walk.c.id))
    count = select(func.count()).select_from(items).where(of_chain).scalar_subquery()
    bytes_ = func.sum(func.length(responses.c.request) + func.length(responses.c.response))
    size = func.coalesce(bytes_, 0).label("size")
    query = select(func.count().label("turns"), begins, count.label("items"), size)
    query = query.join_from(walk, responses, walk.c.id == responses.c.id)
    return query.where(walk.c.previous_id.is_not(None))


def turns_query(id: str, owner: str, most: int) -> Select[Any]:
    """Return the query of a response and what it continues, newest first: turns and previous ids.

    Args:
        id: The response.
        owner: Its owner.
        most: The number of rows.
    """
    walk = _walk(id, owner, most)
    query = select(*TURN, responses.c.previous_id)
    query = query.join_from(walk, responses, walk.c.id == responses.c.id)
    return query.where(walk.c.previous_id.is_not(None)).order_by(walk.c.age)


def root_of(previous_id: str, owner: str) -> Any:
    """Return the expression of the first response of a chain.

    Its expiry is the whole chain's: continuing the chain renews one row.
    """
    previous = responses.alias()
    root = func.coalesce(previous.c.root_id, previous.c.id)
    where = (previous.c.id == previous_id, owned_by(owner, previous))
    return select(root).where(*where).scalar_subquery()


def renew_chain(previous_id: str, owner: str, expires_at: float) -> Update:
    """Return the statement that renews a chain."""
    root = responses.c.id == root_of(previous_id, owner)
    later = responses.c.expires_at < expires_at
    return update(responses).where(root, later).values(expires_at=expires_at)


async def lock_rows(db: AsyncConnection, table: Any, *where: ColumnElement[bool]) -> None:
    """Lock rows of a table in the order of its primary key, to prevent deadlocks.

    SQLite ignores it: its transactions are alone.
    """
    key = table.primary_key.columns
    await db.execute(select(*key).where(*where).order_by(*key).with_for_update())


def unclaimed(now: Any) -> ColumnElement[bool]:
    """Return the condition that no process holds a run; one to be cancelled need not wait."""
    is_waiting = and_(responses.c.holder == "", responses.c.cancel_wanted)
    return and_(active, or_(responses.c.lease_until <= now, is_waiting))


@lru_cache(maxsize=8)
def claim_query(now: Any, *, counts: bool) -> Update:
    """Return the statement that begins the next attempts of runs, or makes them wait after a death.

    It returns the records, the holder, which is empty if a run waits, and the number of deaths. Its
    parameters are `runs`, the ids; `by`, the process that claims them; and `lease`, in seconds. It
    is cached, since making it takes longer than executing it.

    Args:
        now: The database's time.
        counts: Whether the schema has the number of deaths.
    """
    by, lease = bindparam("by", type_=Text), bindparam("lease", type_=Float)
    waits_for_turn = exists().where(waiting.c.response_id == responses.c.id)
    unheld = and_(active, responses.c.holder == by) | unclaimed(now)
    free = and_(unheld, or_(responses.c.cancel_wanted, ~waits_for_turn))
    values: dict[str, Any] = {
        "attempt": responses.c.attempt + 1,
        "status": "in_progress",
        "holder": by,
        "lease_until": now + lease,
    }
    query = update(responses).where(responses.c.id.in_(bindparam("runs", expanding=True)), free)
    if not counts:
        no_deaths = literal(0).label("deaths")
        return query.values(values).returning(*RECORD, responses.c.holder, no_deaths)
    died = and_(responses.c.holder != "", responses.c.holder != by, responses.c.attempt > 0)
    deaths = responses.c.deaths + case((died, 1), else_=0)
    seconds = case(*((deaths == n, wait) for n, wait in enumerate(WAITS, 2)), else_=WAITS[-1])
    waits = and_(died, deaths > 1)
    values |= {
        "attempt": responses.c.attempt + case((waits, 0), else_=1),
        "holder": case((waits, ""), else_=by),
        "lease_until": now + case((waits, seconds), else_=lease),
        "deaths": deaths,
    }
    return query.values(values).returning(*RECORD, responses.c.holder, responses.c.deaths)


def items_query(ids: Sequence[str], owner: str) -> Select[Any]:
    """Return the query of the responses that items belong to, oldest first."""
    return (
        select(items.c.id, items.c.response_id)
        .join(responses, responses.c.id == items.c.response_id)
        .where(items.c.owner == owner, items.c.id.in_(ids))
        .order_by(responses.c.created_at)
    )


def size_query(ids: Sequence[str], owner: str) -> Select[Any]:
    """Return the query of the number of bytes that responses and their requests have."""
    size = func.length(responses.c.request) + func.length(responses.c.response)
    query = select(func.coalesce(func.sum(size), 0))
    return query.where(responses.c.id.in_(ids), owned_by(owner))


def stored_bytes_query(owner: str) -> Select[Any]:
    """Return the query of the number of bytes that an owner's responses and conversations have."""
    size = func.length(responses.c.request) + func.length(responses.c.response)
    own = select(func.sum(size)).where(responses.c.owner == owner)
    data = func.sum(func.length(conversation_items.c.data))
    own_items = select(data).where(conversation_items.c.owner == owner)
    return select(*(func.coalesce(each.scalar_subquery(), 0) for each in (own, own_items)))


def page_query(
    owner: str,
    agents: Sequence[str],
    conversation: str | None,
    last: tuple[float, str] | None,
    limit: int,
) -> Select[Any]:
    """Return the query of the ids and sizes of an owner's responses, newest first.

    Args:
        owner: The owner.
        agents: The names of their agents.
        conversation: The conversation that they belong to; None for any or none.
        last: When the last response of the page before was created, and its id.
        limit: The number of rows.
    """
    order = (responses.c.created_at, responses.c.id)
    query = select(responses.c.id, func.length(responses.c.response)).where(
        responses.c.owner == owner, responses.c.visible, responses.c.agent.in_(agents)
    )
    if conversation is not None:
        query = query.join(memberships, memberships.c.response_id == responses.c.id).where(
            memberships.c.owner == owner, memberships.c.conversation == conversation
        )
    if last is not None:
        query = query.where(tuple_(*order) < tuple_(literal(last[0]), literal(last[1], Text)))
    return query.order_by(*(column.desc() for column in order)).limit(limit)
