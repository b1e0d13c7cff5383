"""The apps whose answers docs/wire.md shows: the calculator, and small agents for the rest."""

import asyncio
import atexit
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import calculator

from agent_asgi import (
    AgentApp,
    AgentRouter,
    ApprovalRequest,
    BearerTokens,
    Context,
    FunctionCall,
    FunctionCallOutput,
    Limits,
    ResponsesRequest,
    Timeouts,
    Usage,
    get_context,
)
from agent_asgi.proxy import ReverseProxy

tutor = AgentRouter("tutor", description="Answers")


@tutor.stream
async def answer(request: ResponsesRequest) -> AsyncIterator[Any]:
    """Stream two words."""
    yield "It"
    yield " is."
    yield Usage(input_tokens=3, output_tokens=2)


parts = AgentRouter("parts")
"""Yields what the calculator does not: a citation, a refusal, reasoning text, a tool that fails and
a call of a custom tool."""


@parts.stream
async def every_part(request: ResponsesRequest) -> AsyncIterator[Any]:
    """Yield one part of each kind, or an incomplete response."""
    if request.input_text == "cut":
        yield "Once upon"
        cut = {"incomplete_details": {"reason": "max_output_tokens"}}
        yield {"object": "response", "output": [], "status": "incomplete", **cut}
        return
    think = {"type": "reasoning", "summary": []}
    yield think | {"content": [{"type": "reasoning_text", "text": "Who is asking?"}]}
    source: dict[str, Any] = {"type": "url_citation", "url": "https://example.com", "title": "E"}
    source |= {"start_index": 0, "end_index": 3}
    text = {"type": "output_text", "text": "Yes.", "annotations": [source]}
    for part in (text, {"type": "refusal", "refusal": "No."}):
        yield {"type": "message", "role": "assistant", "content": [part]}
    yield {"type": "custom_tool_call", "call_id": "call_1", "name": "note", "input": "So."}
    call = FunctionCall("look", {"at": "the sky"}, "call_2")
    yield call
    yield FunctionCallOutput(call.call_id, error="It is dark.")


slow = AgentRouter("slow")


@slow.stream
async def wait(request: ResponsesRequest) -> AsyncIterator[str]:
    """Yield a word at once unless asked for silence, then wait a minute."""
    if request.input_text != "silence":
        yield "Wait"
    await asyncio.sleep(60)


failing = AgentRouter("failing")


@failing.stream
async def fail(request: ResponsesRequest) -> AsyncIterator[str]:
    """Fail, after a word or too much output if asked for it."""
    if request.input_text == "too much":
        yield "x" * 1000
    if "say something" in request.input_text:
        yield "Something"
    raise RuntimeError("the reason, for the log alone")


caller = AgentRouter("caller")


@caller.invoke
async def call(request: ResponsesRequest) -> dict[str, Any]:
    """Call a tool, even if the request does not allow it."""
    return {"type": "function_call", "call_id": "call_1", "name": "look", "arguments": "{}"}


asker = AgentRouter("asker")
ASKED = "mcpr_" + "5f0c8d1e" * 4
"""The id of its approval request."""


@asker.invoke
async def ask(request: ResponsesRequest, context: Context) -> Any:
    """Ask for approval, then answer."""
    return "Done." if context.approvals else ApprovalRequest("send", {"to": "Ann"}, id=ASKED)


adder = AgentRouter("adder", protocol="json")


@adder.invoke
async def add(request: dict[str, Any]) -> dict[str, Any]:
    """Add up numbers."""
    return {"sum": sum(request["numbers"])}


counter = AgentRouter("counter", protocol="json")


@counter.stream
async def count(request: dict[str, Any]) -> AsyncIterator[Any]:
    """Count."""
    for number in range(int(request["to"])):
        yield {"number": number + 1}


ending = AgentRouter("ending")


@ending.stream
async def end(request: ResponsesRequest) -> AsyncIterator[str]:
    """Shut down the app, then either return or wait."""
    drains.append(asyncio.create_task(get_context().state["app"].drain()))
    await asyncio.sleep(60 if request.input_text == "wait" else 0)
    yield "The server ends."


drains: list[asyncio.Task[None]] = []


@asynccontextmanager
async def itself(app: AgentApp) -> AsyncIterator[dict[str, AgentApp]]:
    """Make the app available to its handlers."""
    yield {"app": app}


async def broken(_: Any) -> str:
    """Fail to authenticate anyone."""
    raise RuntimeError("the directory of users is away")


SILENT = socket.create_server(("127.0.0.1", 0))
"""A front end that accepts connections but never answers."""
atexit.register(SILENT.close)
QUICK = {"cleanup": 0.2, "drain": 0.2}


def apps() -> dict[str, AgentApp]:
    """Create all apps, by the name that exchanges use."""
    small = Limits(max_body_bytes=400, max_depth=4, max_nodes=8)
    silent = f"http://127.0.0.1:{SILENT.getsockname()[1]}"
    few = Limits(max_runs=1, max_queued=1, worker_concurrency=1)
    return {
        "calculator": AgentApp(calculator.router, playground=True),
        "tutor": AgentApp(tutor),
        "parts": AgentApp(parts),
        "adder": AgentApp(adder),
        "counter": AgentApp(counter),
        "several": AgentApp(calculator.router, parts, adder),
        "slow": AgentApp(slow, timeouts=Timeouts(**QUICK)),
        "few": AgentApp(slow, limits=few, timeouts=Timeouts(room=0, **QUICK)),
        "talkative": AgentApp(failing, limits=Limits(max_output_bytes=600)),
        "one stream": AgentApp(slow, limits=Limits(max_streams=1), timeouts=Timeouts(**QUICK)),
        "failing": AgentApp(failing),
        "caller": AgentApp(caller),
        "small": AgentApp(calculator.router, limits=small, timeouts=Timeouts(body=0.2)),
        "hasty": AgentApp(slow, timeouts=Timeouts(run=0.2, cleanup=0.2)),
        "impatient": AgentApp(slow, timeouts=Timeouts(silence=0.2, cleanup=0.2)),
        "single": AgentApp(tutor, single_user=True),
        "brief": AgentApp(tutor, single_user=True, limits=Limits(max_conversation_items=1)),
        "asker": AgentApp(asker),
        "closed": AgentApp(calculator.router, authenticate=BearerTokens({"secret": "ann"})),
        "broken": AgentApp(calculator.router, authenticate=broken),
        "ending": AgentApp(ending, timeouts=Timeouts(**QUICK), lifespan=itself),
        "ended": AgentApp(ending, timeouts=Timeouts(**QUICK), lifespan=itself),
        "fronted": AgentApp(tutor, fallback=ReverseProxy("http://127.0.0.1:1")),
        "slow fronted": AgentApp(tutor, fallback=ReverseProxy(silent, timeout=0.2)),
        "counted": AgentApp(calculator.router),
    }
