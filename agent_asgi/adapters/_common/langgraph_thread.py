"""The thread of a graph's checkpointer, and the graph's input in it."""

import json
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any
from urllib.parse import quote
from uuid import uuid4

from langchain_core.messages import AIMessage, AnyMessage, ToolMessage, convert_to_messages
from langgraph.types import Command, Interrupt, StateSnapshot
from msgspec import structs

from ...context import Context
from ...errors import InvalidRequest
from ...schema.chat_messages import chat_messages, text_of
from ...schema.items import (
    ApprovalRequest,
    ApprovalResponse,
    FunctionCall,
    FunctionCallOutput,
    InputItem,
    Message,
    ReasoningItem,
)
from ...schema.requests import ResponsesRequest
from ...schema.tool_calls import INTERRUPTED
from .langchain_approvals import Action, actions_of, resume_value


def inputs(request: ResponsesRequest) -> list[AnyMessage]:
    """Return the conversation as messages of LangChain, each with an id.

    Args:
        request: The request; its `instructions` come first, as a system message.

    Raises:
        InvalidRequest: The input has the URL of a file instead of its data, or the arguments of a
            call are not a JSON object.
    """
    items = [_with_object(each, f"input[{n}].arguments") for n, each in enumerate(request.input)]
    messages: Any = convert_to_messages(chat_messages(items, request.instructions))
    for message in messages:
        message.id = str(uuid4())  # else a graph that returns all messages would repeat them
    return list(messages)


def _with_object(item: InputItem, path: str) -> InputItem:
    """Return an item whose arguments are an object; empty if the call was cut short."""
    if not isinstance(item, FunctionCall):
        return item
    cut = item.status in ("in_progress", "incomplete")
    if not item.arguments or (cut and not _is_object(item.arguments)):
        return structs.replace(item, arguments="{}")
    if not _is_object(item.arguments):
        raise InvalidRequest(f"{path}: must be a JSON object.", path)
    return item


def _is_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text, strict=False), dict)
    except ValueError:
        return False


