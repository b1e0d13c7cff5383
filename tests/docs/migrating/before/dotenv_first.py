"""The environment is loaded before the agent's module."""

from pathlib import Path

from dotenv import load_dotenv
from mlflow.genai.agent_server import AgentServer, invoke, stream
from mlflow.types.responses import (
    ResponsesAgentRequest,
    ResponsesAgentResponse,
    ResponsesAgentStreamEvent,
    create_text_output_item,
)

load_dotenv(dotenv_path=Path(__file__).parents[1] / "shop.env")

from tests.docs.migrating.greeting import GREETING  # noqa: E402


@invoke()
async def non_streaming(request: ResponsesAgentRequest) -> ResponsesAgentResponse:
    return ResponsesAgentResponse(output=[create_text_output_item(GREETING, "msg_1")])


@stream()
async def streaming(request: ResponsesAgentRequest):
    item = create_text_output_item(GREETING, "msg_1")
    yield ResponsesAgentStreamEvent(type="response.output_item.done", item=item)


agent_server = AgentServer("ResponsesAgent")
app = agent_server.app

if __name__ == "__main__":
    agent_server.run(app_import_string="dotenv_first:app")
