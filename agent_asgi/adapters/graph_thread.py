"""Where a graph's run goes on: the thread of its checkpointer, and what it gets there."""

import json
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote
from uuid import uuid4

from langchain_core.messages import AIMessage, AnyMessage, ToolMessage, convert_to_messages
from langgraph.types import Command, Interrupt, StateSnapshot
from msgspec import structs

from ..context import Context
from ..errors import InvalidRequest
from ..schema.items import FunctionCall, FunctionCallOutput, InputItem, Message, ReasoningItem
from ..schema.requests import ResponsesRequest
from .calls import INTERRUPTED
from .chat_messages import inputs as chat_inputs


def inputs(request: ResponsesRequest) -> list[AnyMessage]:
    """Give the conversation as messages of LangChain, each with an id.

    Args:
        request: The request; its `instructions` come first, as a system message.

    Raises:
        InvalidRequest: A file is given by its URL; its data is needed. Or the arguments of a call
            are no JSON object.
    """
    given = request.input
    if not isinstance(given, str):
        given = [_with_object(each, f"input[{n}].arguments") for n, each in enumerate(given)]
    messages: Any = convert_to_messages(chat_inputs(structs.replace(request, input=given)))
    for message in messages:
        message.id = str(uuid4())  # a graph that returns all of its messages says nothing twice
    return list(messages)


def _with_object(item: InputItem, path: str) -> InputItem:
    """Give an item whose arguments LangChain takes: a call has an object, and may have none yet."""
    if not isinstance(item, FunctionCall):
        return item
    cut = item.status in ("in_progress", "incomplete")
    if not item.arguments or (cut and not _is_object(item.arguments)):
        return structs.replace(item, arguments="{}")
    if not _is_object(item.arguments):
        raise InvalidRequest(f"{path}: a JSON object is needed.", path)
    return item


def _is_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text, strict=False), dict)
    except ValueError:
        return False


class Thread:
    """The thread of a checkpointer that a run goes on in.

    Args:
        request: The request.
        context: The run's context.
    """

    def __init__(self, request: ResponsesRequest, context: Context) -> None:
        self._request = request
        self._again = context.attempt > 1
        self._new = _unsaid(request.new_input)
        self._prefix = "" if context.session_id else _asking(self._new) or context.response_id
        self._user = context.user
        self.id = context.session_id or self._prefix

    def config(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Name the thread in a configuration that names none."""
        user = f"{quote(self._user, safe='')}/" if self._user else ""
        named = {"thread_id": user + self.id, **given.get("configurable", {})}
        return {**given, "configurable": named}

    def call_id(self, interrupt: Interrupt) -> str:
        """Give the id under which an interrupt is answered; without a session it has the thread."""
        return f"{self._prefix}:{interrupt.id}" if self._prefix else interrupt.id

    def start(self, snapshot: StateSnapshot, full: Any) -> Any:
        """Give the graph's input: all of it for a new thread, else what is new."""
        if not snapshot.values:
            return full
        if self._again and snapshot.next and not snapshot.interrupts:
            return None  # the process died in the midst of it: on from the last checkpoint
        asked = {self.call_id(each): each.id for each in snapshot.interrupts}
        answers, new = {}, []
        for item in self._new:
            if isinstance(item, FunctionCallOutput) and item.call_id in asked:
                answers[asked[item.call_id]] = _parsed(item)
            else:
                new.append(item)
        messages = inputs(structs.replace(self._request, input=new, instructions=None))
        if answers:
            return Command(resume=answers, update={"messages": messages} if messages else None)
        stopped = _interrupted(snapshot.values.get("messages") or (), messages)
        return full | {"messages": [*stopped, *messages]}


def _interrupted(before: Sequence[Any], new: Sequence[AnyMessage]) -> list[ToolMessage]:
    """Give an output for each call that the thread was stopped in; models take no other."""
    answered = {each.tool_call_id for each in new if isinstance(each, ToolMessage)}
    for message in reversed(before):
        if isinstance(message, AIMessage):
            ids = [each["id"] for each in message.tool_calls if each["id"] not in answered]
            return [ToolMessage(INTERRUPTED, tool_call_id=id_, id=str(uuid4())) for id_ in ids]
        if isinstance(message, ToolMessage):
            answered.add(message.tool_call_id)
    return []


def _unsaid(items: str | list[InputItem]) -> list[InputItem]:
    """Give what comes behind the agent's last word, for clients that send all each time."""
    if isinstance(items, str):
        return [Message(role="user", content=items)]
    start = 0
    for number, item in enumerate(items, 1):
        said = isinstance(item, Message) and item.role == "assistant"
        if said or isinstance(item, FunctionCall | ReasoningItem):
            start = number
    return items[start:]


def _asking(items: list[InputItem]) -> str | None:
    """Give the thread whose interrupt is answered, where the ids of calls name one."""
    for item in items:
        if isinstance(item, FunctionCallOutput) and item.call_id.startswith("resp_"):
            return item.call_id.partition(":")[0]
    return None


def _parsed(item: FunctionCallOutput) -> Any:
    """Give what an interrupt is answered with: JSON where it is, else the text."""
    text = Message(role="user", content=item.output).text
    try:
        return json.loads(text)
    except ValueError:
        return text
