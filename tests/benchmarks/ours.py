"""The agent of the benchmark, served by agent_asgi."""

from collections.abc import AsyncIterator

import mlflow

from agent_asgi import AgentApp, AgentRouter, ResponsesRequest

router = AgentRouter("bench")


@router.invoke
async def answer(request: ResponsesRequest) -> str:
    return "token " * 100


@router.stream
async def stream(request: ResponsesRequest) -> AsyncIterator[str]:
    for _ in range(100):
        yield "token "


mlflow.tracing.disable()
app = AgentApp(router)
