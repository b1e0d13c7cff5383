"""AG-UI's run inputs: what the handler gets, and what is refused."""

import asyncio
import json
from typing import Any

import pytest

from agent_asgi import AgentApp, Context, ResponsesRequest
from agent_asgi.errors import InvalidRequest
from agent_asgi.protocols import AGUI
from agent_asgi.protocols.agui.request import decode_input
from agent_asgi.testing import AgentClient
from tests.protocols.agui.talk import RUN, agent, app, events_of, kinds
from tests.support.apps import ask, started
from tests.support.traces import traces

Json = dict[str, Any]
SESSION = "mlflow.trace.session"


def decoded(**fields: Any) -> Json:
    """Return the Responses body that a run input becomes."""
    return decode_input(json.dumps(RUN | fields).encode()).to_dict()


def items_of(*messages: Json) -> Any:
    """Return the items that messages become; each needs no id."""
    return decoded(messages=[{"id": str(n), **each} for n, each in enumerate(messages)])["input"]


def content_of(*parts: Json) -> Any:
    """Return the parts that a user's content becomes."""
    return items_of({"role": "user", "content": list(parts)})[0]["content"]


def test_the_fields() -> None:
    tool = {"name": "paint", "description": "Paints.", "parameters": {"type": "object"}}
    body = decoded(
        state={"n": 1},
        tools=[tool],
        context=[{"description": "Page", "value": "home"}, {"description": "a", "value": "b"}],
        forwardedProps={"theme": "dark", "state": "not this one"},
        runOptions={"unknown": True},
    )
    assert body == {
        "input": [{"type": "message", "role": "user", "content": "hi"}],
        "instructions": "Page: home\na: b",
        "tools": [{"type": "function", **tool, "strict": False}],
        "custom_inputs": {"theme": "dark", "state": {"n": 1}},
        "context": {"conversation_id": "t1"},
        "stream": True,
    }


def test_what_is_absent_or_null() -> None:
    names = ["state", "tools", "context", "forwardedProps", "resume", "parentRunId"]
    assert decoded(**dict.fromkeys(names)) == decoded()
    assert decoded()["custom_inputs"] == {"state": {}}
    assert decoded(forwardedProps=[1])["custom_inputs"] == {"forwardedProps": [1], "state": {}}
    assert decoded(messages=[])["input"] == []


