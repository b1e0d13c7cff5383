"""What AG-UI says of a run's end: its questions, its tokens, its metadata. Pure."""

from collections.abc import Collection, Mapping
from typing import Any

from msgspec import UNSET, UnsetType

from ...schema.responses import Response
from .event_schema import Interrupt, TokenUsage

INTERRUPT = "interrupt"
"""The name of the call by which the LangGraph adapter asks for input."""
_ANSWER: dict[str, Any] = {
    "type": "object",
    "properties": {
        "approved": {"type": "boolean"},
        "editedArgs": {"type": "object"},
        "reason": {"type": "string"},
    },
    "required": ["approved"],
}


def asks_for_approval(item: Mapping[str, Any]) -> Interrupt:
    """Return the interrupt of an approval request."""
    message = f"Approve the call of {item['name']}?"
    return Interrupt(item["id"], "tool_call", message, item["id"], _ANSWER)


def is_interrupt(name: str, offered: Collection[str]) -> bool:
    """Return whether a call asks for input: the client has no such tool."""
    return name == INTERRUPT and name not in offered


def asks_for_input(call_id: str) -> Interrupt:
    """Return the interrupt of a call that asks for input."""
    return Interrupt(call_id, "input_required", "The agent needs an answer to continue.", call_id)


def usage(response: Response) -> list[TokenUsage] | UnsetType:
    """Return the tokens that a run used; unset if the agent did not report them."""
    used = response.usage
    if not used:
        return UNSET
    cached, written, reasoned = (
        details.get(name) or UNSET
        for details, name in (
            (used.input_tokens_details, "cached_tokens"),
            (used.input_tokens_details, "cache_write_tokens"),
            (used.output_tokens_details, "reasoning_tokens"),
        )
    )
    total = used.input_tokens + used.output_tokens
    return [TokenUsage(used.input_tokens, used.output_tokens, total, reasoned, cached, written)]


def metadata(response: Response) -> dict[str, Any]:
    """Return the response's metadata with its id and, if it is incomplete, the reason."""
    about = {**response.metadata, "responseId": response.id}
    if response.incomplete_details is not None:
        about["reason"] = response.incomplete_details.reason
    return about
