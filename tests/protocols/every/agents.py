"""The agents that every protocol serves: each shows one thing that a run may have."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

from agent_asgi import (
    AgentRouter,
    ApprovalRequest,
    Citation,
    Context,
    FunctionCall,
    FunctionCallOutput,
    Reasoning,
    ResponsesRequest,
)

Agent = Callable[[ResponsesRequest, Context], AsyncIterator[Any]]
WORDS = 400
SECRET = "the password is swordfish"
IMAGE = "data:image/png;base64,iVBORw0KGgo="


async def text(request: ResponsesRequest, context: Context) -> AsyncIterator[Any]:
    yield "Hello "
    yield request.input_text


async def long(request: ResponsesRequest, context: Context) -> AsyncIterator[Any]:
    for number in range(WORDS):
        yield f"{number} "


async def reasoning(request: ResponsesRequest, context: Context) -> AsyncIterator[Any]:
    yield Reasoning("Hm.")
    yield "Yes."


async def own_tool(request: ResponsesRequest, context: Context) -> AsyncIterator[Any]:
    call = FunctionCall("add", {"a": 1, "b": 2})
    yield call
    yield FunctionCallOutput(call.call_id, "3")
    yield "It is 3."


async def clients_tool(request: ResponsesRequest, context: Context) -> AsyncIterator[Any]:
    yield FunctionCall("pick", {"n": 1}, client=True)


async def parallel_tools(request: ResponsesRequest, context: Context) -> AsyncIterator[Any]:
    first, second = FunctionCall("add", {"a": 1}), FunctionCall("add", {"a": 2})
    yield first
    yield second
    yield FunctionCallOutput(second.call_id, "two")
    yield FunctionCallOutput(first.call_id, "one")
    yield "Both."


async def approval(request: ResponsesRequest, context: Context) -> AsyncIterator[Any]:
    yield ApprovalRequest("delete", {"path": "a"})


async def image_in(request: ResponsesRequest, context: Context) -> AsyncIterator[Any]:
    message = request.messages[-1]
    urls = [each["image_url"]["url"] for each in message["content"] if each["type"] == "image_url"]
    yield f"I see {len(urls)}: {urls == [IMAGE]}"


async def citation(request: ResponsesRequest, context: Context) -> AsyncIterator[Any]:
    yield "It is so."
    yield Citation("https://a.example/", "A page")


async def failed_before(request: ResponsesRequest, context: Context) -> AsyncIterator[Any]:
    raise RuntimeError(SECRET)
    yield


async def failed_amid(request: ResponsesRequest, context: Context) -> AsyncIterator[Any]:
    yield "So "
    await asyncio.sleep(0.05)
    raise RuntimeError(SECRET)


async def left(request: ResponsesRequest, context: Context) -> AsyncIterator[Any]:
    yield "So "
    await asyncio.sleep(3)
    yield "far."


async def incomplete(request: ResponsesRequest, context: Context) -> AsyncIterator[Any]:
    yield "Only half"
    details = {"reason": "max_output_tokens"}
    yield {
        "type": "response.incomplete",
        "response": {"output": [], "incomplete_details": details},
    }


AGENTS: dict[str, Agent] = {
    each.__name__: each
    for each in (
        text,
        long,
        reasoning,
        own_tool,
        clients_tool,
        parallel_tools,
        approval,
        image_in,
        citation,
        failed_before,
        failed_amid,
        left,
        incomplete,
    )
}


def routers(prefix: str, begun: list[str]) -> list[AgentRouter]:
    """Return the agents.

    Args:
        prefix: Of their names.
        begun: Gets the name of each run's agent when the run begins.
    """
    made = []
    for name, agent in AGENTS.items():
        router = AgentRouter(f"{prefix}-{name}")
        router.stream(_noted(name, agent, begun))
        made.append(router)
    return made


def _noted(name: str, agent: Agent, begun: list[str]) -> Agent:
    async def noted(request: ResponsesRequest, context: Context) -> AsyncIterator[Any]:
        begun.append(name)
        async for output in agent(request, context):
            yield output

    return noted
