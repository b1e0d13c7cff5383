"""The benchmark agent, served by BedrockAgentCoreApp."""

import os
import time
from collections.abc import AsyncIterator
from typing import Any

from bedrock_agentcore import BedrockAgentCoreApp  # type: ignore[import-not-found]
from work import ANSWER, NAP, tokens


def item(text: str) -> dict[str, Any]:
    """Create an assistant message."""
    part = {"type": "output_text", "text": text}
    return {"type": "message", "id": "msg_1", "role": "assistant", "content": [part]}


async def say(command: str) -> AsyncIterator[dict[str, Any]]:
    text = ""
    async for token in tokens(command):
        text += token
        yield {"type": "response.output_text.delta", "item_id": "msg_1", "delta": token}
    yield {"type": "response.output_item.done", "item": item(text)}


async def serve(payload: dict[str, Any]) -> Any:
    if payload.get("stream"):
        return say(payload["input"][0]["content"])
    return {"output": [item(ANSWER)]}


def nap(payload: dict[str, Any]) -> Any:
    time.sleep(NAP)
    return {"output": [item(ANSWER)]}


app = BedrockAgentCoreApp()
app.entrypoint(nap if os.environ.get("BENCH_AGENT") == "sync" else serve)
