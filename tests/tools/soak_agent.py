"""The agents of tests/tools/soak.py: well and badly behaved ones, and one that inspects."""

import asyncio
import sys
import threading
import time
from collections.abc import AsyncIterator
from typing import Any

from agent_asgi import (
    AgentApp,
    AgentRouter,
    BearerTokens,
    Context,
    Limits,
    ResponsesRequest,
    Timeouts,
    Usage,
)

TIMES = Timeouts(body=2, run=3, background=3, silence=2, write=2, cleanup=0.5, ping=0.5)
soak = AgentRouter("soak")
other = AgentRouter("other")
numbers = AgentRouter("numbers", protocol="json")
debug = AgentRouter("debug", protocol="json")


@soak.stream
async def act(request: ResponsesRequest, context: Context) -> AsyncIterator[Any]:
    """Behave or misbehave as the input asks."""
    kind, _, detail = request.input_text.partition(" ")
    if kind == "fail":
        raise ValueError("as asked")
    for number in range(int(detail or 5)):
        yield f"word {number} "
        if kind != "burst":
            await asyncio.sleep(0.02)
    if kind == "call":
        yield {"type": "reasoning", "summary": [{"type": "summary_text", "text": "I call."}]}
        yield {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}
    while kind == "flood":
        yield "x" * 20_000
        await asyncio.sleep(0)
    if kind == "garbage":
        yield object()
    await _misbehave(kind)
    yield Usage(input_tokens=3, output_tokens=5)


async def _misbehave(kind: str) -> None:
    if kind == "late":
        raise ValueError("as asked, late")
    if kind == "block":
        time.sleep(0.05)  # noqa: ASYNC251  misbehaves on purpose
    if kind == "never":
        await asyncio.sleep(3600)
    if kind == "ignore":
        await _ignore()


async def _ignore() -> None:
    for _ in range(10):
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            continue


@other.invoke
def in_a_thread(request: ResponsesRequest) -> str:
    """Answer slowly, in a thread."""
    time.sleep(0.02)
    return "from a thread"


@other.compact
async def compact(request: ResponsesRequest) -> Any:
    """Compact a conversation."""
    return {"type": "compaction", "encrypted_content": "short"}


@numbers.stream
async def count(request: dict[str, Any]) -> AsyncIterator[int]:
    """Count."""
    for number in range(5):
        yield number


@debug.invoke
async def tell(request: dict[str, Any]) -> dict[str, int]:
    """Count the tasks, threads and open traces of this process, without importing mlflow."""
    manager = sys.modules.get("mlflow.tracing.trace_manager")
    traces = 0 if manager is None else len(manager.InMemoryTraceManager.get_instance()._traces)
    return {
        "tasks": len(asyncio.all_tasks()),
        "threads": threading.active_count(),
        "open traces": traces,
    }


app = AgentApp(
    soak,
    other,
    numbers,
    debug,
    timeouts=TIMES,
    limits=Limits(max_runs=50, max_output_bytes=2_000_000, worker_concurrency=10),
    authenticate=BearerTokens({"alice-token": "alice", "bob-token": "bob"}),
)
