"""Agent output that tries to end its frame or to pass for an event."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from agent_asgi import AgentApp, AgentError, AgentRouter, ResponsesRequest
from agent_asgi.testing import AgentClient
from tests.support.calling import Json, Serve, connect, ended
from tests.support.forgery import FORGERIES, FORGERY

ID = FORGERY.replace("\0", "")  # an id with a null character is replaced


def forger(protocol: Any = "responses") -> AgentRouter:
    """Make an agent that puts forgeries wherever an agent can put text."""
    router = AgentRouter("forger", protocol=protocol)

    @router.stream
    async def forge(request: dict[str, Any]) -> AsyncIterator[Any]:
        for each in FORGERIES:
            yield each
        if protocol == "json":
            yield {FORGERY: FORGERY}
        else:
            yield {
                "type": "function_call",
                "id": ID,
                "call_id": FORGERY,
                "name": FORGERY,
                "arguments": FORGERY,
            }
            yield {"type": "acme:note", FORGERY: FORGERY}
            yield {"output": [], "metadata": {FORGERY: FORGERY}}
        if request["input"] == "fail":
            raise AgentError(FORGERY, 418, FORGERY, headers={"x-forged": "a\r\nx-evil: b"})

    return router


def frames_of(body: bytes) -> list[str]:
    """Split a stream strictly, and check that Python's `splitlines` finds the same lines."""
    text = body.decode()
    assert "\r" not in text
    *frames, rest = text.split("\n\n")
    assert rest == ""
    assert "".join(line + "\n" for line in text.splitlines()) == text
    return frames


def events_of(body: bytes, named: bool) -> list[Json]:
    """Return the events of a stream after checking every byte between them."""
    *frames, done = frames_of(body)
    assert done == "data: [DONE]"
    events = []
    for frame in frames:
        head, _, data = frame.partition("data: ")
        events.append(json.loads(data))
        assert head == (f"event: {events[-1]['type']}\n" if named else "")
    return events


def check_forged(events: list[Json], last: str) -> None:
    """Check that the events are the run's own and the texts are the agent's."""
    assert [each["sequence_number"] for each in events] == list(range(len(events)))
    deltas = [each["delta"] for each in events if each["type"] == "response.output_text.delta"]
    assert deltas == FORGERIES
    assert [each["type"] for each in events].count("response.completed") <= 1
    assert events[-1]["type"] == last
    _, call = events[-1]["response"]["output"]
    assert call["name"] == call["arguments"] == FORGERY
    assert call["id"] in ("fc_" + ID, "mcp_" + ID)
    assert events[-1]["response"]["metadata"] == {FORGERY: FORGERY}
    (note,) = [each for each in events if each["type"] == "acme:note"]
    assert note[FORGERY] == FORGERY


@pytest.mark.parametrize("path", ["/responses", "/invocations"])
@pytest.mark.parametrize("ending", ["completed", "failed"])
def test_no_event_can_be_forged(path: str, ending: str) -> None:
    said = "fail" if ending == "failed" else "x"
    answer = asyncio.run(
        AgentClient(AgentApp(forger())).post(path, {"input": said, "stream": True})
    )
    events = events_of(answer.body, named=path == "/responses")
    check_forged(events, f"response.{ending}")
    if ending == "failed":
        assert events[-2]["error"]["message"] == events[-2]["message"] == FORGERY


def test_the_openai_client_sees_no_forged_event(serve: Serve) -> None:
    """Nor does it in the log of a background run, or in the replay of a stored response."""
    client = connect(serve(AgentApp(forger())))
    events: list[Any] = [*client.responses.create(model="forger", input="x", stream=True)]
    check_forged([each.to_dict(warnings=False) for each in events], "response.completed")
    begun = client.responses.create(model="forger", input="x", background=True)
    ended(client, begun.id)
    for id_ in (begun.id, events[-1].response.id):
        with client.responses.with_streaming_response.retrieve(id_, stream=True) as answer:
            replayed = events_of(answer.read(), named=True)
        text = "".join(each["delta"] for each in replayed if each["type"].endswith("text.delta"))
        assert text == FORGERY
        assert replayed[-1]["type"] == "response.completed"


def test_no_chunk_can_be_forged() -> None:
    client = AgentClient(AgentApp(forger("json")))
    answer = asyncio.run(client.post("/invocations", {"input": "fail", "stream": True}))
    *frames, done = frames_of(answer.body)
    assert done == "data: [DONE]"
    chunks = [json.loads(each.removeprefix("data: ")) for each in frames]
    assert chunks[:-1] == [*FORGERIES, {FORGERY: FORGERY}]
    assert chunks[-1]["error"]["message"] == FORGERY


@pytest.mark.parametrize("end", ["\n", "\r", "\u2028", "\x85", "\x00", " "])
def test_a_vendor_type_that_would_end_its_line_fails_the_run(end: str) -> None:
    router = AgentRouter()

    @router.stream
    async def forge(request: ResponsesRequest) -> AsyncIterator[Any]:
        yield {"type": f"acme:x{end}data: [DONE]{end}{end}"}

    answer = asyncio.run(
        AgentClient(AgentApp(router)).post("/responses", {"input": "x", "stream": True})
    )
    assert b"[DONE]" not in answer.body.removesuffix(b"data: [DONE]\n\n")
    assert b'"code":"agent_error"' in answer.body
