"""The items of a request and those before it: their ids, their calls, their full form."""

from collections.abc import Collection, Container, Mapping, Sequence
from copy import copy
from typing import Any

import msgspec
from msgspec import structs

from ..errors import InvalidRequest
from ..schema import codec
from ..schema.decode import decode_item, decode_stored
from ..schema.history import History
from ..schema.ids import prefix_of, real_id
from ..schema.items import (
    ITEMS,
    FunctionCall,
    FunctionCallOutput,
    InputItem,
    InputText,
    ItemReference,
    Message,
    OutputText,
)
from ..schema.own_calls import as_pairs, ids_of, is_from, received
from ..schema.requests import ResponsesRequest, continue_with, decoded_input, unread
from .base import Record
from .repeats import repeats

Item = dict[str, Any]
PART_DEFAULTS: dict[str, Item] = {
    "output_text": {"annotations": [], "logprobs": []},
    "input_image": {"detail": "auto"},
}
"""The fields that parts have in a list of items, with their defaults."""
_prefixes: dict[type[Any], str] = {kind: prefix_of(name) for name, kind in ITEMS.items()}


class _PlainOutput(msgspec.Struct):
    """A response's output as plain JSON."""

    output: list[Item]


_plain_outputs = msgspec.json.Decoder(_PlainOutput)


def only_messages(request: ResponsesRequest) -> bool:
    """Return whether a request has nothing but messages, which refer to no other item."""
    items = decoded_input(request)
    if isinstance(items, str):
        return True
    for item in items:  # noqa: SIM110  a generator expression takes 4 times as long
        if type(item) is not Message:
            return False
    return True


def refers(request: ResponsesRequest) -> bool:
    """Return whether a request has items that are not what the handler gets: references to other
    items, and calls of the agent's own tools.
    """
    items = decoded_input(request)
    if isinstance(items, str):
        return False
    for item in items:
        if type(item) is ItemReference or (type(item) is dict and item["type"] == "mcp_call"):
            return True
    return False


def with_own_calls(request: ResponsesRequest, agents: Container[str]) -> ResponsesRequest:
    """Return a request in which the calls of the agents' own tools are pairs again.

    Args:
        request: The request.
        agents: The names of the agents. Calls with another `server_label` stay as they are.

    Raises:
        InvalidRequest: A call is invalid; `param` names the member.
    """
    if not refers(request):
        return request
    items: list[InputItem] = []
    changed = False
    for number, item in enumerate(request.new_input):
        if isinstance(item, dict) and is_from(item, agents):
            call = received(item, f"input[{number}]")
            items += [decode_item(each) for each in as_pairs([call])]
            changed = True
        else:
            items.append(item)
    return with_input(request, items) if changed else request


def with_input(request: ResponsesRequest, items: list[InputItem]) -> ResponsesRequest:
    """Return a request with other new items."""
    received = ResponsesRequest.received(request)  # not the body of another protocol
    changed = copy(request)
    changed.raw = codec.encode(received | {"input": items})
    if (history := unread(request)) is not None:
        continue_with(changed, history, items)
    else:
        changed.input = [*request.input[: request.earlier], *items]
    return changed


def with_new_ids(request: ResponsesRequest, known: Mapping[str, InputItem]) -> ResponsesRequest:
    """Return a request without the ids that belong to other items, to be given new ones.

    Args:
        request: The request.
        known: The items of its conversation, by id.
    """
    if request.is_text:
        return request
    items, changed = list(request.new_input), False
    for number, item in enumerate(items):
        earlier = known.get(item_id_of(item))
        if earlier is not None and not repeats(item, earlier):
            items[number], changed = _without_id(item), True
    return with_input(request, items) if changed else request


def _without_id(item: InputItem) -> InputItem:
    if isinstance(item, dict):
        return {name: value for name, value in item.items() if name != "id"}
    return structs.replace(item, id=None)


async def after(request: ResponsesRequest, history: History) -> ResponsesRequest:
    """Return a request whose input begins with a history.

    Raises:
        InvalidRequest: A function's output has no call in the conversation.
    """
    if _answers_calls(request):
        check_calls(request, await history.decode())
    whole = copy(request)
    continue_with(whole, history, request.new_input)
    return whole


