"""A store in the memory of the process: fast, bounded, lost when the process ends."""

import time
from collections.abc import Collection, Iterable, Mapping, Sequence

from msgspec import structs

from .approval_claim import ApprovalClaim, Asked
from .base import (
    EXPIRES_AFTER,
    SWEEP,
    Ending,
    Enqueue,
    LostRun,
    Page,
    Record,
    Store,
)
from .chains import Chains
from .conversation_memory import MemoryConversations
from .conversation_store import Addition, Size
from .delivery_memory import MemoryDeliveries
from .entries import Entry, Recent, now
from .history import item_ids
from .lines import Lines
from .lock_memory import MemoryLocks
from .log_memory import MemoryLogs
from .turn import NO_BOUND, NO_CHAIN, Chain, Turn

MAX_RESPONSES = 1000
MAX_BYTES = 256 << 20


class MemoryStore(MemoryLocks, MemoryLogs, Store):
    """Keeps responses and conversations in the memory of one process.

    Args:
        max_responses: How many responses are kept, and how many conversations. Beyond it, the
            oldest response whose run has ended is removed, and the conversation used least
            recently. Default 1000.
        max_bytes: The size of all responses together, beyond which the oldest are removed too.
            Conversations are bounded separately. Default 256 MiB.
        expires_after: How long a response is kept, in seconds. Default 30 days.

    Raises:
        ValueError: A bound is too small.
    """

    url = "memory://"
    shared = False
    durable = False
    poll_seconds = 60.0
    write_seconds = 0.0

    def __init__(
        self,
        *,
        max_responses: int = MAX_RESPONSES,
        max_bytes: int = MAX_BYTES,
        expires_after: float = EXPIRES_AFTER,
    ) -> None:
        Store.__init__(self, expires_after=expires_after)
        MemoryLocks.__init__(self)
        for name, bound in (("max_responses", max_responses), ("max_bytes", max_bytes)):
            if bound < 1:
                raise ValueError(f"MemoryStore: {name} must be at least 1.")
        self._max, self._max_bytes, self._bytes = max_responses, max_bytes, 0
        self._entries: dict[str, Entry] = {}
        self._recent = Recent()
        self._chains = Chains()
        self._keys: dict[tuple[str, str], str] = {}
        self.conversations: MemoryConversations = MemoryConversations(max_responses, expires_after)
        self.deliveries: MemoryDeliveries = MemoryDeliveries(self._entries.__contains__)

    async def open(self) -> None:
        """Do nothing: memory is always ready."""

    async def close(self) -> None:
        """Do nothing: the responses are still there if the app is restarted."""

    async def save(self, record: Record, addition: Addition | None = None) -> None:
        self._add(Entry(structs.replace(record), dict.fromkeys(record.approvals)))
        if addition is not None:
            self.conversations.append(record.owner, addition)

    async def accept(
        self,
        record: Record,
        begun: Lines,
        holder: str,
        lease: float,
        enqueue: Enqueue | None = None,
    ) -> Record | None:
        if record.key is not None and (existing := await self.by_key(record.key, record.owner)):
            return existing
        if record.approval_claim is not None:
            await self.claim_approvals(record.approval_claim, record.id)
        logged, approvals = structs.replace(record, logged=True), dict.fromkeys(record.approvals)
        logged.subscriptions = ()
        entry = Entry(logged, approvals, [begun], 0, holder, now() + lease)
        self._add(entry)
        for each in record.subscriptions:
            await self.deliveries.subscribe(each)
        return None

    async def get(self, id: str, owner: str) -> Record | None:
        entry = self._find(id, owner)
        return None if entry is None else structs.replace(entry.record)

    async def get_all(self, ids: Collection[str], owner: str) -> list[Record]:
        return [structs.replace(e.record) for id_ in ids if (e := self._find(id_, owner))]

    async def size_of(self, ids: Collection[str], owner: str) -> int:
        records = [e.record for id_ in ids if (e := self._find(id_, owner))]
        return sum(len(record.request) + len(record.response) for record in records)

    async def stored_bytes(self, owner: str) -> int:
        own = [e.record for e in self._entries.values() if e.record.owner == owner]
        size = sum(len(record.request) + len(record.response) for record in own)
        return size + self.conversations.stored_bytes(owner)

    async def by_key(self, key: str, owner: str) -> Record | None:
        return await self.get(self._keys.get((owner, key), ""), owner)

    async def delete(self, id: str, owner: str) -> bool:
        entry = self._find(id, owner)
        if entry is not None:
            if entry.record.active and not entry.record.attempt:
                await self.release_approvals(id)
            self._remove(entry)
        return entry is not None

    async def chain(self, id: str, owner: str, most: Size = NO_BOUND) -> Chain:
        entry = self._find(id, owner)
        if entry is None:
            return NO_CHAIN
        size = Size(*entry.chain_size())
        if size.exceeds(most):
            return Chain(size, [])
        turns = self._turns(id, owner)
        return Chain(size, turns) if turns else NO_CHAIN

    def _turns(self, id: str, owner: str) -> list[Turn]:
        """Return a response and all that it continues, oldest first; none if one is missing."""
        new: list[Record] = []
        next_id: str | None = id
        known: list[Turn] = []
        while next_id is not None and not known:
            if (entry := self._find(next_id, owner)) is None:
                return []
            known = self._chains.get(next_id)
            if not known:
                new.append(entry.record)
                next_id = entry.record.previous_id
        turns = [record.turn() for record in reversed(new)]
        if not any(record.active for record in new):
            self._chains.add(next_id, turns)
        return known + turns

    async def page(
        self,
        owner: str,
        agents: Sequence[str],
        after: str | None,
        limit: int,
        max_bytes: int,
        conversation: str | None = None,
    ) -> Page | None:
        own = [e.record for e in self._entries.values() if e.record.owner == owner]
        own.sort(key=lambda record: (record.created_at, record.id), reverse=True)
        if after is not None:
            ids = [record.id for record in own]
            if after not in ids:
                return None
            own = own[ids.index(after) + 1 :]
        records: list[Record] = []
        size = 0
        for record in own:
            if not record.visible or record.agent not in agents:
                continue
            if conversation is not None and record.conversation != conversation:
                continue
            size += len(record.response)
            if len(records) == limit or (records and size > max_bytes):
                return Page(records, has_more=True)
            records.append(structs.replace(record))
        return Page(records, has_more=False)

    async def find_items(self, ids: Collection[str], owner: str) -> Mapping[str, str]:
        records = [e.record for e in self._entries.values() if e.record.owner == owner]
        records.sort(key=lambda record: record.created_at)
        return {id_: record.id for record in records for id_ in _item_ids(record) if id_ in ids}

    async def find_approvals(self, ids: Collection[str], owner: str) -> Mapping[str, Asked]:
        entries = [e for e in self._entries.values() if e.approvals and e.record.owner == owner]
        entries.sort(key=lambda entry: entry.record.created_at)
        return {
            id_: Asked(e.record.id, e.record.agent, claimed_by)
            for e in entries
            for id_, claimed_by in e.approvals.items()
            if id_ in ids
        }

    async def claim_approvals(self, claim: ApprovalClaim, response_id: str) -> None:
        entry = self._entries.get(claim.asked_by)
        asked: dict[str, str | None] = {} if entry is None else entry.approvals
        for id_ in claim.paths:
            if asked.get(id_, "") is not None:
                raise claim.refused(id_)
        asked.update(dict.fromkeys(asked, response_id))

    async def release_approvals(self, response_id: str) -> None:
        for entry in self._entries.values():
            for id_, claimed_by in entry.approvals.items():
                if claimed_by == response_id:
                    entry.approvals[id_] = None

    async def state(self, id: str) -> bytes | None:
        entry = self._entries.get(id)
        return None if entry is None else entry.record.state

    async def claim(self, id: str, holder: str, lease: float) -> Record | None:
        entry = self._entries.get(id)
        if entry is None or not entry.record.active or (entry.held and entry.holder != holder):
            return None
        if not await self._take_turn(id, lease, in_turn=not entry.record.cancel_wanted):
            return None
        entry.holder, entry.lease_until = holder, now() + lease
        entry.record.attempt += 1
        entry.record.status = "in_progress"
        return structs.replace(entry.record)

    async def renew(self, holder: str, ids: Collection[str], lease: float) -> Mapping[str, int]:
        until = now() + lease
        self._renew_locks(ids, until)
        held = [e for id_ in ids if (e := self._entries.get(id_)) and e.holder == holder]
        for entry in held:
            entry.lease_until = until
        return {entry.record.id: entry.record.attempt for entry in held}

    async def append(self, groups: Mapping[str, tuple[int, Lines]]) -> Collection[str]:
        lost: list[str] = []
        for id_, (attempt, lines) in groups.items():
            try:
                entry = self._owned(id_, attempt)
                entry.log.append(lines)
                self._grow(entry, len(lines.data))
                self.signals.notify(id_, lines)
            except LostRun:
                lost.append(id_)
        return lost

    async def finish(self, id: str, attempt: int, lines: Lines, ending: Ending) -> None:
        entry = self._owned(id, attempt)
        if lines.count:
            entry.log.append(lines)
        record = entry.record
        record.status = ending.status
        record.response = ending.response
        record.failure = ending.failure
        record.item_ids = (*record.item_ids, *ending.item_ids)
        record.items = len(record.item_ids)
        record.state = ending.state
        entry.approvals = dict.fromkeys(ending.approvals)
        if not ending.started:
            await self.release_approvals(id)
        entry.holder = ""
        self._grow(entry, entry.count() - entry.size)
        self._unlock(id)
        if ending.addition is not None:
            self.conversations.append(record.owner, ending.addition)
        self.deliveries.add(ending.deliveries, ending.notices)
        self.signals.notify(id, lines)

    async def release(self, holder: str) -> None:
        for entry in self._entries.values():
            if entry.holder == holder:
                entry.holder, entry.lease_until = "", 0.0

    async def want_cancel(self, id: str, owner: str) -> None:
        entry = self._find(id, owner)
        if entry is not None and entry.record.active:
            entry.record.cancel_wanted = True

    async def to_cancel(self, holder: str) -> Collection[str]:
        held = [e.record for e in self._entries.values() if e.holder == holder]
        return [record.id for record in held if record.active and record.cancel_wanted]

    async def abandoned(self, agents: Sequence[str]) -> Sequence[Record]:
        active = [e.record for e in self._entries.values() if e.record.active and not e.held]
        records = [r for r in active if r.cancel_wanted or not self._is_blocked(r.id)]
        found = [structs.replace(r) for r in records if r.agent in agents]
        return sorted(found, key=lambda record: record.created_at)

    async def sweep(self) -> int:
        seconds = time.time()
        chains: dict[str, list[Entry]] = {}
        for entry in self._entries.values():
            if self._entries.get(entry.root, entry).record.expires_at <= seconds:
                chains.setdefault(entry.root, []).append(entry)
        unused = [chain for chain in chains.values() if not any(entry.held for entry in chain)]
        expired = [entry for chain in unused[:SWEEP] for entry in chain]
        for entry in expired:
            self._remove(entry)
        self.conversations.sweep()
        return len(expired)

    def _add(self, entry: Entry) -> None:
        record = entry.record
        record.expires_at = record.expires_at or time.time() + self.expires_after
        entry.root = record.id
        if record.previous_id is not None:
            self._join(entry, record.previous_id)
        if (replaced := self._entries.get(record.id)) is not None:
            self._leave(replaced)
        self._entries[record.id] = entry
        self._recent.add(entry)
        if record.key is not None:
            self._keys[record.owner, record.key] = record.id
        self._grow(entry, entry.count())

    def _join(self, entry: Entry, previous_id: str) -> None:
        """Make an entry the last of a chain, which lives as long as it does."""
        record = entry.record
        if (earlier := self._find(previous_id, record.owner)) is not None:
            entry.root, entry.continues = earlier.root, earlier.chain_size()
        root = self._entries.get(entry.root, entry).record
        root.expires_at = max(root.expires_at, record.expires_at)

    def _grow(self, entry: Entry, size: int) -> None:
        """Note that an entry has grown; the oldest others that have ended make room for it."""
        entry.size += size
        self._bytes += size
        while len(self._entries) > self._max or self._bytes > self._max_bytes:
            others = (e for e in self._recent if not e.record.active and e is not entry)
            ended = next(others, None)
            if ended is None:
                break
            self._remove(ended)

    def _remove(self, entry: Entry) -> None:
        record = entry.record
        if record.key is not None:
            del self._keys[record.owner, record.key]
        del self._entries[record.id]
        self._leave(entry)
        if not (entry.held and record.attempt):
            self._unlock(record.id)
        self._forget(record.id)
        self.deliveries.forget(record.id)
        self.signals.notify(record.id)

    def _log(self, id: str) -> list[Lines] | None:
        entry = self._entries.get(id)
        return None if entry is None else entry.log

    def _leave(self, entry: Entry) -> None:
        self._bytes -= entry.size
        self._recent.remove(entry)
        self._chains.remove(entry.record.id)

    def _is_active(self, id: str) -> bool:
        entry = self._entries.get(id)
        return entry is not None and entry.record.active

    def _find(self, id: str, owner: str) -> Entry | None:
        entry = self._entries.get(id)
        return entry if entry is not None and entry.record.owner == owner else None

    def _owned(self, id: str, attempt: int) -> Entry:
        entry = self._entries.get(id)
        if entry is None or entry.record.attempt != attempt or not entry.record.active:
            raise LostRun
        return entry


def _item_ids(record: Record) -> Iterable[str]:
    """Return the ids of a response's items, from the response if they were not saved with it."""
    if record.item_ids or not record.visible:
        return record.item_ids
    return item_ids(record)
