"""What a request continues or refers to: bounded before it is loaded, decoded when it is read."""

from collections.abc import Collection, Mapping

from ..config import Limits
from ..errors import InvalidRequest
from ..schema.ids import is_random
from ..schema.items import InputItem, ItemReference
from ..schema.own_calls import pair_ids
from ..schema.requests import ResponsesRequest
from .base import ACTIVE, Store
from .conversation_store import Size
from .histories import Turns
from .history import after, refers, with_input
from .turn import Turn


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
    turns = Turns([]) if previous is None else await _chain(store, previous, owner, limits)
    known = await turns.by_id() if refers(request) else {}
    request = await resolve(store, request, owner, known, limits, any_id=any_id)
    return request if previous is None else await after(request, turns)


async def _chain(store: Store, previous: str, owner: str, limits: Limits) -> Turns:
    """Return the items of a response and of all that it continues."""
    most = Size(limits.max_conversation_items, limits.max_conversation_bytes)
    size, turns = await store.chain(previous, owner, most)
    check_size(size, limits, "previous_response_id")
    if not turns or not turns[-1].visible:
        raise NoSuchResponse(previous)
    if turns[-1].status in ACTIVE:
        raise InvalidRequest(
            f"previous_response_id: response {previous!r} is still in progress.",
            "previous_response_id",
        )
    return Turns(turns)


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
    items |= await Turns(await _responses_of(store, wanted, owner, limits)).by_id()
    return _with_items(request, items)


async def _responses_of(
    store: Store, ids: Collection[str], owner: str, limits: Limits
) -> list[Turn]:
    """Return the responses of items, oldest first, if they are not too large."""
    found = set((await store.find_items(ids, owner)).values()) if ids else ()
    if not found:
        return []
    check_size(Size(0, await store.size_of(found, owner)), limits, "input")
    records = sorted(await store.get_all(found, owner), key=lambda record: record.created_at)
    return [record.turn() for record in records]


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
