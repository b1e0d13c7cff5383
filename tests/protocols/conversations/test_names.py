"""Names and ids of clients: what a path and a database can hold is taken, the rest refused."""

import asyncio
from typing import Any
from urllib.parse import quote

import pytest

from agent_asgi import AgentApp, AgentRouter, ResponsesRequest
from agent_asgi.testing import AgentClient
from tests.support.apps import ask, started

LONG = "a" * 513
WRONG = ["", ".", "..", "a/b", "x\0y", "a\nb", "\x7f", "\x85", LONG, "\U0001f600" * 129]
RIGHT = [" ", "a b", "\u00e9", "%2e", "a?b#c", "...", "\ufffd", "a" * 512, "\U0001f600" * 128]
ID: Any = {"id": LONG}


def app(store_url: str = "memory://") -> AgentApp:
    """Make an app whose agent says how many items came."""
    router = AgentRouter("counter")

    @router.invoke
    async def count(request: ResponsesRequest) -> str:
        return str(len(request.input))

    return AgentApp(router, store=store_url, single_user=True)


@pytest.mark.parametrize("name", WRONG)
def test_a_name_that_no_path_holds_is_refused(name: str) -> None:
    user = {"role": "user", "content": "x"}
    for path, body in (
        ("/responses", {"input": "x"}),
        ("/invocations", {"input": "x"}),
        ("/responses", {"input": "x", "background": True}),
        ("/chat/completions", {"messages": [user], "store": True}),
    ):
        given: list[tuple[Any, str]] = [(name, "conversation"), ({"id": name}, "conversation.id")]
        for conversation, param in given:
            answer = ask(app(), path, {"model": "counter", **body, "conversation": conversation})
            assert (answer.status, answer.json()["error"]["param"]) == (400, param)


def test_every_other_name_is_found_by_its_path(store_url: str) -> None:
    async def main() -> None:
        async with started(app(store_url)) as served:
            client = AgentClient(served)
            for name in RIGHT:
                body = {"input": "x", "conversation": name}
                assert (await client.post("/responses", body)).status == 200
            for name in RIGHT:
                answer = await client.get(f"/v1/conversations/{quote(name, safe='')}")
                assert (answer.status, answer.json().get("id")) == (200, name)
            listed = await client.get("/v1/conversations?limit=100")
            assert {each["id"] for each in listed.json()["data"]} == set(RIGHT)
            after = await client.get(f"/v1/conversations?after={quote(RIGHT[1])}")
            assert [each["id"] for each in after.json()["data"]] == [RIGHT[0]]

    asyncio.run(main())


def test_a_page_after_an_id_with_a_null_character_is_refused(store_url: str) -> None:
    async def main() -> None:
        async with started(app(store_url)) as served:
            client = AgentClient(served)
            await client.post("/responses", {"input": "x", "conversation": "x"})
            for path in ("conversations", "responses", "conversations/x/items"):
                answer = await client.get(f"/v1/{path}?after=x%00y")
                assert (answer.status, answer.json()["error"]["param"]) == (400, "after")

    asyncio.run(main())


@pytest.mark.parametrize(
    "item",
    [
        {"role": "user", "content": "x"},
        {"type": "message", "role": "user", "content": [{"type": "acme:part"}]},
        {"type": "function_call", "name": "f", "call_id": "c", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c", "output": "x"},
        {"type": "acme:thing"},
        {"type": "item_reference"},
    ],
)
def test_an_items_id_that_is_too_long_is_named(item: Any) -> None:
    for path, field in (("/responses", "input"), ("/conversations", "items")):
        answer = ask(app(), path, {field: [item | ID]})
        assert (answer.status, answer.json()["error"]["param"]) == (400, f"{field}[0].id")


def test_an_idempotency_key_that_is_too_long_is_named() -> None:
    answer = ask(app(), "/responses", {"input": "x"}, {"idempotency-key": LONG})
    assert (answer.status, answer.json()["error"]["param"]) == (400, "Idempotency-Key")
    assert ask(app(), "/responses", {"input": "x"}, {"idempotency-key": LONG[:-1]}).status == 200
