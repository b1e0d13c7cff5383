"""`ItemCache`: conversations as this process left them in a database, bounded in bytes."""

from collections import OrderedDict
from collections.abc import Mapping

ITEM_BYTES = 250
"""About what an item needs in memory besides its JSON."""
CONVERSATION_BYTES = 700
"""About what a conversation needs in memory besides its items."""

Key = tuple[str, str]
"""An owner and one of their conversations."""


class Known:
    """A conversation's items while it has a certain time of expiry. It never changes.

    Every change, by any process, sets a new time of expiry. If the database has this time, the
    items are these. If the transaction that set it has failed, the database never has it.

    Args:
        expires_at: When it expires.
        items: Its items as JSON by their ids.
        size: Their bytes. Default None: they are counted.
    """

    __slots__ = ("expires_at", "items", "size")

    def __init__(
        self, expires_at: float, items: Mapping[str, bytes], size: int | None = None
    ) -> None:
        self.expires_at = expires_at
        self.items = items
        self.size = sum(map(len, items.values())) if size is None else size

    def extended(self, items: Mapping[str, bytes]) -> "Known":
        """Return it with further items."""
        size = self.size + sum(map(len, items.values()))
        return Known(self.expires_at, {**self.items, **items}, size)

    @property
    def memory(self) -> int:
        """About how many bytes it needs in memory."""
        return CONVERSATION_BYTES + ITEM_BYTES * len(self.items) + self.size


class ItemCache:
    """Conversations, of which those used least recently are forgotten.

    Args:
        max_bytes: The memory for all of them together.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._size = 0
        self._known: OrderedDict[Key, Known] = OrderedDict()

    def get(self, key: Key) -> Known | None:
        """Return a conversation, or None if it is not known."""
        known = self._known.get(key)
        if known is not None:
            self._known.move_to_end(key)
        return known

    def put(self, key: Key, known: Known) -> None:
        """Keep a conversation."""
        self.forget(key)
        self._known[key] = known
        self._size += known.memory
        while self._size > self._max_bytes:
            self._size -= self._known.popitem(last=False)[1].memory

    def forget(self, key: Key) -> None:
        """Forget a conversation."""
        known = self._known.pop(key, None)
        if known is not None:
            self._size -= known.memory
