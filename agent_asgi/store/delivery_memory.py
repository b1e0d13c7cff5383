"""Deliveries in the memory of the process."""

import logging
import time
from collections.abc import Callable, Mapping, Sequence

from msgspec import structs

from .delivery_store import Delivery, DeliveryStore, Notice, Subscription, chosen, deliveries_of

logger = logging.getLogger("agent_asgi")

MAX_DELIVERIES = 10_000
"""How many deliveries are kept; beyond it, the oldest are given up."""
MAX_BYTES = 64 << 20
"""The size of their bodies, beyond which the oldest are given up too."""


class MemoryDeliveries(DeliveryStore):
    """Keeps deliveries and subscriptions in memory; they are lost when the process ends.

    Args:
        exists: Returns whether there is a response with an id.
    """

    def __init__(self, exists: Callable[[str], bool]) -> None:
        self._exists = exists
        self._due: dict[str, tuple[float, Delivery]] = {}
        self._bytes = 0
        self._subscriptions: dict[str, dict[str, Subscription]] = {}

    def add(self, deliveries: Sequence[Delivery], notices: Sequence[Notice]) -> None:
        """Add deliveries, which are due at once, and those of notices."""
        now = time.time()
        sent = [deliveries_of(each, now, self._of(each.response_id)) for each in notices]
        for each in (*deliveries, *(each for some in sent for each in some)):
            self._due[each.id] = (0.0, structs.replace(each))
            self._bytes += len(each.body)
        while len(self._due) > MAX_DELIVERIES or self._bytes > MAX_BYTES:
            _, oldest = self._due[next(iter(self._due))]
            message = "%s to %s is given up: too many deliveries wait in memory."
            logger.error(message, oldest.id, oldest.receiver)
            self._drop([oldest.id])

    def forget(self, response_id: str) -> None:
        """Remove what belongs to a response."""
        if self._subscriptions.pop(response_id, None) is not None:
            sent = [each for _, each in self._due.values() if each.response_id == response_id]
            self._drop([each.id for each in sent])

    async def subscribe(self, subscription: Subscription) -> bool:
        if not self._exists(subscription.response_id):
            return False
        known = self._subscriptions.setdefault(subscription.response_id, {})
        known[subscription.id] = structs.replace(subscription)
        return True

    async def subscriptions(self, response_id: str) -> Sequence[Subscription]:
        return [structs.replace(each) for each in self._of(response_id)]

    async def unsubscribe(self, response_id: str, id: str) -> None:
        removed = self._subscriptions.get(response_id, {}).pop(id, None)
        if removed is not None:
            place = (response_id, removed.url)
            sent = [each for _, each in self._due.values() if (each.response_id, each.url) == place]
            self._drop([each.id for each in sent])

    async def take(self, room: Mapping[str, int], limit: int, lease: float) -> Sequence[Delivery]:
        now = time.monotonic()
        due = [(e.id, e.receiver) for at, e in self._due.values() if at <= now]
        ids = chosen([each for each in due if each[1] in room], room)[:limit]
        for id_ in ids:
            delivery = self._due[id_][1]
            delivery.attempt += 1
            self._due[id_] = (now + lease, delivery)
        return [structs.replace(self._due[id_][1]) for id_ in ids]

    async def remove(self, id: str) -> None:
        if id in self._due:
            self._drop([id])

    async def postpone(self, id: str, seconds: float) -> None:
        if id in self._due:
            self._due[id] = (time.monotonic() + seconds, self._due[id][1])

    def _of(self, response_id: str) -> list[Subscription]:
        found = self._subscriptions.get(response_id, {})
        return [found[id_] for id_ in sorted(found)]

    def _drop(self, ids: Sequence[str]) -> None:
        for id_ in ids:
            self._bytes -= len(self._due.pop(id_)[1].body)
