"""Agents for the terminal: what they say depends on the user's message."""

import asyncio
import threading
from collections.abc import AsyncIterator

from agent_asgi import (
    AgentApp,
    AgentError,
    AgentRouter,
    ApprovalRequest,
    Citation,
    Context,
    FunctionCall,
    FunctionCallOutput,
    Message,
    Output,
    Reasoning,
    ResponsesRequest,
)

talker = AgentRouter("talker")
parrot = AgentRouter("parrot")
stopped = threading.Event()


@parrot.stream
async def repeat(request: ResponsesRequest) -> AsyncIterator[Output]:
    """Repeat the user."""
    yield f"{request.input_text}, {request.input_text}"


@talker.stream
async def talk(request: ResponsesRequest, context: Context) -> AsyncIterator[Output]:
    """Do what the message says."""
    newest = request.new_input[0]
    if context.approvals:
        answer = context.approvals[0]
        yield f"approve={answer.approve} reason={answer.reason}"
    elif isinstance(newest, FunctionCallOutput):
        yield f"You are {newest.output}."
    elif request.input_text in OUTPUTS:
        for output in OUTPUTS[request.input_text]:
            yield output
    elif request.input_text in STREAMS:
        async for output in STREAMS[request.input_text]():
            yield output
    elif request.input_text == "fail":
        raise AgentError("It is broken.", code="broken")
    else:
        said = [item for item in request.input if isinstance(item, Message) and item.role == "user"]
        yield f"Turn {len(said)}: "
        yield request.input_text


async def use_tools() -> AsyncIterator[Output]:
    """Think, and call a tool that works and one that fails."""
    yield Reasoning("Let me look.")
    for name in ("look", "reach"):
        call = FunctionCall(name, {"at": "the sky"})
        yield call
        if name == "look":
            yield FunctionCallOutput(call.call_id, "blue" * 300)
        else:
            yield FunctionCallOutput(call.call_id, error="too high")
    yield "It is blue."


async def go_on() -> AsyncIterator[str]:
    """Go on until the run is cancelled."""
    try:
        while True:
            yield "on "
            await asyncio.sleep(0.05)
    finally:
        stopped.set()


OUTPUTS: dict[str, list[Output]] = {
    "ask me": [FunctionCall("where_are_you", {"unit": "city"}, client=True)],
    "delete": [ApprovalRequest("delete_file", {"path": "a.txt"})],
    "escape": ["\x1b[2Jred\u202e\x9b31m"],
    "cite": ["Paris.", Citation(url="https://example.com/paris", title="Paris")],
}
STREAMS = {"tool": use_tools, "for ever": go_on}
app = AgentApp(talker, parrot)
single = AgentApp(talker)
