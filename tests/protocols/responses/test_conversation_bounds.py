"""What a request continues is bounded before it is decoded, and decoded in slices."""

import asyncio
import json
from collections.abc import Awaitable
from typing import Any

import openai
import pytest

from agent_asgi import AgentApp, Limits, ResponsesRequest
from agent_asgi.agents.handler import Handler
from agent_asgi.runs.conversation import RunConversation
from agent_asgi.store.base import Record, Store
from agent_asgi.store.chain import continued
from agent_asgi.store.conversation_store import Conversation, StoredItem
from agent_asgi.store.memory import MemoryStore
from tests.support.calling import Serve, client_of, error_of
from tests.support.echo import echo
from tests.support.websocket_client import connect, refused, turn

TURNS = 2000


def take_all(request: dict[str, Any]) -> None:
    """Take the whole conversation."""


TAKES_ALL = Handler(take_all)
BOUNDS = Limits(max_conversation_items=10**6, max_conversation_bytes=1 << 30)


def record(id: str, previous: str | None, items: int = 1, **fields: Any) -> Record:
    message = {
        "type": "message",
        "id": f"msg_{id}",
        "role": "assistant",
        "status": "completed",
        "content": [{"type": "output_text", "text": "word", "annotations": [], "logprobs": []}],
    }
    output = [message | {"id": f"msg_{id}_{number}"} for number in range(items)]
    body = json.dumps({"output": output}).encode()
    return Record(id, "", "agent", "completed", 0, b'{"input":"q"}', body, 0, previous, **fields)


async def ticks_during(work: Awaitable[Any]) -> tuple[Any, int]:
    """Return what an awaitable returns, and how often the event loop served others meanwhile."""
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await asyncio.sleep(0)
            ticks += 1

    ticker = asyncio.create_task(tick())
    result = await work
    ticker.cancel()
    return result, ticks


async def long_chain(store: Store) -> str:
    previous = None
    for number in range(TURNS):
        await store.save(record(f"r{number}", previous))
        previous = f"r{number}"
    return previous or ""


async def long_output(store: Store) -> str:
    await store.save(record("r", None, TURNS))
    return "r"


@pytest.mark.parametrize("made", [long_chain, long_output])
def test_a_long_chain_is_decoded_in_slices(made: Any) -> None:
    """Four small requests on a long chain held `/health` for more than a second."""

    async def main() -> None:
        store = MemoryStore(max_responses=TURNS)
        last = await made(store)
        request = ResponsesRequest(input="q", previous_response_id=last)
        whole, ticks = await ticks_during(continued(store, request, "", BOUNDS, any_id=False))
        assert ticks == 0  # nothing is decoded
        value, ticks = await ticks_during(TAKES_ALL.value_of(whole))
        assert len(value["input"]) > TURNS
        assert ticks > 3

    asyncio.run(main())


def test_a_long_conversation_is_decoded_in_slices() -> None:

    async def main() -> None:
        store, body = MemoryStore(), record("r", None, TURNS).response
        output = json.loads(body)["output"]
        items = [StoredItem(each["id"], json.dumps(each).encode()) for each in output]
        await store.conversations.create(Conversation("talk", "ann", 0), items)
        conversation = RunConversation("talk", has_history=False, any_id=True)
        request = ResponsesRequest(input="q", conversation="talk")
        whole, ticks = await ticks_during(conversation.load(store, request, "ann", BOUNDS))
        assert ticks == 0  # nothing is decoded
        value, ticks = await ticks_during(TAKES_ALL.value_of(whole))
        assert len(value["input"]) == TURNS + 1
        assert ticks > 3

    asyncio.run(main())


@pytest.mark.parametrize("stream", [False, True])
def test_the_items_of_a_chain_are_counted_before_it_is_loaded(
    serve: Serve, store_url: str, stream: bool
) -> None:
    """Up to 50,000 of them were decoded first."""
    with client_of(serve, store_url, echo(), limits=Limits(max_conversation_items=5)) as client:
        last = client.responses.create(input="5")
        for _ in range(2):
            last = client.responses.create(input="5", previous_response_id=last.id)
        with pytest.raises(openai.BadRequestError) as raised:
            client.responses.create(input="5", previous_response_id=last.id, stream=stream)
        assert error_of(raised) == (400, "conversation_too_large", "previous_response_id")
        assert "6 items (limit 5)" in raised.value.message


def test_the_items_of_detached_runs_count(serve: Serve, store_url: str) -> None:
    with client_of(serve, store_url, echo(), limits=Limits(max_conversation_items=3)) as client:
        last = None
        for number in range(2):
            key = {"idempotency-key": str(number)}
            made = client.responses.create(input="5", previous_response_id=last, extra_headers=key)
            last = made.id
        with pytest.raises(openai.BadRequestError) as raised:
            client.responses.create(input="5", previous_response_id=last)
        assert "4 items (limit 3)" in raised.value.message


def test_the_responses_of_references_count(serve: Serve, store_url: str) -> None:
    """A body of 100 bytes loaded and decoded every response that it had a reference to."""
    limits = Limits(max_conversation_bytes=5000)
    with client_of(serve, store_url, echo(), limits=limits) as client:
        made = [client.responses.create(input="2000") for _ in range(3)]
        references = [{"type": "item_reference", "id": each.output[0].id} for each in made]
        client.responses.create(input=references[:1])  # type: ignore[arg-type]
        with pytest.raises(openai.BadRequestError) as raised:
            client.responses.create(input=references)  # type: ignore[arg-type]
        assert error_of(raised) == (400, "conversation_too_large", "input")


@pytest.mark.parametrize("limit", ["max_conversation_items", "max_conversation_bytes"])
def test_a_websockets_conversation_is_bounded(serve: Serve, limit: str) -> None:
    """What a connection remembered grew for as long as it lasted."""
    bound = 3 if limit == "max_conversation_items" else 3000
    app = AgentApp(echo(), limits=Limits(**{limit: bound}))
    with connect(serve(app)) as ws:
        last = turn(ws, "1300", store=False)["id"]
        last = turn(ws, "1300", store=False, previous_response_id=last)["id"]
        found = refused(ws, "5", store=False, previous_response_id=last)
        assert found == (400, "conversation_too_large", "previous_response_id")
        assert turn(ws, "5", store=False)
