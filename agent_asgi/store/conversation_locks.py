"""The interface of a store's locks: one run at a time in a conversation, others in their order."""

from abc import ABC, abstractmethod

from ..errors import TooManyQueued


class ConversationLocks(ABC):
    """Locks conversations and orders the runs that wait for them."""

    @abstractmethod
    async def lock(self, conversation: str, owner: str, response_id: str, seconds: float) -> bool:
        """Lock a conversation for a run; return whether it was free and no earlier run waits.

        Args:
            conversation: Its id.
            owner: Its owner.
            response_id: The run.
            seconds: When the lock expires, unless it is renewed. The lock of a stored run holds
                while the run is active.
        """

    @abstractmethod
    async def locked_by(self, conversation: str, owner: str) -> str | None:
        """Return the id of the run that has locked a conversation; None if it is free."""

    @abstractmethod
    async def unlock(self, response_id: str) -> None:
        """Remove the lock that a run holds, unless the run is stored and active."""

    @abstractmethod
    async def wait_for(
        self,
        conversation: str,
        owner: str,
        response_id: str,
        seconds: float,
        most: int,
        most_in_all: int,
    ) -> bool:
        """Queue a run for a conversation, after those that wait already.

        A stored run that waits is not claimed before its turn, unless it is to be cancelled.

        Args:
            conversation: Its id.
            owner: Its owner.
            response_id: The run.
            seconds: When it stops waiting, unless it is renewed. A stored run waits while it is
                active.
            most: How many runs may wait for the conversation.
            most_in_all: How many runs may wait for any conversation, of any owner; see
                `check_room`.

        Returns:
            Whether fewer than `most` waited.

        Raises:
            TooManyQueued: `most_in_all` runs wait, or half as many of the owner.
        """

    @abstractmethod
    async def next_waiting(self, conversation: str, owner: str) -> str | None:
        """Return the run whose turn is next; None if none waits."""

    @abstractmethod
    async def stop_waiting(self, response_id: str) -> None:
        """Let a run wait no longer, unless it is stored and active, which keeps its place."""


def check_room(owner: str, own: int, in_all: int, limit: int) -> None:
    """Check that one more run of an owner may wait; a user may have half of the places.

    Args:
        owner: The owner; empty without authentication.
        own: How many runs of the owner wait.
        in_all: How many runs wait.
        limit: How many may.

    Raises:
        TooManyQueued: There is no room.
    """
    share = (limit + 1) // 2
    if in_all >= limit:
        raise TooManyQueued(limit)
    if owner and own >= share:
        raise TooManyQueued(share, " of one user")
