"""The interface of a store's deliveries: what is sent when a run has ended."""

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from msgspec import Struct

from ..schema.ids import random_text

logger = logging.getLogger("agent_asgi")


class Delivery(Struct):
    """A message to a receiver, kept until the receiver has accepted it."""

    id: str
    """Its id, the same at each attempt."""
    receiver: str
    """The name of the receiver, which the processes know that deliver to it."""
    url: str
    """The URL that it is sent to."""
    body: bytes
    """The body."""
    created_at: float
    """When the run ended, in seconds since 1970."""
    attempt: int = 0
    """The number of attempts so far."""
    headers: bytes = b"{}"
    """Further headers, as JSON."""
    response_id: str | None = None
    """The response with which it is deleted. Default None: it is kept."""


class Subscription(Struct):
    """Who is notified when runs of a task end, with the secrets that the receiver asks for."""

    response_id: str
    """The task's first response, with which it is deleted."""
    id: str
    """Its id, unique in the task."""
    receiver: str
    """As in `Delivery`."""
    url: str
    """As in `Delivery`."""
    headers: bytes
    """As in `Delivery`."""


class Notice(NamedTuple):
    """What the subscribers of a task are sent."""

    response_id: str
    """The task's first response."""
    body: Callable[[], bytes]
    """Returns the body; called only if there are subscribers."""


class DeliveryStore(ABC):
    """Keeps deliveries and subscriptions.

    `Store.finish` adds deliveries, together with the end of their run.
    """

    @abstractmethod
    async def subscribe(self, subscription: Subscription) -> bool:
        """Add a subscription, or replace the one with its id; return whether its task exists."""

    @abstractmethod
    async def subscriptions(self, response_id: str) -> Sequence[Subscription]:
        """Return the subscriptions of a task, by their ids."""

    @abstractmethod
    async def unsubscribe(self, response_id: str, id: str) -> None:
        """Remove a subscription of a task, if it exists; what it would still be sent as well."""

    @abstractmethod
    async def take(self, room: Mapping[str, int], limit: int, lease: float) -> Sequence[Delivery]:
        """Begin the next attempt of deliveries that are due, oldest first.

        If one receiver has more of them than room, some of others may be left for the next call.

        Args:
            room: How many to return at most for each receiver, by its name.
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


def chosen(due: Iterable[tuple[str, str]], room: Mapping[str, int]) -> list[str]:
    """Return the ids of deliveries for which there is room, in their order.

    Args:
        due: The ids and receivers of deliveries.
        room: As in `DeliveryStore.take`.
    """
    left, ids = dict(room), []
    for id_, receiver in due:
        if left[receiver] > 0:
            left[receiver] -= 1
            ids.append(id_)
    return ids


def deliveries_of(
    notice: Notice, now: float, subscriptions: Sequence[Subscription]
) -> list[Delivery]:
    """Return what the subscribers of a task are sent.

    Args:
        notice: The notice.
        now: The time, in seconds since 1970.
        subscriptions: The subscriptions.
    """
    if not subscriptions:
        return []
    try:
        body = notice.body()
    except Exception:  # the end of the run must be stored nevertheless
        logger.exception("%s: its subscribers are not notified of an end.", notice.response_id)
        return []
    return [
        Delivery(
            random_text(),
            each.receiver,
            each.url,
            body,
            now,
            headers=each.headers,
            response_id=each.response_id,
        )
        for each in subscriptions
    ]
