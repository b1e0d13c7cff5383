"""Custom inputs come in, custom outputs go out."""

from mlflow.types.responses import (
    ResponsesAgentRequest,
    ResponsesAgentResponse,
    create_text_output_item,
)

from agent_asgi import AgentApp, AgentRouter

router = AgentRouter("custom-inputs")


@router.invoke()
async def answer(request: ResponsesAgentRequest) -> ResponsesAgentResponse:
    given = request.custom_inputs or {}
    return ResponsesAgentResponse(
        output=[create_text_output_item(f"In {given.get('language')}.", "msg_1")],
        custom_outputs={"seen": given},
    )


app = AgentApp(router)

if __name__ == "__main__":
    app.run("custom_inputs:app")
