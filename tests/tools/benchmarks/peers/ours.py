"""The benchmark agent, served by agent_asgi."""

import os
import time
from collections.abc import AsyncIterator

from work import ANSWER, NAP, tokens

from agent_asgi import AgentApp, AgentRouter, Limits, ResponsesRequest

router = AgentRouter("bench")
streaming = AgentRouter("bench")  # with `router`, background runs would use `invoke`
sync = AgentRouter("bench")


@router.invoke
async def answer(request: ResponsesRequest) -> str:
    return ANSWER


@streaming.stream
@router.stream
async def stream(request: ResponsesRequest) -> AsyncIterator[str]:
    async for token in tokens(request.input_text):
        yield token


@sync.invoke
def nap(request: ResponsesRequest) -> str:
    time.sleep(NAP)
    return ANSWER


if os.environ["BENCH_TRACING"] == "off":
    os.environ["OTEL_SDK_DISABLED"] = "true"  # mlflow.tracing.disable() would import MLflow
agents = {"both": router, "stream": streaming, "sync": sync}
app = AgentApp(
    agents[os.environ.get("BENCH_AGENT", "both")],
    limits=Limits(
        worker_concurrency=int(os.environ.get("BENCH_CONCURRENCY", "20")),
        max_output_bytes=256 << 20,  # the long stream is larger than the default
        max_runs=20_000,
        max_streams=20_000,  # as many as `make streams` opens
    ),
)
