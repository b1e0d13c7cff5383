"""The environment is loaded before the agent's module."""

from pathlib import Path

from dotenv import load_dotenv
from mlflow.types.responses import (
    ResponsesAgentRequest,
    ResponsesAgentResponse,
    ResponsesAgentStreamEvent,
    create_text_output_item,
)

from agent_asgi import AgentApp, AgentRouter

load_dotenv(dotenv_path=Path(__file__).parents[1] / "shop.env")

from tests.docs.migrating.greeting import GREETING  # noqa: E402

router = AgentRouter("dotenv-first")


@router.invoke()
async def non_streaming(request: ResponsesAgentRequest) -> ResponsesAgentResponse:
    return ResponsesAgentResponse(output=[create_text_output_item(GREETING, "msg_1")])


@router.stream()
async def streaming(request: ResponsesAgentRequest):
    item = create_text_output_item(GREETING, "msg_1")
    yield ResponsesAgentStreamEvent(type="response.output_item.done", item=item)


app = AgentApp(router)

if __name__ == "__main__":
    app.run("dotenv_first:app")
