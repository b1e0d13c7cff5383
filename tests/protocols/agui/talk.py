"""Agents that speak AG-UI in the tests, and their answers."""

from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

from ag_ui_validate.pytest_plugin import assert_valid_agui

from agent_asgi import AgentApp, AgentRouter, Context, ResponsesRequest
from agent_asgi.protocols import AGUI
from agent_asgi.testing import AgentClient, Answer
from tests.support.apps import ask, started

Json = dict[str, Any]
RUN: Json = {
    "threadId": "t1",
    "runId": "r1",
    "protocolVersion": "1.0",
    "messages": [{"id": "u1", "role": "user", "content": "hi"}],
}
OLD = {name: value for name, value in RUN.items() if name != "protocolVersion"}
"""The run input of a client before 1.0."""
Handle = Callable[[ResponsesRequest, Context], list[Any]]


def agent(handle: Handle, **options: Any) -> AgentRouter:
    """Return an agent that yields what a function returns."""
    router = AgentRouter(**options)

    @router.stream
    async def answer(request: ResponsesRequest, context: Context) -> AsyncIterator[Any]:
        for output in handle(request, context):
            yield output

    return router


def app(handle: Handle, **options: Any) -> AgentApp:
    """Return an app that speaks AG-UI, with an agent that yields what a function returns."""
    return AgentApp(agent(handle, **options), protocols=[AGUI()])


def run(outputs: list[Any], body: Json = RUN, **options: Any) -> list[Json]:
    """Return the events of a run whose agent yields these outputs."""
    return events_of(ask(app(lambda *_: outputs, **options), "/agui", body))


async def turns(app: AgentApp, *bodies: Callable[[list[Json]], Json] | Json) -> list[list[Json]]:
    """Send run inputs one after another; a function makes one of the events before."""
    answers: list[list[Json]] = []
    async with started(app):
        for body in bodies:
            sent = body(answers[-1]) if callable(body) else body
            before = [event for events in answers for event in events]
            answers.append(events_of(await AgentClient(app).post("/agui", sent), before))
    return answers


def events_of(answer: Answer, before: Sequence[Json] = ()) -> list[Json]:
    """Return the events of an answer, whose order is valid.

    Args:
        answer: The answer.
        before: The events of the thread's earlier runs. Default none.
    """
    assert answer.status == 200, answer.body
    assert b"\r" not in answer.body
    assert b"[DONE]" not in answer.body
    events = answer.events()
    started = {each["toolCallId"] for each in of_kind([*before, *events], "TOOL_CALL_START")}
    assert started >= {each["toolCallId"] for each in of_kind(events, "TOOL_CALL_RESULT")}
    # the rule that a result follows its call in the same run does not know interrupts
    assert_valid_agui(events, severity_overrides={"AGUI207": "off"} if before else None)
    return events


def kinds(events: list[Json]) -> list[str]:
    """Return the types of events."""
    return [event["type"] for event in events]


def of_kind(events: list[Json], *names: str) -> list[Json]:
    """Return the events of some types, without their type."""
    return [
        {name: value for name, value in event.items() if name != "type"}
        for event in events
        if event["type"] in names
    ]


def messages_after(events: list[Json]) -> list[Json]:
    """Return the messages that a client makes of a run's events."""
    made: dict[str, Json] = {}
    for event in events:
        kind = event["type"]
        if kind == "TEXT_MESSAGE_START":
            id_ = event["messageId"]
            made[id_] = {"id": id_, "role": event["role"], "content": ""}
        elif kind in ("TEXT_MESSAGE_CONTENT", "REASONING_MESSAGE_CONTENT"):
            made[event["messageId"]]["content"] += event["delta"]
        elif kind == "REASONING_MESSAGE_START":
            id_ = event["messageId"]
            made[id_] = {"id": id_, "role": "reasoning", "content": ""}
        elif kind == "REASONING_ENCRYPTED_VALUE":
            made[event["entityId"]]["encryptedValue"] = event["encryptedValue"]
        elif kind == "TOOL_CALL_START":
            function = {"name": event["toolCallName"], "arguments": ""}
            call = {"id": event["toolCallId"], "type": "function", "function": function}
            made[call["id"]] = {"id": call["id"], "role": "assistant", "toolCalls": [call]}
        elif kind == "TOOL_CALL_ARGS":
            (call,) = made[event["toolCallId"]]["toolCalls"]
            call["function"]["arguments"] += event["delta"]
        elif kind == "TOOL_CALL_RESULT":
            copied = ("toolCallId", "content", "role")
            made[event["messageId"]] = {"id": event["messageId"], **{n: event[n] for n in copied}}
    return list(made.values())
