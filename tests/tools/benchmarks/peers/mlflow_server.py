"""The benchmark agent, served by MLflow's AgentServer."""

import os
import time
from collections.abc import AsyncIterator
from typing import Any

import mlflow
from mlflow.genai.agent_server import AgentServer, invoke, stream
from mlflow.types.responses import (
    ResponsesAgentRequest,
    ResponsesAgentResponse,
    ResponsesAgentStreamEvent,
)
from work import ANSWER, NAP, tokens


def item(text: str) -> Any:
    """Create an assistant message."""
    part = {"type": "output_text", "text": text}
    return {"type": "message", "id": "msg_1", "role": "assistant", "content": [part]}


async def answer(request: ResponsesAgentRequest) -> ResponsesAgentResponse:
    return ResponsesAgentResponse(output=[item(ANSWER)])


def nap(request: ResponsesAgentRequest) -> ResponsesAgentResponse:
    time.sleep(NAP)
    return ResponsesAgentResponse(output=[item(ANSWER)])


@stream()
async def stream_tokens(request: ResponsesAgentRequest) -> AsyncIterator[ResponsesAgentStreamEvent]:
    command: Any = request.input[0]
    text = ""
    async for token in tokens(command.content):
        text += token
        delta: Any = {"item_id": "msg_1", "delta": token}
        yield ResponsesAgentStreamEvent(type="response.output_text.delta", **delta)
    done: Any = {"item": item(text)}
    yield ResponsesAgentStreamEvent(type="response.output_item.done", **done)


invoke()(nap if os.environ.get("BENCH_AGENT") == "sync" else answer)
if os.environ["BENCH_TRACING"] == "off":
    mlflow.tracing.disable()
app = AgentServer("ResponsesAgent").app
