"""The body names the user and the conversation."""

from mlflow.types.agent import ChatContext
from mlflow.types.responses import (
    ResponsesAgentRequest,
    ResponsesAgentResponse,
    ResponsesAgentStreamEvent,
    create_text_output_item,
)

from agent_asgi import AgentApp, AgentRouter


def greet(context: ChatContext) -> dict:
    text = f"Hello {context.user_id} in {context.conversation_id}."
    return create_text_output_item(text, "msg_1")


router = AgentRouter("chat-context")


@router.invoke()
async def non_streaming(request: ResponsesAgentRequest) -> ResponsesAgentResponse:
    return ResponsesAgentResponse(output=[greet(request.context)])


@router.stream()
async def streaming(request: ResponsesAgentRequest):
    yield ResponsesAgentStreamEvent(type="response.output_item.done", item=greet(request.context))


app = AgentApp(router)

if __name__ == "__main__":
    app.run("chat_context:app")
