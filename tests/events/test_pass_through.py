"""Items and events of OpenAI's and the AI SDK's types come through as they were given."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import msgspec
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from openai._models import construct_type
from openai.types.responses import ResponseOutputItem, ResponseStreamEvent

from agent_asgi import AgentApp, AgentRouter, ResponsesRequest
from agent_asgi.events.forwarding import _RULES
from agent_asgi.schema.items import ITEMS as ITEM_STRUCTS
from agent_asgi.testing import AgentClient
from tests.support.openai_types import instances, members

Json = dict[str, Any]

OURS = (
    "message",
    "reasoning",
    "function_call",
    "function_call_output",
    "custom_tool_call",
    "compaction",
)
"""The item types whose events are built; their nulls and their streamed members are normalised."""
ASKED = "mcpr_" + "5f0c8d1e" * 4
"""The id of an approval request; one that could be guessed is replaced."""
FIXED = {
    "message": {"status": "completed", "role": "assistant"},
    "reasoning": {"status": "completed"},
    "function_call": {"status": "completed", "call_id": "c", "name": "look"},
    "function_call_output": {"status": "completed", "call_id": "c"},
    "custom_tool_call": {"status": "completed", "call_id": "c", "name": "look"},
    "custom_tool_call_output": {"call_id": "c"},
    "mcp_approval_request": {"name": "look"},
    "mcp_approval_response": {"approval_request_id": ASKED},
}
BEFORE = {
    "function_call_output": {"type": "function_call", "call_id": "c", "name": "look"},
    "custom_tool_call_output": {"type": "custom_tool_call", "call_id": "c", "name": "look"},
    "mcp_approval_response": {
        "type": "mcp_approval_request",
        "id": ASKED,
        "server_label": "s",
        "name": "look",
        "arguments": "{}",
    },
}
"""The items that items of a type answer."""
REACTION = {"type": "teleport_call"}
"""An item of the agent: answers to approval requests before it have been used."""
STRUCTS = ("continued", "continued to_dict", "sent back")
"""The ways on which items may be structs, which have only the members that are declared."""
TOOLS = [{"type": "function", "name": "look"}]
ITEMS = members(ResponseOutputItem)
EVENTS = members(ResponseStreamEvent)
unknown = st.sampled_from([{}, {"x_new": None}, {"x_new": {"a": None}}])


def items_of(kind: str) -> st.SearchStrategy[Json]:
    """Generate items of a type, with members that are not known yet."""
    items = instances(ITEMS[kind], FIXED.get(kind, {}))
    status = (
        {"status": "completed"} if kind == "custom_tool_call" else {}
    )  # not in all of its types
    return st.builds(lambda item, more: item | status | more, items, unknown)


def as_model(union: Any, value: Json) -> Any:
    """Return what openai-python makes of JSON from the wire."""
    return construct_type(type_=union, value=value)


def whole(items: list[Json]) -> list[Any]:
    return items


def models(items: list[Json]) -> list[Any]:
    return [as_model(ResponseOutputItem, item) for item in items]


def turns(items: list[Json]) -> list[Any]:
    """Return the events of two turns of a model whose ids are the same."""
    turn: list[Any] = [{"type": "response.created", "response": {"id": "up", "output": []}}]
    for index, item in enumerate(items):
        for step in ("added", "done"):
            kind = f"response.output_item.{step}"
            turn.append({"type": kind, "output_index": index, "item": item})
    turn.append({"type": "response.completed", "response": {"id": "up", "output": items}})
    return turn * 2


def turns_of_models(items: list[Json]) -> list[Any]:
    return [as_model(ResponseStreamEvent, event) for event in turns(items)]


def normal(value: Any) -> Any:
    """Return an item of ours without what may be left out: nulls and empty lists."""
    if isinstance(value, dict):
        return {name: normal(each) for name, each in value.items() if each not in (None, [])}
    return [normal(each) for each in value] if isinstance(value, list) else value


def comparable(item: Json, way: str) -> Json:
    """Return an item without its ids and without what it may lack on its way."""
    is_struct = item["type"] in ITEM_STRUCTS and way in STRUCTS
    if item["type"] in OURS or is_struct:
        item = normal({**item, "call_id": None})
    if is_struct:
        item.pop("x_new", None)
    return item | {"id": None}


@pytest.fixture(autouse=True)
def untraced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")


Journey = dict[str, list[Json]]


async def journey(outputs: list[Any]) -> Journey:
    """Return the items that a handler's outputs become, by each way in which they are read."""
    requests: list[ResponsesRequest] = []
    router = AgentRouter()

    @router.stream
    async def agent(request: ResponsesRequest) -> AsyncIterator[Any]:
        if request.metadata:
            for output in outputs:
                yield output
        else:
            requests.append(request)

    client = AgentClient(AgentApp(router, store="memory://"))
    first = {"input": "go", "tools": TOOLS, "metadata": {"outputs": "yes"}}
    events = (await client.post("/responses", first | {"stream": True})).events()
    answer = (await client.post("/responses", first)).json()
    path = f"/responses/{answer['id']}"
    replayed = (await client.get(f"{path}?stream=true")).events()
    background = (
        await client.post("/responses", first | {"background": True, "stream": True})
    ).events()
    log = (await client.get(f"/responses/{background[0]['response']['id']}?stream=true")).events()
    await client.post("/responses", {"input": "more", "previous_response_id": answer["id"]})
    history = [each for item in answer["output"] for each in (item, REACTION)]
    await client.post("/responses", {"input": history})
    for stream in (events, replayed, background, log):
        assert stream[-1]["type"] == "response.completed", stream[-1]
    return {
        "added": finished(events, "added"),
        "done": finished(events, "done"),
        "final": events[-1]["response"]["output"],
        "json": answer["output"],
        "retrieved": (await client.get(path)).json()["output"],
        "replayed": finished(replayed, "done"),
        "background": finished(background, "done"),
        "log": finished(log, "done"),
        "continued": msgspec.to_builtins(requests[0].input)[1:-1],
        "continued to_dict": requests[0].to_dict()["input"][1:-1],
        "sent back": msgspec.to_builtins(requests[1].input),
        "sent back to_dict": requests[1].to_dict()["input"],
    }


