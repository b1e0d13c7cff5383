"""Traces name the commit that produced them."""

import logging

from mlflow.genai.agent_server import (
    AgentServer,
    invoke,
    setup_mlflow_git_based_version_tracking,
    stream,
)
from mlflow.types.responses import (
    ResponsesAgentRequest,
    ResponsesAgentResponse,
    ResponsesAgentStreamEvent,
    create_text_output_item,
)


@invoke()
async def non_streaming(request: ResponsesAgentRequest) -> ResponsesAgentResponse:
    return ResponsesAgentResponse(output=[create_text_output_item("Hello.", "msg_1")])


@stream()
async def streaming(request: ResponsesAgentRequest):
    item = create_text_output_item("Hello.", "msg_1")
    yield ResponsesAgentStreamEvent(type="response.output_item.done", item=item)


agent_server = AgentServer("ResponsesAgent")
app = agent_server.app

try:
    setup_mlflow_git_based_version_tracking()
except Exception:
    logging.exception("Git version tracking failed.")

if __name__ == "__main__":
    agent_server.run(app_import_string="git_version:app")
