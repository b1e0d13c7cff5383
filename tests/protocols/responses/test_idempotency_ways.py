"""Idempotency keys with other features: no store, background, owners, references, locks."""

import threading
from collections.abc import AsyncIterator
from typing import Any

import anyio
import openai
import pytest

from agent_asgi import AgentRouter, ResponsesRequest
from tests.protocols.responses.test_idempotency import KEY, counter
from tests.support.calling import Serve, client_of, ended, error_of, plain, streamed, until
from tests.support.owners import OWNERS, as_user
from tests.support.stream_rules import check_stream


def test_without_a_store(serve: Serve, store_url: str) -> None:
    router, runs = counter()
    with client_of(serve, store_url, router) as client:
        first, second = [
            plain(client.responses.create(input="x", store=False, extra_headers=KEY, timeout=5))
            for _ in range(2)
        ]
        assert first == second
        assert first["store"] is False
        with pytest.raises(openai.NotFoundError) as raised:
            client.responses.retrieve(first["id"])
        assert error_of(raised) == (404, "response_not_found", None)
        with pytest.raises(openai.BadRequestError) as refused:
            client.responses.create(input="x", previous_response_id=first["id"])
        assert error_of(refused)[1] == "previous_response_not_found"
        reference: Any = {"type": "item_reference", "id": first["output"][0]["id"]}
        with pytest.raises(openai.BadRequestError) as refused:
            client.responses.create(input=[reference])
        assert error_of(refused) == (400, "item_not_found", "input[0].id")
    assert len(runs) == 1


def test_streamed_without_a_store(serve: Serve, store_url: str) -> None:
    router, runs = counter()
    with client_of(serve, store_url, router) as client:
        first, second = [
            streamed(client, input="x", store=False, extra_headers=KEY) for _ in range(2)
        ]
        assert check_stream(first)["store"] is False
    assert first == second
    assert len(runs) == 1


def test_in_the_background(serve: Serve, store_url: str) -> None:
    router, runs = counter(0.2)
    with client_of(serve, store_url, router) as client:
        ids = {
            client.responses.create(input="x", background=True, extra_headers=KEY).id
            for _ in range(3)
        }
        (id_,) = ids
        final = ended(client, id_)
        again = client.responses.create(input="x", background=True, extra_headers=KEY)
        assert plain(again) == plain(final)
    assert runs == [id_]


def test_owners_have_keys_of_their_own(serve: Serve, store_url: str) -> None:
    router, runs = counter()
    with client_of(serve, store_url, router, middleware=OWNERS) as client:
        ids = [
            as_user(client, user).responses.create(input=said, extra_headers=KEY, timeout=5).id
            for user in ("ann", "bob")
            for said in (user, user)
        ]
    assert runs == [ids[0], ids[2]]
    assert (ids[0], ids[2]) == (ids[1], ids[3])


def test_with_a_reference(serve: Serve, store_url: str) -> None:
    router, runs = counter()
    with client_of(serve, store_url, router) as client:
        item = client.responses.create(input="x").output[0]
        reference: Any = {"type": "item_reference", "id": item.id}
        first, second = [
            client.responses.create(input=[reference], extra_headers=KEY, timeout=5).id
            for _ in range(2)
        ]
    assert first == second
    assert len(runs) == 2


def test_in_a_conversation(serve: Serve, store_url: str) -> None:
    go_on, router = threading.Event(), AgentRouter()
    begun = list[str]()

    @router.stream
    async def halt(request: ResponsesRequest) -> AsyncIterator[str]:
        begun.append("x")
        while not go_on.is_set():
            yield "."
            await anyio.sleep(0.02)

    with client_of(serve, store_url, router) as client:
        talk: Any = {"input": "x", "conversation": "talk"}
        with client.responses.create(**talk, stream=True, extra_headers=KEY) as stream:
            created: Any = next(iter(stream))
        until(lambda: begun)
        with pytest.raises(openai.ConflictError) as raised:
            client.responses.create(**talk, stream=True)
        assert error_of(raised)[1] == "conversation_locked"
        go_on.set()
        events = streamed(client, **talk, extra_headers=KEY)
        assert check_stream(events)["id"] == created.response.id
        assert check_stream(streamed(client, **talk))["status"] == "completed"
    assert len(begun) == 2


def test_a_deleted_response_frees_its_key(serve: Serve, store_url: str) -> None:
    router, runs = counter()
    with client_of(serve, store_url, router) as client:
        first = client.responses.create(input="x", extra_headers=KEY)
        client.responses.delete(first.id)
        assert client.responses.create(input="y", extra_headers=KEY).id != first.id
    assert len(runs) == 2
