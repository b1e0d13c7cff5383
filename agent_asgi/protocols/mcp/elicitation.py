"""Approvals by elicitation: a call asks the client, which calls again with the answers."""

from collections.abc import Mapping, Sequence
from typing import Any

from mcp_types import ElicitRequest, ElicitRequestFormParams, ElicitResult, InputRequiredResult
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

from ...schema.chat_messages import PARAGRAPH, approval_text
from ...schema.items import ApprovalRequest
from ...schema.responses import Response

Item = dict[str, Any]
_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"approve": {"type": "boolean", "title": "Approve the call"}},
    "required": ["approve"],
}


def can_ask(context: Any) -> bool:
    """Return whether a client can be asked: it speaks the modern protocol and has forms."""
    capabilities = context.session.client_capabilities
    elicitation = None if capabilities is None else capabilities.elicitation
    if elicitation is None or context.protocol_version not in MODERN_PROTOCOL_VERSIONS:
        return False
    return elicitation.form is not None or elicitation.url is None


def ask(asked: Sequence[Item], response_id: str) -> InputRequiredResult:
    """Return the result that asks for approval, with one question for each request.

    Args:
        asked: The approval requests.
        response_id: The response that has them.
    """
    questions: dict[str, Any] = {
        item["id"]: ElicitRequest(
            params=ElicitRequestFormParams(
                message=f"Call {item['name']} with {item['arguments']}?", requested_schema=_SCHEMA
            )
        )
        for item in asked
    }
    return InputRequiredResult(input_requests=questions, request_state=response_id)


def answers(responses: Mapping[str, Any]) -> list[Item]:
    """Return a client's answers as items."""
    return [
        {"type": "mcp_approval_response", "approval_request_id": id_, "approve": _approves(answer)}
        for id_, answer in responses.items()
    ]


def _approves(answer: Any) -> bool:
    if not isinstance(answer, ElicitResult) or answer.action != "accept":
        return False
    return (answer.content or {}).get("approve") is True


def explain(asked: Sequence[Item], response: Response) -> str:
    """Return how to answer approval requests that the client cannot be asked about."""
    id_ = response.id if response.store else None
    requests = [ApprovalRequest(each["name"], each["arguments"], id=each["id"]) for each in asked]
    return PARAGRAPH.join(approval_text(request, id_) for request in requests)
