"""What the SQL store deletes: responses with all that belongs to them, and chains that expired."""

import time
from collections.abc import Sequence

from sqlalchemy import ColumnElement, delete, exists, select
from sqlalchemy.ext.asyncio import AsyncConnection

from .queries import batches, lock_rows
from .tables import (
    approvals,
    deliveries,
    events,
    items,
    locks,
    memberships,
    responses,
    states,
    subscriptions,
    waiting,
)

_PARTS = (items, approvals, states, memberships, waiting, events, subscriptions, deliveries)
"""The tables of what belongs to a response, but for its lock."""


async def expired_in(
    db: AsyncConnection, idle: ColumnElement[bool], limit: int, *, has_chains: bool
) -> list[str]:
    """Lock responses that have expired, as part of a transaction, and return their ids.

    A chain expires with its root, and as a whole: a chain that a run continues or another
    transaction uses is left for the next sweep.

    Args:
        db: A connection with a transaction.
        idle: The condition that a response's run is not executed.
        limit: How many chains to return at most.
        has_chains: Whether the schema knows the roots of chains.
    """
    query = select(responses.c.id).where(responses.c.expires_at <= time.time(), idle)
    if has_chains:
        root = responses.alias()
        query = query.where(~exists().where(root.c.id == responses.c.root_id))
    query = query.order_by(responses.c.id).limit(limit)
    roots = list((await db.execute(query.with_for_update(skip_locked=True))).scalars())
    if not has_chains:
        return roots
    rest = select(responses.c.id, responses.c.root_id).where(responses.c.root_id.in_(roots))
    members = {row.id: row.root_id for row in await db.execute(rest)}
    free = rest.where(idle).order_by(responses.c.id).with_for_update(skip_locked=True)
    locked = {row.id for row in await db.execute(free)}
    in_use = {root_id for id_, root_id in members.items() if id_ not in locked}
    ids = {id_: id_ for id_ in roots} | members
    return [id_ for id_, root_id in ids.items() if root_id not in in_use]


async def delete_in(db: AsyncConnection, ids: Sequence[str], *, at_work: bool = False) -> None:
    """Delete responses that are locked, with all that belongs to them, in a transaction.

    Args:
        db: A connection with the transaction.
        ids: The responses.
        at_work: Whether their runs are active, which keeps their conversations locked. Default
            False.
    """
    for some in batches(sorted(ids)):
        await lock_rows(db, approvals, approvals.c.response_id.in_(some))
        for table in _PARTS if at_work else (locks, *_PARTS):
            await db.execute(delete(table).where(table.c.response_id.in_(some)))
        await db.execute(delete(responses).where(responses.c.id.in_(some)))
