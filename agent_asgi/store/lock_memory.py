"""The locks of conversations in memory, and the runs that wait for them."""

import time
from abc import abstractmethod
from collections.abc import Callable, Collection

from .conversation_locks import ConversationLocks, check_room

Key = tuple[str, str]
"""An owner and one of their conversations."""


class MemoryLocks(ConversationLocks):
    """Locks conversations within one process."""

    def __init__(self) -> None:
        self._locks: dict[Key, tuple[str, float]] = {}
        self._waiting: dict[Key, dict[str, float]] = {}

    @abstractmethod
    def _is_active(self, id: str) -> bool:
        """Return whether a run is stored and has not ended."""

    async def lock(self, conversation: str, owner: str, response_id: str, seconds: float) -> bool:
        key = owner, conversation
        if self._holder(key) != response_id and self._is_taken(key, response_id):
            return False
        self._locks[key] = (response_id, _now() + seconds)
        return True

    async def locked_by(self, conversation: str, owner: str) -> str | None:
        return self._holder((owner, conversation))

    async def unlock(self, response_id: str) -> None:
        if not self._is_active(response_id):
            self._unlock(response_id)

    async def wait_for(
        self,
        conversation: str,
        owner: str,
        response_id: str,
        seconds: float,
        most: int,
        most_in_all: int,
    ) -> bool:
        key = owner, conversation
        counts = {k: sum(map(self._waits, queue.items())) for k, queue in self._waiting.items()}
        if counts.get(key, 0) >= most:
            return False
        own = sum(waiting for place, waiting in counts.items() if place[0] == owner)
        check_room(owner, own, sum(counts.values()), most_in_all)
        self._waiting.setdefault(key, {})[response_id] = _now() + seconds
        return True

    async def next_waiting(self, conversation: str, owner: str) -> str | None:
        return self._first((owner, conversation))

    async def stop_waiting(self, response_id: str) -> None:
        if not self._is_active(response_id):
            self._forget(response_id)

    async def _take_turn(self, id: str, lease: float, *, in_turn: bool) -> bool:
        """Lock the conversation that a run waits for; return False if its turn has not come."""
        key = self._awaited(id)
        if key is not None and in_turn and not await self.lock(key[1], key[0], id, lease):
            return False
        if key is not None:
            self._forget(id)
        return True

    def _renew_locks(self, ids: Collection[str], until: float) -> None:
        for key, (response_id, _) in self._locks.items():
            if response_id in ids:
                self._locks[key] = (response_id, until)
        for queue in self._waiting.values():
            queue.update(dict.fromkeys(queue.keys() & set(ids), until))

    def _unlock(self, response_id: str) -> None:
        for key in [key for key, (id_, _) in self._locks.items() if id_ == response_id]:
            del self._locks[key]

    def _forget(self, response_id: str) -> None:
        """Let a run wait no longer."""
        for key, queue in list(self._waiting.items()):
            queue.pop(response_id, None)
            if not queue:
                del self._waiting[key]

    def _is_blocked(self, id: str) -> bool:
        """Return whether a run waits for a turn that has not come."""
        key = self._awaited(id)
        return key is not None and self._is_taken(key, id)

    def _is_taken(self, key: Key, id: str) -> bool:
        """Return whether a conversation is locked, or another run is the next."""
        return self._holder(key) is not None or self._first(key) not in (None, id)

    def _holder(self, key: Key) -> str | None:
        response_id, until = self._locks.get(key, ("", 0.0))
        return response_id if until > _now() or self._is_active(response_id) else None

    def _first(self, key: Key) -> str | None:
        queue = self._waiting.get(key, {})
        return next((each[0] for each in queue.items() if self._waits(each)), None)

    def _awaited(self, id: str) -> Key | None:
        """Return what a run waits for; None if it does not wait."""
        return next((key for key, queue in self._waiting.items() if id in queue), None)

    def _waits(self, run: tuple[str, float]) -> bool:
        id_, until = run
        return until > _now() or self._is_active(id_)


_now: Callable[[], float] = time.monotonic
