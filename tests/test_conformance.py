"""Every answer and every event fits the published Open Responses schema."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import calculator
import pytest
from conftest import started
from openai.types.responses import ResponseOutputMessage, ResponseOutputText, ResponseTextDeltaEvent
from openresponses_schema import validate_event, validate_response
from stream_rules import check_stream

from agent_asgi import (
    AgentApp,
    AgentRouter,
    FunctionCall,
    FunctionCallOutput,
    Message,
    ReasoningItem,
    Response,
    ResponsesRequest,
    SummaryText,
    Usage,
)
from agent_asgi.testing import AgentClient, Answer

MESSAGE = ResponseOutputMessage(
    id="m1",
    type="message",
    role="assistant",
    status="completed",
    content=[ResponseOutputText(type="output_text", text="hi", annotations=[])],
)
DELTA = ResponseTextDeltaEvent(
    type="response.output_text.delta",
    item_id="m9",
    output_index=0,
    content_index=0,
    sequence_number=7,
    delta="hi",
    logprobs=[],
)
OUTPUTS: dict[str, list[Any]] = {
    "text": ["hi ", "there"],
    "call": ["let me see", FunctionCall(call_id="c", name="f", arguments="{}")],
    "tool": [
        FunctionCall(call_id="c", name="f", arguments="{}"),
        FunctionCallOutput(call_id="c", output="1"),
        "one",
    ],
    "reasoning": [ReasoningItem(summary=[SummaryText(text="hm")]), "hi"],
    "refusal": [{"type": "message", "content": [{"type": "refusal", "refusal": "no"}]}],
    "openai": [DELTA, MESSAGE],
    "usage": ["hi", Usage(input_tokens=1, output_tokens=2)],
    "response": [Response(output=[Message(role="assistant", content="hi")], metadata={"k": "v"})],
    "incomplete": ["hi", {"output": [], "incomplete_details": {"reason": "max_output_tokens"}}],
    "failed": ["hi", {"output": [], "error": {"code": "x", "message": "m"}}],
    "raises": ["hi", {"nothing": 1}],
    "vendor": ["hi", {"type": "acme:progress", "n": 1}, {"type": "acme:thing", "id": "t1"}],
    "empty": [],
}
REQUEST: dict[str, Any] = {
    "input": "x",
    "model": "m",
    "instructions": "be nice",
    "tools": [{"type": "function", "name": "f"}],
    "tool_choice": {"type": "allowed_tools", "tools": [{"type": "function", "name": "f"}]},
    "text": {"format": {"type": "json_schema", "name": "n", "schema": {"type": "object"}}},
    "reasoning": {"effort": "low"},
    "temperature": 0.5,
    "metadata": {"k": "v"},
    "store": True,
}


def ask(app: AgentApp, path: str, body: Any) -> Answer:
    """Send one request and give its whole answer."""

    async def main() -> Answer:
        async with started(app):
            return await AgentClient(app).post(path, body)

    return asyncio.run(main())


def giving(outputs: list[Any]) -> AgentApp:
    """Make an app whose agent gives these outputs."""
    router = AgentRouter()

    @router.stream
    async def give(request: ResponsesRequest) -> AsyncIterator[Any]:
        for output in outputs:
            yield output

    return AgentApp(router)


def check_frames(answer: Answer, *, named: bool) -> None:
    """Check how the events stand in their frames."""
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert b"\r" not in answer.body
    *frames, done, rest = answer.body.split(b"\n\n")
    assert (done, rest) == (b"data: [DONE]", b"")
    for frame, event in zip(frames, answer.events(), strict=True):
        lines = frame.split(b"\n")
        if named:
            assert lines.pop(0) == b"event: " + event["type"].encode()
        assert len(lines) == 1
        assert lines[0].startswith(b"data: {")


@pytest.mark.parametrize("path", ["/responses", "/v1/responses", "/invocations"])
@pytest.mark.parametrize("kind", OUTPUTS)
@pytest.mark.parametrize("body", [{"input": "x"}, REQUEST], ids=["bare", "full"])
def test_streams(kind: str, path: str, body: dict[str, Any]) -> None:
    answer = ask(giving(OUTPUTS[kind]), path, {**body, "stream": True})
    check_frames(answer, named=path != "/invocations")
    for event in answer.events():
        validate_event(event)
    response = check_stream(answer.events())
    validate_response(response)
    assert response["store"] is True
    status = {"incomplete": "incomplete", "failed": "failed", "raises": "failed"}
    assert response["status"] == status.get(kind, "completed")


@pytest.mark.parametrize("path", ["/responses", "/v1/responses"])
@pytest.mark.parametrize("kind", sorted(OUTPUTS.keys() - {"raises"}))
@pytest.mark.parametrize("body", [{"input": "x"}, REQUEST], ids=["bare", "full"])
def test_json_answers(kind: str, path: str, body: dict[str, Any]) -> None:
    answer = ask(giving(OUTPUTS[kind]), path, body)
    assert answer.status == 200
    validate_response(answer.json())
    assert answer.json()["model"] == body.get("model", "agent")


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("question", ["12 * (3 + 4)", "5 kg in pounds", "hm?", "1 / 0"])
def test_the_example_agent(question: str, stream: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_MODEL", raising=False)
    answer = ask(calculator.app, "/v1/responses", {"input": question, "stream": stream})
    if stream:
        check_frames(answer, named=True)
        for event in answer.events():
            validate_event(event)
    validate_response(check_stream(answer.events()) if stream else answer.json())


def test_mlflows_dialect_leaves_out_what_is_unset() -> None:
    body = ask(giving(["hi"]), "/invocations", {"input": "x"}).json()
    assert set(body) == {
        "id",
        "object",
        "created_at",
        "completed_at",
        "status",
        "model",
        "output",
    }


@pytest.mark.parametrize("path", ["/responses", "/invocations"])
def test_the_trace_id_where_it_is_asked_for(path: str) -> None:
    app = giving(["hi"])
    asked = {"input": "x", "databricks_options": {"return_trace": True}}
    answer = ask(app, path, asked)
    trace_id = answer.headers["x-mlflow-trace-id"]
    assert answer.json()["metadata"] == {"trace_id": trace_id}
    streamed = ask(app, path, {**asked, "stream": True})
    trace_id = streamed.headers["x-mlflow-trace-id"]
    last = [event for event in streamed.events() if event.get("type") == "response.completed"][-1]
    assert (last["trace_id"], last["response"]["metadata"]["trace_id"]) == (trace_id, trace_id)
    assert ({"trace_id": trace_id} in streamed.events()) is (path == "/invocations")
    assert "trace_id" not in ask(app, path, {"input": "x"}).json().get("metadata", {})