def test_the_messages() -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    assert items_of(
        {"role": "system", "content": "Be nice."},
        {"role": "developer", "content": "Be brief."},
        {"role": "user", "content": "hi", "name": "Ann"},
        {"role": "reasoning", "content": "hm"},
        {"role": "reasoning", "content": "hm", "encryptedValue": "secret"},
        {"role": "assistant", "content": "I look.", "toolCalls": [call]},
        {"role": "tool", "toolCallId": "c1", "content": "1"},
        {"role": "activity", "activityType": "map", "content": {}},
        {"role": "tool", "toolCallId": "c2", "content": "", "error": "no power"},
        {"role": "assistant", "content": None},
    ) == [
        {"type": "message", "role": "system", "content": "Be nice."},
        {"type": "message", "role": "developer", "content": "Be brief."},
        {"type": "message", "role": "user", "content": "hi"},
        {
            "type": "reasoning",
            "id": "4",
            "summary": [{"type": "summary_text", "text": "hm"}],
            "encrypted_content": "secret",
        },
        {"type": "message", "role": "assistant", "content": "I look."},
        {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c1", "output": "1"},
        {
            "type": "function_call_output",
            "call_id": "c2",
            "output": "no power",
            "agent_asgi:error": "no power",
        },
    ]


def test_the_parts_of_a_content() -> None:
    data = {"type": "data", "value": "AA", "mimeType": "image/png"}
    url = {"type": "url", "value": "https://a.example/x"}
    file = {"type": "file", "value": "f1", "provider": "openai"}
    pdf = {"type": "data", "value": "AA", "mimeType": "application/pdf"}
    wave = {"type": "data", "value": "AA", "mimeType": "audio/x-wav"}
    assert content_of(
        {"type": "text", "text": "Look."},
        {"type": "image", "source": data},
        {"type": "image", "source": url},
        {"type": "image", "source": file},
        {"type": "document", "source": pdf, "metadata": {"filename": "a.pdf"}},
        {"type": "document", "source": url},
        {"type": "document", "source": file},
        {"type": "audio", "source": wave},
        {"type": "audio", "source": url},
        {"type": "video", "source": url},
        {"type": "binary", "mimeType": "image/png", "data": "AA"},
        {"type": "binary", "mimeType": "text/csv", "url": url["value"], "filename": "a.csv"},
        {"type": "binary", "mimeType": "application/pdf", "id": "f1", "data": None},
    ) == [
        {"type": "input_text", "text": "Look."},
        {"type": "input_image", "image_url": "data:image/png;base64,AA"},
        {"type": "input_image", "image_url": url["value"]},
        {"type": "input_image", "file_id": "f1"},
        {
            "type": "input_file",
            "file_data": "data:application/pdf;base64,AA",
            "filename": "a.pdf",
        },
        {"type": "input_file", "file_url": url["value"]},
        {"type": "input_file", "file_id": "f1"},
        {"type": "input_audio", "input_audio": {"data": "AA", "format": "wav"}},
        {"type": "input_file", "file_url": url["value"]},
        {"type": "input_video", "video_url": url["value"]},
        {"type": "input_image", "image_url": "data:image/png;base64,AA"},
        {"type": "input_file", "file_url": url["value"], "filename": "a.csv"},
        {"type": "input_file", "file_id": "f1"},
    ]


USER = {"id": "1", "role": "user"}


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"threadId": 1}, "threadId"),
        ({"runId": None}, "runId"),
        ({"messages": None}, "messages"),
        ({"messages": [{"id": "1", "role": "robot", "content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": "user", "content": "x"}]}, "messages[0].id"),
        ({"messages": [USER]}, "messages[0].content"),
        ({"messages": [USER | {"content": [{"type": "smell"}]}]}, "messages[0].content[0].type"),
        (
            {"messages": [USER | {"content": [{"type": "binary", "mimeType": "a/b"}]}]},
            "messages[0].content[0]",
        ),
        (
            {"messages": [{"id": "x" * 513, "role": "reasoning", "content": ""}]},
            "messages[0].id",
        ),
        ({"tools": [{"name": "not a name"}]}, "tools[0].name"),
        ({"context": [{"value": "x"}]}, "context[0].description"),
        ({"resume": [{"interruptId": "c1", "status": "done"}]}, "resume[0].status"),
        (
            {"resume": [{"interruptId": "mcpr_1", "status": "resolved", "payload": {}}]},
            "resume[0].payload.approved",
        ),
        (
            {"resume": [{"interruptId": "mcpr_1", "status": "resolved", "payload": True}]},
            "resume[0].payload",
        ),
    ],
)
def test_what_is_refused_is_named(fields: Json, param: str) -> None:
    with pytest.raises(InvalidRequest) as raised:
        decode_input(json.dumps(RUN | fields).encode())
    assert raised.value.param == param


def test_the_thread_is_the_session_and_the_trace_has_the_run_input() -> None:
    sessions: list[Any] = []

    def handle(request: ResponsesRequest, context: Context) -> list[Any]:
        sessions.append((context.session_id, request.custom_inputs))
        return ["hi"]

    body = RUN | {"threadId": "t1-traced", "state": {"n": 1}}
    answer = ask(app(handle), "/agui", body)
    assert kinds(events_of(answer))[-1] == "RUN_FINISHED"
    assert sessions == [("t1-traced", {"state": {"n": 1}})]
    (trace,) = [each for each in traces() if each.info.request_metadata.get(SESSION) == "t1-traced"]
    root = next(span for span in trace.data.spans if span.parent_id is None)
    assert root.inputs == body


def test_paths() -> None:
    one, other = (agent(lambda *_: ["hi"], name=name) for name in ("one", "other"))

    async def main() -> list[int]:
        async with started(AgentApp(one, other, protocols=[AGUI(path="/ui")])) as app:
            client = AgentClient(app)
            bodies = [("/one/ui", RUN), ("/ui", RUN | {"model": "other"}), ("/ui", RUN)]
            answers = [await client.post(path, body) for path, body in bodies]
            return [answer.status for answer in [*answers, await client.post("/agui", RUN)]]

    assert asyncio.run(main()) == [200, 200, 400, 404]
