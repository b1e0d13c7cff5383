"""Traces name the commit that produced them."""

from mlflow.types.responses import (
    ResponsesAgentRequest,
    ResponsesAgentResponse,
    ResponsesAgentStreamEvent,
    create_text_output_item,
)

from agent_asgi import AgentApp, AgentRouter, track_git_version

router = AgentRouter("git-version")


@router.invoke()
async def non_streaming(request: ResponsesAgentRequest) -> ResponsesAgentResponse:
    return ResponsesAgentResponse(output=[create_text_output_item("Hello.", "msg_1")])


@router.stream()
async def streaming(request: ResponsesAgentRequest):
    item = create_text_output_item("Hello.", "msg_1")
    yield ResponsesAgentStreamEvent(type="response.output_item.done", item=item)


app = AgentApp(router)

track_git_version()

if __name__ == "__main__":
    app.run("git_version:app")
