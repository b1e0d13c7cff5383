"""The Responses API over a WebSocket, against a real server: turns, continuation, errors."""

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import calculator
import pytest
from websockets.sync.client import ClientConnection

from agent_asgi import AgentApp, Limits
from tests.support.calling import Json
from tests.support.openresponses_schema import validate_event
from tests.support.servers import Server
from tests.support.stream_rules import check_stream
from tests.support.websocket_agent import Agent
from tests.support.websocket_client import (
    connect,
    create,
    envelope,
    read,
    read_url,
    refused,
    send,
    turn,
)

GONE = (400, "previous_response_not_found", "previous_response_id")
FAILED = (500, "agent_error", None)
ORPHAN = {"type": "function_call_output", "call_id": "call_none", "output": "4"}
WRONG = ["fail", "busy", "break", "upstream", [ORPHAN], [{"type": "item_reference", "id": "none"}]]
BAD = [{"input": each} for each in (*WRONG, [{"no": "type"}])]
MISTAKES: list[tuple[str | bytes, int, str, str | None]] = [
    ("nothing", 400, "invalid_json", None),
    ("", 400, "invalid_json", None),
    (b"\xff", 400, "invalid_json", None),
    ("[1]", 400, "invalid_request", None),
    ('{"input": "x"}', 400, "invalid_request", "type"),
    ('{"type": "response.cancel"}', 400, "invalid_request", "type"),
    ('{"type": "response.create"}', 400, "invalid_request", "input"),
    (create(input="x", background=True), 400, "invalid_request", "background"),
    (create(input="x", stream=False), 400, "invalid_request", "stream"),
    (create(input="x", stream="no"), 400, "invalid_request", "stream"),
    (create(input=[{"type": "message", "role": "x"}]), 400, "invalid_request", "input[0].role"),
    (create(input="x" * 5000), 413, "request_too_large", None),
]


@pytest.fixture(scope="module")
def agent() -> Iterator[Agent]:
    """An agent that is served for all tests in the file."""
    made = Agent()
    server = Server(AgentApp(made.router, limits=Limits(max_body_bytes=5000)))
    made.url = server.url
    yield made
    server.stop()


@pytest.fixture
def ws(agent: Agent) -> Iterator[ClientConnection]:
    """A new connection to it."""
    with connect(agent.url) as made:
        yield made


def alike(events: list[Json]) -> list[Json]:
    """Return the events with numbers in place of ids and times."""
    text = re.sub(r'_at": \d+', '_at": 0', json.dumps(events))
    for number, id_ in enumerate(dict.fromkeys(re.findall(r"[a-z]+_[0-9a-f]{20,}", text))):
        text = text.replace(id_, f"id-{number}")
    return list(json.loads(text))


@pytest.mark.parametrize("path", ["/responses", "/v1/responses"])
def test_the_messages_are_the_events_of_a_stream(serve: Callable[[Any], str], path: str) -> None:
    url = serve(calculator.app)
    body = {"input": "12 * (3 + 4)", "model": "calculator", "metadata": {"a": "b"}}
    lines = read_url(url + path, {**body, "stream": True}).split("\n")
    streamed = [json.loads(line[6:]) for line in lines if line.startswith("data: {")]
    with connect(url, path) as ws:
        for fields in ({}, {"stream": True}):
            send(ws, **body, **fields)
            events = read(ws)
            for each in events:
                validate_event(each)
            assert check_stream(events)["status"] == "completed"
            assert alike(events) == alike(streamed)
        with pytest.raises(TimeoutError):
            ws.recv(timeout=0.2)  # no [DONE]


def test_several_agents(serve: Callable[[Any], str]) -> None:
    one, two = Agent("one"), Agent("two")
    url = serve(AgentApp(one.router, two.router))
    for path in ("/two/responses", "/two/v1/responses"):
        with connect(url, path) as ws:
            turn(ws, "a")
    with connect(url, "/v1/responses") as ws:
        turn(ws, "b", model="two")
        turn(ws, "c", model="one")
        assert refused(ws, "d", model="three") == (404, "model_not_found", "model")
        assert refused(ws, "e") == (400, "invalid_request", "model")
        assert turn(ws, "f", model="one")["model"] == "one"
    assert (one.seen, two.seen) == ([["c"], ["f"]], [["a"], ["a"], ["b"]])


