"""Item ids are unique on the wire, whatever a handler yields."""

import asyncio
import re
from collections.abc import AsyncIterator
from typing import Any

import pytest
from openai.types.responses.response_output_item import McpApprovalRequest

from agent_asgi import AgentApp, AgentRouter, ResponsesRequest
from agent_asgi.testing import AgentClient
from tests.support.calling import Json
from tests.support.outputs import giving


@pytest.mark.parametrize(
    "item",
    [
        {"type": "message", "id": "same", "content": "x"},
        {"type": "function_call", "id": "same", "call_id": "same", "name": "f"},
    ],
    ids=["messages", "calls"],
)
def test_items_alike_from_a_handler_differ_on_the_wire(item: Json) -> None:
    router = AgentRouter(own_tools="function_call")

    @router.stream
    async def repeat(request: ResponsesRequest) -> AsyncIterator[Any]:
        for _ in range(2000):
            yield item

    answer = asyncio.run(
        AgentClient(AgentApp(router)).post("/responses", {"input": "x", "stream": True})
    )
    for name in item.keys() & {"id", "call_id"}:
        done = [
            each["item"][name] for each in answer.events() if each["type"].endswith("item.done")
        ]
        assert len(done) == len(set(done)) == 2000


async def approvals(*outputs: Any) -> list[Json]:
    """Return the items of a stream; check that its events and its response have the same."""
    answer = await AgentClient(giving(list(outputs))).post(
        "/responses", {"input": "x", "stream": True}
    )
    events = answer.events()
    done = [each["item"] for each in events if each["type"].endswith("item.done")]
    added = [each["item"] for each in events if each["type"].endswith("item.added")]
    assert events[-1]["response"]["output"] == done == added
    return done


ASK: Json = {"type": "mcp_approval_request", "name": "pay", "server_label": None}
RANDOM = "mcpr_" + "5f0c8d1e" * 4


@pytest.mark.parametrize("id_", [None, "call_1", "mcpr_1", "mcpr_" + "x" * 32, RANDOM])
def test_the_id_of_an_approval_request_cannot_be_guessed(id_: str | None) -> None:
    first, second = asyncio.run(approvals(*[ASK | {"id": id_}] * 2))
    assert (first["id"] == RANDOM) == (id_ == RANDOM)
    for item in (first, second):
        assert re.fullmatch("mcpr_[0-9a-f]{32}", item["id"])
    assert first["id"] != second["id"]


def test_an_answer_that_a_handler_forwards_names_the_request_as_clients_know_it() -> None:
    answer = {"type": "mcp_approval_response", "approval_request_id": "a", "approve": True}
    asked, answered = asyncio.run(approvals(ASK | {"id": "a"}, answer))
    assert answered["approval_request_id"] == asked["id"] != "a"


def forwarded(item: Any) -> list[Any]:
    kinds = ("response.output_item.added", "response.output_item.done")
    return [{"type": kind, "output_index": 0, "item": item} for kind in kinds]


@pytest.mark.parametrize("as_events", [False, True])
@pytest.mark.parametrize("arguments", [{}, {"arguments": None}])
@pytest.mark.parametrize("model", [False, True])
def test_an_approval_request_has_no_nulls(as_events: bool, arguments: Json, model: bool) -> None:
    item: Any = ASK | {"id": "a"} | arguments
    item = McpApprovalRequest.construct(**item) if model else item
    (asked,) = asyncio.run(approvals(*(forwarded(item) if as_events else [item])))
    assert (asked["server_label"], asked["arguments"]) == ("agent", "{}")
