"""Conversations in the memory of the process."""

import time
from collections import OrderedDict
from collections.abc import Sequence

from msgspec import structs

from .conversation_store import Addition, Conversation, ConversationStore, Size, StoredItem
from .repeats import renamed, unrepeated

MAX_BYTES = 256 << 20
"""The size of all items together, beyond which the conversations used least recently are
removed."""


class _Entry:
    """A conversation and its items by id, oldest first."""

    __slots__ = ("conversation", "items", "size")

    def __init__(self, conversation: Conversation) -> None:
        self.conversation = conversation
        self.items: dict[str, bytes] = {}
        self.size = 0


class MemoryConversations(ConversationStore):
    """Keeps conversations in the memory of one process.

    Args:
        max_conversations: How many are kept. Beyond it, the one used least recently is removed.
        expires_after: How long an unused conversation is kept, in seconds.
    """

    def __init__(self, max_conversations: int, expires_after: float) -> None:
        self._max = max_conversations
        self._expires_after = expires_after
        self._entries: OrderedDict[tuple[str, str], _Entry] = OrderedDict()
        self._size = 0

    async def create(self, conversation: Conversation, items: Sequence[StoredItem] = ()) -> None:
        entry = _Entry(structs.replace(conversation))
        self._entries[conversation.owner, conversation.id] = entry
        self._extend(entry, items)
        self._renew(entry, conversation.expires_at)

    async def get(self, id: str, owner: str) -> Conversation | None:
        entry = self._entries.get((owner, id))
        return None if entry is None else structs.replace(entry.conversation)

    async def use(self, id: str, owner: str, *, create: bool = False) -> Size | None:
        if create and (owner, id) not in self._entries:
            await self.create(Conversation(id, owner, time.time()))
        entry = self._entries.get((owner, id))
        if entry is None:
            return None
        self._renew(entry)
        return Size(len(entry.items), entry.size)

    async def set_metadata(self, id: str, owner: str, metadata: bytes) -> Conversation | None:
        entry = self._entries.get((owner, id))
        if entry is None:
            return None
        entry.conversation.metadata = metadata
        self._renew(entry)
        return structs.replace(entry.conversation)

    async def delete(self, id: str, owner: str) -> bool:
        entry = self._entries.pop((owner, id), None)
        if entry is not None:
            self._size -= entry.size
        return entry is not None

    def stored_bytes(self, owner: str) -> int:
        """Return the size of an owner's items."""
        return sum(e.size for (owner_, _), e in self._entries.items() if owner_ == owner)

    async def page(self, owner: str, after: str | None, limit: int) -> list[Conversation] | None:
        own = [e.conversation for (owner_, _), e in self._entries.items() if owner_ == owner]
        own.sort(key=lambda each: (each.created_at, each.id), reverse=True)
        begin = 0
        if after is not None:
            ids = [each.id for each in own]
            if after not in ids:
                return None
            begin = ids.index(after) + 1
        return [structs.replace(each) for each in own[begin : begin + limit]]

    async def add(
        self, id: str, owner: str, items: Sequence[StoredItem]
    ) -> list[StoredItem] | None:
        entry = self._entries.get((owner, id))
        if entry is None:
            return None
        self._extend(entry, unrepeated(items, entry.items))
        self._renew(entry)
        return [StoredItem(item.id, entry.items[item.id]) for item in items]

    async def items(
        self,
        id: str,
        owner: str,
        *,
        after: str | None = None,
        limit: int | None = None,
        newest_first: bool = False,
    ) -> list[StoredItem] | None:
        entry = self._entries.get((owner, id))
        found = {} if entry is None else entry.items
        ids = list(found)
        if newest_first:
            ids.reverse()
        if after is not None:
            if after not in found:
                return None
            ids = ids[ids.index(after) + 1 :]
        return [StoredItem(id_, found[id_]) for id_ in ids[:limit]]

    async def history(self, id: str, owner: str) -> dict[str, bytes]:
        entry = self._entries.get((owner, id))
        return {} if entry is None else entry.items.copy()

    async def item(self, id: str, owner: str, item_id: str) -> StoredItem | None:
        entry = self._entries.get((owner, id))
        data = None if entry is None else entry.items.get(item_id)
        return None if data is None else StoredItem(item_id, data)

    async def remove(self, id: str, owner: str, item_id: str) -> bool:
        entry = self._entries.get((owner, id))
        if entry is None or item_id not in entry.items:
            return False
        self._drop(entry, item_id)
        self._renew(entry)
        return True

    def append(self, owner: str, addition: Addition) -> bool:
        """Add what a run adds; return whether the conversation exists."""
        entry = self._entries.get((owner, addition.conversation))
        if entry is None:
            return False
        last = addition.replaces_after
        if last is not None and (not last or last in entry.items):
            ids = list(entry.items)
            for id_ in ids[ids.index(last) + 1 if last else 0 :]:
                self._drop(entry, id_)
        self._extend(entry, list(renamed(addition.items, entry.items)))
        self._renew(entry)
        return True

    def sweep(self) -> None:
        """Delete the conversations that have expired."""
        now = time.time()
        for (owner, id_), entry in list(self._entries.items()):
            if entry.conversation.expires_at <= now:
                self._size -= entry.size
                del self._entries[owner, id_]

    def _extend(self, entry: _Entry, items: Sequence[StoredItem]) -> None:
        for id_, data in items:
            entry.items[id_] = data
            entry.size += len(data)
            self._size += len(data)

    def _drop(self, entry: _Entry, item_id: str) -> None:
        size = len(entry.items.pop(item_id))
        entry.size -= size
        self._size -= size

    def _renew(self, entry: _Entry, expires_at: float = 0.0) -> None:
        conversation = entry.conversation
        conversation.expires_at = expires_at or time.time() + self._expires_after
        self._entries.move_to_end((conversation.owner, conversation.id))
        while len(self._entries) > self._max or (self._size > MAX_BYTES and len(self._entries) > 1):
            _, oldest = self._entries.popitem(last=False)
            self._size -= oldest.size
