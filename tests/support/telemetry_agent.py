"""A process whose agent exports all that OpenTelemetry takes; started by `tests/tracing`.

    python -m tests.support.telemetry_agent OPTIONS

OPTIONS are those of `AgentApp`, as JSON.
"""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from typing import Any

import mlflow
from opentelemetry import _logs as logs

from agent_asgi import AgentApp, AgentRouter, FunctionCall, ResponsesRequest, Timeouts, Usage
from agent_asgi.testing import AgentClient

WORDS = ("Wombat", "Quokka", "Numbat", "Bilby")
"""Words of the question, the answer, the failure and the feedback."""
IMAGE = "data:image/png;base64,V29tYmF0"
CALLER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
HEADERS = {"traceparent": CALLER, "baggage": "tenant=a%20b;p=1,region=eu", "x-session-id": "s-1"}

event: Any = mlflow.entities.SpanEvent  # mypy takes it to be abstract
router = AgentRouter("shop")


@router.stream
async def sell(request: ResponsesRequest) -> AsyncIterator[Any]:
    """Answer with a tool, a model and a failure, each with a span of its own."""
    question = request.input_text
    root = mlflow.get_current_active_span()
    assert root is not None
    root.set_attribute("asked", question)
    with mlflow.start_span("weather", span_type="TOOL") as span:
        span.set_inputs({"city": question, "picture": IMAGE})
        span.set_outputs("Quokka")
    with mlflow.start_span("model", span_type="CHAT_MODEL") as span:
        span.set_attributes({"instructions": question, "mlflow.llm.model": "m-1"})
        span.add_event(event("mlflow.chunk.item.0", attributes={"a": "Quokka"}))
        with mlflow.start_span("researcher", span_type="AGENT"):
            yield "Quokka"
    if question.startswith("fail"):
        with mlflow.start_span("broken", span_type="TOOL"):
            raise ValueError("Numbat")
    if question.startswith("call"):
        yield FunctionCall("pay", {"to": "Quokka"}, client=True)
    if question.startswith("cut"):
        yield {"type": "response.incomplete", "response": {}}
    details = {"cached_tokens": 3, "cache_write_tokens": 2}
    yield Usage(input_tokens=7, output_tokens=5, input_tokens_details=details)


async def main(options: dict[str, Any]) -> None:
    """Ask the agent four times, and give feedback."""
    app = AgentApp(router, timeouts=Timeouts(tracing=60), **options)
    client = AgentClient(app, HEADERS)
    async with app.lifespan():
        for text in ("Wombat", "call Wombat", "cut Wombat", "fail Wombat"):
            body = {"input": text, "stream": True, "user": "ann"}
            answer = await client.post("/responses", body)
        ids = {
            "response_id": answer.events()[0]["response"]["id"],
            "trace_id": answer.headers["x-mlflow-trace-id"],
        }
        told = await client.post("/feedback", {**ids, "value": False, "comment": "Bilby"})
        sys.stdout.write(json.dumps(ids | {"status": told.status, "body": told.body.decode()}))


def set_logger_provider() -> Any:
    """Set what `opentelemetry-instrument` would, and return it."""
    from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
    from opentelemetry.sdk._logs import LoggerProvider
    from opentelemetry.sdk._logs.export import SimpleLogRecordProcessor

    provider = LoggerProvider()
    provider.add_log_record_processor(SimpleLogRecordProcessor(OTLPLogExporter()))
    logs.set_logger_provider(provider)
    return provider


if __name__ == "__main__":
    provider = set_logger_provider() if "LOGS" in os.environ else None
    asyncio.run(main(json.loads(sys.argv[1])))
    if provider is not None:
        provider.shutdown()
