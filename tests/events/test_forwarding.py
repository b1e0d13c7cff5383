"""What a handler forwards from a model: late citations, hosted tools, reasoning, odd counts."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from agent_asgi import AgentApp, AgentRouter, ReasoningItem, ResponsesRequest, SummaryText
from agent_asgi.background.log_writer import LINES
from agent_asgi.events.lifecycle import Lifecycle
from agent_asgi.schema import codec
from agent_asgi.schema.responses import echo
from agent_asgi.testing import AgentClient
from tests.support.stream_rules import check_stream

Json = dict[str, Any]

CITATION = {"type": "url_citation", "url": "u", "title": "t", "start_index": 0, "end_index": 2}
THOUGHT = {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "hm"}]}


def stream(*outputs: Any) -> list[Json]:
    """Return the events of a run."""
    life = Lifecycle(echo(ResponsesRequest(input=[]), id="resp_1", agent="a"), LINES)
    life.start()
    for output in outputs:
        life.feed(output)
    life.complete()
    life.close()
    return [json.loads(line) for line in life.buffer.splitlines()]


def output_of(*outputs: Any) -> list[Json]:
    """Return the final output of a run, whose events must agree with it."""
    output: list[Json] = check_stream(stream(*outputs))["output"]
    return output


def part(*annotations: Json) -> Json:
    return {"type": "output_text", "text": "hi", "annotations": list(annotations)}


def message(*annotations: Json) -> Json:
    content = [part(*annotations)]
    return {"type": "message", "role": "assistant", "id": "m", "content": content}


def at(kind: str, **fields: Any) -> Json:
    """Return an event of the message's first part."""
    place = {"item_id": "m", "output_index": 0, "content_index": 0}
    return {"type": f"response.{kind}", **place, **fields}


STREAMED = [
    {"type": "response.created", "response": {}},
    at("output_item.added", item={**message(), "content": []}),
    at("content_part.added", part={"type": "output_text", "text": ""}),
    at("output_text.delta", delta="hi"),
    at("output_text.done", text="hi"),
    at("content_part.done", part=part()),
]
"""A streamed message without citations, up to the end of its text."""
DONE = at("output_item.done", item=message())


@pytest.mark.parametrize(
    "late",
    [
        [at("output_item.done", item=message(CITATION))],
        [at("output_text.annotation.added", annotation=CITATION, annotation_index=0), DONE],
        [DONE, at("output_text.annotation.added", annotation=CITATION, annotation_index=0)],
        [DONE, at("output_item.done", item=message(CITATION))],
        [DONE, {"type": "response.completed", "response": {"output": [message(CITATION)]}}],
        [DONE, {"output": [message(CITATION)]}],
    ],
    ids=["done", "event", "event after done", "second done", "response event", "response"],
)
def test_citations_that_come_late_are_kept(late: list[Json]) -> None:
    events = stream(*STREAMED, *late)
    response = check_stream(events)
    assert [each["content"][0]["annotations"] for each in response["output"]] == [[CITATION]]
    added = [each for each in events if each["type"].endswith("annotation.added")]
    assert [each["annotation"] for each in added] == [CITATION]


def test_citations_of_a_message_of_plain_text_may_be_in_the_response() -> None:
    assert output_of("hi", {"output": [message(CITATION)]})[0]["content"][0]["annotations"] == [
        CITATION
    ]


def test_a_late_citation_survives_a_crash() -> None:
    events = stream(*STREAMED, DONE, {"output": [message(CITATION)]})
    life = Lifecycle(echo(ResponsesRequest(input=[]), id="resp_1", agent="a"), LINES)
    for event in events[:-1]:
        life.restore(codec.decode_event(json.dumps(event).encode()))
    life.complete()
    assert life.response.output == events[-1]["response"]["output"]


def test_an_annotation_event_may_have_none() -> None:
    event = at("output_text.annotation.added", annotation=None, annotation_index=0)
    assert output_of(*STREAMED[:4], event, *STREAMED[4:], DONE)[0]["content"][0]["text"] == "hi"


@pytest.mark.parametrize("thought", [THOUGHT, ReasoningItem(summary=[SummaryText(text="hm")])])
def test_reasoning_gets_no_status(thought: Any) -> None:
    events = stream(thought, {"type": "response.reasoning_text.delta", "delta": "so"})
    items = [each["item"] for each in events if "item" in each]
    assert not [item for item in items if "status" in item]
    assert not [item for item in check_stream(events)["output"] if "status" in item]


def test_reasoning_keeps_the_status_that_it_has() -> None:
    assert output_of(THOUGHT | {"status": "completed"})[0]["status"] == "completed"


def test_reasoning_of_litellm_is_reasoning() -> None:
    said = {"type": "output_text", "text": "hm", "annotations": []}
    item = {"type": "reasoning", "id": "r", "role": "assistant", "content": [said]}
    assert output_of(item)[0]["content"] == [{"type": "reasoning_text", "text": "hm"}]


def test_counts_of_tokens_may_be_floats() -> None:
    usage = {
        "input_tokens": 3.0,
        "output_tokens": 4.0,
        "total_tokens": 7.0,
        "input_tokens_details": {"cached_tokens": 2.0},
        "output_tokens_details": None,
    }
    found = stream({"type": "response.completed", "response": {"output": [], "usage": usage}})
    counted = found[-1]["response"]["usage"]
    assert counted["input_tokens_details"]["cached_tokens"] == 2
    assert b"." not in json.dumps(counted).encode()


def test_a_hosted_tool_that_has_not_ended_does_when_the_run_ends() -> None:
    searching = {"type": "web_search_call", "id": "ws_1", "status": "searching"}
    listed = {"type": "mcp_list_tools", "id": "mcpl_1", "server_label": "s", "tools": []}
    failed = {"type": "mcp_call", "id": "mcp_1", "status": "failed", "error": None}
    events = [
        {"type": "response.output_item.added", "output_index": index, "item": item}
        for index, item in enumerate((searching, listed, failed))
    ]
    assert output_of(*events) == [searching | {"status": "completed"}, listed, failed]


def test_turns_without_a_created_event_are_told_apart() -> None:
    turn = [
        {"type": f"response.output_item.{step}", "output_index": 0, "item": item}
        for item in [{"type": "web_search_call", "id": "__fake_id__", "status": "completed"}]
        for step in ("added", "done")
    ]
    assert len({item["id"] for item in output_of(*turn, *turn)}) == 2


def test_a_stored_response_that_failed_replays_its_hosted_tools_as_they_were() -> None:
    router = AgentRouter()
    item = {"type": "web_search_call", "id": "ws_1", "status": "searching"}

    @router.stream
    async def fail(request: ResponsesRequest) -> AsyncIterator[Any]:
        yield {"type": "response.output_item.added", "output_index": 0, "item": item}
        raise ValueError

    async def main() -> list[list[Json]]:
        client = AgentClient(AgentApp(router, store="memory://"))
        events = (await client.post("/responses", {"input": "x", "stream": True})).events()
        id_ = events[0]["response"]["id"]
        return [events, (await client.get(f"/responses/{id_}?stream=true")).events()]

    for events in asyncio.run(main()):
        assert events[-1]["response"]["output"] == [item]
        steps = [each["type"] for each in events if "item" in each]
        assert steps == ["response.output_item.added"]
