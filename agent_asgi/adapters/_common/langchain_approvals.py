"""LangChain's requests for approval: the interrupts of `HumanInTheLoopMiddleware`."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from langgraph.types import Interrupt

from ...errors import InvalidRequest
from ...schema.items import ApprovalResponse
from ...schema.tool_calls import NO_ANSWER

_ALL = frozenset({"approve", "edit", "reject", "respond"})


class Action(NamedTuple):
    """A tool call that waits for a decision."""

    name: str
    """The tool."""
    args: dict[str, Any]
    """Its arguments."""
    allowed: frozenset[str]
    """The types of the decisions that are allowed."""


def actions_of(interrupt: Interrupt) -> list[Action]:
    """Return the tool calls that an interrupt asks to approve; empty for another question."""
    value = interrupt.value
    if not isinstance(value, dict):
        return []
    if value.get("type") == "tool_approval":
        actions = [Action(value["name"], value["args"], _in_schema(interrupt.response_schema))]
    elif isinstance(value.get("action_requests"), list):
        configs = value.get("review_configs") or []
        allowed = {config["action_name"]: config["allowed_decisions"] for config in configs}
        actions = [
            Action(action["name"], action["args"], frozenset(allowed.get(action["name"], _ALL)))
            for action in value["action_requests"]
        ]
    else:
        return []
    # a tool that can only be responded to is a question, not an approval
    return actions if all(action.allowed & {"approve", "reject"} for action in actions) else []


def resume_value(
    interrupt: Interrupt, answers: Sequence[tuple[str, ApprovalResponse | None]]
) -> dict[str, Any]:
    """Return what resumes an interrupt.

    Args:
        interrupt: The interrupt.
        answers: For each of its actions, the path of the answer in the request and the answer.

    Raises:
        InvalidRequest: The middleware does not allow a decision.
    """
    decisions = [
        _decision(action, *answer)
        for action, answer in zip(actions_of(interrupt), answers, strict=True)
    ]
    return {"decisions": decisions} if "action_requests" in interrupt.value else decisions[0]


def _decision(action: Action, path: str, answer: ApprovalResponse | None) -> dict[str, Any]:
    decision: dict[str, Any]
    if answer is None:
        decision = {"type": "reject", "message": NO_ANSWER}
    elif not answer.approve:
        decision = {"type": "reject"} | ({"message": answer.reason} if answer.reason else {})
    elif answer.arguments is not None:
        edited = {"name": action.name, "args": answer.arguments}
        decision = {"type": "edit", "edited_action": edited}
    else:
        decision = {"type": "approve"}
    if decision["type"] not in action.allowed:
        allowed = ", ".join(sorted(action.allowed))
        message = f"{path}: {action.name} cannot be answered with {decision['type']!r} ({allowed})."
        raise InvalidRequest(message, path)
    return decision


def _in_schema(schema: Any) -> frozenset[str]:
    """Return the types of the decisions in the JSON schema of an answer."""
    if not isinstance(schema, dict):
        return _ALL
    shapes = [schema, *schema.get("$defs", {}).values()]
    types = [shape.get("properties", {}).get("type", {}).get("const") for shape in shapes]
    return frozenset(filter(None, types)) or _ALL
