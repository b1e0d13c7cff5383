"""The interface of a store's deliveries: what is sent when a run has ended."""

from abc import ABC, abstractmethod
from collections.abc import Collection, Sequence

from msgspec import Struct


class Delivery(Struct):
    """A message to a webhook, kept until the webhook has accepted it."""

    id: str
    """Its id, the same at each attempt."""
    url: str
    """The webhook."""
    body: bytes
    """The body."""
    created_at: float
    """When the run ended, in seconds since 1970."""
    attempt: int = 0
    """The number of attempts so far."""


class DeliveryStore(ABC):
    """Keeps deliveries; `Store.finish` adds them, together with the end of their run."""

    @abstractmethod
    async def take(self, urls: Collection[str], limit: int, lease: float) -> Sequence[Delivery]:
        """Begin the next attempt of deliveries that are due, oldest first.

        Args:
            urls: The webhooks.
            limit: How many to return at most.
            lease: When they are due again, in seconds, unless one of the other methods is called.
        """

    @abstractmethod
    async def remove(self, id: str) -> None:
        """Remove a delivery that was accepted or is given up."""

    @abstractmethod
    async def postpone(self, id: str, seconds: float) -> None:
        """Attempt a delivery again later.

        Args:
            id: The delivery.
            seconds: How much later.
        """
