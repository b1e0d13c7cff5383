"""The conversation of a run: its items precede the input; the run's are added when it ends."""

import logging
import re
from collections.abc import Container, Mapping

import msgspec

from ..config import Limits
from ..errors import InvalidRequest
from ..schema import codec
from ..schema.decode import decode_item, decode_stored
from ..schema.ids import MAX_ID, is_too_long
from ..schema.requests import ConversationRef, ResponsesRequest, continue_with
from ..store.approvals import Answers
from ..store.base import Store
from ..store.chain import check_size, resolve
from ..store.conversation_store import Addition, StoredItem
from ..store.histories import Items
from ..store.history import after, full_input, item_id_of, refers, with_new_ids
from .chat_history import compare
from .engine import Engine

logger = logging.getLogger("agent_asgi")

RANDOM = "conv_"
"""How the ids of conversations begin that `POST /conversations` makes."""
_CONTROL = re.compile("[\0-\x1f\x7f-\x9f]")
FORGETFUL = (
    "A request names a conversation, but the name is only a lock and a session here: anyone could "
    "guess it and read the conversation. Set AgentApp(authenticate=...) or, if the app has one "
    "user, single_user=True; then named conversations remember."
)


class ConversationNotFound(InvalidRequest):
    """The conversation that a run names does not exist."""

    def __init__(self, id: str) -> None:
        message = f"conversation: there is no conversation {id!r}."
        super().__init__(message, "conversation", "conversation_not_found")


class _Output(msgspec.Struct):
    """A response's output, its items still encoded."""

    output: list[msgspec.Raw]


class _Identified(msgspec.Struct):
    """An item's id."""

    id: str | None = None


_outputs = msgspec.json.Decoder(_Output)
_ids = msgspec.json.Decoder(_Identified)


class _Ids(Container[str]):
    """The ids of a conversation's items, and those of the pairs that own calls are shown as."""

    def __init__(self, stored: Container[str]) -> None:
        self._stored = stored

    def __contains__(self, id: object) -> bool:
        if id in self._stored:
            return True
        prefix, _, suffix = str(id).partition("_")
        return prefix in ("fc", "fco") and "mcp_" + suffix in self._stored


