"""The interface of a store's conversations, and the records that it keeps."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from msgspec import Struct

from .conversation_search import Search

MAX_LOOKED = 200
"""How many conversations one search looks at; their items are decoded."""
MAX_LOOKED_BYTES = 32 << 20
"""After how many bytes of items a search looks at no further conversation."""


class Conversation(Struct):
    """A conversation as a store keeps it, without its items."""

    id: str
    """Its id: random (`conv_...`), or a name that the client made up."""
    owner: str
    """The principal that it belongs to; empty without authentication."""
    created_at: float
    """When it was created, in seconds since 1970."""
    metadata: bytes = b"{}"
    """The client's pairs, as JSON."""
    expires_at: float = 0.0
    """When it may be removed. Default: the store's `expires_after` from now."""


class StoredItem(NamedTuple):
    """An item of a conversation."""

    id: str
    """Its id, unique in the conversation."""
    data: bytes
    """The item as JSON."""


class Size(NamedTuple):
    """The size of a conversation."""

    items: int
    """The number of items."""
    size: int
    """The bytes of all items."""

    def exceeds(self, most: "Size") -> bool:
        """Return whether it has more items or bytes than another size."""
        return self.items > most.items or self.size > most.size


class Addition(NamedTuple):
    """What a run adds to its conversation when it ends."""

    conversation: str
    """The id of the conversation."""
    items: Sequence[StoredItem]
    """The run's input and output."""
    replaces_after: str | None = None
    """The id of the item after which earlier items are removed; "" for all of them. Default None:
    no item is removed."""


class Found(NamedTuple):
    """The conversations that a search has found."""

    conversations: list[Conversation]
    """The conversations, newest first."""
    last: str | None
    """The conversation after which to continue the search; None at its end."""


class ItemExists(Exception):
    """A conversation has another item with the same id."""

    def __init__(self, id: str) -> None:
        super().__init__(id)
        self.id = id


class ConversationStore(ABC):
    """Keeps conversations. Every change renews the time until a conversation expires.

    Every method may raise `StoreUnavailable`. Conversations of other owners do not exist for it.
    """

    @abstractmethod
    async def create(self, conversation: Conversation, items: Sequence[StoredItem] = ()) -> None:
        """Save a new conversation with its first items."""

    @abstractmethod
    async def get(self, id: str, owner: str) -> Conversation | None:
        """Return a conversation, or None if the owner has none with that id."""

    @abstractmethod
    async def use(self, id: str, owner: str, *, create: bool = False) -> Size | None:
        """Renew a conversation, and return its size.

        Args:
            id: The conversation.
            owner: Its owner.
            create: Whether it is created if there is none. Default False: None is returned then.
        """

    @abstractmethod
    async def set_metadata(self, id: str, owner: str, metadata: bytes) -> Conversation | None:
        """Replace a conversation's metadata, and return the conversation; None if there is none."""

    @abstractmethod
    async def delete(self, id: str, owner: str) -> bool:
        """Delete a conversation with its items and return whether it existed."""

    @abstractmethod
    async def page(self, owner: str, after: str | None, limit: int) -> list[Conversation] | None:
        """Return an owner's conversations, newest first.

        Args:
            owner: The owner.
            after: The last conversation of the page before; None for the first page.
            limit: How many to return at most.

        Returns:
            The conversations; None if there is no conversation `after`.
        """

    async def search(self, owner: str, text: str, after: str | None, limit: int) -> Found | None:
        """Search an owner's conversations for a text, in ids, metadata and the words of items.

        It looks at `MAX_LOOKED` conversations at most, and at no more after `MAX_LOOKED_BYTES` of
        items, so it can return fewer than `limit` although more follow.

        Args:
            owner: The owner.
            text: The text, ignoring case.
            after: The conversation after which it begins; None for the newest one.
            limit: How many to return at most.

        Returns:
            What was found; None if there is no conversation `after`.
        """
        search = Search(text)
        found: list[Conversation] = []
        candidates = await self.candidates(owner, search, after, MAX_LOOKED)
        if candidates is None:
            return None
        for number, conversation in enumerate(candidates):
            if search.looked >= MAX_LOOKED_BYTES:
                return Found(found, candidates[number - 1].id)
            named = search.in_name(conversation.id, conversation.metadata)
            if named or await self.mentions(conversation, search):
                found.append(conversation)
            if len(found) == limit:
                return Found(found, conversation.id)
            await asyncio.sleep(0)  # other requests are served in between
        return Found(found, candidates[-1].id if len(candidates) == MAX_LOOKED else None)

    async def candidates(
        self, owner: str, search: Search, after: str | None, limit: int
    ) -> list[Conversation] | None:
        """Return a page of an owner's conversations; those that cannot match may be left out."""
        return await self.page(owner, after, limit)

    async def mentions(self, conversation: Conversation, search: Search) -> bool:
        """Return whether an item of a conversation has the text."""
        items = await self.items(conversation.id, conversation.owner) or ()
        return await search.in_items(item.data for item in items)

    @abstractmethod
    async def add(
        self, id: str, owner: str, items: Sequence[StoredItem]
    ) -> list[StoredItem] | None:
        """Append items, without those that the conversation has.

        Returns:
            The items as they are stored; None if there is no conversation.

        Raises:
            ItemExists: The conversation has another item with the same id; nothing is appended.
        """

    @abstractmethod
    async def items(
        self,
        id: str,
        owner: str,
        *,
        after: str | None = None,
        limit: int | None = None,
        newest_first: bool = False,
    ) -> list[StoredItem] | None:
        """Return items of a conversation.

        Args:
            id: The conversation.
            owner: Its owner.
            after: The item before the first one that is returned. Default: from the beginning.
            limit: How many to return at most. Default: all.
            newest_first: Whether the order is reversed. Default False.

        Returns:
            The items; None if the conversation has no item `after`.
        """

    async def history(self, id: str, owner: str) -> Mapping[str, bytes]:
        """Return all items of a conversation as JSON by their ids, oldest first.

        By default they come from `items`. A store may keep them in memory.
        """
        return dict(await self.items(id, owner) or ())

    @abstractmethod
    async def item(self, id: str, owner: str, item_id: str) -> StoredItem | None:
        """Return an item, or None if the conversation has none with that id."""

    @abstractmethod
    async def remove(self, id: str, owner: str, item_id: str) -> bool:
        """Delete an item and return whether it existed."""
