"""LangGraph: messages become deltas, updates become items."""

from collections.abc import AsyncGenerator

from langchain_core.messages import AIMessageChunk
from mlflow.types.responses import (
    ResponsesAgentRequest,
    ResponsesAgentResponse,
    ResponsesAgentStreamEvent,
    create_text_delta,
    output_to_responses_items_stream,
    to_chat_completions_input,
)

from agent_asgi import AgentApp, AgentRouter
from tests.docs.migrating.models import graph

router = AgentRouter("shop")


@router.invoke()
async def non_streaming(request: ResponsesAgentRequest) -> ResponsesAgentResponse:
    outputs = [
        event.item
        async for event in streaming(request)
        if event.type == "response.output_item.done"
    ]
    return ResponsesAgentResponse(output=outputs)


@router.stream()
async def streaming(
    request: ResponsesAgentRequest,
) -> AsyncGenerator[ResponsesAgentStreamEvent, None]:
    messages = to_chat_completions_input([item.model_dump() for item in request.input])
    async for kind, data in graph.astream(
        {"messages": messages}, stream_mode=["updates", "messages"]
    ):
        if kind == "updates":
            for node in data.values():
                for event in output_to_responses_items_stream(node.get("messages", [])):
                    yield event
        elif isinstance(data[0], AIMessageChunk) and data[0].content:
            yield ResponsesAgentStreamEvent(**create_text_delta(data[0].content, data[0].id))


app = AgentApp(router)

if __name__ == "__main__":
    app.run("langgraph_agent:app")
