"""The agent of the benchmark, served by agent_asgi."""

import os
import time
from collections.abc import AsyncIterator
from typing import Any

from work import ANSWER, NAP, tokens

from agent_asgi import AgentApp, AgentRouter, Limits, ResponsesRequest

router = AgentRouter("bench")
streaming = AgentRouter("bench")  # a background run would be an invocation with `router`
sync = AgentRouter("bench")


@router.invoke
async def answer(request: ResponsesRequest) -> str:
    return ANSWER


@streaming.stream
@router.stream
async def stream(request: ResponsesRequest) -> AsyncIterator[str]:
    items: Any = request.input
    async for token in tokens(items[0].content):
        yield token


@sync.invoke
def nap(request: ResponsesRequest) -> str:
    time.sleep(NAP)
    return ANSWER


if os.environ["BENCH_TRACING"] == "off":
    os.environ["OTEL_SDK_DISABLED"] = "true"  # mlflow.tracing.disable() takes MLflow's import
agents = {"both": router, "stream": streaming, "sync": sync}
app = AgentApp(
    agents[os.environ.get("BENCH_AGENT", "both")],
    limits=Limits(worker_concurrency=int(os.environ.get("BENCH_CONCURRENCY", "20"))),
)
