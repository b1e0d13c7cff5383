"""Deliveries in the memory of the process."""

import time
from collections.abc import Collection, Sequence

from msgspec import structs

from .delivery_store import Delivery, DeliveryStore


class MemoryDeliveries(DeliveryStore):
    """Keeps deliveries in memory; they are lost when the process ends."""

    def __init__(self) -> None:
        self._due: dict[str, tuple[float, Delivery]] = {}

    def add(self, deliveries: Sequence[Delivery]) -> None:
        """Add deliveries, which are due at once."""
        self._due |= {each.id: (0.0, structs.replace(each)) for each in deliveries}

    async def take(self, urls: Collection[str], limit: int, lease: float) -> Sequence[Delivery]:
        now = time.monotonic()
        due = [each for at, each in self._due.values() if at <= now and each.url in urls][:limit]
        for delivery in due:
            delivery.attempt += 1
            self._due[delivery.id] = (now + lease, delivery)
        return [structs.replace(each) for each in due]

    async def remove(self, id: str) -> None:
        self._due.pop(id, None)

    async def postpone(self, id: str, seconds: float) -> None:
        if id in self._due:
            self._due[id] = (time.monotonic() + seconds, self._due[id][1])
