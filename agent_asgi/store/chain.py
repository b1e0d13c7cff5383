"""What a request continues or refers to: bounded before it is loaded, decoded in slices."""

import asyncio
from collections.abc import Collection, Mapping, Sequence

import msgspec
from msgspec import Raw

from ..config import Limits
from ..errors import InvalidRequest
from ..schema.decode import decode_items, decode_stored
from ..schema.ids import is_random
from ..schema.items import InputItem, ItemReference
from ..schema.own_calls import pair_ids
from ..schema.requests import ResponsesRequest
from .base import Record, Store
from .conversation_store import Size
from .history import after, full_input, item_id_of, refers, with_input

SLICE_BYTES = 64 << 10
"""How many bytes of responses the event loop decodes before it serves others: some 2 ms."""
SLICE_ITEMS = 100
"""How many items are decoded before it serves others; they take well below a millisecond."""


class _Output(msgspec.Struct):
    """A response's output."""

    output: list[InputItem]


class _EncodedOutput(msgspec.Struct):
    """A response's output, its items still encoded."""

    output: list[Raw]


_outputs = msgspec.json.Decoder(_Output)
_encoded_outputs = msgspec.json.Decoder(_EncodedOutput)


class NoSuchResponse(InvalidRequest):
    """The response that `previous_response_id` names, or one before it, does not exist.

    It is no 404, which clients read as an unknown model or a server without the Responses API.
    """

    def __init__(self, id: str) -> None:
        super().__init__(
            f"previous_response_id: response {id!r}, or one that it continues, does not exist.",
            "previous_response_id",
            "previous_response_not_found",
        )


class ConversationTooLarge(InvalidRequest):
    """The conversation that a request continues is too large to be loaded."""

    def __init__(self, size: str, limit: int, param: str) -> None:
        message = f"{param}: the conversation has {size} (limit {limit}). Begin a new one."
        super().__init__(message, param, "conversation_too_large")


def check_size(size: Size, limits: Limits, param: str = "conversation") -> None:
    """Check the size of a conversation.

    Args:
        size: Its size.
        limits: The limits.
        param: The field that names it. Default "conversation".

    Raises:
        ConversationTooLarge: `Limits.max_conversation_items` or `.max_conversation_bytes` is
            exceeded.
    """
    if size.items > limits.max_conversation_items:
        raise ConversationTooLarge(f"{size.items} items", limits.max_conversation_items, param)
    if size.size > limits.max_conversation_bytes:
        raise ConversationTooLarge(f"{size.size} bytes", limits.max_conversation_bytes, param)


async def decode_slowly(raws: Sequence[bytes | Raw]) -> list[InputItem]:
    """Decode items of the server's own, in slices; see `decode_items`."""
    items: list[InputItem] = []
    pieces: list[bytes | Raw] = []
    size = 0
    for number, raw in enumerate(raws, 1):
        pieces += (raw, b",")
        size += memoryview(raw).nbytes
        if number == len(raws) or size >= SLICE_BYTES or len(pieces) >= 2 * SLICE_ITEMS:
            items += decode_items(Raw(b"".join([b"[", *pieces[:-1], b"]"])))  # one copy
            if number < len(raws):
                await asyncio.sleep(0)
            pieces, size = [], 0
    return items


async def _history(record: Record) -> list[InputItem]:
    """Return what a response adds to its conversation: its input, then its output."""
    given = full_input(decode_stored(record.request), record.id)
    return [*given, *await decode_slowly(_encoded_outputs.decode(record.response).output)]


def _small_history(record: Record) -> list[InputItem] | None:
    """Return the same at once, if it is small and has no items of unknown types."""
    if len(record.response) > SLICE_BYTES:
        return None
    try:
        output = _outputs.decode(record.response).output
    except msgspec.ValidationError:
        return None
    return [*full_input(decode_stored(record.request), record.id), *output]


async def continued(
    store: Store, request: ResponsesRequest, owner: str, limits: Limits, *, any_id: bool
) -> ResponsesRequest:
    """Return a request whose input begins with the responses that it continues.

    Its references are replaced by the items that they name; `any_id` as in `resolve`.

    Raises:
        NoSuchResponse: The previous response, or one before it, does not exist.
        ConversationTooLarge: They exceed the limits.
        InvalidRequest: The previous response has not ended, a function's output has no call, or an
            item does not exist.
    """
    previous = request.previous_response_id
    items = [] if previous is None else await _chain(store, previous, owner, limits)
    known = {item_id_of(item): item for item in items} if refers(request) else {}
    request = await resolve(store, request, owner, known, limits, any_id=any_id)
    return request if previous is None else after(request, items)


async def _chain(store: Store, previous: str, owner: str, limits: Limits) -> list[InputItem]:
    """Return the items of a response and of all that it continues."""
    check_size(await store.chain_size(previous, owner), limits, "previous_response_id")
    chain = await store.chain(previous, owner)
    if not chain or not chain[-1].visible:
        raise NoSuchResponse(previous)
    if chain[-1].active:
        raise InvalidRequest(
            f"previous_response_id: response {previous!r} is still in progress.",
            "previous_response_id",
        )
    items: list[InputItem] = []
    size = 0
    for record in chain:
        items += _small_history(record) or await _history(record)
        size += len(record.response)
        if size > SLICE_BYTES:
            await asyncio.sleep(0)
            size = 0
    return items


async def resolve(
    store: Store,
    request: ResponsesRequest,
    owner: str,
    known: Mapping[str, InputItem],
    limits: Limits,
    *,
    any_id: bool,
) -> ResponsesRequest:
    """Return a request whose references are replaced by the items that they name.

    Args:
        store: The store of the items.
        request: The request.
        owner: The owner of the items.
        known: The items by id of what the request continues; they are not looked up.
        limits: Bounds on the responses that are looked up.
        any_id: Whether any id is looked up, not only random ones: strangers guess an agent's.

    Raises:
        ConversationTooLarge: The responses exceed the limits.
        InvalidRequest: An item does not exist.
    """
    if not refers(request):
        return request
    ids = {item.id for item in request.new_input if isinstance(item, ItemReference)}
    items = dict(known)
    wanted = {id_ for id_ in ids if not _named(id_, items) and (any_id or is_random(id_))}
    for record in await _responses_of(store, wanted, owner, limits):
        items |= {item_id_of(item): item for item in await _history(record)}
    return _with_items(request, items)


async def _responses_of(
    store: Store, ids: Collection[str], owner: str, limits: Limits
) -> list[Record]:
    """Return the responses of items, oldest first, if they are not too large."""
    found = set((await store.find_items(ids, owner)).values()) if ids else ()
    if not found:
        return []
    check_size(Size(0, await store.size_of(found, owner)), limits, "input")
    return sorted(await store.get_all(found, owner), key=lambda record: record.created_at)


def _with_items(request: ResponsesRequest, known: Mapping[str, InputItem]) -> ResponsesRequest:
    items: list[InputItem] = []
    for number, item in enumerate(request.new_input):
        if not isinstance(item, ItemReference):
            items.append(item)
        elif named := _named(item.id, known):
            items += named
        else:
            path = f"input[{number}].id"
            raise InvalidRequest(
                f"{path}: item {item.id!r} does not exist.", path, "item_not_found"
            )
    return with_input(request, items)


def _named(id: str, known: Mapping[str, InputItem]) -> list[InputItem]:
    """Return the items that an id names: two, if it is the id of a call of an own tool."""
    if id in known:
        return [known[id]]
    return [known[pair] for pair in pair_ids(id) if pair in known]
