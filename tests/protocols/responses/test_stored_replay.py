"""A stored response as a stream: valid events that end with the stored response."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from openai import OpenAI

from agent_asgi import AgentRouter, Context, FunctionCall, ReasoningItem, ResponsesRequest
from agent_asgi import SummaryText as Summary
from tests.support.calling import Json, Serve, client_of, plain, replayed, streamed, there, until
from tests.support.openresponses_schema import validate_event
from tests.support.speaker import SAID, speaker
from tests.support.stream_rules import check_stream

CITED: dict[str, Any] = {
    "type": "url_citation",
    "url": "http://127.0.0.1/",
    "start_index": 0,
    "end_index": 1,
    "title": "t",
}
LONG: list[Any] = [
    ReasoningItem(summary=[Summary(text="hm"), Summary(text="so")]),
    {"type": "reasoning", "summary": [], "content": [{"type": "reasoning_text", "text": "I"}]},
    FunctionCall("f", "", "c", client=True),
    FunctionCall("f", '{"a": "ä"}', "c", client=True),
    {"type": "function_call_output", "call_id": "c", "output": '{"b": null}'},
    {"type": "message", "phase": "commentary", "content": [{"type": "refusal", "refusal": "no"}]},
    {
        "type": "message",
        "content": [
            {"type": "output_text", "text": "one", "annotations": [CITED]},
            {"type": "output_text", "text": ""},
            {"type": "refusal", "refusal": "two"},
        ],
    },
    {"type": "acme:thing", "id": "t1", "status": "completed", "n": [1]},
    {"type": "message", "content": []},
    "the end",
]


def check_replay(client: OpenAI, id: str) -> list[Json]:
    """Check that a stored response's stream is valid and ends with it; return the events."""
    stored = plain(client.responses.retrieve(id))
    events = replayed(client, id)
    for event in events:
        validate_event(event)
    assert check_stream(events, cancelled=stored["status"] == "cancelled") == stored
    return events


def test_every_kind_of_output(serve: Serve, store_url: str) -> None:
    with client_of(serve, store_url, speaker()) as client:
        for kind in SAID:
            check_replay(client, client.responses.create(input=kind, model="m").id)
            check_replay(client, streamed(client, input=kind)[-1]["response"]["id"])


def test_many_items_at_once(serve: Serve, store_url: str) -> None:
    router = AgentRouter()

    @router.stream
    async def say_a_lot(request: ResponsesRequest) -> AsyncIterator[Any]:
        for output in LONG:
            yield output

    with client_of(serve, store_url, router) as client:
        first = streamed(client, input="x")
        check_stream(first)
        events = check_replay(client, first[-1]["response"]["id"])
    assert len(events[-1]["response"]["output"]) == len(LONG)


def test_a_failed_run_with_a_message_half_said(serve: Serve, store_url: str) -> None:
    router = AgentRouter()

    @router.stream
    async def break_down(request: ResponsesRequest) -> AsyncIterator[Any]:
        yield ReasoningItem(summary=[Summary(text="hm")])
        yield "half a "
        yield "sentence"
        raise RuntimeError("secret")

    with client_of(serve, store_url, router) as client:
        first = streamed(client, input="x")
        events = check_replay(client, first[-1]["response"]["id"])
    assert [each["type"] for each in events[-2:]] == ["error", "response.failed"]
    half = events[-1]["response"]["output"][-1]
    assert (half["status"], half["content"][0]["text"]) == ("in_progress", "half a sentence")
    assert "secret" not in str(events)


def test_a_failed_run_with_all_kinds_of_items_open(serve: Serve, store_url: str) -> None:
    router = AgentRouter()
    reasoning = {"type": "reasoning", "id": "r", "summary": []}
    call = {"type": "function_call", "id": "f", "call_id": "c", "name": "f", "arguments": ""}
    deltas: list[Any] = [
        {"type": "response.output_item.added", "item": reasoning},
        {"type": "response.reasoning_summary_text.delta", "item_id": "r", "delta": "hm"},
        {"type": "response.output_item.added", "item": call},
        {"type": "response.function_call_arguments.delta", "item_id": "f", "delta": '{"a'},
        {"type": "response.refusal.delta", "item_id": "m", "delta": "I won"},
    ]

    @router.stream
    async def break_down(request: ResponsesRequest) -> AsyncIterator[Any]:
        for delta in deltas:
            yield delta
        raise RuntimeError

    with client_of(serve, store_url, router) as client:
        first = streamed(client, input="x")
        check_stream(first)
        events = check_replay(client, first[-1]["response"]["id"])
    output = events[-1]["response"]["output"]
    assert "status" not in output[0]
    assert {each["status"] for each in output[1:]} == {"in_progress"}
    assert output[1]["arguments"] == '{"a'


def test_one_that_its_client_left(serve: Serve, store_url: str) -> None:
    router = AgentRouter()

    @router.stream
    async def go_on(request: ResponsesRequest, context: Context) -> AsyncIterator[str]:
        for number in range(1000):
            yield f"{number} "
            await asyncio.sleep(0.02)

    with client_of(serve, store_url, router) as client:
        with client.responses.create(input="x", stream=True) as stream:
            created: Any = next(iter(stream))
            for event in stream:
                if event.type == "response.output_text.delta" and event.delta == "3 ":
                    break
        id_ = created.response.id
        until(lambda: there(client, id_))
        events = check_replay(client, id_)
    final = events[-1]["response"]
    assert final["status"] == "cancelled"
    assert final["incomplete_details"] is None
    assert final["output"][0]["content"][0]["text"].startswith("0 1 2 3 ")


def test_the_clients_own_helper(serve: Serve, store_url: str) -> None:
    with client_of(serve, store_url, speaker()) as client:
        made = client.responses.create(input="text")
        with client.responses.stream(response_id=made.id) as stream:
            events = list(stream)
            final = stream.get_final_response()
        assert final.id == made.id
        assert final.output_text == "hi there"
        last = events[-2].sequence_number
        with client.responses.stream(response_id=made.id, starting_after=last) as stream:
            assert [each.type for each in stream] == ["response.completed"]


def test_from_any_event_on(serve: Serve, store_url: str) -> None:
    with client_of(serve, store_url, speaker()) as client:
        made = client.responses.create(input="tool")
        events = replayed(client, made.id)
        for number in range(len(events) + 1):
            assert replayed(client, made.id, starting_after=number) == events[number + 1 :]
