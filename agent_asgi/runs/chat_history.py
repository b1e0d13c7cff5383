"""A client's own history compared with the items of its conversation, which has more of them."""

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from ..schema.chat_messages import PARAGRAPH, approval_text
from ..schema.items import (
    ApprovalRequest,
    ApprovalResponse,
    FunctionCall,
    FunctionCallOutput,
    InputItem,
    Message,
)
from ..schema.own_calls import pair_ids
from ..store.history import item_id_of
from ..store.repeats import message_content

_CALLS = (FunctionCall, FunctionCallOutput)
_RESPONSE = "resp_any"
"""In place of a response's id, which its items do not have."""


class Comparison(NamedTuple):
    """What a history and a conversation have in common."""

    known: int
    """How many items of the history the conversation has."""
    kept: int | None
    """How many items of the conversation stay; None if all do."""


class _Answer:
    """An assistant's message with its calls, which may stand for several items.

    Args:
        given: The history.
        begin: The index of the message, or of its first call.
    """

    def __init__(self, given: Sequence[InputItem], begin: int) -> None:
        first, self.end = given[begin], begin
        self._rest, self._parts = "", list[bytes]()
        if isinstance(first, Message):
            _, self._rest, self._parts = message_content(first)
            self.end += 1
        self._calls: list[tuple[str, ...]] = []
        while self.end < len(given) and isinstance(call := given[self.end], FunctionCall):
            self._calls.append(_call(call))
            self.end += 1

    @property
    def is_whole(self) -> bool:
        """Whether all that it stands for has been found."""
        return not (self._rest or self._parts or self._calls)

    def takes(self, item: InputItem) -> bool:
        """Return whether it shows an item, after those that it was asked about before."""
        if isinstance(item, FunctionCall):
            return bool(self._calls) and self._calls.pop(0) == _call(item)
        if isinstance(item, ApprovalRequest):
            head, _, tail = approval_text(item, _RESPONSE).rpartition(_RESPONSE)
            rest = self._rest.removeprefix(PARAGRAPH).removeprefix(head)
            return self._take(head + rest.partition('"')[0] + tail)
        if not isinstance(item, Message) or item.role != "assistant":
            return False
        _, text, parts = message_content(item)
        if any(part not in self._parts for part in parts) or not self._take(text):
            return False
        self._parts = [part for part in self._parts if part not in parts]
        return True

    def _take(self, text: str) -> bool:
        for begin in (text, PARAGRAPH + text):
            if self._rest.startswith(begin):
                self._rest = self._rest[len(begin) :]
                return True
        return False


def compare(earlier: Sequence[InputItem], history: Sequence[InputItem]) -> Comparison:
    """Find the first item of a history that was edited or is new.

    Args:
        earlier: The items of the conversation.
        history: The items of the history.
    """
    own = _shown_calls(earlier)
    places = [n for n, item in enumerate(history) if not own or item_id_of(item) not in own]
    known, kept = _compare(earlier, [history[place] for place in places])
    return Comparison(places[known] if known < len(places) else len(history), kept)


def _compare(earlier: Sequence[InputItem], given: Sequence[InputItem]) -> Comparison:
    shown = {_key(item) for item in given}
    known = kept = 0
    answer: _Answer | None = None
    for number, item in enumerate(earlier, 1):
        if _is_hidden(item, shown):
            continue
        if answer is None and known < len(given) and _is_answer(given[known]):
            answer = _Answer(given, known)
        if answer is not None and answer.takes(item):
            if answer.is_whole:
                known, kept, answer = answer.end, number, None
        elif answer is None and known < len(given) and _is_same(item, given[known]):
            known, kept = known + 1, number
        elif isinstance(item, ApprovalRequest):
            continue  # the client left its text out
        else:
            ends_turn = isinstance(item, Message) and item.role != "assistant" and answer is None
            return Comparison(known, number - 1 if ends_turn else kept)
    return Comparison(known, None if answer is None else kept)


def _is_answer(item: InputItem) -> bool:
    if isinstance(item, Message):
        return item.role == "assistant"
    return isinstance(item, FunctionCall)


def _shown_calls(earlier: Sequence[InputItem]) -> set[str | None]:
    """Return the ids under which a client knows the agent's own calls, which it cannot edit."""
    own = [item["id"] for item in earlier if isinstance(item, dict) and item["type"] == "mcp_call"]
    return {id_ for item_id in own for id_ in pair_ids(item_id)}


def _is_hidden(item: InputItem, shown: set[str | None]) -> bool:
    """Return whether a client that keeps its own history does not see an item.

    Args:
        item: The item.
        shown: The calls and the answered approval requests in the history.
    """
    if isinstance(item, Message):
        return not any(message_content(item)[1:])
    if isinstance(item, FunctionCall | FunctionCallOutput | ApprovalResponse):
        return _key(item) not in shown
    return not isinstance(item, ApprovalRequest)


def _is_same(item: InputItem, given: InputItem) -> bool:
    if isinstance(item, Message) and isinstance(given, Message):
        return message_content(item) == message_content(given)
    if isinstance(item, ApprovalRequest) and isinstance(given, ApprovalRequest):
        return item.id == given.id
    is_answer = isinstance(item, FunctionCallOutput | ApprovalResponse)
    return is_answer and type(item) is type(given) and _key(item) == _key(given)


def _call(call: FunctionCall) -> tuple[str, ...]:
    return call.call_id, call.name, _compact(call.arguments)


def _compact(arguments: str) -> str:
    """Return JSON without white space, which clients do not keep; other text as it is."""
    try:
        return msgspec.json.format(arguments, indent=-1)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        return arguments


def _key(item: InputItem) -> str | None:
    """Return what identifies a call, its output, or the answer to an approval request."""
    if isinstance(item, ApprovalResponse):
        return item.approval_request_id
    return item.call_id if isinstance(item, _CALLS) else None
