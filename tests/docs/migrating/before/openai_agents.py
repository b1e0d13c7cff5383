"""OpenAI Agents SDK: raw events are forwarded with new ids, tool outputs are added."""

from collections.abc import AsyncGenerator
from uuid import uuid4

from agents import Agent, Runner, function_tool, set_tracing_disabled
from mlflow.genai.agent_server import AgentServer, invoke, stream
from mlflow.types.responses import (
    ResponsesAgentRequest,
    ResponsesAgentResponse,
    ResponsesAgentStreamEvent,
)

set_tracing_disabled(True)


@function_tool
def count(thing: str) -> str:
    """Count how many of a thing there are."""
    return f"7 {thing}"


def create_agent() -> Agent:
    return Agent(name="shop", instructions="Sell.", model="upstream", tools=[count])


async def process(events) -> AsyncGenerator[ResponsesAgentStreamEvent, None]:
    current = str(uuid4())
    async for event in events:
        if event.type == "raw_response_event":
            data = event.data.model_dump()
            if data["type"] == "response.output_item.added":
                current = str(uuid4())
                data["item"]["id"] = current
            elif data.get("item") is not None and data["item"].get("id") is not None:
                data["item"]["id"] = current
            elif data.get("item_id") is not None:
                data["item_id"] = current
            yield ResponsesAgentStreamEvent(**data)
        elif event.type == "run_item_stream_event" and event.item.type == "tool_call_output_item":
            yield ResponsesAgentStreamEvent(
                type="response.output_item.done", item=event.item.to_input_item()
            )


@invoke()
async def non_streaming(request: ResponsesAgentRequest) -> ResponsesAgentResponse:
    messages = [item.model_dump() for item in request.input]
    result = await Runner.run(create_agent(), messages)
    return ResponsesAgentResponse(output=[item.to_input_item() for item in result.new_items])


@stream()
async def streaming(
    request: ResponsesAgentRequest,
) -> AsyncGenerator[ResponsesAgentStreamEvent, None]:
    messages = [item.model_dump() for item in request.input]
    result = Runner.run_streamed(create_agent(), input=messages)
    async for event in process(result.stream_events()):
        yield event


agent_server = AgentServer("ResponsesAgent")
app = agent_server.app

if __name__ == "__main__":
    agent_server.run(app_import_string="openai_agents:app")
