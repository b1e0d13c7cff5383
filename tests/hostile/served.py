"""What is attacked: an agent with short times, and the same with wide bounds under `/wide`."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from starlette.types import Receive, Scope, Send

from agent_asgi import AgentApp, AgentRouter, Limits, ResponsesRequest, Timeouts, protocol

sys.path.insert(0, str(Path(__file__).parents[1]))
from test_hostile import FORGERIES

TIMES = Timeouts(body=2, write=2)
WIDE = Limits(max_body_bytes=64 << 20, max_nodes=1_000_000)
protocol.HEAD_SECONDS = 2.0

router = AgentRouter()


@router.stream
async def speak(request: ResponsesRequest) -> AsyncIterator[Any]:
    """Do what the input's first word says."""
    word, _, rest = str(request.input).partition(" ")
    if word == "words":
        for _ in range(5):
            yield "word "
            await asyncio.sleep(0.005)
    elif word == "flood":
        for _ in range(400):
            yield "x" * 8192
            await asyncio.sleep(0.05)
    elif word == "long":
        yield "x" * int(rest)
    elif word == "alike":
        for _ in range(int(rest)):
            yield {"type": "message", "id": "same", "content": "x"}
    elif word == "forge":
        for each in FORGERIES:
            yield each
    else:
        yield "hello"


agent = AgentApp(router, timeouts=TIMES)
wide = AgentApp(router, timeouts=TIMES, limits=WIDE)


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Serve the agents, and `/state`: what is at work."""
    path = scope.get("path", "")
    if path == "/state":
        await _tell(send)
    elif path.startswith("/wide"):
        await wide({**scope, "root_path": "/wide"}, receive, send)
    else:
        await agent(scope, receive, send)


async def _tell(send: Send) -> None:
    wide._service.begin()  # that its own tasks are there from the start
    live = agent._service.begin()
    runs = agent._service.limits.max_runs - live.gates["agent"].free
    streams = agent._service.limits.max_streams - live.streams.free
    state = {"tasks": len(asyncio.all_tasks()), "runs": runs, "streams": streams}
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": json.dumps(state).encode()})
