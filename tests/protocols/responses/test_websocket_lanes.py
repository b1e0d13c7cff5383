"""WebSocket: lanes by `stream_id`, steering is refused, handlers see the body of a POST."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from openai._models import validate_type
from openai.types.responses import ResponseSteerFailedEvent

from agent_asgi import AgentApp, AgentError, AgentRouter, ResponsesRequest
from tests.support.calling import Json, Serve
from tests.support.websocket_client import WAIT, connect, create, read, send, turn

STEER = {
    "type": "response.steer",
    "previous_response_id": "resp_1",
    "input": [{"type": "message", "role": "user", "content": "shorter"}],
}


def agent() -> tuple[AgentRouter, list[Json]]:
    """An agent that keeps the bodies it gets, and fails if asked to."""
    router, bodies = AgentRouter("lanes"), list[Json]()

    @router.stream
    async def reply(request: ResponsesRequest) -> AsyncIterator[str]:
        bodies.append(request.to_dict())
        if request.input_text == "refuse":
            raise AgentError("no", 429)
        yield "hé\u2028"
        if request.input_text == "fail":
            raise ValueError

    return router, bodies


@pytest.mark.parametrize("lane", ["lane-1", 'a "quoted" \u2028 é'])
def test_every_event_and_error_names_its_lane(serve: Serve, lane: str) -> None:
    router, _ = agent()
    with connect(serve(AgentApp(router))) as ws:
        for text, last in (("x", "completed"), ("fail", "failed"), ("refuse", None)):
            send(ws, text, stream_id=lane)
            events = read(ws)
            assert {event.pop("stream_id") for event in events} == {lane}
            if last:
                assert events[-1]["type"] == f"response.{last}"
        send(ws, [{"role": "none"}], stream_id=lane)
        (error,) = read(ws)
        assert (error["status"], error["stream_id"]) == (400, lane)
        send(ws, "x", previous_response_id="resp_none", stream_id=lane)
        assert [event["stream_id"] for event in read(ws)] == [lane]
        send(ws, "x")
        assert not any("stream_id" in event for event in read(ws))
        ws.send("nothing")
        assert "stream_id" not in read(ws)[0]


def test_a_lane_is_a_text(serve: Serve) -> None:
    with connect(serve(AgentApp(agent()[0]))) as ws:
        send(ws, "x", stream_id=1)
        (error,) = read(ws)
        assert (error["error"]["param"], error["status"]) == ("stream_id", 400)
        assert "stream_id" not in error


def test_lanes_go_on_from_each_other(serve: Serve) -> None:
    router, bodies = agent()
    with connect(serve(AgentApp(router))) as ws:
        send(ws, "one", stream_id="a")
        first = read(ws)[-1]["response"]
        send(ws, "two", stream_id="b", previous_response_id=first["id"], store=False)
        assert read(ws)[-1]["type"] == "response.completed"
    assert len(bodies[1]["input"]) == 3


def test_steering_is_refused(serve: Serve) -> None:
    with connect(serve(AgentApp(agent()[0]))) as ws:
        response = turn(ws, "x")
        steer = STEER | {"previous_response_id": response["id"]}
        ws.send(json.dumps(steer))
        event: Any = json.loads(ws.recv(timeout=WAIT))
        validate_type(type_=ResponseSteerFailedEvent, value=event)
        assert event["type"] == "response.steer.failed"
        assert event["error"]["code"] == "steering_not_supported"
        assert event["steer"] == {key: steer[key] for key in ("input", "previous_response_id")}
        again = turn(ws, "y", previous_response_id=response["id"])  # which is not forgotten
        assert again["status"] == "completed"


def test_a_handler_gets_the_body_of_a_post(serve: Serve) -> None:
    router, bodies = agent()
    with connect(serve(AgentApp(router))) as ws:
        ws.send(create(input="x", stream_id="lane", metadata={"a": "b"}, unknown={"c": 1.5}))
        read(ws)
    assert bodies == [{"input": "x", "metadata": {"a": "b"}, "unknown": {"c": 1.5}}]
