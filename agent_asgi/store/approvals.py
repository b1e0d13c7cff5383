"""The answers to approval requests in a request, and the responses that asked."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from msgspec import structs

from ..errors import InvalidRequest
from ..schema import codec
from ..schema.items import (
    ApprovalRequest,
    ApprovalResponse,
    FunctionCallOutput,
    InputItem,
    Message,
)
from ..schema.requests import ResponsesRequest
from .approval_claim import AlreadyAnswered, ApprovalClaim, Asked
from .base import Store


class Answers(NamedTuple):
    """The answers to approval requests in a request.

    An answer that the agent has already reacted to is part of the conversation, which some clients
    send as a whole; the others are new.
    """

    new: dict[int, ApprovalResponse]
    """The new answers, by their indexes in the input."""
    unstored: dict[str, int]
    """The ids of the approval requests that are not stored, with the indexes of their answers."""
    asked_by: str | None
    """The response whose requests the new answers name; None if it is not stored."""

    def check(self, request: ResponsesRequest) -> None:
        """Check that the conversation has the approval requests that are not stored.

        Raises:
            InvalidRequest: One does not precede its answer, or was answered earlier.
        """
        asked, found, repeated = set[str | None](), set[str](), set[str]()
        for number, item in enumerate(request.input, -request.earlier):
            if type(item) is ApprovalRequest:
                asked.add(item.id)
            elif type(item) is ApprovalResponse and item.approval_request_id in asked:
                if number < 0 or item.approval_request_id in found:
                    repeated.add(item.approval_request_id)
                found.add(item.approval_request_id)
        for id_, index in self.unstored.items():
            if id_ not in found:
                raise _unknown(index, id_)
            if index in self.new and id_ in repeated:
                raise AlreadyAnswered(id_, _path(index))

    def claim(self) -> ApprovalClaim | None:
        """Return what the run has to claim; None if the approval requests are not stored."""
        if self.asked_by is None:
            return None
        paths = {item.approval_request_id: _path(index) for index, item in self.new.items()}
        return ApprovalClaim(self.asked_by, paths)


def approvals_in(output: Sequence[dict[str, Any]]) -> tuple[str, ...]:
    """Return the ids of the approval requests in an output that it does not answer itself."""
    asked = [item["id"] for item in output if item["type"] == "mcp_approval_request"]
    if not asked:
        return ()
    answered = {item.get("approval_request_id") for item in output}
    return tuple([id_ for id_ in asked if id_ not in answered])


async def find_answers(
    store: Store, request: ResponsesRequest, owner: str, agent: str, claimed_by: str | None = None
) -> Answers | None:
    """Return the answers in a request; None if there are none.

    Args:
        store: The store of the responses.
        request: The request.
        owner: Its owner.
        agent: The agent that gets it.
        claimed_by: The run that has claimed the new answers. Default None: they are not claimed.

    Raises:
        InvalidRequest: An approval request is answered twice or is another agent's, or several
            responses have asked.
    """
    items = [] if request.is_text else request.new_input
    answers = {
        index: item for index, item in enumerate(items) if isinstance(item, ApprovalResponse)
    }
    if not answers:
        return None
    ids = {item.approval_request_id: index for index, item in answers.items()}
    stored = await store.find_approvals(ids, owner)
    reacted = max((index for index, item in enumerate(items) if _is_agents(item)), default=-1)
    new = {
        index: item
        for index, item in answers.items()
        if _is_new(stored.get(item.approval_request_id), claimed_by, is_past=index < reacted)
    }
    _check_once(new)
    unstored = {id_: index for id_, index in ids.items() if id_ not in stored}
    return Answers(new, unstored, _asked_by(new, stored, agent))


async def saved_state(store: Store, answers: Answers | None) -> bytes | None:
    """Return what the handler saved when it asked for new answers."""
    if answers is None or answers.asked_by is None:
        return None
    return await store.state(answers.asked_by)


def continuing(request: ResponsesRequest, answers: Answers) -> ResponsesRequest:
    """Return a request that continues the response that asked, if it begins with the answers."""
    begins = isinstance(request.new_input[0], ApprovalResponse)
    names_none = request.previous_response_id is None and request.conversation is None
    if answers.asked_by is None or not begins or not names_none:
        return request
    received = ResponsesRequest.received(request)  # not the body of another protocol
    body = received | {"previous_response_id": answers.asked_by}
    raw = codec.encode(body)
    return structs.replace(request, previous_response_id=answers.asked_by, raw=raw)


def _check_once(answers: Mapping[int, ApprovalResponse]) -> None:
    ids: set[str] = set()
    for index, item in answers.items():
        if item.approval_request_id in ids:
            raise _invalid(index, f"{item.approval_request_id!r} is answered twice")
        ids.add(item.approval_request_id)


def _is_new(asked: Asked | None, claimed_by: str | None, *, is_past: bool) -> bool:
    """Return whether an answer is new: the claim refuses one that only seems so.

    Args:
        asked: Its approval request; None if that is not stored.
        claimed_by: The run that has claimed the new answers, if they are claimed.
        is_past: Whether an item of the agent follows.
    """
    if asked is None:
        return not is_past
    if claimed_by is not None:
        return asked.claimed_by == claimed_by
    return asked.claimed_by is None or not is_past


def _asked_by(
    answers: Mapping[int, ApprovalResponse], stored: Mapping[str, Asked], agent: str
) -> str | None:
    """Return the response that asked for answers; None if it is not stored."""
    asked_by: dict[int, str | None] = {}
    for index, item in answers.items():
        asked = stored.get(item.approval_request_id)
        if asked is not None and asked.agent != agent:
            raise _unknown(index, item.approval_request_id)
        asked_by[index] = None if asked is None else asked.response_id
    if len(set(asked_by.values())) > 1:
        raise _invalid(min(asked_by), "answer the approval requests of one response at a time")
    return next(iter(asked_by.values()), None)


def _is_agents(item: InputItem) -> bool:
    """Return whether an item is the agent's, and so shows that it has reacted to those before."""
    if isinstance(item, dict):
        return not str(item.get("type")).endswith("_output")
    if isinstance(item, Message):
        return item.role == "assistant"
    return not isinstance(item, FunctionCallOutput | ApprovalResponse)


def _path(index: int) -> str:
    return f"input[{index}].approval_request_id"


def _unknown(index: int, id: str) -> InvalidRequest:
    return _invalid(index, f"there is no approval request {id!r}")


def _invalid(index: int, problem: str) -> InvalidRequest:
    return InvalidRequest(f"{_path(index)}: {problem}.", _path(index))
