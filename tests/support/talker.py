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
    said = [item.text for item in request.input if isinstance(item, Message)]
    if context.approvals:
        answer = context.approvals[0]
        yield f"approve={answer.approve} reason={answer.reason}"
    elif request.new_input[0].type == "function_call_output":
        yield f"You are {request.new_input[0].output}."
    elif request.input_text == "tool":
        async for output in use_tools():
            yield output
    elif request.input_text == "ask me":
        yield FunctionCall("where_are_you", {"unit": "city"}, client=True)
    elif request.input_text == "delete":
        yield ApprovalRequest("delete_file", {"path": "a.txt"})
    elif request.input_text == "fail":
        raise AgentError("It is broken.", code="broken")
    elif request.input_text == "escape":
        yield "\x1b[2Jred\u202e\x9b31m"
    elif request.input_text == "cite":
        yield "Paris."
        yield Citation(url="https://example.com/paris", title="Paris")
    elif request.input_text == "for ever":
        async for word in go_on():
            yield word
    else:
        yield f"Turn {len(said)}: "
        yield request.input_text


async def use_tools() -> AsyncIterator[Output]:
    """Think, and call a tool that works and one that fails."""
    yield Reasoning("Let me look.")
    for name in ("look", "reach"):
        call = FunctionCall(name, {"at": "the sky"})
        yield call
        failed = name == "reach"
        output = {"error": "too high"} if failed else {"output": "blue" * 300}
        yield FunctionCallOutput(call.call_id, **output)
    yield "It is blue."


async def go_on() -> AsyncIterator[str]:
    """Go on until the run is cancelled."""
    try:
        while True:
            yield "on "
            await asyncio.sleep(0.05)
    finally:
        stopped.set()


app = AgentApp(talker, parrot)
single = AgentApp(talker)
