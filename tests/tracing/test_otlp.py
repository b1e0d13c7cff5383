"""What a collector gets by OTLP, read by the protocol's own types."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from agent_asgi import tracing
from tests.support.collector import Collector, attributes
from tests.support.telemetry_agent import CALLER, IMAGE, WORDS

VARIABLE = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
SEMCONV = "MLFLOW_ENABLE_OTEL_GENAI_SEMCONV"


def export(folder: Path, options: dict[str, Any], **env: str) -> tuple[Collector, dict[str, Any]]:
    """Run the agent; return the collector, with all that it got, and what the agent printed."""
    root = str(Path(tracing.__file__).parents[2])
    inherited = {k: v for k, v in os.environ.items() if k != "MLFLOW_TRACKING_URI"}
    with Collector() as collector:
        done = subprocess.run(
            [sys.executable, "-m", "tests.support.telemetry_agent", json.dumps(options)],
            cwd=folder,
            env={
                **inherited,
                "PYTHONPATH": root,
                "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
                "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
                "MLFLOW_TRACE_EXTRACT_ATTACHMENTS": "true",
                **env,
            },
            capture_output=True,
            text=True,
            timeout=90,
        )
    assert done.returncode == 0, done.stderr
    printed: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return collector, printed


def named(collector: Collector, *names: str) -> list[dict[str, Any]]:
    """Return the attributes of all spans with one of these names."""
    return [attributes(span) for span in collector.spans() if span.name in names]


def words_in(collector: Collector) -> set[str]:
    """Return the words of the conversation that the collector got, in any place."""
    export = b"".join(body for _, body in collector.bodies)
    picture = IMAGE.rpartition(",")[2]
    return {word for word in (*WORDS, picture) if word.encode() in export}


@pytest.mark.parametrize("semconv", ["false", "true"])
def test_spans_have_the_names_of_the_conventions(tmp_path: Path, semconv: str) -> None:
    """Also with MLflow's switch, which writes the messages too."""
    collector, _ = export(tmp_path, {"span_baggage": ["tenant"]}, **{SEMCONV: semconv})
    roots = answered, *_, failed = named(collector, "sell", "invoke_agent shop")
    for root in roots:
        assert root["gen_ai.operation.name"] == "invoke_agent"
        assert root["gen_ai.provider.name"] == "agent_asgi"
        assert root["gen_ai.agent.name"] == "shop"
        assert root["gen_ai.conversation.id"] == root["session.id"] == "s-1"
        assert root["gen_ai.response.id"].startswith("resp_")
        assert (root["user.id"], root["tenant"]) == ("ann", "a b")
        assert "region" not in root
    assert answered["gen_ai.usage.input_tokens"] == 7
    assert answered["gen_ai.usage.output_tokens"] == 5
    assert answered["gen_ai.usage.cache_read.input_tokens"] == 3
    assert answered["gen_ai.usage.cache_creation.input_tokens"] == 2
    assert "gen_ai.usage.reasoning.output_tokens" not in answered
    assert "gen_ai.usage.input_tokens" not in failed
    assert answered["agent_asgi.status"] == "completed"
    assert "error.type" not in answered
    assert (failed["agent_asgi.status"], failed["error.type"]) == ("failed", "ValueError")
    if semconv == "false":  # else they are MLflow's
        reasons = [root["gen_ai.response.finish_reasons"] for root in roots]
        assert reasons == [["stop"], ["tool_calls"], ["length"], ["error"]]


@pytest.mark.parametrize("semconv", ["false", "true"])
def test_spans_below_name_their_operation_and_their_conversation(
    tmp_path: Path, semconv: str
) -> None:
    collector, _ = export(tmp_path, {"span_baggage": ["tenant"]}, **{SEMCONV: semconv})
    tools = named(collector, "weather", "execute_tool weather")
    (broken,) = named(collector, "broken", "execute_tool broken")
    agents = named(collector, "researcher", "invoke_agent researcher")
    (model, *_) = named(collector, "model", "chat m-1")
    assert (len(tools), len(agents)) == (4, 4)
    for tool in tools:
        assert tool["gen_ai.operation.name"] == "execute_tool"
        assert tool["gen_ai.tool.name"] == "weather"
        assert "error.type" not in tool
    assert re.fullmatch(r"(builtins\.)?ValueError", broken["error.type"])
    assert {each["gen_ai.agent.name"] for each in agents} == {"researcher"}
    for below in (*tools, broken, *agents, model):
        assert below["gen_ai.conversation.id"] == "s-1"
        assert below["tenant"] == "a b"


