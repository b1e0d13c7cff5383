"""The agent of the benchmark, served by MLflow's AgentServer."""

from collections.abc import AsyncIterator
from typing import Any

import mlflow
from mlflow.genai.agent_server import AgentServer, invoke, stream
from mlflow.types.responses import (
    ResponsesAgentRequest,
    ResponsesAgentResponse,
    ResponsesAgentStreamEvent,
)


def item(text: str) -> Any:
    """Make an assistant's message."""
    part = {"type": "output_text", "text": text}
    return {"type": "message", "id": "m1", "role": "assistant", "content": [part]}


@invoke()
async def answer(request: ResponsesAgentRequest) -> ResponsesAgentResponse:
    return ResponsesAgentResponse(output=[item("token " * 100)])


@stream()
async def tokens(request: ResponsesAgentRequest) -> AsyncIterator[ResponsesAgentStreamEvent]:
    for _ in range(100):
        delta: Any = {"item_id": "m1", "delta": "token "}
        yield ResponsesAgentStreamEvent(type="response.output_text.delta", **delta)
    done: Any = {"item": item("token " * 100)}
    yield ResponsesAgentStreamEvent(type="response.output_item.done", **done)


mlflow.tracing.disable()
app = AgentServer("ResponsesAgent").app
