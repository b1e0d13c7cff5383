"""The user's token comes in a header that Databricks Apps sets."""

from mlflow.genai.agent_server import AgentServer, get_request_headers, invoke, stream
from mlflow.types.responses import (
    ResponsesAgentRequest,
    ResponsesAgentResponse,
    ResponsesAgentStreamEvent,
    create_text_output_item,
)


def user_client() -> str:
    token = get_request_headers().get("x-forwarded-access-token")
    return f"client with {token}"


@invoke()
async def non_streaming(request: ResponsesAgentRequest) -> ResponsesAgentResponse:
    return ResponsesAgentResponse(output=[create_text_output_item(user_client(), "msg_1")])


@stream()
async def streaming(request: ResponsesAgentRequest):
    item = create_text_output_item(user_client(), "msg_1")
    yield ResponsesAgentStreamEvent(type="response.output_item.done", item=item)


agent_server = AgentServer("ResponsesAgent")
app = agent_server.app

if __name__ == "__main__":
    agent_server.run(app_import_string="on_behalf:app")
