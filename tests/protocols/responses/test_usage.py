"""The usage of a response: details summed, never null at its end, and no zeros where they count."""

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest
from openai._models import validate_type
from openai.types.responses import ResponseUsage

from agent_asgi import AgentApp, AgentError, AgentRouter, ResponsesRequest, Usage
from agent_asgi.testing import AgentClient
from tests.support.calling import Json, Serve
from tests.support.openresponses_schema import validate_response
from tests.support.stream_rules import check_stream
from tests.support.traces import traces
from tests.support.websocket_client import connect, read, send, turn

ZEROS = {
    "input_tokens": 0,
    "output_tokens": 0,
    "total_tokens": 0,
    "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
    "output_tokens_details": {"reasoning_tokens": 0},
}
TOLD: Json = {
    "input_tokens": 10,
    "output_tokens": 5,
    "total_tokens": 15,
    "input_tokens_details": {
        "cached_tokens": 3,
        "cache_write_tokens": 4,
        "audio_tokens": 1,
        "cache_write_tokens_details": {"ttl_12h_tokens": 1, "ttl_30m_tokens": 3},
        "note": "no number",
        "image_tokens": None,
    },
    "output_tokens_details": {"reasoning_tokens": 2, "accepted_prediction_tokens": 1},
}


def told(count: int = 0, *, name: str = "usage") -> AgentRouter:
    """An agent that reports its usage some times, and fails or breaks off if asked to."""
    router = AgentRouter(name)

    @router.stream
    async def reply(request: ResponsesRequest) -> AsyncIterator[Any]:
        yield "hi"
        for _ in range(count):
            yield {"type": "response.completed", "response": {"output": [], "usage": TOLD}}
        if "fail" in str(request.input):
            raise AgentError("no", 500)
        if "break" in str(request.input):
            yield {"output": [], "incomplete_details": {"reason": "max_output_tokens"}}

    return router


def ended(router: AgentRouter, path: str, input: str, *, stream: bool) -> Json:
    """Run an agent; return its response at the end."""

    async def main() -> Json:
        answer = await AgentClient(AgentApp(router)).post(path, {"input": input, "stream": stream})
        response: Json = answer.events()[-1]["response"] if stream else answer.json()
        return response

    return asyncio.run(main())


@pytest.mark.parametrize("stream", [False, True])
def test_details_are_summed_and_unknown_counts_kept(stream: bool) -> None:
    usage = ended(told(2), "/responses", "x", stream=stream)["usage"]
    assert usage == {
        "input_tokens": 20,
        "output_tokens": 10,
        "total_tokens": 30,
        "input_tokens_details": {
            "cached_tokens": 6,
            "cache_write_tokens": 8,
            "audio_tokens": 2,
            "cache_write_tokens_details": {"ttl_12h_tokens": 2, "ttl_30m_tokens": 6},
        },
        "output_tokens_details": {"reasoning_tokens": 4, "accepted_prediction_tokens": 2},
    }
    validate_type(type_=ResponseUsage, value=usage)


def test_a_usage_of_plain_numbers_has_all_details() -> None:
    usage = Usage(input_tokens=1, input_tokens_details={"cached_tokens": 1}) + Usage()
    assert usage.input_tokens_details == {"cached_tokens": 1, "cache_write_tokens": 0}
    with pytest.raises(TypeError, match="cached_tokens"):
        Usage(input_tokens_details={"cached_tokens": "3"})


@pytest.mark.parametrize(("input", "status"), [("x", "completed"), ("break", "incomplete")])
def test_zeros_if_the_agent_reports_nothing(input: str, status: str) -> None:
    for stream in (False, True):
        response = ended(told(), "/responses", input, stream=stream)
        assert (response["status"], response["usage"]) == (status, ZEROS)
        validate_response(response)
        response = ended(told(), "/invocations", input, stream=stream)
        assert (response["status"], "usage" in response) == (status, False)
        response = ended(told(1), "/invocations", input, stream=stream)
        assert response["usage"]["total_tokens"] == 15


def test_a_run_in_progress_has_none_and_a_failed_one_zeros() -> None:
    async def main() -> None:
        client = AgentClient(AgentApp(told()))
        answer = await client.post("/responses", {"input": "fail", "stream": True})
        events = answer.events()
        assert [event["response"]["usage"] for event in events[:2]] == [None, None]
        response = check_stream(events)
        assert (response["status"], response["usage"]) == ("failed", ZEROS)
        stored = (await client.get(f"/responses/{response['id']}")).json()
        assert stored["usage"] == ZEROS
        again = await client.get(f"/responses/{response['id']}?stream=true")
        assert again.events()[0]["response"]["usage"] is None

    asyncio.run(main())


def test_a_cancelled_run() -> None:
    begun = asyncio.Event()
    router = AgentRouter()

    @router.stream
    async def wait(request: ResponsesRequest) -> AsyncIterator[str]:
        yield "hi"
        begun.set()
        await asyncio.Event().wait()

    async def main() -> Json:
        app = AgentApp(router)
        async with app.lifespan():
            client = AgentClient(app)
            body = {"input": "x", "background": True}
            id_ = (await client.post("/responses", body)).json()["id"]
            await begun.wait()
            return dict((await client.post(f"/responses/{id_}/cancel", {})).json())

    response = asyncio.run(main())
    assert (response["status"], response["incomplete_details"]) == ("cancelled", None)
    assert response["usage"] == ZEROS


def test_over_a_websocket(serve: Serve) -> None:
    with connect(serve(AgentApp(told()))) as ws:
        assert turn(ws, "x")["usage"] == ZEROS
        send(ws, "fail")
        assert read(ws)[-1]["response"]["usage"] == ZEROS


def test_zeros_reach_no_trace_and_no_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "agent_asgi.runs")
    app = AgentApp(told(name="no-usage"))

    async def main() -> None:
        async with app.lifespan():
            await AgentClient(app).post("/responses", {"input": "x"})

    asyncio.run(main())
    (trace,) = traces(agent="no-usage")
    assert "usage" not in (trace.data.spans[0].outputs or {})
    assert trace.info.token_usage is None
    (line,) = (record for record in caplog.records if record.name == "agent_asgi.runs")
    assert vars(line)["input_tokens"] is None
