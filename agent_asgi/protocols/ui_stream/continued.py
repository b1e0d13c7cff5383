"""The message of the agent that a run continues: its approvals, and its parts as chunks."""

from collections.abc import Sequence

from .chunks import Json, write, write_chunk
from .request import Continued
from .request_schema import UIPart

_SAME = ("file", "source-url", "source-document")
"""The parts that have the form of their chunks, besides a vendor's data."""


def approvals_in(continued: Continued | None) -> tuple[list[UIPart], list[UIPart]]:
    """Return the calls that the client has just approved, and those that it has denied."""
    approved: list[UIPart] = []
    denied: list[UIPart] = []
    for _, part in () if continued is None else continued.message.last_step:
        if part.state == "approval-responded" and part.approval is not None:
            (approved if part.approval.approved else denied).append(part)
    return approved, denied


def write_parts(parts: Sequence[Json], buffer: bytearray) -> None:
    """Write a message's parts, for a client that builds the message again."""
    for number, part in enumerate(parts):
        kind = part["type"]
        if kind in ("text", "reasoning"):
            _write_text(part, f"earlier_{number}", buffer)
        elif kind == "step-start":
            write(buffer, "start-step")
        elif kind in _SAME or kind.startswith("data-"):
            write_chunk(buffer, _without_nulls(part))
        elif kind == "dynamic-tool" or kind.startswith("tool-"):
            _write_call(part, buffer)


def _write_text(part: Json, id: str, buffer: bytearray) -> None:
    kind = part["type"]
    more = _without_nulls({"providerMetadata": part.get("providerMetadata")})
    write(buffer, f"{kind}-start", id=id)
    write(buffer, f"{kind}-delta", id=id, delta=part.get("text") or "")
    write(buffer, f"{kind}-end", id=id, **more)


def _write_call(part: Json, buffer: bytearray) -> None:
    is_dynamic, state = part["type"] == "dynamic-tool", part.get("state")
    name = part.get("toolName") if is_dynamic else part["type"][5:]
    id_, approval = part.get("toolCallId"), part.get("approval")
    if not name or not id_ or state == "input-streaming":
        return
    own = {"providerExecuted": True} if part.get("providerExecuted") else {}
    marks = own | ({"dynamic": True} if is_dynamic else {})
    call = {"toolCallId": id_, "toolName": name, "input": part.get("input"), **marks}
    write(buffer, "tool-input-available", **call)
    if approval and state in ("approval-requested", "approval-responded", "output-denied"):
        write(buffer, "tool-approval-request", toolCallId=id_, approvalId=approval["id"])
    if state == "output-denied":
        write(buffer, "tool-output-denied", toolCallId=id_)
    elif state == "output-available":
        write(buffer, "tool-output-available", toolCallId=id_, output=part.get("output"), **marks)
    elif state == "output-error":
        error = part.get("errorText") or ""
        write(buffer, "tool-output-error", toolCallId=id_, errorText=error, **marks)


def _without_nulls(members: Json) -> Json:
    return {name: value for name, value in members.items() if value is not None}
