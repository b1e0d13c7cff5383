"""`ItemCache`: conversations as this process left them in a database, bounded in bytes."""

from collections import OrderedDict
from collections.abc import Mapping

Key = tuple[str, str]
"""An owner and one of their conversations."""


class Known:
    """A conversation as this process last saw it.

    Every change, by any process, sets a new time of expiry. While that is the same, so are the
    items.

    Args:
        expires_at: When it expires.
        items: Its items as JSON by their ids.
    """

    __slots__ = ("expires_at", "items", "size")

    def __init__(self, expires_at: float, items: dict[str, bytes]) -> None:
        self.expires_at = expires_at
        self.items = items
        self.size = sum(map(len, items.values()))


class ItemCache:
    """Conversations, of which those used least recently are forgotten.

    Args:
        max_bytes: The size of all items together.
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
        self._grow(known.size)

    def forget(self, key: Key) -> None:
        """Forget a conversation."""
        known = self._known.pop(key, None)
        if known is not None:
            self._size -= known.size

    def extend(self, key: Key, known: Known, items: Mapping[str, bytes]) -> None:
        """Add items to a conversation, if it is still kept."""
        if self._known.get(key) is known:
            size = sum(map(len, items.values()))
            known.items |= items
            known.size += size
            self._grow(size)

    def _grow(self, size: int) -> None:
        self._size += size
        while self._size > self._max_bytes:
            self._size -= self._known.popitem(last=False)[1].size
