"""Deliveries in the memory of the process."""

import time
from collections.abc import Callable, Collection, Sequence

from msgspec import structs

from .delivery_store import Delivery, DeliveryStore, Notice, Subscription, deliveries_of


class MemoryDeliveries(DeliveryStore):
    """Keeps deliveries and subscriptions in memory; they are lost when the process ends.

    Args:
        exists: Returns whether there is a response with an id.
    """

    def __init__(self, exists: Callable[[str], bool]) -> None:
        self._exists = exists
        self._due: dict[str, tuple[float, Delivery]] = {}
        self._subscriptions: dict[str, dict[str, Subscription]] = {}

    def add(self, deliveries: Sequence[Delivery], notices: Sequence[Notice]) -> None:
        """Add deliveries, which are due at once, and those of notices."""
        now = time.time()
        sent = [deliveries_of(each.body, now, self._of(each.response_id)) for each in notices]
        for each in (*deliveries, *(each for some in sent for each in some)):
            self._due[each.id] = (0.0, structs.replace(each))

    def forget(self, response_id: str) -> None:
        """Remove what belongs to a response."""
        if self._subscriptions.pop(response_id, None) is not None:
            self._drop(lambda each: each.response_id == response_id)

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
            self._drop(lambda each: (each.response_id, each.url) == place)

    async def take(
        self, receivers: Collection[str], limit: int, lease: float
    ) -> Sequence[Delivery]:
        now = time.monotonic()
        due = [each for at, each in self._due.values() if at <= now and each.receiver in receivers]
        for delivery in due[:limit]:
            delivery.attempt += 1
            self._due[delivery.id] = (now + lease, delivery)
        return [structs.replace(each) for each in due[:limit]]

    async def remove(self, id: str) -> None:
        self._due.pop(id, None)

    async def postpone(self, id: str, seconds: float) -> None:
        if id in self._due:
            self._due[id] = (time.monotonic() + seconds, self._due[id][1])

    def _of(self, response_id: str) -> list[Subscription]:
        found = self._subscriptions.get(response_id, {})
        return [found[id_] for id_ in sorted(found)]

    def _drop(self, wanted: Callable[[Delivery], bool]) -> None:
        self._due = {id_: due for id_, due in self._due.items() if not wanted(due[1])}
