"""The body names the user and the conversation."""

from mlflow.genai.agent_server import AgentServer, invoke, stream
from mlflow.types.agent import ChatContext
from mlflow.types.responses import (
    ResponsesAgentRequest,
    ResponsesAgentResponse,
    ResponsesAgentStreamEvent,
    create_text_output_item,
)


def greet(context: ChatContext) -> dict:
    text = f"Hello {context.user_id} in {context.conversation_id}."
    return create_text_output_item(text, "msg_1")


@invoke()
async def non_streaming(request: ResponsesAgentRequest) -> ResponsesAgentResponse:
    return ResponsesAgentResponse(output=[greet(request.context)])


@stream()
async def streaming(request: ResponsesAgentRequest):
    yield ResponsesAgentStreamEvent(type="response.output_item.done", item=greet(request.context))


agent_server = AgentServer("ResponsesAgent")
app = agent_server.app

if __name__ == "__main__":
    agent_server.run(app_import_string="chat_context:app")
