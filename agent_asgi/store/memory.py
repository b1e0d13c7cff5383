"""A store in the process: fast, bounded, gone with it."""

import bisect
import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping, Sequence

from msgspec import structs

from .base import EXPIRES_AFTER, SWEEP, Ending, Frames, LostRun, Record, Store

MAX_RESPONSES = 1000


class _Kept:
    """A response and what belongs to it."""

    __slots__ = ("frames", "holder", "lease_until", "record")

    def __init__(self, record: Record, holder: str = "", lease_until: float = 0.0) -> None:
        self.record = record
        self.frames: list[Frames] = []
        self.holder = holder
        self.lease_until = lease_until


class MemoryStore(Store):
    """Keeps responses in the memory of one process.

    Args:
        max_responses: How many are kept; the oldest one that has ended makes room. Default 1000.
        expires_after: How long a response is kept, in seconds. Default 30 days.
    """

    shared = False
    durable = False
    poll_seconds = 60.0
    write_seconds = 0.0

    def __init__(
        self, *, max_responses: int = MAX_RESPONSES, expires_after: float = EXPIRES_AFTER
    ) -> None:
        super().__init__(expires_after=expires_after)
        if max_responses < 1:
            raise ValueError("MemoryStore: max_responses must be at least 1.")
        self._max = max_responses
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        self._keys: dict[tuple[str, str], str] = {}
        self._locks: dict[tuple[str, str], tuple[str, float]] = {}

    async def open(self) -> None:
        """Do nothing: memory is ready."""

    async def close(self) -> None:
        """Do nothing: what is kept is there when the app starts anew."""

    async def save(self, record: Record) -> None:
        """Keep a response whose run has ended."""
        self._keep(_Kept(structs.replace(record)))

    async def accept(
        self, record: Record, begun: Frames, holder: str, lease: float
    ) -> Record | None:
        """Keep a response whose run is still to come, with the first events of its log."""
        if record.key is not None:
            there = self._keys.get((record.owner, record.key))
            if there is not None:
                return structs.replace(self._kept[there].record)
        kept = _Kept(structs.replace(record, logged=True), holder, _now() + lease)
        kept.frames.append(begun)
        self._keep(kept)
        return None

    async def get(self, id: str, owner: str) -> Record | None:
        """Give a response; None where this owner has none of that id."""
        kept = self._of(id, owner)
        return None if kept is None else structs.replace(kept.record)

    async def by_key(self, key: str, owner: str) -> Record | None:
        """Give the response that was made under an idempotency key."""
        there = self._keys.get((owner, key))
        return None if there is None else structs.replace(self._kept[there].record)

    async def delete(self, id: str, owner: str) -> bool:
        """Remove a response and all that belongs to it; tell whether there was one."""
        kept = self._of(id, owner)
        if kept is not None:
            self._remove(kept)
        return kept is not None

    async def chain(self, id: str, owner: str) -> list[Record]:
        """Give a response and all that it continues, oldest first; empty where one is missing."""
        found: list[Record] = []
        wanted: str | None = id
        while wanted is not None:
            kept = self._of(wanted, owner)
            if kept is None:
                return []
            found.append(structs.replace(kept.record))
            wanted = kept.record.previous_id
        return found[::-1]

    async def find_items(self, ids: Collection[str], owner: str) -> Mapping[str, str]:
        """Give for each item id the newest response that has such an item."""
        mine = [each.record for each in self._kept.values() if each.record.owner == owner]
        mine.sort(key=lambda each: each.created_at)
        return {id_: each.id for each in mine for id_ in each.item_ids if id_ in ids}

    async def claim(self, id: str, holder: str, lease: float) -> Record | None:
        """Begin the next attempt of a run that nobody has; None where somebody has it."""
        kept = self._kept.get(id)
        if kept is None or not kept.record.active:
            return None
        if kept.holder != holder and kept.lease_until > _now():
            return None
        kept.holder, kept.lease_until = holder, _now() + lease
        kept.record.attempt += 1
        kept.record.status = "in_progress"
        return structs.replace(kept.record)

    async def renew(self, holder: str, ids: Collection[str], lease: float) -> Mapping[str, int]:
        """Keep runs of a process; give those of them that it still has, with their attempts."""
        mine = [self._kept[id_] for id_ in ids if id_ in self._kept]
        mine = [each for each in mine if each.holder == holder]
        for key, (held, _) in self._locks.items():
            if held in ids:
                self._locks[key] = (held, _now() + lease)
        for each in mine:
            each.lease_until = _now() + lease
        return {each.record.id: each.record.attempt for each in mine}

    async def append(self, groups: Mapping[str, tuple[int, Frames]]) -> Collection[str]:
        """Add events to logs, in one step."""
        lost: list[str] = []
        for id_, (attempt, frames) in groups.items():
            try:
                self._append(self._held(id_, attempt), frames)
            except LostRun:
                lost.append(id_)
        return lost

    async def finish(
        self,
        id: str,
        attempt: int,
        frames: Frames,
        ending: Ending,
    ) -> None:
        """Add the last events to a log and end the run, in one step; unlock its conversation."""
        kept = self._held(id, attempt)
        if frames.count:
            self._append(kept, frames)
        record = kept.record
        record.status = ending.status
        record.response = ending.response
        record.failure = ending.failure
        record.item_ids = (*record.item_ids, *ending.item_ids)
        kept.holder = ""
        self._unlock(id)
        self.signals.notify(id)

    async def release(self, holder: str) -> None:
        """Give the runs of a process up, so that another one may claim them at once."""
        for each in self._kept.values():
            if each.holder == holder:
                each.holder, each.lease_until = "", 0.0

    async def want_cancel(self, id: str, owner: str) -> None:
        """Ask whoever has a run to cancel it."""
        kept = self._of(id, owner)
        if kept is not None and kept.record.active:
            kept.record.cancel_wanted = True

    async def to_cancel(self, holder: str) -> Collection[str]:
        """Give the runs of a process that are to be cancelled."""
        return [
            each.record.id
            for each in self._kept.values()
            if each.holder == holder and each.record.active and each.record.cancel_wanted
        ]

    async def abandoned(self, agents: Sequence[str]) -> Sequence[Record]:
        """Give some of the agents' runs that nobody has, oldest first."""
        return sorted(
            (
                structs.replace(each.record)
                for each in self._kept.values()
                if each.record.active and each.lease_until <= _now() and each.record.agent in agents
            ),
            key=lambda each: each.created_at,
        )

    async def frames(self, id: str, after: int) -> list[Frames]:
        """Give a part of a log, from what comes after a sequence number on."""
        kept = self._kept.get(id)
        if kept is None:
            return []
        first = bisect.bisect_right(kept.frames, after, key=lambda each: each.last)
        return kept.frames[first:]

    async def lock(self, conversation: str, owner: str, response_id: str, seconds: float) -> bool:
        """Lock a conversation for a run; tell whether it is free."""
        held, until = self._locks.get((owner, conversation), (response_id, 0.0))
        if held != response_id and (until > _now() or self._is_active(held)):
            return False
        self._locks[owner, conversation] = (response_id, _now() + seconds)
        return True

    async def unlock(self, response_id: str) -> None:
        """Unlock what a run has locked."""
        self._unlock(response_id)

    def _unlock(self, response_id: str) -> None:
        for key in [key for key, (held, _) in self._locks.items() if held == response_id]:
            del self._locks[key]

    async def sweep(self) -> int:
        """Remove some of what has expired; tell how many responses."""
        now = time.time()
        expired = [
            each
            for each in self._kept.values()
            if each.record.expires_at <= now
            and (not each.record.active or each.lease_until <= _now())
        ]
        for each in expired[:SWEEP]:
            self._remove(each)
        return len(expired[:SWEEP])

    def _append(self, kept: _Kept, frames: Frames) -> None:
        kept.frames.append(frames)
        self.signals.notify(kept.record.id)

    def _keep(self, kept: _Kept) -> None:
        record = kept.record
        record.expires_at = record.expires_at or time.time() + self.expires_after
        self._kept[record.id] = kept
        if record.key is not None:
            self._keys[record.owner, record.key] = record.id
        while len(self._kept) > self._max:
            ended = next((each for each in self._kept.values() if not each.record.active), None)
            if ended is None:
                break
            self._remove(ended)

    def _remove(self, kept: _Kept) -> None:
        record = kept.record
        if record.key is not None:
            del self._keys[record.owner, record.key]
        del self._kept[record.id]
        if self._locks:
            self._unlock(record.id)
        self.signals.notify(record.id)

    def _is_active(self, id: str) -> bool:
        return id in self._kept and self._kept[id].record.active

    def _of(self, id: str, owner: str) -> _Kept | None:
        kept = self._kept.get(id)
        return kept if kept is not None and kept.record.owner == owner else None

    def _held(self, id: str, attempt: int) -> _Kept:
        kept = self._kept.get(id)
        if kept is None or kept.record.attempt != attempt or not kept.record.active:
            raise LostRun
        return kept


_now: Callable[[], float] = time.monotonic
