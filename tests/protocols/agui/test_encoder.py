"""AG-UI: what an agent yields, as events in a valid order."""

from typing import Any

import pytest

from agent_asgi import (
    AgentError,
    Citation,
    FunctionCall,
    FunctionCallOutput,
    Message,
    Reasoning,
    Usage,
)
from agent_asgi.events.accumulator import OutputItem
from agent_asgi.protocols.agui.encoder import AGUIEncoder
from agent_asgi.protocols.agui.request import RunInfo
from agent_asgi.schema import events as e
from agent_asgi.schema.responses import Response
from tests.protocols.agui.talk import OLD, RUN, app, kinds, messages_after, of_kind, run
from tests.support.apps import ask
from tests.support.outputs import OUTPUTS

TOOLS = {"tools": [{"name": "paint", "description": "Paints.", "parameters": {"type": "object"}}]}
CALL = FunctionCall("look", {"at": 1}, "c1")


def finished(events: list[Any]) -> Any:
    """Return the end of a run."""
    assert events[-1]["type"] == "RUN_FINISHED"
    return events[-1]


def test_a_text() -> None:
    events = run(["Hel", "lo"])
    id_ = events[1]["messageId"]
    response_id = finished(events)["metadata"]["responseId"]
    assert response_id.startswith("resp_")
    assert events == [
        {"type": "RUN_STARTED", "threadId": "t1", "runId": "r1", "protocolVersion": "1.0"},
        {"type": "TEXT_MESSAGE_START", "messageId": id_, "role": "assistant"},
        {"type": "TEXT_MESSAGE_CONTENT", "messageId": id_, "delta": "Hel"},
        {"type": "TEXT_MESSAGE_CONTENT", "messageId": id_, "delta": "lo"},
        {"type": "TEXT_MESSAGE_END", "messageId": id_},
        {
            "type": "RUN_FINISHED",
            "threadId": "t1",
            "runId": "r1",
            "outcome": {"type": "success"},
            "metadata": {"responseId": response_id},
        },
    ]


@pytest.mark.parametrize("kind", OUTPUTS)
@pytest.mark.parametrize("body", [RUN, OLD], ids=["1.0", "0.0"])
def test_every_output_is_a_valid_stream(kind: str, body: Any) -> None:
    events = run(OUTPUTS[kind], body)
    ended = "RUN_ERROR" if kind in ("failed", "raises") else "RUN_FINISHED"
    assert (events[0]["type"], events[-1]["type"]) == ("RUN_STARTED", ended)


@pytest.mark.parametrize("id", ["msg_1", 'a"%b%d\\%%'])
def test_the_frame_of_a_text_delta_is_what_write_makes(id: str) -> None:
    encoder = AGUIEncoder(RunInfo("t", "r", None, True, {}, {}), Response(), ())
    item = OutputItem(0, {"type": "message", "id": id})
    written = bytearray()
    encoder.write(e.OutputTextDelta(7, id, 0, 0, 'a"é'), written)
    assert encoder.text_frame(item) % (7, '"a\\"é"'.encode()) == bytes(written)


@pytest.mark.parametrize("mode", ["mcp_call", "function_call"])
def test_the_agents_own_call_has_its_result(mode: str) -> None:
    events = run([CALL, FunctionCallOutput("c1", {"x": 2}), "done"], own_tools=mode)
    assert kinds(events)[1:5] == [
        "TOOL_CALL_START",
        "TOOL_CALL_ARGS",
        "TOOL_CALL_END",
        "TOOL_CALL_RESULT",
    ]
    start, args, end, result = events[1:5]
    assert start["toolCallName"] == "look"
    assert args["delta"] == '{"at":1}'
    assert start["toolCallId"] == args["toolCallId"] == end["toolCallId"] == result["toolCallId"]
    assert (result["content"], result["role"]) == ('{"x":2}', "tool")
    assert finished(events)["outcome"] == {"type": "success"}


def test_hidden_calls_are_not_shown() -> None:
    events = run([CALL, FunctionCallOutput("c1", "2"), "done"], own_tools="hidden")
    assert not [kind for kind in kinds(events) if kind.startswith("TOOL_CALL")]


@pytest.mark.parametrize(
    ("output", "content"),
    [
        (FunctionCallOutput("c1", error="no power"), "no power"),
        (None, ""),
        (FunctionCallOutput("c1", [{"type": "input_text", "text": "a"}]), None),
    ],
)
def test_every_own_call_is_answered(output: Any, content: str | None) -> None:
    (result,) = of_kind(run([CALL, *([output] if output else [])]), "TOOL_CALL_RESULT")
    assert result["content"] == content or (content is None and "input_text" in result["content"])


def test_the_clients_call_is_pending() -> None:
    outputs = [FunctionCall("paint", {}, "c1"), FunctionCall("paint", {}, "c2")]
    events = run(outputs, RUN | TOOLS)
    assert "TOOL_CALL_RESULT" not in kinds(events)
    assert finished(events)["outcome"] == {"type": "success", "pendingToolCallIds": ["c1", "c2"]}
    old = run(outputs, OLD | TOOLS)  # a client before 1.0 refuses the ids
    assert finished(old)["outcome"] == {"type": "success"}


