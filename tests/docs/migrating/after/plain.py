"""The stream handler serves both modes."""

from collections.abc import AsyncGenerator

from mlflow.types.responses import (
    ResponsesAgentRequest,
    ResponsesAgentStreamEvent,
    create_text_delta,
    create_text_output_item,
)

from agent_asgi import AgentApp, AgentRouter

router = AgentRouter("plain")


@router.stream()
async def streaming(
    request: ResponsesAgentRequest,
) -> AsyncGenerator[ResponsesAgentStreamEvent, None]:
    text = ""
    for word in ["You ", "said: ", request.input[-1].content]:
        text += word
        yield ResponsesAgentStreamEvent(**create_text_delta(word, "msg_1"))
    item = create_text_output_item(text, "msg_1")
    yield ResponsesAgentStreamEvent(type="response.output_item.done", item=item)


app = AgentApp(router)

if __name__ == "__main__":
    app.run("plain:app")
