"""Every answer and every event matches the published Open Responses schema."""

import json
from typing import Any

import calculator
import pytest

from agent_asgi import AgentApp, AgentRouter
from agent_asgi.testing import Answer
from tests.support.apps import ask
from tests.support.asking import fetch
from tests.support.calling import Serve
from tests.support.openresponses_schema import validate_event, validate_response
from tests.support.outputs import OUTPUTS, REQUEST, giving
from tests.support.stream_rules import check_stream
from tests.support.websocket_client import connect, turn

WEATHER = {
    "type": "function",
    "name": "get_weather",
    "description": "Get the current weather for a location",
    "parameters": {
        "type": "object",
        "properties": {"location": {"type": "string", "description": "The city"}},
        "required": ["location"],
    },
}
PICTURE = {"type": "input_image", "image_url": "data:image/png;base64,aGk="}


def message(content: Any, role: str = "user") -> dict[str, Any]:
    """Return a message."""
    return {"type": "message", "role": role, "content": content}


REQUESTS: dict[str, dict[str, Any]] = {
    "text": {"input": [message("Say hello in exactly 3 words.")]},
    "system prompt": {"input": [message("Talk like a pirate.", "system"), message("Hello.")]},
    "client's tool": {"input": [message("What's the weather in Rome?")], "tools": [WEATHER]},
    "image": {"input": [message([{"type": "input_text", "text": "What is this?"}, PICTURE])]},
    "file": {
        "input": [
            message(
                [
                    {"type": "input_text", "text": "What is its title?"},
                    {
                        "type": "input_file",
                        "filename": "a.pdf",
                        "file_data": "data:application/pdf;base64,aGk=",
                    },
                ]
            )
        ]
    },
    "several turns": {
        "input": [message("I am Alice."), message("Hello!", "assistant"), message("Who am I?")]
    },
    "own tool": {"input": [message("What is 12 * (3 + 4)?")]},
    "own tools beside a client's": {"input": [message("12 * (3 + 4)")], "tools": [WEATHER]},
}
"""What the compliance test of Open Responses sends, and two requests for the agent's own tools."""
OWN_TOOLS = ("mcp_call", "function_call", "hidden")


def check_frames(answer: Answer, *, named: bool) -> None:
    """Check the framing of the events."""
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
    events = answer.events()
    if path == "/invocations":  # which leaves the usage out if the agent reports none
        events[-1]["response"].setdefault("usage", None)
    for event in events:
        validate_event(event)
    response = check_stream(events)
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


@pytest.mark.parametrize("own_tools", OWN_TOOLS)
@pytest.mark.parametrize("kind", REQUESTS)
@pytest.mark.parametrize("way", ["json", "stream", "websocket"])
def test_the_requests_of_open_responses(
    serve: Serve, kind: str, way: str, own_tools: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_MODEL", raising=False)
    router = AgentRouter("calculator", own_tools=own_tools)
    router.stream(calculator.calculator)
    app, body = AgentApp(router), {"model": "calculator", **REQUESTS[kind]}
    if way == "websocket":
        with connect(serve(app)) as socket:
            response = turn(socket, **body)
    else:
        answer = ask(app, "/v1/responses", {**body, "stream": way == "stream"})
        for event in answer.events() if way == "stream" else ():
            validate_event(event)
        response = check_stream(answer.events()) if way == "stream" else answer.json()
    validate_response(response)
    assert response["status"] == "completed"
    kinds = [item["type"] for item in response["output"]]
    if kind == "client's tool":
        assert kinds == ["function_call"]
        return
    calls = {"mcp_call": ["mcp_call"], "hidden": []}
    calls["function_call"] = ["function_call", "function_call_output"]
    own = calls[own_tools] * 2 if kind.startswith("own") else []
    assert kinds == [*(["reasoning"] if kind.startswith("own") else []), *own, "message"]


@pytest.mark.parametrize("own_tools", OWN_TOOLS)
@pytest.mark.parametrize("way", ["json", "websocket"])
def test_the_turns_of_open_responses(
    serve: Serve, way: str, own_tools: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client's tool with its output, and a response that is continued."""
    monkeypatch.delenv("OPENAI_MODEL", raising=False)
    router = AgentRouter("calculator", own_tools=own_tools)
    router.stream(calculator.calculator)
    url = serve(AgentApp(router))

    def ask_url(**body: Any) -> dict[str, Any]:
        if way == "websocket":
            with connect(url) as socket:
                response = turn(socket, model="calculator", **body)
        else:
            body = {"model": "calculator", **body}
            response = json.loads(fetch(url, "POST", "/v1/responses", body=body).body)
        validate_response(response)
        assert response["status"] == "completed"
        return response

    choice = {"type": "function", "name": "get_weather"}
    asked = message("What's the weather in Rome?")
    (call,) = ask_url(input=[asked], tools=[WEATHER], tool_choice=choice)["output"]
    output = {"type": "function_call_output", "call_id": call["call_id"], "output": "21 degrees"}
    told = ask_url(input=[asked, call, output], tools=[WEATHER])["output"][-1]
    assert "21 degrees" in told["content"][0]["text"]
    first = ask_url(input="What is 12 * (3 + 4)?")
    second = ask_url(input="and times 2?", previous_response_id=first["id"])
    assert second["output"][-1]["content"][0]["text"].endswith("168.")


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
