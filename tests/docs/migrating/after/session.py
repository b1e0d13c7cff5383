"""The session is in the context, and in the trace."""

from mlflow.types.responses import (
    ResponsesAgentRequest,
    ResponsesAgentResponse,
    ResponsesAgentStreamEvent,
    create_text_output_item,
)

from agent_asgi import AgentApp, AgentRouter, get_context

router = AgentRouter("session")


@router.invoke()
async def non_streaming(request: ResponsesAgentRequest) -> ResponsesAgentResponse:
    text = f"This is {get_context().session_id}."
    return ResponsesAgentResponse(output=[create_text_output_item(text, "msg_1")])


@router.stream()
async def streaming(request: ResponsesAgentRequest):
    item = create_text_output_item(f"This is {get_context().session_id}.", "msg_1")
    yield ResponsesAgentStreamEvent(type="response.output_item.done", item=item)


app = AgentApp(router)

if __name__ == "__main__":
    app.run("session:app")
