"""Custom inputs come in, custom outputs go out."""

from mlflow.genai.agent_server import AgentServer, invoke
from mlflow.types.responses import (
    ResponsesAgentRequest,
    ResponsesAgentResponse,
    create_text_output_item,
)


@invoke()
async def answer(request: ResponsesAgentRequest) -> ResponsesAgentResponse:
    given = request.custom_inputs or {}
    return ResponsesAgentResponse(
        output=[create_text_output_item(f"In {given.get('language')}.", "msg_1")],
        custom_outputs={"seen": given},
    )


agent_server = AgentServer("ResponsesAgent")
app = agent_server.app

if __name__ == "__main__":
    agent_server.run(app_import_string="custom_inputs:app")
