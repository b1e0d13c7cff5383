"""Items of unusual forms that an agent gave: stored, read, referred to and sent back."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import jsonschema
import pytest

from agent_asgi import AgentApp, AgentRouter, ResponsesRequest
from agent_asgi.store.base import Record
from agent_asgi.testing import AgentClient
from tests.support.apps import started

Json = dict[str, Any]
CALL = {"type": "function_call", "call_id": "c", "name": "look", "arguments": "{}"}
THOUGHTS = {"type": "reasoning", "summary": []}
IMAGE = {"type": "input_image", "detail": "ultra"}
SAID = {"type": "message", "role": "assistant", "content": "x"}
UNUSUAL: list[Json] = [
    SAID | {"role": "critic"},
    SAID | {"role": "tool"},
    SAID | {"phase": "other"},
    SAID | {"content": [{"type": "output_text", "text": "x", "logprobs": [1]}]},
    SAID | {"content": [IMAGE]},
    CALL | {"name": ""},
    CALL | {"call_id": ""},
    CALL | {"caller": "me", "namespace": 5},
    CALL | {"async": "yes"},
    {"type": "function_call_output", "call_id": "c", "output": [IMAGE]},
    THOUGHTS | {"content": [{"type": "text", "text": "x"}]},
    THOUGHTS | {"summary": [{"type": "weird", "x": 1}]},
    THOUGHTS | {"encrypted_content": 5},
    {"type": "compaction", "encrypted_content": "x", "created_by": 5},
    {"type": "mcp_approval_request", "name": "x", "arguments": "{}", "server_label": 5},
    {"type": "mcp_approval_request", "name": "", "arguments": "{}"},
]
OF_CLIENTS: list[Json] = [
    {"type": "mcp_approval_response", "approval_request_id": 5, "approve": "x"},
    {"type": "mcp_approval_response", "approval_request_id": "q", "approve": True, "reason": 5},
]
"""Items that an agent does not make: sent back, they are checked as a client's."""


def mirror(seen: list[ResponsesRequest], own_tools: Any = "function_call") -> AgentRouter:
    """Make an agent that yields the item in the request's `custom_inputs`, if there is one."""
    router = AgentRouter("mirror", own_tools=own_tools)

    @router.stream
    async def reply(request: ResponsesRequest) -> AsyncIterator[Any]:
        seen.append(request)
        yield (request.custom_inputs or {}).get("item") or "hi"

    return router


async def readable(client: AgentClient, id: str) -> Json:
    """Check that all that shows a response answers; return the response."""
    for path in ("/input_items", "?stream=true"):
        answer = await client.get(f"/responses/{id}{path}")
        assert answer.status == 200, answer.json()
    for path in ("/responses", "/conversations/c/items"):
        answer = await client.get(path)
        assert answer.status == 200, answer.json()
    response: Json = (await client.get(f"/responses/{id}")).json()
    return response


@pytest.mark.parametrize("item", UNUSUAL + OF_CLIENTS)
@pytest.mark.parametrize("own_tools", ["function_call", "mcp_call"])
def test_an_unusual_item_can_be_used_again(item: Json, own_tools: str) -> None:
    seen: list[ResponsesRequest] = []
    app = AgentApp(mirror(seen, own_tools), single_user=True)

    async def main() -> None:
        async with started(app):
            client = AgentClient(app)
            first = {"input": "x", "conversation": "c", "custom_inputs": {"item": item}}
            made = (await client.post("/responses", first)).json()
            await readable(client, made["id"])
            user = {"role": "user", "content": "y"}
            references = [{"type": "item_reference", "id": each["id"]} for each in made["output"]]
            bodies: list[Json] = [
                {"input": [*references, user]},
                {"input": [*references, user], "background": True},
                {"input": [user], "previous_response_id": made["id"]},
                {"input": [user], "conversation": "c"},
            ]
            if item not in OF_CLIENTS:
                bodies.append({"input": [user, *made["output"], user]})
            for body in bodies:
                answer = await client.post("/responses", body)
                assert answer.status == 200, answer.json()
                while (response := await readable(client, answer.json()["id"]))["status"] in (
                    "queued",
                    "in_progress",
                ):
                    await asyncio.sleep(0.01)
                assert response["status"] == "completed"
            assert len(seen) == 1 + len(bodies)
            assert all(len(request.input) > 1 for request in seen[1:])

    asyncio.run(main())


def test_references_to_unusual_items_are_stored(store_url: str) -> None:
    app = AgentApp(mirror([]), store=store_url, single_user=True)

    async def main() -> None:
        async with started(app):
            client = AgentClient(app)
            for item in UNUSUAL:
                first = {"input": "x", "conversation": "c", "custom_inputs": {"item": item}}
                made = (await client.post("/responses", first)).json()
                reference = {"type": "item_reference", "id": made["output"][0]["id"]}
                answer = await client.post("/responses", {"input": [reference]})
                await readable(client, answer.json()["id"])

    asyncio.run(main())


@pytest.mark.parametrize("item", [SAID | {"role": "critic"}, THOUGHTS | {"encrypted_content": 5}])
def test_without_an_id_it_is_a_mistake_of_the_client(item: Json) -> None:
    answer = asyncio.run(AgentClient(AgentApp(mirror([]))).post("/responses", {"input": [item]}))
    assert answer.status == 400
    assert answer.json()["error"]["param"] in ("input[0].role", "input[0].encrypted_content")


def test_a_record_that_cannot_be_read_is_left_out_of_the_list(
    caplog: pytest.LogCaptureFixture,
) -> None:
    app = AgentApp(mirror([]), single_user=True)

    async def main() -> list[Json]:
        async with started(app):
            client = AgentClient(app)
            await client.post("/responses", {"input": "x"})
            odd = Record("resp_odd", "", "mirror", "completed", time.time(), b"{}", b'{"id":5}')
            await app.store.save(odd)
            listed: list[Json] = (await client.get("/responses")).json()["data"]
            return listed

    assert len(asyncio.run(main())) == 1
    assert "resp_odd cannot be decoded" in caplog.text


@pytest.mark.parametrize("id_", [{}, {"id": "item_1"}, {"id": "x" * 513}, {"id": 5}])
def test_the_document_takes_what_the_server_takes(id_: Json) -> None:
    app = AgentApp(mirror([]), single_user=True)
    others: list[Json] = [{"type": "odd"}, {"type": ""}, {"role": "user"}, {"role": "critic"}, {}]
    others += [SAID | {"role": "user", "phase": 5}, SAID | {"role": None}, SAID, CALL, THOUGHTS]

    async def main() -> None:
        client = AgentClient(app)
        document = (await client.get("/openapi.json")).json()
        wanted = document | {"$ref": "#/components/schemas/InputItem"}
        valid = jsonschema.Draft202012Validator(wanted).is_valid
        for item in (*UNUSUAL, *OF_CLIENTS, *others):
            sent = item | id_
            answer = await client.post(
                "/responses", {"input": [{"role": "user", "content": "x"}, sent]}
            )
            assert (answer.status == 200) is valid(sent), (sent, answer.json())

    asyncio.run(main())
