"""`Locks`: the conversations that attached runs of this process have locked or wait for."""

import contextlib
from collections.abc import Callable, Sequence

from ..errors import Conflict
from ..store.base import Store, StoreUnavailable

POLL_SECONDS = 1.0
"""How often the first run that waits for a conversation asks whether its turn has come."""


class Locks:
    """The conversations that attached runs of this process have locked or wait for.

    A detached run's lock is the store's: its row keeps it while the run is active.

    Args:
        store: Where responses are stored.
        lease: How long a lock lasts without being renewed, in seconds.

    Attributes:
        ids: The runs, by response id, each with its owner and conversation.
    """

    def __init__(self, store: Store, lease: float) -> None:
        self.ids: dict[str, tuple[str, str]] = {}
        self._store = store
        self._lease = lease
        self._locked: dict[tuple[str, str], str] = {}
        self._waiting: set[str] = set()
        self._turns: dict[tuple[str, str], list[str]] = {}  # the runs that wait here, in order

    async def lock(self, conversation: str, owner: str, response_id: str) -> bool:
        """Lock a conversation and keep it locked; return whether it was free.

        What a run of this process has locked is not free, even if a slow store let the lease end.
        """
        place = owner, conversation
        if self._locked.get(place, response_id) != response_id:
            return False
        free = await self._store.lock(conversation, owner, response_id, self._lease)
        if free:
            self.ids[response_id] = place
            self._locked[place] = response_id
        return free

    async def queue(self, conversation: str, owner: str, response_id: str, most: int) -> None:
        """Queue a run for a conversation; `unlock` ends that too.

        Raises:
            Conflict: `most` runs wait already.
        """
        store, lease = self._store, self._lease
        if not most or not await store.wait_for(conversation, owner, response_id, lease, most):
            waiting = f", and {most} wait" if most else ""
            raise Conflict(
                f"conversation: another run is active in {conversation!r}{waiting}. "
                "Wait until it has ended.",
                "conversation_locked",
                retry=True,
            )
        self.ids[response_id] = owner, conversation
        self._waiting.add(response_id)

    def waits(self, response_id: str) -> bool:
        """Return whether a run waits for its turn."""
        return response_id in self._waiting

    async def turn(
        self, conversation: str, owner: str, response_id: str, check: Callable[[], None]
    ) -> None:
        """Wait until it is the turn of a run that is queued, and lock its conversation.

        Args:
            conversation: Its id.
            owner: Its owner.
            response_id: The run.
            check: Called from time to time; what it raises ends the waiting.
        """
        turns = self._turns.setdefault((owner, conversation), [])
        turns.append(response_id)
        try:
            with self._store.signals.watch(response_id) as watcher:
                while not await self._is_next(conversation, owner, response_id, turns):
                    check()
                    await watcher.wait(POLL_SECONDS)
        finally:
            turns.remove(response_id)
            if turns:
                self._store.signals.notify(turns[0])
            else:
                self._turns.pop((owner, conversation), None)
        self._waiting.discard(response_id)
        await self._store.stop_waiting(response_id)

    async def _is_next(
        self, conversation: str, owner: str, response_id: str, turns: Sequence[str]
    ) -> bool:
        """Lock a conversation for the run whose turn it is; ask no more of the store than needed.

        Of the runs that wait in this process only the first asks, and writes only if it is free.
        """
        store = self._store
        if turns[0] != response_id or await store.locked_by(conversation, owner) is not None:
            return False
        return await self.lock(conversation, owner, response_id)

    async def unlock(self, response_id: str) -> None:
        """Unlock a run's conversation; if the store does not answer, the lock expires."""
        if response_id in self.ids:
            waited = response_id in self._waiting
            self.hand_over(response_id)
            with contextlib.suppress(StoreUnavailable):
                await self._store.unlock(response_id)
                if waited:
                    await self._store.stop_waiting(response_id)

    def hand_over(self, response_id: str) -> None:
        """Leave a lock, or a place in the queue, to its stored run."""
        self._waiting.discard(response_id)
        place = self.ids.pop(response_id, None)
        if place is not None and self._locked.get(place) == response_id:
            del self._locked[place]
