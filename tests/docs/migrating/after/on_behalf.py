"""The user's token comes in a header that Databricks Apps sets."""

from mlflow.types.responses import (
    ResponsesAgentRequest,
    ResponsesAgentResponse,
    ResponsesAgentStreamEvent,
    create_text_output_item,
)

from agent_asgi import AgentApp, AgentRouter, get_request_headers


def user_client() -> str:
    token = get_request_headers().get("x-forwarded-access-token")
    return f"client with {token}"


router = AgentRouter("on-behalf")


@router.invoke()
async def non_streaming(request: ResponsesAgentRequest) -> ResponsesAgentResponse:
    return ResponsesAgentResponse(output=[create_text_output_item(user_client(), "msg_1")])


@router.stream()
async def streaming(request: ResponsesAgentRequest):
    item = create_text_output_item(user_client(), "msg_1")
    yield ResponsesAgentStreamEvent(type="response.output_item.done", item=item)


app = AgentApp(router)

if __name__ == "__main__":
    app.run("on_behalf:app")