class RunConversation:
    """The conversation that a run belongs to.

    Args:
        id: Its id.
        has_history: Whether the request has the whole conversation, as in Chat Completions.
        any_id: Whether items are found by any id (`resolve`).

    Attributes:
        ids: The ids of its items, once it is loaded.
        answers: The answers to approval requests in the request. Default None: there are none.
    """

    __slots__ = ("_any_id", "_known", "_replaces_after", "answers", "has_history", "id", "ids")

    def __init__(self, id: str, *, has_history: bool, any_id: bool) -> None:
        self.id = id
        self.has_history = has_history
        self.answers: Answers | None = None
        self.ids: Container[str] = ()
        self._any_id = any_id
        self._known = 0  # how many of the request's items the conversation has
        self._replaces_after: str | None = None

    async def load(
        self, store: Store, request: ResponsesRequest, owner: str, limits: Limits
    ) -> ResponsesRequest:
        """Return a request whose input begins with the conversation, unless it has a history.

        Items that the conversation has are not repeated. One under another's id loses that id.

        Raises:
            ConversationNotFound: The conversation does not exist.
            ConversationTooLarge: The conversation exceeds the limits.
            InvalidRequest: An item does not exist, or what is answered is not in the conversation.
        """
        whole = await self._load(store, request, owner, limits)
        if self.answers is not None:
            self.answers.check(whole)
        return whole

    async def _load(
        self, store: Store, request: ResponsesRequest, owner: str, limits: Limits
    ) -> ResponsesRequest:
        create = request.store is not False and not self.id.startswith(RANDOM)
        size = await store.conversations.use(self.id, owner, create=create)
        if size is None and self.id.startswith(RANDOM):
            raise ConversationNotFound(self.id)
        stored: Mapping[str, bytes] = {}
        if size is not None and size.items:
            check_size(size, limits)
            stored = await store.conversations.history(self.id, owner)
        self.ids, history = _Ids(stored), Items([*stored.values()])
        if self.has_history:
            await self._compare(stored, history, request)
            return request
        known = await history.by_id() if _has_ids(request) else {}
        if request.previous_response_id is None:
            request = await resolve(store, request, owner, known, limits, any_id=self._any_id)
        request = with_new_ids(request, known)
        if not stored or request.previous_response_id is not None:
            return request
        whole = await after(request, history)
        new = [item for item in whole.new_input if item_id_of(item) not in known]
        continue_with(whole, history, new)
        return whole

    def addition(self, id: str, request: bytes, response: bytes) -> Addition:
        """Return what a run that has ended adds.

        Args:
            id: The response's id.
            request: The request's body.
            response: The response as JSON.
        """
        items = full_input(decode_stored(request), id)[self._known :]
        repeated = () if self.has_history else self.ids
        added = [
            StoredItem(id_, codec.encode(item))
            for item in items
            if (id_ := item_id_of(item)) not in repeated
        ]
        for number, raw in enumerate(_outputs.decode(response).output):
            item_id = _ids.decode(raw).id
            data = bytes(raw)
            if item_id is None:  # a vendor's
                item_id = f"item_{id.removeprefix('resp_')}_out_{number}"
                data = codec.encode(msgspec.json.decode(raw) | {"id": item_id})
            added.append(StoredItem(item_id, data))
        return Addition(self.id, added, self._replaces_after)

    async def _compare(
        self, stored: Mapping[str, bytes], history: Items, request: ResponsesRequest
    ) -> None:
        """Find the first item that was edited or is new; those after it are replaced."""
        earlier = await history.decode()
        if len(earlier) != len(stored):  # own calls are pairs; such a client sees none of them
            earlier = [decode_item(msgspec.json.decode(data)) for data in stored.values()]
        self._known, kept = compare(earlier, request.new_input)
        if kept is not None:
            self._replaces_after = list(stored)[kept - 1] if kept else ""


def _has_ids(request: ResponsesRequest) -> bool:
    """Return whether items of a request have ids, which may be those of earlier items."""
    if request.is_text:
        return False
    return refers(request) or any(item_id_of(item) for item in request.new_input)


def conversation_id(request: ResponsesRequest) -> str | None:
    """Return the id that a request names in `conversation`."""
    conversation = request.conversation
    return conversation.id if isinstance(conversation, ConversationRef) else conversation


def check_name(request: ResponsesRequest) -> None:
    """Check that a URL's path can hold the id that a request names in `conversation`.

    Raises:
        InvalidRequest: It cannot.
    """
    name = conversation_id(request) or ""
    problem = None
    if name in ("", ".", "..") or "/" in name or _CONTROL.search(name):
        problem = "must not be empty, `.` or `..`, and have neither `/` nor control characters"
    elif is_too_long(name):
        problem = f"must have at most {MAX_ID} bytes"
    if problem is not None:
        within = ".id" if isinstance(request.conversation, ConversationRef) else ""
        raise InvalidRequest(f"conversation{within}: {problem}.", f"conversation{within}")


def remembers(engine: Engine, id: str, owner: str) -> bool:
    """Return whether a conversation remembers: no stranger can name it."""
    return id.startswith(RANDOM) or engine.knows_user(owner)


def conversation_of(
    engine: Engine, request: ResponsesRequest, owner: str, *, has_history: bool
) -> RunConversation | None:
    """Return the conversation that a run belongs to; None if it names none that remembers.

    Raises:
        InvalidRequest: The request continues a response too, but the conversation has a history.
    """
    id_ = conversation_id(request)
    if id_ is None:
        return None
    if not remembers(engine, id_, owner):
        if not engine.warned_of_names:
            engine.warned_of_names = True
            logger.warning(FORGETFUL)
        return None
    if request.previous_response_id is not None and id_.startswith(RANDOM):
        raise InvalidRequest(
            "previous_response_id: must not be combined with `conversation`.",
            "previous_response_id",
        )
    return RunConversation(id_, has_history=has_history, any_id=engine.knows_user(owner))
