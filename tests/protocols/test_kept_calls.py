"""Kept own calls: no `mcp_call` item that a client or a handler sends is taken for one."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from agent_asgi import AgentApp, AgentRouter, FunctionCall, FunctionCallOutput, ResponsesRequest
from agent_asgi.testing import AgentClient, Answer
from tests.support.stream_rules import check_stream

Json = dict[str, Any]
CALL: Json = {
    "type": "mcp_call",
    "id": "mcp_1",
    "server_label": "tutor",
    "name": "add",
    "arguments": "{}",
    "output": "1",
}
PRIVATE = {
    "call_id": "c",
    "hidden": True,
    "output_after": "x",
    "agent_asgi:call_id": ["c"],
    "agent_asgi:hidden": True,
    "agent_asgi:output_after": "x",
}
"""What a kept call has, now or in another version, and its public form has not."""
USER = {"role": "user", "content": "x"}


def tutor(seen: list[ResponsesRequest], *outputs: Any, store_url: str = "memory://") -> AgentApp:
    """Create an app whose agent yields these outputs and records its requests."""
    router = AgentRouter("tutor")

    @router.stream
    async def answer(request: ResponsesRequest) -> AsyncIterator[Any]:
        seen.append(request)
        for output in outputs:
            yield output

    return AgentApp(router, store=store_url, single_user=True)


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"id": None}, "id"),
        ({"id": ""}, "id"),
        ({"name": None}, "name"),
        ({"arguments": {}}, "arguments"),
        ({"output": {"a": 1}}, "output"),
        ({"status": ["x"]}, "status"),
        ({"error": 5}, "error"),
        ({"error": [1]}, "error"),
        ({"error": True}, "error"),
        ({"error": {"content": 5}}, "error.content"),
        ({"error": {"content": [{"text": 5}]}}, "error.content[0].text"),
    ],
)
def test_a_malformed_call_of_a_client_is_named(fields: Json, path: str) -> None:
    app, call = tutor([]), CALL | fields

    async def main() -> dict[str, Answer]:
        client = AgentClient(app)
        conversation = (await client.post("/conversations", {})).json()["id"]
        items = f"/conversations/{conversation}/items"
        return {
            "input": await client.post("/responses", {"input": [call, USER]}),
            "input ": await client.post("/invocations", {"input": [call, USER]}),
            "items": await client.post("/conversations", {"items": [call]}),
            "items ": await client.post(items, {"items": [call]}),
        }

    for field, answer in asyncio.run(main()).items():
        assert (answer.status, answer.json()["error"]["param"]) == (
            400,
            f"{field.strip()}[0].{path}",
        )


@pytest.mark.parametrize("label", [[], {}, None, 5])
def test_a_call_with_an_odd_label_is_none_of_the_agents(label: Any) -> None:
    seen: list[ResponsesRequest] = []
    body = {"input": [CALL | {"server_label": label}, USER]}
    assert asyncio.run(AgentClient(tutor(seen)).post("/responses", body)).status == 200
    assert isinstance(seen[0].input[0], dict)


@pytest.mark.parametrize("label", ["tutor", "elsewhere"])
def test_clients_cannot_send_private_members(label: str, store_url: str) -> None:
    seen: list[ResponsesRequest] = []
    app, call = tutor(seen, "hi", store_url=store_url), CALL | PRIVATE | {"server_label": label}

    async def main() -> tuple[list[Json], list[Json]]:
        async with app.lifespan():
            client = AgentClient(app)
            made = (await client.post("/conversations", {"items": [call]})).json()
            path = f"/conversations/{made['id']}/items"
            added = (await client.post(path, {"items": [call | {"id": "mcp_2"}]})).json()
            listed = (await client.get(path + "?order=asc")).json()
            for _ in range(2):  # the second reads what the first has added
                body = {"input": [call | {"id": "mcp_3"}, USER], "conversation": made["id"]}
                assert (await client.post("/responses", body)).status == 200
            return added["data"], listed["data"]

    added, listed = asyncio.run(main())
    assert [item["id"] for item in added] == ["mcp_2"]
    assert [item["id"] for item in listed] == ["mcp_1", "mcp_2"]
    assert "agent_asgi:" not in str(listed)
    kinds = [item["type"] if isinstance(item, dict) else item.type for item in seen[0].input]
    pair = ["function_call", "function_call_output"]
    of_a_call = pair if label == "tutor" else ["mcp_call"]
    assert kinds == [*of_a_call * 3, "message"]


HOSTED: list[Json] = [
    {"type": "mcp_call", "id": "mcp_a", "server_label": "deep", "call_id": "zz"},
    CALL | {"id": "mcp_b", "server_label": "deep", "call_id": "zz", "hidden": True},
    {"type": "mcp_call", "id": "mcp_c", "call_id": None, "output": {"b": 1}, "error": {"a": 1}},
]


@pytest.mark.parametrize("background", [True, False])
def test_hosted_calls_are_never_own_calls(background: bool, store_url: str) -> None:
    seen: list[ResponsesRequest] = []
    marked = [item | {"agent_asgi:call_id": "c", "agent_asgi:hidden": True} for item in HOSTED]
    app = tutor(seen, *marked, store_url=store_url)

    async def main() -> None:
        async with app.lifespan():
            client = AgentClient(app)
            body = {"input": "x", "stream": True, "background": background, "conversation": "c"}
            made = (await client.post("/responses", body)).events()
            assert check_stream(made)["output"] == HOSTED
            path = f"/responses/{made[0]['response']['id']}"
            assert (await client.get(path)).json()["output"] == HOSTED
            assert (
                check_stream((await client.get(path + "?stream=true")).events())["output"] == HOSTED
            )
            listed = (await client.get("/conversations/c/items?order=asc")).json()["data"]
            assert listed[1:] == HOSTED
            await client.post("/responses", {"input": "y", "conversation": "c"})

    asyncio.run(main())
    assert seen[1].input[1:-1] == HOSTED


def test_an_own_call_is_referred_to_by_its_id(store_url: str) -> None:
    seen: list[ResponsesRequest] = []
    call = FunctionCall("add", {})
    app = tutor(seen, call, FunctionCallOutput(call.call_id, "1"), store_url=store_url)

    async def main() -> None:
        async with app.lifespan():
            client = AgentClient(app)
            [made] = (await client.post("/responses", {"input": "x"})).json()["output"]
            reference = {"type": "item_reference", "id": made["id"]}
            answer = await client.post("/responses", {"input": [reference]})
            assert answer.status == 200, answer.json()

    asyncio.run(main())
    kinds = [item.type for item in seen[1].input if not isinstance(item, dict)]
    assert kinds == ["function_call", "function_call_output"]
