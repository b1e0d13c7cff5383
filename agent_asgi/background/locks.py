"""`Locks`: the conversations that attached runs of this process have locked."""

import contextlib

from ..store.base import Store, StoreUnavailable


class Locks:
    """The conversations that attached runs of this process have locked.

    A detached run's lock is the store's: its row keeps it while the run is active.

    Args:
        store: Where responses are stored.
        lease: How long a lock lasts without being renewed, in seconds.

    Attributes:
        ids: The runs, by response id.
    """

    def __init__(self, store: Store, lease: float) -> None:
        self.ids: set[str] = set()
        self._store = store
        self._lease = lease

    async def lock(self, conversation: str, owner: str, response_id: str) -> bool:
        """Lock a conversation and keep it locked; return whether it was free."""
        free = await self._store.lock(conversation, owner, response_id, self._lease)
        if free:
            self.ids.add(response_id)
        return free

    async def unlock(self, response_id: str) -> None:
        """Unlock a run's conversation; if the store does not answer, the lock expires."""
        if response_id in self.ids:
            self.ids.discard(response_id)
            with contextlib.suppress(StoreUnavailable):
                await self._store.unlock(response_id)

    def hand_over(self, response_id: str) -> None:
        """Leave a lock to its stored run."""
        self.ids.discard(response_id)
