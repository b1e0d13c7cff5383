"""Answering an interrupt: a decision for each tool call that waits, or any value for a question."""

from collections.abc import Sequence
from typing import Any, Literal

import msgspec
from msgspec import Struct

from ...errors import InvalidRequest
from ...runtime import Runtime
from ...schema import codec
from ..detached import response_of
from .encoder import questions_of
from .request import Invocation

Json = dict[str, Any]
PATH = "input.resume"


class _Edited(Struct):
    """A tool call with changed arguments."""

    args: Json


class _Decision(Struct):
    """A decision about a tool call, in LangChain's form."""

    type: Literal["approve", "reject", "edit"]
    message: str | None = None
    edited_action: _Edited | None = None


class _Resume(Struct):
    """What answers the tool calls that wait for approval."""

    decisions: list[_Decision]


_resumes = msgspec.json.Decoder(_Resume)


async def answers_to(
    runtime: Runtime, invocation: Invocation, agent: str, owner: str
) -> list[Json]:
    """Return the items that answer the interrupt of a session.

    Args:
        runtime: The app's runtime.
        invocation: The invocation, whose input has `resume`.
        agent: The agent's name.
        owner: The client.

    Raises:
        InvalidRequest: The session waits for nothing, or the answer does not fit.
    """
    output = await _last_output(runtime, invocation.session_id, agent, owner)
    requests = [item for item in output if item["type"] == "mcp_approval_request"]
    if requests:
        return _approvals(invocation.resume, requests)
    questions = questions_of(output)
    if not questions:
        raise InvalidRequest(f"{PATH}: the session is not waiting for an answer.", PATH)
    text = codec.encode(invocation.resume).decode()
    return [
        {"type": "function_call_output", "call_id": call["call_id"], "output": text}
        for call in questions
    ]


async def _last_output(
    runtime: Runtime, session: str | None, agent: str, owner: str
) -> Sequence[Json]:
    """Return the output of a session's newest invocation; empty if there is none."""
    if session is None:
        raise InvalidRequest("session_id: must name the session that is resumed.", "session_id")
    size = runtime.engine.limits.max_conversation_bytes
    page = await runtime.store.page(owner, [agent], None, 1, size, session)
    if page is None or not page.records:
        return []
    return response_of(page.records[0], "mcp_call").output


def _approvals(resume: Any, requests: Sequence[Json]) -> list[Json]:
    decisions = codec.strict(_resumes, codec.encode(resume), PATH).decisions
    if len(decisions) != len(requests):
        path = f"{PATH}.decisions"
        message = f"{path}: must have {len(requests)} decisions, one for each tool call that waits."
        raise InvalidRequest(message, path)
    return [
        _approval(decision, request) for decision, request in zip(decisions, requests, strict=True)
    ]


def _approval(decision: _Decision, request: Json) -> Json:
    answer: Json = {
        "type": "mcp_approval_response",
        "approval_request_id": request["id"],
        "approve": decision.type != "reject",
    }
    if decision.message is not None:
        answer["reason"] = decision.message
    if decision.edited_action is not None:
        answer["agent_asgi:arguments"] = decision.edited_action.args
    return answer