class Thread:
    """The thread of a checkpointer that a run continues.

    Args:
        request: The request.
        context: The run's context.
    """

    def __init__(self, request: ResponsesRequest, context: Context) -> None:
        self._request = request
        self._context = context
        self._resumed = context.attempt > 1
        self._new = _new_items(request.new_input)
        self._asked_by = ""
        if context.saved_state is not None:
            saved = json.loads(context.saved_state)
            self.id, self._asked_by = str(saved["thread"]), str(saved["asked_by"])
            self._prefix = self.id if self.id.startswith("resp_") else ""
        else:
            thread = _thread_of(self._new) or context.response_id
            self._prefix = "" if context.session_id else thread
            self.id = context.session_id or self._prefix
        self._user = context.user

    def config(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """Return a configuration with this thread unless it names another."""
        user = f"{quote(self._user, safe='')}/" if self._user else ""
        configurable = {"thread_id": user + self.id, **config.get("configurable", {})}
        return {**config, "configurable": configurable}

    def call_id(self, interrupt: Interrupt) -> str:
        """Return the call id of an interrupt; without a session it includes the thread."""
        return f"{self._prefix}:{interrupt.id}" if self._prefix else interrupt.id

    def ask(self, interrupt: Interrupt, actions: Sequence[Action]) -> list[ApprovalRequest]:
        """Return the approval requests of an interrupt, one for each tool call.

        Save which thread waits, so that an answer finds it; a session names its thread itself.

        Raises:
            InvalidRequest: The client sent `store: false` and no session.
        """
        asked_by = ""
        if self._context.session_id is None or self._request.store is not False:
            asked_by = self._context.response_id
            state = {"thread": self.id, "asked_by": asked_by}
            self._context.save_state(json.dumps(state).encode())
        return [
            ApprovalRequest(action.name, action.args, id=self._approval_id(interrupt, n, asked_by))
            for n, action in enumerate(actions)
        ]

    def _approval_id(self, interrupt: Interrupt, number: int, asked_by: str) -> str:
        """Return the id of a tool call's approval request; no other response asks with it."""
        name = f"{asked_by}:{self.call_id(interrupt)}:{number}"
        return f"mcpr_{sha256(name.encode()).hexdigest()[:32]}"

    def calls(self, snapshot: StateSnapshot) -> dict[str, FunctionCall]:
        """Return the tool calls of the thread that have no output, by id."""
        messages = snapshot.values.get("messages") or ()
        outputs = {each.tool_call_id for each in messages if isinstance(each, ToolMessage)}
        calls = [
            call for each in messages if isinstance(each, AIMessage) for call in each.tool_calls
        ]
        return {
            str(call["id"]): FunctionCall(
                call_id=str(call["id"]), name=call["name"], arguments=json.dumps(call["args"])
            )
            for call in calls
            if call["id"] not in outputs
        }

    def start(self, snapshot: StateSnapshot, full: Any) -> Any:
        """Return the graph's input: everything for a new thread, else what is new.

        Args:
            snapshot: The state of the thread.
            full: The input with the whole conversation.

        Raises:
            InvalidRequest: The middleware does not allow an answer.
        """
        if not snapshot.values:
            return full
        if self._resumed and snapshot.next and not snapshot.interrupts:
            return None  # the process died during the run: continue from the last checkpoint
        interrupts = {self.call_id(each): each.id for each in snapshot.interrupts}
        answers: dict[str, Any] = self._approvals(snapshot.interrupts)
        new: list[InputItem] = []
        for item in self._new:
            if isinstance(item, FunctionCallOutput) and item.call_id in interrupts:
                answers[interrupts[item.call_id]] = _parsed(text_of(item.output))
            else:
                new.append(item)
        messages = inputs(structs.replace(self._request, input=new, earlier=0, instructions=None))
        if answers:
            return Command(resume=answers, update={"messages": messages} if messages else None)
        outputs = _missing_outputs(snapshot.values.get("messages") or (), messages)
        return full | {"messages": [*outputs, *messages]}

    def _approvals(self, interrupts: Sequence[Interrupt]) -> dict[str, Any]:
        """Return what resumes the interrupts whose approval requests are answered, by their ids."""
        new = self._context.approvals
        answers = {
            item.approval_request_id: (f"input[{number}].approve", item)
            for number, item in enumerate(self._request.new_input)
            if isinstance(item, ApprovalResponse) and item in new
        }
        resumed: dict[str, Any] = {}
        for interrupt in interrupts:
            ids = [
                self._approval_id(interrupt, n, self._asked_by)
                for n in range(len(actions_of(interrupt)))
            ]
            found = [answers.get(id_, ("input", None)) for id_ in ids]
            if any(answer is not None for _, answer in found):
                resumed[interrupt.id] = resume_value(interrupt, found)
        return resumed


def _missing_outputs(before: Sequence[Any], new: Sequence[AnyMessage]) -> list[ToolMessage]:
    """Return an output for each interrupted call of the thread, as models require."""
    answered = {each.tool_call_id for each in new if isinstance(each, ToolMessage)}
    for message in reversed(before):
        if isinstance(message, AIMessage):
            ids = [each["id"] for each in message.tool_calls if each["id"] not in answered]
            return [ToolMessage(INTERRUPTED, tool_call_id=id_, id=str(uuid4())) for id_ in ids]
        if isinstance(message, ToolMessage):
            answered.add(message.tool_call_id)
    return []


def _new_items(items: list[InputItem]) -> list[InputItem]:
    """Return the items after the agent's last, for clients that send the whole conversation."""
    start = 0
    for number, item in enumerate(items, 1):
        message = isinstance(item, Message) and item.role == "assistant"
        if message or isinstance(item, FunctionCall | ReasoningItem | ApprovalRequest):
            start = number
    return items[start:]


def _thread_of(items: list[InputItem]) -> str | None:
    """Return the thread whose interrupt is answered, if the id of a call includes it."""
    for item in items:
        if isinstance(item, FunctionCallOutput) and item.call_id.startswith("resp_"):
            return item.call_id.partition(":")[0]
    return None


def _parsed(text: str) -> Any:
    """Return JSON as its value, other text unchanged."""
    try:
        return json.loads(text)
    except ValueError:
        return text
