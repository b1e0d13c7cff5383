"""The endpoints of conversations and of their items."""

import time
from collections.abc import Awaitable, Callable
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Raw, Struct

from ...agents.router import AgentRouter
from ...errors import InvalidRequest, NotFound, NotSupported
from ...http.endpoint import Endpoint, HttpRequest, owner_of
from ...http.responses import json_response
from ...runs.conversation import RANDOM, remembers
from ...runtime import AppConfig, Runtime
from ...schema import codec
from ...schema.decode import decode_new_items
from ...schema.ids import random_text
from ...schema.items import ItemReference
from ...schema.own_calls import MARK, is_from, received, shown
from ...schema.requests import Metadata
from ...store.chain import check_size
from ...store.conversation_search import MAX_TEXT
from ...store.conversation_store import Conversation, ItemExists, Size, StoredItem
from ...store.history import full_items, item_id_of
from ..paging import Page, check_listed, listed

MAX_ITEMS = 20
"""How many items one request may add."""


class Call:
    """One request to the API.

    Args:
        runtime: The app's runtime.
        request: The request.
    """

    def __init__(self, runtime: Runtime, request: HttpRequest) -> None:
        self.runtime = runtime
        self.request = request
        self.store = runtime.store.conversations
        self.owner = owner_of(request.scope)
        self.params: dict[str, str] = request.scope["path_params"]

    @property
    def id(self) -> str:
        """The id of the conversation.

        Raises:
            NotFound: It is a name that does not remember.
        """
        id_ = self.params["id"]
        if not remembers(self.runtime.engine, id_, self.owner):
            raise self.not_found()
        return id_

    def not_found(self) -> NotFound:
        """Return the error of a conversation that does not exist."""
        id_ = self.params["id"]
        return NotFound(f"There is no conversation {id_!r}.", "conversation_not_found")

    def item_not_found(self) -> NotFound:
        """Return the error of an item that does not exist."""
        id_ = self.params["item_id"]
        return NotFound(f"The conversation has no item {id_!r}.", "item_not_found")

    async def conversation(self) -> Conversation:
        """Return the conversation.

        Raises:
            NotFound: It does not exist.
        """
        conversation = await self.store.get(self.id, self.owner)
        if conversation is None:
            raise self.not_found()
        return conversation


class ConversationEndpoint(Endpoint):
    """Serves one route; a request counts as a stream until the client has read the answer.

    Args:
        config: The app's settings.
        router: The agent below whose name the route is; None at the root.
        answer: Returns the body of the answer.
    """

    def __init__(
        self,
        config: AppConfig,
        router: AgentRouter | None,
        answer: Callable[[Call], Awaitable[Any]],
    ) -> None:
        super().__init__(config.limits, config.timeouts)
        self.router = router
        self._config = config
        self._answer = answer

    async def answer(self, request: HttpRequest) -> None:
        runtime = await self._config.running()
        with runtime.engine.streams:
            body = await self._answer(Call(runtime, request))
            response = json_response(codec.encode(body))
            await response(request.scope, request.receive, request.send)


class _New(Struct):
    items: list[Raw] | None = None
    metadata: Annotated[Metadata, Meta(max_length=16)] | None = None


class _Changed(Struct):
    metadata: Annotated[Metadata, Meta(max_length=16)] | None


class _Added(Struct):
    items: list[Raw]


_new = msgspec.json.Decoder(_New)
_changed = msgspec.json.Decoder(_Changed)
_added = msgspec.json.Decoder(_Added)


async def create(call: Call) -> Any:
    """Create a conversation."""
    body = codec.strict(_new, call.request.body or b"{}")
    items = _decoded(call, body.items or [])
    await _check(call, Size(0, 0), items)
    id_ = RANDOM + random_text()
    metadata = codec.encode(body.metadata or {})
    conversation = Conversation(id_, call.owner, time.time(), metadata)
    await call.store.create(conversation, items)
    return _shown(conversation)


async def list_conversations(call: Call) -> Any:
    """List the user's conversations, newest first, or those that have a text."""
    check_listed(call.runtime.engine, call.owner)
    page = Page(call.request.scope)
    text = _searched(page)
    if text:
        return await _search(call, page, text)
    found = await call.store.page(call.owner, page.after, page.limit + 1)
    if found is None:
        raise page.no_such("conversation")
    return page.body([(each.id, _shown(each)) for each in found])


def _searched(page: Page) -> str:
    """Return the text that is searched for; empty for the whole list.

    Raises:
        InvalidRequest: It is too long.
    """
    text = (page.query.get("search") or "").strip()
    if len(text) > MAX_TEXT:
        raise InvalidRequest(f"search: must not be longer than {MAX_TEXT} characters.", "search")
    return text