def finished(events: list[Json], step: str) -> list[Json]:
    """Return the items of the events of one step."""
    return [event["item"] for event in events if event["type"] == f"response.output_item.{step}"]


def check_journey(outputs: list[Any], items: list[Json]) -> None:
    """Check that each way leads to the items of one type, each with another id."""
    kind = items[0]["type"]
    ways = asyncio.run(journey(outputs))
    if kind in OURS:
        del ways["added"]  # it has no content yet
    for way, found in ways.items():
        found = [item for item in found if item["type"] == kind]
        expected = [comparable(item, way) for item in items]
        assert [comparable(item, way) for item in found] == expected, way
        assert len({item["id"] for item in found}) == len(items), way


@pytest.mark.parametrize(
    ("given_as", "times"),
    [(whole, 1), (models, 1), (turns, 2), (turns_of_models, 2)],
    ids=["items", "models", "events", "event models"],
)
@pytest.mark.parametrize("kind", ITEMS)
@settings(max_examples=4, deadline=None, database=None, phases=[Phase.generate])
@given(data=st.data())
def test_items_of_every_type_come_back(
    kind: str, given_as: Callable[[list[Json]], list[Any]], times: int, data: st.DataObject
) -> None:
    items = [data.draw(items_of(kind)) | {"id": f"up_{number}"} for number in range(3)]
    before = [BEFORE[kind]] if kind in BEFORE else []
    check_journey([*before, *given_as(items)], items * times)


LIFECYCLE = {
    "error",
    "response.created",
    "response.queued",
    "response.in_progress",
    "response.completed",
    "response.incomplete",
    "response.failed",
}
PASSED = {kind: EVENTS[kind] for kind in EVENTS if kind not in LIFECYCLE | _RULES.keys()}
"""The events that are not built here, by type."""
AI_SDK = [
    {"type": "response.apply_patch_call_operation_diff.delta", "delta": "+a", "obfuscation": None},
    {"type": "response.apply_patch_call_operation_diff.done", "diff": "+a"},
]
"""Events that the AI SDK knows and openai-python does not."""


def around(event: Json) -> list[Any]:
    """Return two turns of a model in which an item has an event; the ids are the same."""
    item = {"type": "teleport_call", "id": "up", "status": "in_progress", "via": None}
    other = {"type": "teleport_call", "id": "other", "status": "in_progress"}
    done = item | {"status": "failed"}
    return [
        {"type": "response.created", "response": {"id": "up", "output": []}},
        {"type": "response.output_item.added", "output_index": 0, "item": other},
        {"type": "response.output_item.added", "output_index": 1, "item": item},
        event,
        {"type": "response.output_item.done", "output_index": 1, "item": done},
        {"type": "response.output_item.done", "output_index": 0, "item": other},
        {"type": "response.completed", "response": {"id": "up", "output": [other, done]}},
    ] * 2


async def streams(outputs: list[Any]) -> list[list[Json]]:
    """Return the events of a background run and those that its log has."""
    router = AgentRouter()

    @router.stream
    async def agent(request: ResponsesRequest) -> AsyncIterator[Any]:
        for output in outputs:
            yield output

    client = AgentClient(AgentApp(router, store="memory://"))
    body = {"input": "go", "background": True, "stream": True}
    events = (await client.post("/responses", body)).events()
    id_ = events[0]["response"]["id"]
    return [events, (await client.get(f"/responses/{id_}?stream=true")).events()]


def check_events(event: Json, outputs: list[Any]) -> None:
    """Check that an event comes in both turns, each time with the place of its item."""
    for events in asyncio.run(streams(outputs)):
        assert [each["sequence_number"] for each in events] == list(range(len(events)))
        output = events[-1]["response"]["output"]
        assert [item["status"] for item in output] == ["in_progress", "failed"] * 2
        found = [each for each in events if each["type"] == event["type"]]
        for index, each in zip((1, 3), found, strict=True):
            place = {"item_id": output[index]["id"], "output_index": index}
            place = {name: value for name, value in place.items() if name in event}
            assert each == event | place | {"sequence_number": each["sequence_number"]}


@pytest.mark.parametrize("as_models", [False, True], ids=["events", "event models"])
@pytest.mark.parametrize("kind", PASSED)
@settings(max_examples=4, deadline=None, database=None, phases=[Phase.generate])
@given(data=st.data())
def test_events_of_every_type_come_through(kind: str, as_models: bool, data: st.DataObject) -> None:
    event = data.draw(instances(PASSED[kind], {"item_id": "up", "output_index": 1}))
    event |= data.draw(unknown)
    outputs = around(event)
    if as_models:
        outputs = [as_model(ResponseStreamEvent, each) for each in outputs]
    check_events(event, outputs)


@pytest.mark.parametrize("event", AI_SDK, ids=lambda event: event["type"])
def test_events_of_other_clients_come_through(event: Json) -> None:
    event |= {"item_id": "up", "output_index": 1}
    check_events(event, around(event))
    check_events(event, [as_model(ResponseStreamEvent, each) for each in around(event)])
