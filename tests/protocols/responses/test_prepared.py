"""`generate: false` and `prewarm` prepare a response to continue; no handler runs."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest

from agent_asgi import AgentApp, AgentRouter, ResponsesRequest
from agent_asgi.testing import AgentClient
from tests.support.calling import Json, Serve, connect, ended
from tests.support.stream_rules import check_stream
from tests.support.traces import traces
from tests.support.weather_tool import TOOL
from tests.support.websocket_client import connect as connect_ws
from tests.support.websocket_client import read, refused, send, turn

FIELDS: list[Json] = [
    {"generate": False},
    {"prompt_cache_options": {"prewarm": True}},
    {"generate": True, "prompt_cache_options": {"prewarm": True, "mode": "implicit"}},
]


class Counting:
    """An agent that counts its runs and says how much it was given."""

    def __init__(self, name: str = "counting") -> None:
        self.router = AgentRouter(name)
        self.router.stream(self.reply)
        self.runs = 0

    async def reply(self, request: ResponsesRequest) -> AsyncIterator[str]:
        self.runs += 1
        first: Any = request.input[0]
        yield f"{len(request.input)} items, {first.text}"


@pytest.mark.parametrize("fields", FIELDS)
def test_over_a_websocket(serve: Serve, fields: Json) -> None:
    agent = Counting()
    with connect_ws(serve(AgentApp(agent.router))) as ws:
        send(ws, "context", **fields, tools=[TOOL], tool_choice="required")
        events = read(ws)
        types = [event["type"].removeprefix("response.") for event in events]
        assert types == ["created", "in_progress", "completed"]
        response = check_stream(events)
        assert (response["output"], response["usage"]["total_tokens"]) == ([], 0)
        assert agent.runs == 0
        again = turn(ws, "go", previous_response_id=response["id"])
        assert again["output"][0]["content"][0]["text"] == "2 items, context"
    assert agent.runs == 1


@pytest.mark.parametrize("body", [{}, {"stream": True}, {"background": True}])
def test_it_is_no_run_in_the_log(
    serve: Serve, caplog: pytest.LogCaptureFixture, body: Json
) -> None:
    caplog.set_level(logging.INFO, "agent_asgi.runs")
    agent = Counting()
    url = serve(AgentApp(agent.router))
    prepared = connect(url).responses.create(input="x", extra_body={"generate": False, **body})
    if "stream" in body:
        list(prepared)
    elif "background" in body:
        ended(connect(url), prepared.id)
    assert not caplog.records
    connect(url).responses.create(input="x")
    assert [record.name for record in caplog.records] == ["agent_asgi.runs"]


@pytest.mark.parametrize("fields", [{"generate": False, "store": False}, {"generate": False}])
def test_without_an_input(serve: Serve, fields: Json) -> None:
    agent = Counting()
    with connect_ws(serve(AgentApp(agent.router))) as ws:
        given: Json
        for given in ({}, {"input": []}):
            ws.send(json.dumps({"type": "response.create", **fields, **given}))
            response = check_stream(read(ws))
            assert response["output"] == []
        text = [{"type": "input_text", "text": "first"}]
        made = turn(ws, [{"role": "user", "content": text}], previous_response_id=response["id"])
        assert made["output"][0]["content"][0]["text"] == "1 items, first"


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"generate": "no"}, "generate"),
        ({"prompt_cache_options": {"prewarm": 1}}, "prompt_cache_options.prewarm"),
        ({"generate": False, "previous_response_id": 1}, "previous_response_id"),
    ],
)
def test_bad_values(serve: Serve, fields: Json, param: str) -> None:
    with connect_ws(serve(AgentApp(Counting().router))) as ws:
        assert refused(ws, "x", **fields) == (400, "invalid_request", param)


@pytest.mark.parametrize("background", [False, True])
def test_over_http(serve: Serve, store_url: str, background: bool) -> None:
    agent = Counting()
    client = connect(serve(AgentApp(agent.router, store=store_url)))
    extra = {"prompt_cache_options": {"prewarm": True}}
    made = client.responses.create(input="context", background=background, extra_body=extra)
    assert ended(client, made.id).status == "completed"
    assert client.responses.retrieve(made.id).output == []
    assert agent.runs == 0
    again = client.responses.create(input="go", previous_response_id=made.id)
    assert again.output_text == "2 items, context"


def test_it_has_no_trace() -> None:
    app = AgentApp(Counting("prepared").router)

    async def main() -> None:
        async with app.lifespan():
            answer = await AgentClient(app).post("/responses", {"input": "x", "generate": False})
            assert "x-mlflow-trace-id" not in answer.headers
            await AgentClient(app).post("/responses", {"input": [MESSAGE]})

    asyncio.run(main())
    assert len(traces(agent="prepared")) == 1


MESSAGE = {"role": "user", "content": [{"type": "input_text", "text": "x"}]}
