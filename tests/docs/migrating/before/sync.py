"""Handlers that are not coroutines."""

import time
from collections.abc import Generator

from mlflow.genai.agent_server import AgentServer, invoke, stream
from mlflow.types.responses import (
    ResponsesAgentRequest,
    ResponsesAgentResponse,
    ResponsesAgentStreamEvent,
    create_text_delta,
    create_text_output_item,
)


def look_up(question: str) -> str:
    time.sleep(0.01)
    return f"Nobody knows {question}."


@invoke()
def non_streaming(request: ResponsesAgentRequest) -> ResponsesAgentResponse:
    text = look_up(request.input[-1].content)
    return ResponsesAgentResponse(output=[create_text_output_item(text, "msg_1")])


@stream()
def streaming(
    request: ResponsesAgentRequest,
) -> Generator[ResponsesAgentStreamEvent, None, None]:
    text = look_up(request.input[-1].content)
    for word in text.split(" "):
        yield ResponsesAgentStreamEvent(**create_text_delta(word, "msg_1"))
    item = create_text_output_item(text.replace(" ", ""), "msg_1")
    yield ResponsesAgentStreamEvent(type="response.output_item.done", item=item)


agent_server = AgentServer("ResponsesAgent")
app = agent_server.app

if __name__ == "__main__":
    agent_server.run(app_import_string="sync:app")