def check_calls(request: ResponsesRequest, earlier: Sequence[InputItem] = ()) -> None:
    """Check that each function's output in a request answers a call before it.

    Args:
        request: The request.
        earlier: The items before its new ones. Default none.

    Raises:
        InvalidRequest: A function's output has no call in the conversation.
    """
    if not _answers_calls(request):
        return
    calls = {_call_id(item) for item in earlier}
    for number, item in enumerate(request.new_input):
        if isinstance(item, FunctionCallOutput) and item.call_id not in calls:
            path = f"input[{number}].call_id"
            raise InvalidRequest(f"{path}: no function call has the id {item.call_id!r}.", path)
        calls.add(_call_id(item))


def _answers_calls(request: ResponsesRequest) -> bool:
    return any(type(item) is FunctionCallOutput for item in request.new_input)


def input_items(record: Record) -> list[Item]:
    """Return the items of a response's input as plain JSON, each with an id."""
    items: list[Item] = msgspec.to_builtins(full_input(decode_stored(record.request), record.id))
    for item in items:
        for within in ("content", "output"):
            if isinstance(item.get(within), list):
                item[within] = [_with_defaults(part) for part in item[within]]
    return items


def _with_defaults(part: Any) -> Any:
    """Return a part with the fields that clients require, whatever the request had."""
    if not isinstance(part, dict):
        return part
    return PART_DEFAULTS.get(str(part.get("type")), {}) | part


def full_input(request: ResponsesRequest, response_id: str) -> list[InputItem]:
    """Return a request's new items in their full form, each with its id of `input_ids`.

    Changes the items of the request.
    """
    return full_items(request.new_input, response_id.removeprefix("resp_"))


def full_items(items: Sequence[InputItem], suffix: str) -> list[InputItem]:
    """Return items in their full form, each with an id: its own, or one that ends as given.

    Changes the items.
    """
    ids = _ids_of(items, suffix)
    return [_full(item, id_) for item, id_ in zip(items, ids, strict=True)]


def input_ids(request: ResponsesRequest, response_id: str) -> list[str]:
    """Return the ids of a request's new items: the client's, or one made of the response's id.

    Each is unique: the openai client pages by them and never ends if one comes twice.
    """
    suffix = response_id.removeprefix("resp_")
    if request.is_text:
        return [f"msg_{suffix}_0"]
    return _ids_of(request.new_input, suffix)


def _ids_of(items: Sequence[InputItem], suffix: str) -> list[str]:
    ids: dict[str, None] = {}
    for number, item in enumerate(items):
        if isinstance(item, dict):
            id_, prefix = item.get("id"), prefix_of(str(item.get("type")))
        else:
            id_, prefix = item.id, _prefixes[type(item)]
        if id_ is None or (id_ := real_id(id_)) is None or id_ in ids:
            id_ = f"{prefix}_{suffix}_{number}"
        ids[id_] = None
    return list(ids)


def item_ids(record: Record) -> tuple[str, ...]:
    """Return the ids of the items of a response's input and output."""
    output = _plain_outputs.decode(record.response).output
    return (*input_ids(decode_stored(record.request), record.id), *output_ids(output))


def output_ids(output: Collection[Item]) -> tuple[str, ...]:
    """Return the ids of a response's items."""
    return tuple([id_ for item in output for id_ in ids_of(item)])


def _full(item: InputItem, id_: str) -> InputItem:
    if isinstance(item, dict):
        return item | {"id": id_}
    item.id = id_
    if isinstance(item, Message) and isinstance(item.content, str):
        part = OutputText if item.role == "assistant" else InputText
        item.content = [part(text=item.content)]
    if isinstance(item, Message | FunctionCall | FunctionCallOutput) and item.status is None:
        item.status = "completed"
    return item


def item_id_of(item: InputItem) -> str:
    """Return an item's id; empty if it has none."""
    id_ = item.get("id") if isinstance(item, dict) else item.id
    return id_ if isinstance(id_, str) else ""


def _call_id(item: InputItem) -> str | None:
    if isinstance(item, FunctionCall):
        return item.call_id
    call_id = item.get("call_id") if isinstance(item, dict) else None
    return call_id if isinstance(call_id, str) else None