def test_turns_sent_at_once_come_one_after_the_other(agent: Agent, ws: ClientConnection) -> None:
    inputs = ["fail" if number % 10 == 5 else f"turn {number}" for number in range(30)]
    for each in inputs:
        send(ws, each, store=False)
    for each in inputs:
        if each == "fail":
            assert envelope(ws) == FAILED
        else:
            assert check_stream(read(ws))["status"] == "completed"
    assert agent.seen[-30:] == [[each] for each in inputs]


def test_continuation_from_the_connections_memory(agent: Agent, ws: ClientConnection) -> None:
    first = turn(ws, "one", store=False)
    second = turn(ws, "two", store=False, previous_response_id=first["id"])
    assert second["previous_response_id"] == first["id"]
    assert agent.seen[-1] == ["one", "answer 1", "two"]
    three = [{"role": "user", "content": "three"}, {"role": "user", "content": "four"}]
    turn(ws, three, store=False, previous_response_id=second["id"])
    assert agent.seen[-1] == ["one", "answer 1", "two", "answer 3", "three", "four"]


def test_continuation_from_the_store(agent: Agent, ws: ClientConnection) -> None:
    first, second = turn(ws, "one"), turn(ws, "two", store=False)
    assert refused(ws, "x", store=False, previous_response_id=first["id"]) == GONE
    with connect(agent.url) as other:
        assert refused(other, "x", previous_response_id=second["id"]) == GONE
        third = turn(other, "three", previous_response_id=first["id"])
        assert agent.seen[-1] == ["one", "answer 1", "three"]
        turn(other, "four", store=False, previous_response_id=third["id"])
        assert agent.seen[-1] == ["one", "answer 1", "three", "answer 3", "four"]
    turn(ws, "five", store=False, previous_response_id=second["id"])
    assert agent.seen[-1] == ["two", "answer 1", "five"]


@pytest.mark.parametrize("store", [False, True])
@pytest.mark.parametrize("bad", [*BAD, {"temperature": 99}, {"background": True}])
def test_a_continuation_that_fails_evicts(ws: ClientConnection, bad: Json, store: bool) -> None:
    first = turn(ws, "one", store=store)
    fields = {"input": "x", "previous_response_id": first["id"], "store": store}
    send(ws, **(fields | bad))
    assert read(ws)[-1]["type"] in ("error", "response.failed")
    assert refused(ws, **fields) == GONE
    assert turn(ws, "two", store=store)["status"] == "completed"


def test_a_reference_to_an_item_of_the_conversation(agent: Agent, ws: ClientConnection) -> None:
    first = turn(ws, "one", store=False)
    references = [{"type": "item_reference", "id": each["id"]} for each in first["output"]]
    turn(ws, references, store=False, previous_response_id=first["id"])
    assert agent.seen[-1] == ["one", "answer 1", "answer 1"]


def test_a_reference_to_an_item_of_the_store(agent: Agent, ws: ClientConnection) -> None:
    item, first = turn(ws, "kept")["output"][0], turn(ws, "one")
    reference = {"type": "item_reference", "id": item["id"]}
    body = {"input": [reference], "previous_response_id": first["id"]}
    read_url(f"{agent.url}/responses", body)
    turn(ws, **body)  # the same as over HTTP
    assert agent.seen[-1] == agent.seen[-2] == ["one", "answer 1", "answer 1"]


def test_mistakes_leave_the_connection_open(ws: ClientConnection) -> None:
    for message, *due in MISTAKES:
        ws.send(message)
        assert [*envelope(ws)] == due, message
        assert turn(ws, "x")["status"] == "completed"
