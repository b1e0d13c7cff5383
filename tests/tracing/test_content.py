"""Traces without the words of conversations, in MLflow's database, and what runs still tell."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import mlflow
import pytest
from opentelemetry.sdk.trace import SpanProcessor

from agent_asgi import AgentApp, AgentError, AgentRouter, ResponsesRequest, Usage
from agent_asgi.errors import AgentFailed
from agent_asgi.schema.responses import Usage as SchemaUsage
from agent_asgi.testing import AgentClient
from agent_asgi.tracing.genai import Ending
from agent_asgi.tracing.options import VARIABLE, TraceOptions
from tests.support.apps import ask, started
from tests.support.traces import traces

WORDS = ("Echidna", "Potoroo", "Dunnart")
IMAGE = "data:image/png;base64,RWNoaWRuYQ=="


def shy(name: str) -> AgentRouter:
    """Make an agent whose spans hold each word."""
    router = AgentRouter(name)

    @router.stream
    async def tell(request: ResponsesRequest) -> AsyncIterator[Any]:
        mlflow.update_current_trace(request_preview="Echidna", response_preview="Potoroo")
        with mlflow.start_span("tool", span_type="TOOL") as span:
            span.set_inputs({"asked": request.input_text, "picture": IMAGE})
            span.set_outputs("Potoroo")
        yield "Potoroo"
        yield Usage(input_tokens=3, output_tokens=2)
        if request.input_text.startswith("fail"):
            raise ValueError("Dunnart")

    return router


def test_database_has_no_word_of_the_conversation(
    tracking_uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACE_EXTRACT_ATTACHMENTS", "true")
    app = AgentApp(shy("t-shy"), capture_content=False)

    async def main() -> None:
        async with started(app):
            client = AgentClient(app, {"x-session-id": "s-shy"})
            for text in ("Echidna", "fail Echidna"):
                answer = await client.post("/responses", {"input": text, "stream": True})
                assert "Potoroo" in answer.body.decode()

    asyncio.run(main())
    answered, failed = traces(agent="t-shy")
    folders = [Path(tracking_uri.removeprefix("sqlite:///")).parent]
    locations = (trace.info.tags["mlflow.artifactLocation"] for trace in (answered, failed))
    folders += [Path(urlsplit(each).path) for each in locations]  # where attachments would be
    files = [file for folder in folders for file in folder.rglob("*") if file.is_file()]
    stored = b"".join(file.read_bytes() for file in files)
    assert b"t-shy" in stored
    assert [word for word in (*WORDS, "RWNoaWRuYQ") if word.encode() in stored] == []
    assert not answered.info.request_preview
    assert not answered.info.response_preview
    assert answered.info.trace_metadata["mlflow.trace.session"] == "s-shy"
    root, tool = answered.data.spans
    assert root.attributes["session.id"] == "s-shy"
    assert (root.inputs, root.outputs, tool.inputs, tool.outputs) == (None,) * 4
    assert (tool.name, tool.span_type) == ("tool", "TOOL")
    assert (failed.info.state.value, failed.data.spans[0].status.description) == ("ERROR", "")
    (event,) = failed.data.spans[0].events
    assert event.attributes == {"exception.type": "ValueError"}


def test_database_has_no_second_set_of_names() -> None:
    ask(AgentApp(shy("t-open")), "/responses", {"input": "hello"})
    (trace,) = traces(agent="t-open")
    root, tool = trace.data.spans
    assert tool.inputs["asked"] == "hello"
    names = {*root.attributes, *tool.attributes}
    assert not [name for name in names if name.startswith("gen_ai.")]


def test_app_leaves_the_spans_of_its_host_alone() -> None:
    ask(AgentApp(shy("t-beside"), capture_content=False), "/responses", {"input": "x"})
    with mlflow.start_span("host of t-beside", span_type="TOOL") as span:
        span.set_inputs("seen")
    mlflow.flush_trace_async_logging()
    trace = mlflow.get_trace(span.trace_id)
    assert trace is not None
    (host,) = trace.data.spans
    assert host.inputs == "seen"
    assert "gen_ai.operation.name" not in host.attributes


@pytest.mark.parametrize(
    ("value", "captures"),
    [
        (None, True),
        ("", True),
        ("TRUE", True),
        ("span_only", True),
        ("SPAN_AND_EVENT", True),
        ("false", False),
        ("no_content", False),
        ("event_only", False),
        ("yes?", False),
    ],
)
def test_variable_of_opentelemetry(
    monkeypatch: pytest.MonkeyPatch, value: str | None, captures: bool
) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    if value is not None:
        monkeypatch.setenv(VARIABLE, value)
    assert TraceOptions().captures_content() is captures
    assert not TraceOptions(capture_content=False).captures_content()


class Own(Exception):
    """An error of a module."""


@pytest.mark.parametrize(
    ("error", "cause", "kind"),
    [
        (ValueError("x"), "agent_error", "ValueError"),
        (Own("x"), "agent_error", f"{__name__}.Own"),
        (AgentError("x", 429, "quota"), "quota", "quota"),
        (AgentFailed(), "agent_error", "agent_error"),
        (None, "timeout", "timeout"),
        (None, None, "_OTHER"),
    ],
)
def test_error_type_of_a_failed_run(error: Exception | None, cause: str | None, kind: str) -> None:
    failed = Ending(dict, "failed", error, cause).attributes()
    assert failed["error.type"] == kind
    assert "error.type" not in Ending(dict, "cancelled", None, cause).attributes()


def test_tokens_of_a_run() -> None:
    usage = SchemaUsage(
        input_tokens=1,
        output_tokens=2,
        output_tokens_details={"reasoning_tokens": 9},
    )
    attributes = Ending(dict, "completed", usage=usage).attributes()
    assert {name: each for name, each in attributes.items() if "usage" in name} == {
        "gen_ai.usage.input_tokens": 1,
        "gen_ai.usage.output_tokens": 2,
        "gen_ai.usage.reasoning.output_tokens": 9,
    }


def test_an_sdk_that_cannot_leave_content_out_traces_nothing(
    tracking_uri: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delattr(SpanProcessor, "_on_ending")
    assert ask(AgentApp(shy("t-old"), capture_content=False), "/responses", {"input": "x"}).status
    assert not traces(agent="t-old")
    assert "needs opentelemetry-sdk 1.40 or later" in caplog.text
