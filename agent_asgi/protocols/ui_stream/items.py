"""Converting messages of the AI SDK to items. Pure."""

from typing import Any, TypeVar

from ...errors import InvalidRequest
from ...schema import codec
from ...schema.own_calls import pair_ids
from .hosted import ID
from .request_schema import ToolApproval, UIMessage, UIPart

Json = dict[str, Any]
T = TypeVar("T")
VENDOR = "agent_asgi"
"""The key in `providerMetadata` of what the encoder adds to a part."""
_DENIED = "The user did not allow this call."


def items_of(message: UIMessage, path: str) -> list[Json]:
    """Return the items of a message.

    Args:
        message: The message.
        path: Its path in the body.

    Raises:
        InvalidRequest: A part lacks a member; `param` names it.
    """
    if message.role == "assistant":
        return _assistant_items(message, path)
    parts = (_input_part(part, f"{path}.parts[{n}]") for n, part in enumerate(message.parts))
    content = [part for part in parts if part is not None]
    return [{"type": "message", "role": message.role, "content": content}] if content else []


def answers_of(message: UIMessage, path: str) -> list[Json]:
    """Return what a message of the agent answers in its last step: calls and approval requests.

    Raises:
        InvalidRequest: A part lacks a member; `param` names it.
    """
    answers: list[Json] = []
    for n, part in message.last_step:
        pending = part.state == "approval-responded" or not part.provider_executed
        if part.tool is not None and pending:
            answers += _call_items(part, f"{path}.parts[{n}]")[1]
    return answers


def _input_part(part: UIPart, path: str) -> Json | None:
    """Return a part of a user's content; None if it is not for the agent."""
    if part.type == "text":
        return {"type": "input_text", "text": _required(part.text, f"{path}.text")}
    if part.type != "file":
        return None
    url = _required(part.url, f"{path}.url")
    if (part.media_type or "").startswith("image/"):
        return {"type": "input_image", "image_url": url}
    file = {"type": "input_file", "file_data" if url.startswith("data:") else "file_url": url}
    return file if part.filename is None else file | {"filename": part.filename}


def _assistant_items(message: UIMessage, path: str) -> list[Json]:
    """Return the items of an agent's message; outputs follow the calls that were made together."""
    items: list[Json] = []
    outputs: list[Json] = []
    for n, part in enumerate(message.parts):
        if part.tool is not None:
            calls, answers = _call_items(part, f"{path}.parts[{n}]")
            items += calls
            outputs += answers
            continue
        items += outputs
        outputs.clear()
        if part.type == "text" and part.text:
            content = [{"type": "output_text", "text": part.text}]
            items.append({"type": "message", "role": "assistant", "content": content})
        elif part.type == "reasoning":
            _add_reasoning(items, part)
    return items + outputs


def _add_reasoning(items: list[Json], part: UIPart) -> None:
    """Add reasoning that its provider can read; other reasoning is of no use to a model."""
    own = (part.provider_metadata or {}).get(VENDOR)
    encrypted = own.get("encryptedContent") if isinstance(own, dict) else None
    if not isinstance(encrypted, str):
        return
    summary = [{"type": "summary_text", "text": part.text}] if part.text else []
    if items and items[-1].get("encrypted_content") == encrypted:
        items[-1]["summary"] += summary
    else:
        items.append({"type": "reasoning", "summary": summary, "encrypted_content": encrypted})


def _call_items(part: UIPart, path: str) -> tuple[list[Json], list[Json]]:
    """Return the items of a call, and those that answer it."""
    name = _required(part.tool or None, f"{path}.toolName")
    call_id = _required(part.tool_call_id, f"{path}.toolCallId")
    if part.state == "input-streaming" or (part.provider_executed and call_id.startswith(ID)):
        return [], []
    if part.state in ("approval-requested", "approval-responded"):
        return _approval_items(part, name, _required(part.approval, f"{path}.approval"), path)
    call, output = _pair(call_id)
    call |= {"name": name, "arguments": _arguments(part)}
    if part.state == "output-available":
        return [call], [output | {"output": _text(part.output)}]
    if part.state == "output-error":
        error = part.error_text or "failed"
    elif part.state == "output-denied":
        reason = part.approval.reason if part.approval is not None else None
        error = f"{_DENIED} {reason}" if reason else _DENIED
    else:
        return [call], []
    return [call], [output | {"output": error, "agent_asgi:error": error}]


def _pair(call_id: str) -> tuple[Json, Json]:
    """Return the beginnings of a call and of its output; own calls are known by their item's id."""
    call: Json = {"type": "function_call", "call_id": call_id}
    output: Json = {"type": "function_call_output", "call_id": call_id}
    if call_id.startswith("mcp_"):
        ids = pair_ids(call_id)
        name = "call_" + call_id.removeprefix("mcp_")
        call |= {"id": ids[0], "call_id": name}
        output |= {"id": ids[1], "call_id": name}
    return call, output


def _approval_items(
    part: UIPart, name: str, approval: ToolApproval, path: str
) -> tuple[list[Json], list[Json]]:
    asked = {
        "type": "mcp_approval_request",
        "id": approval.id,
        "name": name,
        "arguments": _arguments(part),
    }
    if part.state == "approval-requested":
        return [asked], []
    approved = _required(approval.approved, f"{path}.approval.approved")
    answer = {
        "type": "mcp_approval_response",
        "approval_request_id": approval.id,
        "approve": approved,
        "reason": approval.reason,
    }
    return [asked], [answer]


def _arguments(part: UIPart) -> str:
    """Return the arguments of a call as JSON text, or the text that is no JSON."""
    if part.input is None and isinstance(part.raw_input, str):
        return part.raw_input
    value = part.raw_input if part.input is None else part.input
    return codec.encode({} if value is None else value).decode()


def _text(output: Any) -> str:
    if output is None:
        return ""
    return output if isinstance(output, str) else codec.encode(output).decode()


def _required(value: T | None, path: str) -> T:
    if value is None:
        raise InvalidRequest(f"{path}: required here.", path)
    return value
