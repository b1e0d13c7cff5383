"""How runs begin and end in the SQL store, those of several callers in one transaction."""

import logging
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import bindparam, delete, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from .approval_sql import Connected, keep_in, release_in
from .base import Ending, LostRun, Record
from .conversation_sql import SINCE, SqlConversations
from .delivery_sql import SqlDeliveries
from .engine import shielded
from .gather import ALONE, Alone, Gather
from .lines import Lines
from .lock_sql import SqlLocks
from .log_sql import lines_in
from .queries import claim_query, lock_rows
from .tables import active, events, locks, responses, waiting

logger = logging.getLogger("agent_asgi")

_END = (
    update(responses)
    .where(responses.c.id == bindparam("run"))
    .values({name: bindparam(f"new_{name}") for name in ("status", "response", "failure")})
    .values(holder="")
)


class Claim(NamedTuple):
    """What `Store.claim` is asked for."""

    id: str
    holder: str
    lease: float


class Finish(NamedTuple):
    """What `Store.finish` is asked for."""

    id: str
    attempt: int
    lines: Lines
    ending: Ending

    @property
    def is_plain(self) -> bool:
        """Whether only the response, its log and its lock change."""
        ending = self.ending
        return ending.started and not (
            ending.approvals
            or ending.state is not None
            or ending.addition
            or ending.deliveries
            or ending.notices
        )


class SqlRuns(SqlLocks):
    """The part of a SQL store that begins and ends runs."""

    conversations: SqlConversations
    deliveries: SqlDeliveries
    _writing: Callable[[], Connected]
    _write: Callable[[AsyncConnection, Mapping[str, Lines]], Awaitable[None]]
    _index: Callable[[AsyncConnection, Iterable[tuple[str, str, Sequence[str]]]], Awaitable[None]]

    def __init__(self, *, expires_after: float) -> None:
        super().__init__(expires_after=expires_after)
        self._claims = Gather(self._claim_all)
        self._endings = Gather(self._finish_all)

    @shielded
    async def claim(self, id: str, holder: str, lease: float) -> Record | None:
        return await self._claims(Claim(id, holder, lease))

    async def _claim_all(self, claims: Sequence[Claim]) -> Sequence[Record | Alone | None]:
        """Claim together what can be begun at once; the rest waits, or another has its row."""
        if len(claims) == 1:
            return [await self._claim_one(claims[0])]
        claimed: dict[str, Record] = {}
        if len({claim[1:] for claim in claims}) == 1:
            own = responses.c.id.in_([claim.id for claim in claims])
            query = select(responses.c.id).where(own, ~responses.c.cancel_wanted)
            async with self._controlling() as db:
                locked = await db.execute(query.with_for_update(skip_locked=True))
                claimed = await self._claim_in(db, locked.scalars().all(), *claims[0][1:])
        return [claimed.pop(claim.id, ALONE) for claim in claims]

    async def _claim_one(self, claim: Claim) -> Record | None:
        id_, holder, lease = claim
        async with self._controlling() as db:
            claimed = await self._claim_in(db, [id_], holder, lease)
            if not claimed and await self._take_turn(db, id_, holder, lease):
                claimed = await self._claim_in(db, [id_], holder, lease)
            record = claimed.get(id_)
            if record is not None and record.cancel_wanted:
                await db.execute(delete(waiting).where(waiting.c.response_id == id_))
        return record

    async def _claim_in(
        self,
        db: AsyncConnection,
        ids: Collection[str],
        holder: str,
        lease: float,
    ) -> dict[str, Record]:
        """Claim runs as part of a transaction; return those that are to be executed."""
        query = claim_query(self._now(), counts=self._database.version >= SINCE)
        values = {"runs": list(ids), "by": holder, "lease": lease}
        rows = [dict(row) for row in (await db.execute(query, values)).mappings()]
        logs = await self._first_events(db, [row["id"] for row in rows if row["attempt"] == 1])
        claimed = {}
        for row in rows:
            id_, deaths, claimed_by = row["id"], row.pop("deaths"), row.pop("holder")
            if claimed_by:
                claimed[id_] = Record(**row, begun=logs.get(id_, ()))
            else:
                message = "%d processes died while they executed %s; it waits."
                logger.warning(message, deaths, id_)
        return claimed

    async def _first_events(
        self, db: AsyncConnection, ids: Sequence[str]
    ) -> Mapping[str, tuple[Lines, ...]]:
        """Return the logs of runs that nobody has claimed before."""
        logs: dict[str, tuple[Lines, ...]] = {}
        if ids:
            columns = (events.c.response_id, events.c.last, events.c.count, events.c.lines)
            query = select(*columns).where(events.c.response_id.in_(ids)).order_by(events.c.last)
            for id_, *row in await db.execute(query):
                logs[id_] = (*logs.get(id_, ()), lines_in(*row))
        return logs

    @shielded
    async def finish(self, id: str, attempt: int, lines: Lines, ending: Ending) -> None:
        finish = Finish(id, attempt, lines, ending)
        if finish.is_plain:
            await self._endings(finish)
        else:
            await self._finish_one(finish)

    async def _finish_all(self, finishes: Sequence[Finish]) -> Sequence[Alone | None]:
        """End runs together, but for those that are lost or whose rows another has locked."""
        if len(finishes) == 1:
            await self._finish_one(finishes[0])
            return [None]
        ids = [finish.id for finish in finishes]
        query = select(responses.c.id, responses.c.attempt, responses.c.owner)
        query = query.where(responses.c.id.in_(ids), active)
        async with self._writing() as db:
            rows = await db.execute(query.with_for_update(skip_locked=True))
            owners = {(row.id, row.attempt): row.owner for row in rows}
            held = [finish for finish in finishes if finish[:2] in owners]
            if held:
                await db.execute(_END, [_new(finish) for finish in held])
                await self._write(db, {finish.id: finish.lines for finish in held})
                indexed = [(each.id, owners[each[:2]], each.ending.item_ids) for each in held]
                await self._index(db, indexed)
                await self._unlock_in(db, [finish.id for finish in held])
        for finish in held:
            self.signals.notify(finish.id, finish.lines)
        return [None if finish[:2] in owners else ALONE for finish in finishes]

    async def _finish_one(self, finish: Finish) -> None:
        id_, attempt, lines, ending = finish
        query = _END.where(responses.c.attempt == attempt, active).returning(responses.c.owner)
        async with self._writing() as db:
            owner = (await db.execute(query, _new(finish))).scalar()
            if owner is None:
                raise LostRun
            await self._write(db, {id_: lines})
            await self._index(db, [(id_, owner, ending.item_ids)])
            await keep_in(db, self._insert, id_, owner, ending)
            if not ending.started:
                await release_in(db, id_)
            await db.execute(delete(locks).where(locks.c.response_id == id_))
            if ending.addition is not None:
                await self.conversations.append(db, owner, ending.addition)
            await self.deliveries.add(db, ending.deliveries, ending.notices)
        self.signals.notify(id_, lines)

    async def _unlock_in(self, db: AsyncConnection, ids: Sequence[str]) -> None:
        own = locks.c.response_id.in_(ids)
        await lock_rows(db, locks, own)
        await db.execute(delete(locks).where(own))


def _new(finish: Finish) -> dict[str, Any]:
    """Return the values of an ended response."""
    ending = finish.ending
    return {
        "run": finish.id,
        "new_status": ending.status,
        "new_response": ending.response,
        "new_failure": ending.failure,
    }
