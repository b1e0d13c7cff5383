"""Agents that a chat of the AI SDK asks, by the text of the message."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

from starlette.applications import Starlette
from starlette.routing import Mount

from agent_asgi import (
    AgentApp,
    AgentError,
    AgentRouter,
    ApprovalRequest,
    Citation,
    Context,
    FunctionCall,
    FunctionCallOutput,
    Reasoning,
    ResponsesRequest,
    Usage,
)
from agent_asgi.protocols import UIStream
from tests.support.calling import QUICK

PICTURE = "AA=="
OUTPUTS: dict[str, list[Any]] = {
    "text": ["Hello ", "there.", Usage(input_tokens=3, output_tokens=2)],
    "reasoning": [Reasoning("Let me think."), "Thought."],
    "own": [
        "Let me look. ",
        FunctionCall("look", {"at": 1}, "c1"),
        FunctionCallOutput("c1", {"seen": True}),
        "Seen.",
    ],
    "failing": [FunctionCall("look", {}, "c1"), FunctionCallOutput("c1", error="Too dark.")],
    "sources": ["As said.", Citation("https://example.org/a", "A")],
    "picture": [
        {"type": "image_generation_call", "id": "ig_1", "status": "completed", "result": PICTURE}
    ],
    "data": [
        {"type": "acme:progress", "percent": 5, "transient": True},
        {"type": "acme:chart", "id": "c1", "data": [1]},
        {"type": "acme:chart", "item_id": "c1", "data": [1, 2]},
    ],
    "incomplete": ["Cut", {"output": [], "incomplete_details": {"reason": "max_output_tokens"}}],
}


async def _files(request: ResponsesRequest) -> AsyncIterator[Any]:
    content: Any = request.to_dict()["input"][-1]["content"]
    yield " ".join(part["type"] for part in content)


async def _client(request: ResponsesRequest) -> AsyncIterator[Any]:
    outputs = [item.output for item in request.input if isinstance(item, FunctionCallOutput)]
    if outputs:
        yield f"It is {' and '.join(map(str, outputs))}."
        return
    for number, city in enumerate(("Paris", "Rome")):
        yield FunctionCall("get_weather", {"city": city}, f"c{number}")


async def _approval(request: ResponsesRequest, context: Context) -> AsyncIterator[Any]:
    if not context.approvals:
        yield "May I? "
        yield ApprovalRequest("erase", {"path": "/a"})
        return
    (answer,) = context.approvals
    if answer.approve:
        yield FunctionCall("erase", {"path": "/a"}, "c1")
        yield FunctionCallOutput("c1", "erased")
    yield f"{'Done' if answer.approve else 'Kept'}. {answer.reason}"


async def _turns(request: ResponsesRequest) -> AsyncIterator[Any]:
    yield " ".join(message["role"] for message in request.messages)


async def _slow(request: ResponsesRequest) -> AsyncIterator[Any]:
    for number in range(40):
        yield f"word {number} "
        await asyncio.sleep(0.05)
    yield "end"


async def _error(request: ResponsesRequest) -> AsyncIterator[Any]:
    yield "Begun"
    raise RuntimeError("a secret of the server")


async def _refused(request: ResponsesRequest) -> AsyncIterator[Any]:
    raise AgentError("Too hot.", 418)
    yield


_RULES: dict[str, Callable[..., AsyncIterator[Any]]] = {
    "files": _files,
    "client": _client,
    "turns": _turns,
    "slow": _slow,
    "error": _error,
    "refused": _refused,
}


def agent() -> AgentRouter:
    """Make an agent that answers as the newest message of the user asks."""
    router = AgentRouter("agent")

    @router.stream
    async def reply(request: ResponsesRequest, context: Context) -> AsyncIterator[Any]:
        text = request.input_text
        if text == "approval":
            answer = _approval(request, context)
        elif text in _RULES:
            answer = _RULES[text](request)
        else:
            answer = _each(OUTPUTS[text])
        async for output in answer:
            yield output

    return router


async def _each(outputs: list[Any]) -> AsyncIterator[Any]:
    for output in outputs:
        yield output


def app() -> Starlette:
    """Make an app with the agent, below `/resumed` with runs that can be resumed."""
    plain, resumed = (
        AgentApp(agent(), protocols=[UIStream(resume=resume)], single_user=True, timeouts=QUICK)
        for resume in (False, True)
    )
    return Starlette(
        routes=[Mount("/resumed", resumed), Mount("/", plain)], lifespan=plain.lifespan
    )
