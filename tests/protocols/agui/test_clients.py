"""AG-UI's own clients, and CopilotKit's runtime, against a real server."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from agent_asgi import (
    AgentApp,
    AgentError,
    AgentRouter,
    ApprovalRequest,
    Context,
    FunctionCall,
    FunctionCallOutput,
    Reasoning,
    ResponsesRequest,
    Usage,
)
from agent_asgi.protocols import AGUI
from agent_asgi.schema.items import InputImage, Message
from tests.clients.node_driver import seen
from tests.protocols.agui.talk import agent
from tests.support.calling import Serve, until

Json = dict[str, Any]


def echo(request: ResponsesRequest, context: Context) -> list[Any]:
    return [f"You said: {request.input_text}", Usage(input_tokens=3, output_tokens=4)]


def own(request: ResponsesRequest, context: Context) -> list[Any]:
    earlier = [item.output for item in request.input if isinstance(item, FunctionCallOutput)]
    call = FunctionCall("look", {"at": "it"})
    return [call, FunctionCallOutput(call.call_id, "blue"), f"It is blue. Before: {earlier}"]


def painter(request: ResponsesRequest, context: Context) -> list[Any]:
    outputs = [item.output for item in request.input if isinstance(item, FunctionCallOutput)]
    return [f"Result: {outputs[0]}"] if outputs else [FunctionCall("paint", {"color": "red"})]


def thinker(request: ResponsesRequest, context: Context) -> list[Any]:
    return [Reasoning("Hm."), "Yes."]


def counter(request: ResponsesRequest, context: Context) -> list[Any]:
    count = (request.custom_inputs or {})["state"]["count"]
    patch = [{"op": "replace", "path": "/count", "value": count * 10}]
    return [
        {"type": "agui:state_snapshot", "snapshot": {"count": count, "seen": True}},
        {"type": "agui:state_delta", "delta": patch},
    ]


def eraser(request: ResponsesRequest, context: Context) -> list[Any]:
    if not context.approvals:
        context.save_state(b"state")
        return ["Well. ", ApprovalRequest("erase", {"path": "a"})]
    answer = context.approvals[0]
    if not answer.approve:
        return [f"Kept: {answer.reason}"]
    call = FunctionCall("erase", {"path": "a"})
    return [call, FunctionCallOutput(call.call_id, "gone"), "Erased."]


def viewer(request: ResponsesRequest, context: Context) -> list[Any]:
    message = request.input[-1]
    assert isinstance(message, Message)
    return [str([part.image_url for part in message.content if isinstance(part, InputImage)])]


def vendor(request: ResponsesRequest, context: Context) -> list[Any]:
    return ["x", {"type": "acme:progress", "n": 1}, {"type": "acme:thing", "id": "t1"}]


def refuser(request: ResponsesRequest, context: Context) -> list[Any]:
    raise AgentError("No more today.", 429, "spent")


def breaker(request: ResponsesRequest, context: Context) -> list[Any]:
    return ["Well", {"output": [], "error": {"code": "broken", "message": "It broke."}}]


def sleeper() -> AgentRouter:
    router = AgentRouter("sleeper")

    @router.stream
    async def sleep(request: ResponsesRequest) -> AsyncIterator[str]:
        yield "Well"
        await asyncio.sleep(60)

    return router


HANDLES = (echo, own, painter, thinker, counter, eraser, viewer, vendor, refuser, breaker)
SEEN: dict[str, Json] = {
    "text": {"text": "You said: hello", "usage": 7},
    "conversation": {"text": "You said: two", "count": 4},
    "own_tool": {
        "roles": ["assistant", "tool", "assistant"],
        "call": ["look", '{"at":"it"}'],
        "text": "It is blue. Before: []",
        "again": "It is blue. Before: ['blue']",
    },
    "client_tool": {"name": "paint", "text": "Result: painted"},
    "reasoning": {"roles": ["reasoning", "assistant"], "thought": "Hm."},
    "state": {"count": 100, "seen": True},
    "approved": {"text": "Erased.", "results": ["gone"], "answeredAll": True},
    "rejected": {
        "text": "Kept: Mine.",
        "results": ["The user did not approve the call. Mine."],
        "answeredAll": True,
    },
    "cancelled": {
        "text": "Kept: No answer was given.",
        "results": ["The user did not approve the call. No answer was given."],
        "answeredAll": True,
    },
    "blocked": {"refused": True},
    "image": {"text": "['data:image/png;base64,AA']"},
    "custom": {"seen": ["acme:progress", "acme:thing"]},
    "failed_before": {"status": 429, "message": True},
    "failed_amid": {"code": "broken", "message": "It broke.", "text": "Well"},
    "aborted": {"text": "Well"},
}
COPILOTKIT: dict[str, Json] = {
    "text": {"text": "You said: hello", "end": "RUN_FINISHED"},
    "own_tool": {
        "kinds": ["TOOL_CALL_START", "TOOL_CALL_ARGS", "TOOL_CALL_END", "TOOL_CALL_RESULT"]
    },
    "approval": {"text": "Erased."},
    "failed": {"end": "RUN_ERROR"},
}


@pytest.mark.parametrize(
    ("program", "wanted"),
    [("version1", SEEN), ("version0", SEEN), ("copilotkit", COPILOTKIT)],
)
def test_a_client_sees_what_the_agent_does(
    serve: Serve, program: str, wanted: dict[str, Json]
) -> None:
    routers = [*(agent(handle, name=handle.__name__) for handle in HANDLES), sleeper()]
    app = AgentApp(*routers, protocols=[AGUI()])
    assert seen(f"ag_ui:{program}", serve(app), *wanted) == wanted
    runtime = app._config._runtime
    assert runtime is not None
    until(lambda: not runtime.admission.runs)
