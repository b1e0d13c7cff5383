"""The approval requests and saved states of the SQL store."""

from collections.abc import Callable, Collection, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from .approval_claim import ApprovalClaim, Asked
from .base import Ending, Record, Store
from .engine import shielded
from .queries import lock_rows
from .tables import approvals, responses, states

Connected = AbstractAsyncContextManager[AsyncConnection]


class SqlApprovals(Store):
    """The part of a SQL store that keeps approval requests and states."""

    _reading: Callable[[], Connected]
    _writing: Callable[[], Connected]

    @shielded
    async def find_approvals(self, ids: Collection[str], owner: str) -> Mapping[str, Asked]:
        query = (
            select(
                approvals.c.id, approvals.c.response_id, responses.c.agent, approvals.c.claimed_by
            )
            .join(responses, responses.c.id == approvals.c.response_id)
            .where(approvals.c.id.in_(ids), approvals.c.owner == owner)
            .order_by(responses.c.created_at)
        )
        async with self._reading() as db:
            return {id_: Asked(*asked) for id_, *asked in await db.execute(query)}

    @shielded
    async def claim_approvals(self, claim: ApprovalClaim, response_id: str) -> None:
        async with self._writing() as db:
            await claim_in(db, claim, response_id)

    @shielded
    async def release_approvals(self, response_id: str) -> None:
        async with self._writing() as db:
            await release_in(db, response_id)

    @shielded
    async def state(self, id: str) -> bytes | None:
        async with self._reading() as db:
            query = select(states.c.state).where(states.c.response_id == id)
            state: bytes | None = await db.scalar(query)
        return state


async def keep_in(
    db: AsyncConnection, insert: Any, id: str, owner: str, kept: Record | Ending
) -> None:
    """Save the approval requests and the state of a response that has ended.

    Args:
        db: A connection with a transaction.
        insert: The database's `insert`, with `ON CONFLICT`: a retry may find the rows there.
        id: The response.
        owner: Its owner.
        kept: What is saved.
    """
    rows = [{"response_id": id, "id": id_, "owner": owner} for id_ in kept.approvals]
    if rows:
        await db.execute(insert(approvals).on_conflict_do_nothing(), rows)
    if kept.state is not None:
        row = {"response_id": id, "state": kept.state}
        await db.execute(insert(states).on_conflict_do_nothing(), row)


async def claim_in(db: AsyncConnection, claim: ApprovalClaim, response_id: str) -> None:
    """Claim the approval requests of a response for a run, as part of a transaction.

    Raises:
        InvalidRequest: One is not open.
    """
    asked = approvals.c.response_id == claim.asked_by
    query = (
        select(approvals.c.id)
        .where(asked, approvals.c.claimed_by.is_(None))
        .order_by(approvals.c.id)
        .with_for_update()
    )
    unclaimed = set((await db.execute(query)).scalars())
    for id_ in claim.paths:
        if id_ not in unclaimed:
            raise claim.refused(id_)
    await db.execute(update(approvals).where(asked).values(claimed_by=response_id))


async def release_in(db: AsyncConnection, response_id: str) -> None:
    """Open the approval requests that a run has claimed, as part of a transaction."""
    claimed = approvals.c.claimed_by == response_id
    await lock_rows(db, approvals, claimed)
    await db.execute(update(approvals).where(claimed).values(claimed_by=None))
