"""Items whose ids a conversation has: repeats of its items, or other items under the same ids."""

from collections.abc import Collection, Iterator, Mapping
from typing import Any

import msgspec

from ..schema import codec
from ..schema.decode import decode_item
from ..schema.ids import item_id
from ..schema.items import InputItem, Message
from .conversation_store import ItemExists, StoredItem

Json = dict[str, Any]
_NOT_CONTENT = frozenset({"id", "status"})


def repeats(item: InputItem, earlier: InputItem) -> bool:
    """Return whether an item has the content of an earlier one; clients may leave fields out."""
    if isinstance(item, Message) and isinstance(earlier, Message):
        return message_content(item) == message_content(earlier)
    fields, had = _fields(item), _fields(earlier)
    return all(value == had.get(name) for name, value in fields.items())


def message_content(message: Message) -> tuple[str, str, list[bytes]]:
    """Return what two forms of a message have in common: role, text, and its other parts."""
    parts = () if isinstance(message.content, str) else message.content
    others = [codec.encode(part) for part in parts if not hasattr(part, "text")]
    return message.role, message.text, others


def renamed(items: Collection[StoredItem], had: Mapping[str, bytes]) -> Iterator[StoredItem]:
    """Yield the items that a conversation does not have; one under another's id gets a new id.

    Args:
        items: The items.
        had: The conversation's items by id; at least those with the ids of `items`.
    """
    new: dict[str, bytes] = {}
    for item in items:
        if (data := new.get(item.id) or had.get(item.id)) is None:
            new[item.id] = item.data
            yield item
        elif not _is_repeat(item, data):
            fields = msgspec.json.decode(item.data)
            id_ = item_id(str(fields.get("type")))
            yield StoredItem(id_, codec.encode(fields | {"id": id_}))


def unrepeated(items: Collection[StoredItem], had: Mapping[str, bytes]) -> list[StoredItem]:
    """Return the items that a conversation does not have; see `renamed`.

    Raises:
        ItemExists: The conversation has another item with the same id.
    """
    new: dict[str, bytes] = {}
    for item in items:
        data = new.get(item.id) or had.get(item.id)
        if data is None:
            new[item.id] = item.data
        elif not _is_repeat(item, data):
            raise ItemExists(item.id)
    return [StoredItem(*item) for item in new.items()]


def _is_repeat(item: StoredItem, data: bytes) -> bool:
    if data == item.data:
        return True
    one, other = (decode_item(msgspec.json.decode(each)) for each in (item.data, data))
    return repeats(one, other)


def _fields(item: InputItem) -> Json:
    """Return an item's content as plain JSON, its output as text."""
    fields: Json = msgspec.to_builtins(item)
    output, id_ = fields.get("output"), str(fields.get("id"))
    if output is not None and not isinstance(output, str):
        fields["output"] = msgspec.json.encode(output).decode()
    if fields.get("call_id") == "call_" + id_.partition("_")[2]:
        del fields["call_id"]  # made from the id, for a call that a client sends back
    return {k: v for k, v in fields.items() if v is not None and k not in _NOT_CONTENT}
