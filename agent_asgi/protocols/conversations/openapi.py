"""The OpenAPI operations of the Conversations API."""

from ...schema.items import ITEMS
from ...schema.openapi import (
    BOOLEAN,
    JSON,
    NUMBER,
    TEXT,
    Operation,
    Schema,
    item_of,
    list_of,
    nullable,
    object_of,
    one_of,
    page_of,
    page_parameters,
    parameter,
    ref,
)
from ...store.conversation_search import MAX_TEXT

_METADATA: Schema = {
    "type": "object",
    "additionalProperties": {"type": "string", "maxLength": 512},
    "maxProperties": 16,
    "description": "Up to 16 pairs; values of up to 512 characters.",
}
_ITEMS = list_of("ConversationItem") | {"maxItems": 20}
_CONVERSATION = {JSON: ref("Conversation")}
_FOUND = (400, 403, 404, 408, 413, 503)
_ORDER = parameter("order", "query", "`desc`: newest first; `asc`: oldest.", enum=["desc", "asc"])
_SEARCH = parameter(
    "search",
    "query",
    "Only conversations with this text in their name, metadata or items.",
    maxLength=MAX_TEXT,
)
SCHEMAS: dict[str, Schema] = {
    "Conversation": object_of(
        id=TEXT, object=one_of("conversation"), created_at=NUMBER, metadata=_METADATA
    ),
    "NewConversation": {
        "type": "object",
        "properties": {"items": nullable(_ITEMS), "metadata": nullable(_METADATA)},
    },
    "ConversationItem": item_of({**ITEMS, "message": "InputMessage"}, without=["item_reference"]),
    "ConversationChange": object_of(metadata=nullable(_METADATA)),
    "NewItems": object_of(items=_ITEMS | {"minItems": 1}),
}
OPERATIONS = {
    "conversations.create": Operation(
        "Create a conversation",
        _CONVERSATION,
        (400, 403, 408, 413, 503),
        "NewConversation",
        optional=True,
        modes=(),
        example={"metadata": {"topic": "maths"}},
    ),
    "conversations.list_conversations": Operation(
        "List or search the user's conversations, newest first",
        {JSON: page_of("Conversation")},
        (400, 403, 408, 413, 503),
        parameters=(*page_parameters("conversation"), _SEARCH),
    ),
    "conversations.retrieve": Operation("Get a conversation", _CONVERSATION, _FOUND),
    "conversations.update": Operation(
        "Replace a conversation's metadata",
        _CONVERSATION,
        _FOUND,
        "ConversationChange",
        modes=(),
        example={"metadata": {"topic": "maths"}},
    ),
    "conversations.delete": Operation(
        "Delete a conversation and its items",
        {JSON: object_of(id=TEXT, object=one_of("conversation.deleted"), deleted=BOOLEAN)},
        _FOUND,
    ),
    "conversations.add_items": Operation(
        "Append items to a conversation",
        {JSON: page_of("OutputItem")},
        _FOUND,
        "NewItems",
        modes=(),
        example={"items": [{"role": "user", "content": "Hello."}]},
    ),
    "conversations.list_items": Operation(
        "List the items of a conversation",
        {JSON: page_of("OutputItem")},
        _FOUND,
        parameters=(*page_parameters("item"), _ORDER),
    ),
    "conversations.retrieve_item": Operation(
        "Get an item of a conversation", {JSON: ref("OutputItem")}, _FOUND
    ),
    "conversations.delete_item": Operation(
        "Delete an item of a conversation", _CONVERSATION, _FOUND
    ),
}
"""The operations, by the names of their routes."""
