"""What a request continues: the responses before it, and the items that it refers to."""

from collections.abc import Collection, Sequence
from typing import Any

import msgspec
from msgspec import structs

from . import codec
from .errors import InvalidRequest, NotFound
from .outputs import prefix_of, real_id
from .schema.items import FunctionCall, FunctionCallOutput, InputItem, ItemReference, Message
from .schema.requests import ResponsesRequest
from .store.base import Record, Store

Item = dict[str, Any]


class NoSuchResponse(NotFound):
    """A `previous_response_id` that names nothing."""

    def __init__(self, id: str) -> None:
        super().__init__(
            f"previous_response_id: there is no response {id!r}, or one that it continues is gone.",
            "previous_response_not_found",
            "previous_response_id",
        )


async def resolve(
    store: Store, request: ResponsesRequest, owner: str, known: dict[str, Item] | None = None
) -> ResponsesRequest:
    """Put the items in place that a request refers to by id.

    Args:
        store: Has the items.
        request: The request.
        owner: Whose items count.
        known: Items that need not be looked up. Default none.

    Raises:
        InvalidRequest: There is no such item.
    """
    if isinstance(request.new_input, str):
        return request
    wanted = {each.id for each in request.new_input if isinstance(each, ItemReference)}
    if not wanted:
        return request
    found = dict(known or {})
    wanted -= found.keys()
    for id_ in set((await store.find_items(wanted, owner)).values()):
        record = await store.get(id_, owner)
        if record is not None:
            found |= {each["id"]: each for each in [*input_items(record), *output_items(record)]}
    return with_items(request, found)


def with_items(request: ResponsesRequest, known: dict[str, Item]) -> ResponsesRequest:
    """Put known items in the place of references.

    Raises:
        InvalidRequest: An item is not known.
    """
    if isinstance(request.new_input, str):
        return request
    given: list[InputItem] = []
    for number, item in enumerate(request.new_input):
        if not isinstance(item, ItemReference):
            given.append(item)
        elif item.id in known:
            given.append(codec.decode_item(known[item.id]))
        else:
            path = f"input[{number}].id"
            raise InvalidRequest(f"{path}: there is no item {item.id!r}.", path, "item_not_found")
    body = request.received() | {"input": given}
    return structs.replace(
        request, input=given, new_input=given, raw=msgspec.Raw(codec.encode(body))
    )


async def continued(store: Store, request: ResponsesRequest, owner: str) -> ResponsesRequest:
    """Load what a request continues: previous input, previous output, new input, in that order.

    Raises:
        NoSuchResponse: The response is not there, or one that it continues is gone.
        InvalidRequest: It is still being made, or a function's output answers no call.
    """
    previous = request.previous_response_id
    if previous is None:
        return request
    chain = await store.chain(previous, owner)
    if not chain or not chain[-1].visible:
        raise NoSuchResponse(previous)
    if chain[-1].active:
        raise InvalidRequest(
            f"previous_response_id: the response {previous!r} is still being made.",
            "previous_response_id",
        )
    return after(request, [item for record in chain for item in said_in(record)])


def after(request: ResponsesRequest, history: Sequence[Item]) -> ResponsesRequest:
    """Give a request whose input is the whole conversation.

    Raises:
        InvalidRequest: A function's output answers no call of the conversation.
    """
    before = [codec.decode_item(each) for each in history]
    new = _items(request.new_input)
    calls = {_call_id(each) for each in before}
    for number, item in enumerate(new):
        if isinstance(item, FunctionCallOutput) and item.call_id not in calls:
            path = f"input[{number}].call_id"
            raise InvalidRequest(f"{path}: no function call has the id {item.call_id!r}.", path)
        calls.add(_call_id(item))
    return structs.replace(request, input=[*before, *new])


def said_in(record: Record) -> list[Item]:
    """Give what one response adds to its conversation: its input, then its output."""
    return [*input_items(record), *output_items(record)]


def input_items(record: Record) -> list[Item]:
    """Give the items of a response's own input as the API lists them, each with an id."""
    return listed(codec.decode_request(record.request), record.id)


def output_items(record: Record) -> list[Item]:
    """Give the items of a response's output."""
    output: list[Item] = msgspec.json.decode(record.response)["output"]
    return output


def listed(request: ResponsesRequest, response_id: str) -> list[Item]:
    """Give a request's new items in their full form, with ids that follow from the response's."""
    ids = input_ids(request, response_id)
    items = (msgspec.to_builtins(each) for each in _items(request.new_input))
    return [_full(item, id_) for item, id_ in zip(items, ids, strict=True)]


def input_ids(request: ResponsesRequest, response_id: str) -> list[str]:
    """Give the ids of a request's new items: the client's own where unique, else one that follows.

    The openai client pages by them, and goes on for ever where one comes twice.
    """
    suffix = response_id.removeprefix("resp_")
    if isinstance(request.new_input, str):
        return [f"msg_{suffix}_0"]
    ids: dict[str, None] = {}
    for number, item in enumerate(request.new_input):
        id_ = real_id(_get(item, "id"))
        if id_ is None or id_ in ids:
            id_ = f"{prefix_of(_get(item, 'type'))}_{suffix}_{number}"
        ids[id_] = None
    return list(ids)


def output_ids(output: Collection[Item]) -> tuple[str, ...]:
    """Give the ids of a response's items."""
    return tuple([each["id"] for each in output if "id" in each])


def _items(given: str | list[InputItem]) -> list[InputItem]:
    return [Message(role="user", content=given)] if isinstance(given, str) else given


def _full(item: Item, id_: str) -> Item:
    item = item | {"id": id_}
    if item["type"] == "message" and isinstance(item["content"], str):
        kind = "output_text" if item["role"] == "assistant" else "input_text"
        item["content"] = [{"type": kind, "text": item["content"]}]
    if item["type"] in ("message", "function_call", "function_call_output"):
        item.setdefault("status", "completed")
    return item


def _call_id(item: InputItem) -> str | None:
    if isinstance(item, FunctionCall):
        return item.call_id
    call_id = item.get("call_id") if isinstance(item, dict) else None
    return call_id if isinstance(call_id, str) else None


def _get(item: InputItem, name: str) -> Any:
    return item.get(name) if isinstance(item, dict) else getattr(item, name, None)