async def _search(call: Call, page: Page, text: str) -> Any:
    """Return a page of what is found; `last_id` is where the search has stopped."""
    found = await call.store.search(call.owner, text, page.after, page.limit + 1)
    if found is None:
        raise page.no_such("conversation")
    entries = [(each.id, _shown(each)) for each in found.conversations]
    body = page.body(entries, has_more=found.last is not None)
    return body if len(entries) > page.limit or not found.last else body | {"last_id": found.last}


async def retrieve(call: Call) -> Any:
    """Return a conversation."""
    return _shown(await call.conversation())


async def update(call: Call) -> Any:
    """Replace a conversation's metadata."""
    body = codec.strict(_changed, call.request.body)
    metadata = codec.encode(body.metadata or {})
    conversation = await call.store.set_metadata(call.id, call.owner, metadata)
    if conversation is None:
        raise call.not_found()
    return _shown(conversation)


async def delete(call: Call) -> Any:
    """Delete a conversation and its items."""
    if not await call.store.delete(call.id, call.owner):
        raise call.not_found()
    return {"id": call.id, "object": "conversation.deleted", "deleted": True}


async def add_items(call: Call) -> Any:
    """Append items to a conversation."""
    raws = codec.strict(_added, call.request.body).items
    if not raws:
        raise InvalidRequest("items: at least one item is required.", "items")
    items = _decoded(call, raws)
    size = await call.store.use(call.id, call.owner)
    if size is None:
        raise call.not_found()
    await _check(call, size, items)
    try:
        stored = await call.store.add(call.id, call.owner, items)
    except ItemExists as error:
        number = [item.id for item in items].index(error.id)
        path = f"items[{number}].id"
        message = f"{path}: the conversation has another item with the id {error.id!r}."
        raise InvalidRequest(message, path) from None
    if stored is None:
        raise call.not_found()  # it was deleted meanwhile
    return listed([(item.id, _public(item)) for item in stored])


async def list_items(call: Call) -> Any:
    """List a conversation's items, newest first by default."""
    page = Page(call.request.scope)
    newest_first = page.query.choice("order", ("desc", "asc")) == "desc"
    await call.conversation()
    entries: list[tuple[str, Raw]] = []
    after, more = page.after, True
    while more and len(entries) <= page.limit:
        items = await call.store.items(
            call.id, call.owner, after=after, limit=page.limit + 1, newest_first=newest_first
        )
        if items is None:
            raise page.no_such("item")
        entries += [(item.id, data) for item in items if (data := _public(item)) is not None]
        more = len(items) > page.limit
        after = items[-1].id if items else None
    return page.body(entries)


async def retrieve_item(call: Call) -> Any:
    """Return an item of a conversation."""
    item = await call.store.item(call.id, call.owner, call.params["item_id"])
    body = None if item is None else _public(item)
    if body is None:
        await call.conversation()
        raise call.item_not_found()
    return body


async def delete_item(call: Call) -> Any:
    """Delete an item of a conversation; return the conversation."""
    conversation = await call.conversation()
    if not await call.store.remove(call.id, call.owner, call.params["item_id"]):
        raise call.item_not_found()
    return _shown(conversation)


def _decoded(call: Call, raws: list[Raw]) -> list[StoredItem]:
    """Return the items of a body as they are stored.

    Raises:
        InvalidRequest: There are too many, or one is invalid.
    """
    if len(raws) > MAX_ITEMS:
        raise InvalidRequest(f"items: must not have more than {MAX_ITEMS} items.", "items")
    items = decode_new_items(raws, "items")
    for number, item in enumerate(items):
        if isinstance(item, ItemReference):
            path = f"items[{number}].type"
            raise NotSupported(f"{path}: a conversation cannot have references to items.", path)
        if isinstance(item, dict) and is_from(item, call.runtime.engine.own_tools):
            items[number] = received(item, f"items[{number}]")
    return [
        StoredItem(item_id_of(item), codec.encode(item))
        for item in full_items(items, random_text())
    ]


def _public(item: StoredItem) -> Raw | None:
    """Return an item as the Responses API shows it; None if it is hidden."""
    if MARK not in item.data:
        return Raw(item.data)
    visible = shown([msgspec.json.decode(item.data)], "mcp_call")
    return Raw(codec.encode(visible[0])) if visible else None


async def _check(call: Call, size: Size, items: list[StoredItem]) -> None:
    """Check that a conversation may have more items, and the user may store more."""
    quotas = call.runtime.engine.quotas
    if quotas is not None:
        await quotas.check_stored(call.owner)
    added = sum(len(item.data) for item in items)
    check_size(Size(size.items + len(items), size.size + added), call.runtime.engine.limits)


def _shown(conversation: Conversation) -> dict[str, Any]:
    return {
        "id": conversation.id,
        "object": "conversation",
        "created_at": int(conversation.created_at),
        "metadata": Raw(conversation.metadata),
    }
