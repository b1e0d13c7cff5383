"""The app under attack: an agent with short timeouts; `/wide` serves it with high limits."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

from starlette.types import Receive, Scope, Send

from agent_asgi import AgentApp, AgentRouter, Limits, ResponsesRequest, Timeouts
from agent_asgi.protocols import A2A, AGUI, AgentBricks, ChatCompletions, UIStream
from agent_asgi.server import http_protocol as protocol
from agent_asgi.store import MemoryStore
from tests.support.forgery import FORGERIES

TIMES = Timeouts(body=2, write=2)
STORED = 48 << 20
"""Bytes of responses in memory: less than an attack may leave behind."""
WIDE = Limits(max_body_bytes=64 << 20, max_nodes=1_000_000)
protocol.HEAD_SECONDS = 2.0

router = AgentRouter()


@router.stream
async def speak(request: ResponsesRequest) -> AsyncIterator[Any]:
    """Do what the first word of the input says."""
    word, _, rest = request.input_text.partition(" ")
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


PROTOCOLS = (ChatCompletions(), UIStream(), AGUI(), A2A(), AgentBricks())
agent = AgentApp(router, protocols=PROTOCOLS, timeouts=TIMES, store=MemoryStore(max_bytes=STORED))
wide = AgentApp(router, timeouts=TIMES, limits=WIDE, store=MemoryStore(max_bytes=STORED))


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Serve the agents; `/state` returns the numbers of tasks, runs and streams."""
    path = scope.get("path", "")
    if path == "/state":
        await _tell(send)
    elif path.startswith("/wide"):
        await wide({**scope, "root_path": "/wide"}, receive, send)
    else:
        await agent(scope, receive, send)


async def _tell(send: Send) -> None:
    wide._config.begin()  # start its tasks now, so that every count includes them
    engine = agent._config.begin().engine
    runs = agent.limits.max_runs - engine.limiters["agent"].free
    streams = agent.limits.max_streams - engine.streams.free
    state = {"tasks": len(asyncio.all_tasks()), "runs": runs, "streams": streams}
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": json.dumps(state).encode()})