def test_reasoning_is_one_message_of_paragraphs() -> None:
    item = {
        "type": "reasoning",
        "summary": [{"type": "summary_text", "text": "a"}, {"type": "summary_text", "text": "b"}],
        "encrypted_content": "secret",
    }
    events = run([item, "done"])
    assert kinds(events)[1:8] == [
        "REASONING_START",
        "REASONING_MESSAGE_START",
        "REASONING_MESSAGE_CONTENT",
        "REASONING_MESSAGE_CONTENT",
        "REASONING_MESSAGE_END",
        "REASONING_ENCRYPTED_VALUE",
        "REASONING_END",
    ]
    first = messages_after(events)[0]
    assert first == {
        "id": first["id"],
        "role": "reasoning",
        "content": "a\n\nb",
        "encryptedValue": "secret",
    }
    assert kinds(run([Reasoning("hm")]))[1:5] == [
        "REASONING_START",
        "REASONING_MESSAGE_START",
        "REASONING_MESSAGE_CONTENT",
        "REASONING_MESSAGE_END",
    ]


def test_encrypted_reasoning_without_a_text_has_a_message() -> None:
    item = {"type": "reasoning", "summary": [], "encrypted_content": "secret"}
    (message,) = messages_after(run([item]))
    assert (message["content"], message["encryptedValue"]) == ("", "secret")


def test_state_activities_and_steps() -> None:
    events = run(
        [
            {"type": "agui:state_snapshot", "snapshot": {"n": 1}},
            {"type": "agui:step_started", "stepName": "plan"},
            {"type": "agui:step_started", "stepName": "plan"},
            {"type": "agui:state_delta", "delta": [{"op": "replace", "path": "/n", "value": 2}]},
            {"type": "agui:step_finished", "stepName": "other"},
            {
                "type": "agui:activity_snapshot",
                "messageId": "a1",
                "activityType": "map",
                "content": {"zoom": 1},
            },
            {
                "type": "agui:activity_delta",
                "messageId": "a1",
                "activityType": "map",
                "patch": [{"op": "replace", "path": "/zoom", "value": 2}],
            },
        ]
    )
    assert events[1:-1] == [
        {"type": "STATE_SNAPSHOT", "snapshot": {"n": 1}},
        {"type": "STEP_STARTED", "stepName": "plan"},
        {"type": "STATE_DELTA", "delta": [{"op": "replace", "path": "/n", "value": 2}]},
        {
            "type": "ACTIVITY_SNAPSHOT",
            "messageId": "a1",
            "activityType": "map",
            "content": {"zoom": 1},
        },
        {
            "type": "ACTIVITY_DELTA",
            "messageId": "a1",
            "activityType": "map",
            "patch": [{"op": "replace", "path": "/zoom", "value": 2}],
        },
        {"type": "STEP_FINISHED", "stepName": "plan"},
    ]


def test_what_ag_ui_does_not_have_is_custom() -> None:
    vendor = {"type": "acme:progress", "n": 1}
    item = {"type": "acme:thing", "id": "t1"}
    without = {"type": "agui:state_delta"}
    source = Citation("https://a.example", "A page")
    custom = of_kind(run(["text", source, vendor, item, without]), "CUSTOM")
    names = [each["name"] for each in custom]
    assert names == [
        "response.output_text.annotation.added",
        "acme:progress",
        "acme:thing",
        "agui:state_delta",
    ]
    assert custom[0]["value"]["annotation"]["url"] == "https://a.example"
    assert custom[1]["value"] == vendor
    assert custom[2]["value"] == item


def test_the_end_has_usage_results_and_metadata() -> None:
    used = Usage(
        input_tokens=5,
        output_tokens=2,
        input_tokens_details={"cached_tokens": 3},
        output_tokens_details={"reasoning_tokens": 1},
    )
    response = {
        "output": [],
        "custom_outputs": {"score": 1},
        "incomplete_details": {"reason": "content_filter"},
    }
    end = finished(run(["text", used, response]))
    assert end["usage"] == [
        {
            "inputTokens": 5,
            "outputTokens": 2,
            "totalTokens": 7,
            "reasoningTokens": 1,
            "cachedInputTokens": 3,
        }
    ]
    assert end["result"] == {"score": 1}
    assert end["metadata"]["reason"] == "content_filter"


def test_a_failure_in_the_middle_is_a_run_error() -> None:
    events = run(OUTPUTS["failed"])
    assert events[-1] == {"type": "RUN_ERROR", "message": "m", "code": "x"}
    events = run(OUTPUTS["raises"])
    assert events[-1]["code"] == "agent_error"
    assert "nothing" not in events[-1]["message"]


def test_a_failure_before_the_first_output_has_its_status() -> None:
    def refuse(*_: Any) -> list[Any]:
        raise AgentError("No more today.", 429, "spent")

    answer = ask(app(refuse), "/agui", RUN)
    assert answer.status == 429
    assert answer.json()["error"]["code"] == "spent"


def test_another_servers_call_is_shown_as_executed() -> None:
    item = {
        "type": "mcp_call",
        "id": "mcp_other",
        "server_label": "maps",
        "name": "route",
        "arguments": '{"to":"Rome"}',
        "output": None,
        "error": {"type": "x", "content": [{"type": "text", "text": "no road"}]},
    }
    start, args, end, result = run([item])[1:5]
    assert (start["toolCallName"], args["delta"]) == ("route", '{"to":"Rome"}')
    assert (end["toolCallId"], result["content"]) == ("mcp_other", "no road")


def test_a_message_of_another_role() -> None:
    (start,) = of_kind(run([Message(role="user", content="echo")]), "TEXT_MESSAGE_START")
    assert start["role"] == "user"
