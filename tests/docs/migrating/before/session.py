"""The session is looked up and written to the trace."""

import mlflow
from mlflow.genai.agent_server import AgentServer, invoke, stream
from mlflow.types.responses import (
    ResponsesAgentRequest,
    ResponsesAgentResponse,
    ResponsesAgentStreamEvent,
    create_text_output_item,
)


def get_session_id(request: ResponsesAgentRequest) -> str | None:
    if request.context and request.context.conversation_id:
        return request.context.conversation_id
    if request.custom_inputs and isinstance(request.custom_inputs, dict):
        return request.custom_inputs.get("session_id")
    return None


def remember(request: ResponsesAgentRequest) -> str | None:
    if session_id := get_session_id(request):
        mlflow.update_current_trace(metadata={"mlflow.trace.session": session_id})
    return session_id


@invoke()
async def non_streaming(request: ResponsesAgentRequest) -> ResponsesAgentResponse:
    text = f"This is {remember(request)}."
    return ResponsesAgentResponse(output=[create_text_output_item(text, "msg_1")])


@stream()
async def streaming(request: ResponsesAgentRequest):
    item = create_text_output_item(f"This is {remember(request)}.", "msg_1")
    yield ResponsesAgentStreamEvent(type="response.output_item.done", item=item)


agent_server = AgentServer("ResponsesAgent")
app = agent_server.app

if __name__ == "__main__":
    agent_server.run(app_import_string="session:app")