def test_a_callers_span_is_a_link(tmp_path: Path) -> None:
    collector, _ = export(tmp_path, {})
    roots = [span for span in collector.spans() if span.name == "sell"]
    _, trace, span, _ = CALLER.split("-")
    for root in roots:
        (link,) = root.links
        assert (link.trace_id.hex(), link.span_id.hex()) == (trace, span)
        assert root.trace_id.hex() != trace
    assert len({root.trace_id for root in roots}) == 4


@pytest.mark.parametrize("semconv", ["false", "true"])
@pytest.mark.parametrize("how", ["option", "variable"])
def test_without_content_no_word_of_the_conversation_is_exported(
    tmp_path: Path, how: str, semconv: str
) -> None:
    options = {"capture_content": False} if how == "option" else {}
    env = {} if how == "option" else {VARIABLE: "false"}
    collector, told = export(tmp_path, options, LOGS="1", **{SEMCONV: semconv}, **env)
    assert words_in(collector) == set()
    assert told["status"] == 200
    (failed,) = [
        span for span in named(collector, "sell", "invoke_agent shop") if "error.type" in span
    ]
    assert failed["gen_ai.conversation.id"] == "s-1"
    (tool, *_) = named(collector, "weather", "execute_tool weather")
    assert tool["gen_ai.tool.name"] == "weather"
    spans = collector.spans()
    assert len(spans) == 4 * 4 + 1
    events = [event for span in spans for event in span.events]
    assert {event.name for event in events} == {"exception"}
    assert all(set(attributes(event)) == {"exception.type"} for event in events)
    assert not any(span.status.message for span in spans)


def test_with_content_the_words_are_exported(tmp_path: Path) -> None:
    """Or the test above could not fail."""
    collector, _ = export(tmp_path, {}, LOGS="1", **{VARIABLE: "span_and_event"})
    assert set(WORDS) <= words_in(collector)


def test_durations_are_a_histogram(tmp_path: Path) -> None:
    collector, _ = export(tmp_path, {})
    metric = collector.metrics()["gen_ai.invoke_agent.duration"]
    assert metric.unit == "s"
    counts = {
        attributes(point).get("error.type"): point.count for point in metric.histogram.data_points
    }
    assert counts == {None: 3, "agent_error": 1}
    for point in metric.histogram.data_points:
        assert attributes(point)["gen_ai.agent.name"] == "shop"
        assert list(point.explicit_bounds)[::12] == [0.1, 409.6]


def test_feedback_is_an_event_of_the_trace(tmp_path: Path) -> None:
    collector, told = export(tmp_path, {}, LOGS="1")
    assert told["status"] == 200
    assert json.loads(told["body"])["id"].startswith("event_")
    (record,) = collector.records()
    assert record.event_name == "gen_ai.evaluation.result"
    assert record.trace_id.hex() == told["trace_id"].removeprefix("tr-")
    assert attributes(record) == {
        "gen_ai.evaluation.name": "user_feedback",
        "gen_ai.evaluation.score.value": 0.0,
        "gen_ai.evaluation.score.label": "fail",
        "gen_ai.evaluation.explanation": "Bilby",
        "gen_ai.response.id": told["response_id"],
        "user.id": "anonymous",
    }


def test_feedback_that_nothing_takes_is_refused(tmp_path: Path) -> None:
    collector, told = export(tmp_path, {})
    assert (told["status"], collector.records()) == (400, [])
    assert "MLFLOW_TRACKING_URI" in told["body"]
