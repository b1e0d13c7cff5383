"""Another model's stream is passed through."""

from collections.abc import AsyncGenerator

from mlflow.genai.agent_server import AgentServer, invoke, stream
from mlflow.types.responses import (
    ResponsesAgentRequest,
    ResponsesAgentResponse,
    ResponsesAgentStreamEvent,
)
from openai import AsyncOpenAI

client = AsyncOpenAI()


@invoke()
async def non_streaming(request: ResponsesAgentRequest) -> ResponsesAgentResponse:
    messages = [item.model_dump(exclude_none=True) for item in request.input]
    response = await client.responses.create(model="upstream", input=messages)
    return ResponsesAgentResponse(**response.model_dump(exclude_none=True))


@stream()
async def streaming(
    request: ResponsesAgentRequest,
) -> AsyncGenerator[ResponsesAgentStreamEvent, None]:
    messages = [item.model_dump(exclude_none=True) for item in request.input]
    async for event in await client.responses.create(model="upstream", input=messages, stream=True):
        yield ResponsesAgentStreamEvent(**event.model_dump(exclude_none=True))


agent_server = AgentServer("ResponsesAgent")
app = agent_server.app

if __name__ == "__main__":
    agent_server.run(app_import_string="pass_through:app")
