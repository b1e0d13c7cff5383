"""Calls of custom tools stream their input as OpenAI's API does."""

import json
from typing import Any

import pytest
from openai._models import validate_type
from openai.types.responses import ResponseStreamEvent

from agent_asgi.background.log_writer import LINES
from agent_asgi.events.lifecycle import Lifecycle
from agent_asgi.schema.codec import decode_event
from agent_asgi.schema.requests import ResponsesRequest
from agent_asgi.schema.responses import echo
from tests.support.stream_rules import check_stream

Json = dict[str, Any]
EVENT: Any = ResponseStreamEvent
CALL = {"type": "custom_tool_call", "call_id": "c1", "name": "patch", "input": "*** Begin\n+é"}
FORWARDED: list[Json] = [
    {"type": "response.created", "response": {}},
    {"type": "response.output_item.added", "output_index": 4, "item": CALL | {"input": ""}},
    {"type": "response.custom_tool_call_input.delta", "output_index": 4, "delta": "*** Begin"},
    {"type": "response.custom_tool_call_input.delta", "output_index": 4, "delta": "\n+é"},
    {
        "type": "response.custom_tool_call_input.done",
        "output_index": 4,
        "input": "*** Begin\n+é",
    },
    {"type": "response.output_item.done", "output_index": 4, "item": CALL},
    {"type": "response.completed", "response": {"output": [CALL]}},
]
ONLY_DELTAS = FORWARDED[2:5]


def started() -> Lifecycle:
    life = Lifecycle(echo(ResponsesRequest(input="hi"), id="resp_1", agent="a"), LINES)
    life.start()
    return life


def events_of(life: Lifecycle) -> list[Json]:
    return [json.loads(line) for line in life.buffer.splitlines()]


def streamed(outputs: list[Any]) -> list[Json]:
    life = started()
    for output in outputs:
        life.feed(output)
    life.complete()
    life.close()
    return events_of(life)


@pytest.mark.parametrize("outputs", [[CALL], FORWARDED], ids=["whole", "forwarded"])
def test_a_custom_call_streams_its_input(outputs: list[Any]) -> None:
    events = streamed(outputs)
    check_stream(events)
    events = events[2:]
    for event in events[:-1]:
        validate_type(type_=EVENT, value=event)
    added, done = events[0], events[-2]
    id_ = added["item"]["id"]
    assert id_.startswith("ctc_")
    assert added["item"] | {"id": id_} == CALL | {
        "id": id_,
        "input": "",
        "status": added["item"]["status"],
    }
    deltas = [event for event in events if event["type"].endswith("input.delta")]
    assert "".join(delta["delta"] for delta in deltas) == CALL["input"]
    (ended,) = (event for event in events if event["type"].endswith("input.done"))
    assert {(event["item_id"], event["output_index"]) for event in [*deltas, ended]} == {(id_, 0)}
    assert ended["input"] == done["item"]["input"] == CALL["input"]
    assert events[-1]["response"]["output"] == [done["item"]]


def test_deltas_alone_open_the_call() -> None:
    events = streamed(ONLY_DELTAS)
    (item,) = events[-1]["response"]["output"]
    assert (item["type"], item["input"]) == ("custom_tool_call", CALL["input"])


def test_call_ids_that_repeat_are_replaced() -> None:
    output = {"type": "custom_tool_call_output", "call_id": "c1", "output": "ok"}
    items = streamed([CALL, output, CALL, output])[-1]["response"]["output"]
    ids = [item["call_id"] for item in items]
    assert ids[0] == ids[1] == "c1"
    assert ids[2] == ids[3] != "c1"


def test_a_new_attempt_goes_on_from_the_log() -> None:
    life = started()
    for output in FORWARDED[:3]:
        life.feed(output)
    again = Lifecycle(echo(ResponsesRequest(input="hi"), id="resp_1", agent="a"), LINES)
    for line in life.buffer.splitlines():
        again.restore(decode_event(bytes(line)))
    again.start()
    (event,) = (each for each in events_of(again) if each["type"].endswith("input.done"))
    assert event["input"] == "*** Begin"


@pytest.mark.parametrize("name", ["call_id", "name"])
def test_a_call_without_a_required_field_is_refused(name: str) -> None:
    with pytest.raises(TypeError, match=name):
        started().feed(CALL | {name: 1})
