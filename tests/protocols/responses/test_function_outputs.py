"""The output of a function answers a call: in the same input, in the chain, or in a session."""

from typing import Any

import pytest

from agent_asgi import AgentApp
from agent_asgi.testing import Answer
from tests.support.apps import ask_unstarted
from tests.support.calling import Json, Serve, connect
from tests.support.upstream import tutor
from tests.support.websocket_client import connect as connect_ws
from tests.support.websocket_client import refused, turn

OUTPUT: Json = {"type": "function_call_output", "call_id": "c1", "output": "4"}
CALL: Json = {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"}
PARAM = "input[0].call_id"


def post(body: Json, path: str = "/responses", **headers: str) -> Answer:
    return ask_unstarted(AgentApp(tutor()), path, body, headers)


@pytest.mark.parametrize("path", ["/responses", "/v1/responses"])
@pytest.mark.parametrize("stream", [False, True])
def test_an_output_that_answers_nothing_is_refused(path: str, stream: bool) -> None:
    answer = post({"input": [OUTPUT], "stream": stream}, path)
    error = answer.json()["error"]
    assert (answer.status, error["code"], error["param"]) == (400, "invalid_request", PARAM)
    assert "'c1'" in error["message"]


@pytest.mark.parametrize(
    ("extra", "headers"),
    [
        ({"input": [CALL, OUTPUT]}, {}),
        ({"conversation": "talk"}, {}),
        ({"context": {"conversation_id": "talk"}}, {}),
        ({"custom_inputs": {"session_id": "talk"}}, {}),
        ({}, {"x-session-id": "talk"}),
    ],
)
def test_its_call_or_a_session_makes_it_good(extra: Json, headers: dict[str, str]) -> None:
    assert post({"input": [OUTPUT]} | extra, **headers).status == 200


def test_a_call_after_its_output_is_no_call_for_it() -> None:
    assert post({"input": [OUTPUT, CALL]}).status == 400


def test_other_protocols_take_it() -> None:
    assert post({"input": [OUTPUT]}, "/invocations").status == 200
    message = {"role": "tool", "tool_call_id": "c1", "content": "4"}
    assert post({"messages": [message]}, "/v1/chat/completions").status == 200


def test_a_reference_to_the_call(serve: Serve) -> None:
    client = connect(serve(AgentApp(tutor())))
    made = client.responses.create(input=[CALL, OUTPUT])  # type: ignore[list-item]  # plain dicts
    (call, *_) = client.responses.input_items.list(made.id, order="asc")
    again: Any = [{"type": "item_reference", "id": call.id}, OUTPUT]
    assert client.responses.create(input=again).status == "completed"


def test_over_a_websocket(serve: Serve) -> None:
    with connect_ws(serve(AgentApp(tutor()))) as ws:
        assert refused(ws, [OUTPUT]) == (400, "invalid_request", PARAM)
        assert turn(ws, [CALL, OUTPUT])["status"] == "completed"
        assert turn(ws, [OUTPUT], conversation="talk")["status"] == "completed"
