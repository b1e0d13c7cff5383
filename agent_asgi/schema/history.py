"""`History`: the items before a request's own, decoded only if somebody reads them."""

import asyncio
import threading
from collections.abc import Callable, Sequence
from typing import NamedTuple

from .items import InputItem


class History:
    """The items of a conversation before a request's own.

    Args:
        items: The items. Subclasses decode them.

    Attributes:
        on_read: Called if what is left is decoded at once, which occupies the event loop.
            Default None.
        lock: Held while items are decoded: tools in several threads may read a request.
    """

    def __init__(self, items: Sequence[InputItem] = ()) -> None:
        self.on_read: Callable[[], None] | None = None
        self.lock = threading.RLock()
        self._items = list(items)

    def __reduce__(self) -> tuple[type["History"], tuple[list[InputItem]]]:
        return History, (self.items(),)  # for copies

    @property
    def is_encoded(self) -> bool:
        """Whether items are left to decode."""
        return False

    def _decode_some(self) -> None:
        """Decode the next items, in well below a millisecond, and add them to `_items`."""
        raise NotImplementedError

    def items(self) -> list[InputItem]:
        """Return the items; decode at once what is left."""
        with self.lock:
            if self.is_encoded and self.on_read is not None:
                self.on_read()
            while self.is_encoded:
                self._decode_some()
        return self._items

    async def decode(self) -> list[InputItem]:
        """Return the items; decode them in slices, between which the event loop serves others."""
        while self.is_encoded:
            with self.lock:
                self._decode_some()
            await asyncio.sleep(0)
        return self._items


class Continued(NamedTuple):
    """The input of a request that continues a conversation which nobody has read yet."""

    history: History
    """The items before the request's own."""
    new: list[InputItem]
    """The request's own items."""
