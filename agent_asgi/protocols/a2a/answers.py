"""What a task waits for: approvals and the outputs of the client's functions. Pure."""

from collections.abc import Sequence
from typing import Any

from msgspec import UNSET

from ...errors import InvalidRequest
from ...schema import codec
from ...schema.own_calls import Item
from .request import user_item
from .schema import Json, Message, Part

HOW = (
    'Send a data part: {"approve": true} or {"approve": false} for an approval, {"output": ...} '
    'for a call. If several are open, add its "approval_request_id" or "call_id".'
)
_APPROVAL, _CALL = "mcp_approval_request", "function_call"
_IDS = {_APPROVAL: ("approval_request_id", "id"), _CALL: ("call_id", "call_id")}
"""By the type of an item: the member of an answer that names it, and the item's id."""


def open_items(output: Sequence[Item]) -> list[Item]:
    """Return the approval requests and the calls in an output that the client has to answer."""
    done = {item.get("approval_request_id") for item in output}
    done |= {item["call_id"] for item in output if item["type"] == "function_call_output"}
    return [item for item in output if _is_open(item) and item[_IDS[item["type"]][1]] not in done]


def _is_open(item: Item) -> bool:
    is_call = item["type"] == _CALL and item.get("status") == "completed"
    return is_call or item["type"] == _APPROVAL


def question_parts(items: Sequence[Item]) -> list[Part]:
    """Return what the client is asked: a text, and the data of each open item."""
    questions = [_VERBS[item["type"]].format(item["name"]) for item in items]
    return [Part(" ".join([*questions, HOW])), *map(_question, items)]


_VERBS = {_APPROVAL: "Approve the call of {}?", _CALL: "Call {}."}


def _question(item: Item) -> Part:
    name, id_ = _IDS[item["type"]]
    data = {name: item[id_], "name": item["name"], "arguments": item["arguments"]}
    return Part(data=data)


def answer_items(message: Message, waiting: Sequence[Item]) -> list[Json]:
    """Return the items of a message that answers what a task waits for.

    Parts that answer nothing become a message of the user, which follows.

    Args:
        message: The message.
        waiting: The open items.

    Raises:
        InvalidRequest: The message answers nothing, or something that is not open.
    """
    items: list[Json] = []
    others: list[Part] = []
    for number, part in enumerate(message.parts):
        answers = _answers(part.data, waiting, f"message.parts[{number}].data")
        items += answers
        if not answers:
            others.append(part)
    if not items and len(waiting) == 1 and waiting[0]["type"] == _CALL:
        return [_output(waiting[0]["call_id"], _text(others))]
    if not items:
        raise InvalidRequest(f"message.parts: the task waits for an answer. {HOW}", "message.parts")
    return [*items, user_item(others)] if others else items


def _answers(data: Any, waiting: Sequence[Item], path: str) -> list[Json]:
    """Return the items that a part's data answers with; none if it is no answer."""
    if not isinstance(data, dict) or not ("approve" in data or "output" in data):
        return []
    kind = _APPROVAL if "approve" in data else _CALL
    name, id_ = _IDS[kind]
    ids = [item[id_] for item in waiting if item["type"] == kind]
    if name in data:
        if data[name] not in ids:
            raise InvalidRequest(f"{path}.{name}: the task does not wait for it.", f"{path}.{name}")
        ids = [data[name]]
    if not ids or (kind == _CALL and len(ids) > 1):
        raise InvalidRequest(f"{path}.{name}: must name what it answers. {HOW}", f"{path}.{name}")
    if kind == _CALL:
        return [_output(ids[0], data["output"])]
    return [_approval(id_, data, path) for id_ in ids]


def _approval(id: str, data: Json, path: str) -> Json:
    for name, type_ in (("approve", bool), ("reason", str), ("arguments", dict)):
        if not isinstance(data.get(name, type_()), type_):
            raise InvalidRequest(f"{path}.{name}: must be a {_KINDS[name]}.", f"{path}.{name}")
    answer = {"type": "mcp_approval_response", "approval_request_id": id}
    more = {"agent_asgi:arguments": data["arguments"]} if "arguments" in data else {}
    reason = {"reason": data["reason"]} if "reason" in data else {}
    return {**answer, "approve": data["approve"], **reason, **more}


_KINDS = {"approve": "boolean", "reason": "string", "arguments": "JSON object"}


def _output(call_id: str, value: Any) -> Json:
    output = value if isinstance(value, str) else codec.encode(value).decode()
    return {"type": "function_call_output", "call_id": call_id, "output": output}


def _text(parts: Sequence[Part]) -> str:
    return "".join(
        part.text or ("" if part.data is UNSET else codec.encode(part.data).decode())
        for part in parts
    )
