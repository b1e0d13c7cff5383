"""Another model's stream is passed through."""

from collections.abc import AsyncGenerator

from mlflow.types.responses import (
    ResponsesAgentRequest,
    ResponsesAgentResponse,
    ResponsesAgentStreamEvent,
)
from openai import AsyncOpenAI

from agent_asgi import AgentApp, AgentRouter

client = AsyncOpenAI()


router = AgentRouter("pass-through")


@router.invoke()
async def non_streaming(request: ResponsesAgentRequest) -> ResponsesAgentResponse:
    messages = [item.model_dump(exclude_none=True) for item in request.input]
    response = await client.responses.create(model="upstream", input=messages)
    return ResponsesAgentResponse(**response.model_dump(exclude_none=True))


@router.stream()
async def streaming(
    request: ResponsesAgentRequest,
) -> AsyncGenerator[ResponsesAgentStreamEvent, None]:
    messages = [item.model_dump(exclude_none=True) for item in request.input]
    async for event in await client.responses.create(model="upstream", input=messages, stream=True):
        yield ResponsesAgentStreamEvent(**event.model_dump(exclude_none=True))


app = AgentApp(router)

if __name__ == "__main__":
    app.run("pass_through:app")
