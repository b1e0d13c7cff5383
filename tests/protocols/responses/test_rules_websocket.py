"""Each rule that Open Responses 2026-04-24 sets for a server's WebSocket, by name.

The names are those in docs/conformance.md; test_websocket*.py cover more.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx2
from websockets.sync.client import connect
from websockets.sync.connection import Connection

from agent_asgi import AgentApp, AgentRouter, ResponsesRequest, Timeouts
from agent_asgi.testing import parse_frame
from tests.support.openresponses_schema import validate, validate_event
from tests.support.stream_rules import check_stream

Json = dict[str, Any]
Serve = Callable[[Any], str]
ENDS = ("error", "response.completed", "response.failed", "response.incomplete")


def telling() -> AgentRouter:
    """Make an agent that outputs how many input items it got; the input "fail" makes it fail."""
    router = AgentRouter()

    @router.stream
    async def tell(request: ResponsesRequest) -> AsyncIterator[str]:
        if request.input_text == "fail":
            raise ValueError("a secret")
        for word in ("told", f" {len(request.input)}"):
            yield word
            await asyncio.sleep(0)

    return router


def socket(url: str) -> Connection:
    """Open a connection on the same path as the POST."""
    return connect(url.replace("http", "ws") + "/v1/responses")


def turn(connection: Connection, **fields: Any) -> list[Json]:
    """Start a turn; return its messages, including the one that ends it."""
    connection.send(json.dumps({"type": "response.create", **fields}))
    return messages(connection)


def messages(connection: Connection) -> list[Json]:
    """Return the messages of one turn."""
    told: list[Json] = []
    while not told or told[-1]["type"] not in ENDS:
        told.append(json.loads(connection.recv(timeout=10)))
    return told


def test_a_turn_is_the_stream_of_a_post(serve: Serve) -> None:
    """WS-1, WS-2, WS-8: the stream's events, one message each; a terminal event; no `[DONE]`."""
    url = serve(AgentApp(telling()))
    with socket(url) as connection:
        told = turn(connection, input="x")
    answer = httpx2.post(f"{url}/v1/responses", json={"input": "x", "stream": True})
    frames = [parse_frame(each) for each in answer.content.split(b"\n\n")]
    assert [each["type"] for each in told] == [each["type"] for each in frames if each]
    for event in told:
        validate_event(event)
    check_stream(told)


def test_turns_come_one_after_the_other(serve: Serve) -> None:
    """WS-3: one response in flight; further creates wait and are never interleaved."""
    with socket(serve(AgentApp(telling()))) as connection:
        for _ in range(5):
            connection.send(json.dumps({"type": "response.create", "input": "x"}))
        for _ in range(5):
            check_stream(messages(connection))


def test_continuation_without_a_store(serve: Serve) -> None:
    """WS-4, WS-5: with `store: false` a turn continues only from the connection's memory."""
    with socket(serve(AgentApp(telling()))) as connection:
        first = turn(connection, input="x", store=False)[-1]["response"]
        second = turn(connection, input="y", store=False, previous_response_id=first["id"])
        assert second[-1]["response"]["output"][0]["content"][0]["text"] == "told 3"
        third = turn(connection, input="z", store=False, previous_response_id="resp_none")
        assert [each["error"]["code"] for each in third] == ["previous_response_not_found"]


def test_a_failed_continuation_evicts(serve: Serve) -> None:
    """WS-6: a failed continuation evicts the id; using it again gives not found."""
    with socket(serve(AgentApp(telling()))) as connection:
        first = turn(connection, input="x", store=False)[-1]["response"]
        failed = turn(connection, input="fail", store=False, previous_response_id=first["id"])
        assert failed[-1]["status"] == 500
        again = turn(connection, input="y", store=False, previous_response_id=first["id"])
        assert again[-1]["error"]["code"] == "previous_response_not_found"


def test_the_time_limit(serve: Serve) -> None:
    """WS-7: an error reports that the limit is reached; the default is 60 minutes."""
    assert Timeouts().websocket == 60 * 60
    url = serve(AgentApp(telling(), timeouts=Timeouts(websocket=0.3)))
    with socket(url) as connection:
        told = json.loads(connection.recv(timeout=10))
        assert told["error"]["code"] == "websocket_connection_limit_reached"


def test_failures_are_envelopes(serve: Serve) -> None:
    """WS-9: a failure is an `error` message with the status and the error."""
    with socket(serve(AgentApp(telling()))) as connection:
        for fields, status in (({"input": 1}, 400), ({"input": "fail"}, 500)):
            (told,) = turn(connection, **fields)
            validate("WebSocketErrorEvent", told)
            assert told["status"] == status
        assert turn(connection, input="x")[-1]["type"] == "response.completed"
