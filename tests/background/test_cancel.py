"""Cancel or delete background runs, queued and running."""

import asyncio
import threading
from collections.abc import AsyncIterator
from typing import Any

import openai
import pytest

from agent_asgi import AgentRouter, Context, Limits, ResponsesRequest
from tests.support.calling import Serve, client_of, ended, plain, replayed, there, until
from tests.support.openresponses_schema import validate_event, validate_response
from tests.support.stream_rules import check_stream


class Halting:
    """An agent that says one word, then waits; it records what became of its runs."""

    def __init__(self) -> None:
        self.router = AgentRouter()
        self.begun: list[str] = []
        self.causes: list[str | None] = []
        self.go_on = threading.Event()
        self.router.stream(self.halt)

    async def halt(self, request: ResponsesRequest, context: Context) -> AsyncIterator[str]:
        """Say a word and wait until released."""
        self.begun.append(context.response_id)
        try:
            yield "word"
            while not self.go_on.is_set():
                await asyncio.sleep(0.01)
            yield " and done"
        finally:
            await asyncio.sleep(0.05)
            self.causes.append(context.cancelled.cause)


def begin(client: openai.OpenAI, agent: Halting) -> str:
    """Create a background run and wait until its handler is running."""
    id_ = client.responses.create(input="x", background=True).id
    until(lambda: id_ in agent.begun)
    return id_


def check_cancelled(client: openai.OpenAI, id: str) -> None:
    """Check that a run stays cancelled and its stream reports it."""
    stored = plain(client.responses.retrieve(id))
    assert stored["status"] == "cancelled"
    assert stored["incomplete_details"] is None
    validate_response(stored)
    events = replayed(client, id)
    for event in events:
        validate_event(event)
    assert check_stream(events, cancelled=True) == stored
    assert plain(client.responses.cancel(id)) == stored


def test_cancelled_while_it_runs(serve: Serve, store_url: str) -> None:
    agent = Halting()
    with client_of(serve, store_url, agent.router) as client:
        id_ = begin(client, agent)
        with client.responses.retrieve(id_, stream=True) as stream:
            for event in stream:
                if event.type == "response.output_text.delta":
                    answer = client.responses.cancel(id_)
            assert event.type == "response.incomplete"
        assert (answer.id, answer.status) == (id_, "cancelled")
        assert answer.output_text == "word"
        assert agent.causes == ["client_cancelled"]
        check_cancelled(client, id_)


def test_cancelled_while_it_is_queued(serve: Serve, store_url: str) -> None:
    agent = Halting()
    with client_of(serve, store_url, agent.router, limits=Limits(worker_concurrency=1)) as client:
        first = begin(client, agent)
        second = client.responses.create(input="x", background=True)
        assert second.status == "queued"
        assert client.responses.retrieve(second.id).status == "queued"
        assert client.responses.cancel(second.id).status == "cancelled"
        check_cancelled(client, second.id)
        agent.go_on.set()
        assert ended(client, first).output_text == "word and done"
        third = client.responses.create(input="x", background=True).id
        assert ended(client, third).status == "completed"
        check_cancelled(client, second.id)
    assert agent.begun == [first, third]


def test_cancelled_when_it_has_ended(serve: Serve, store_url: str) -> None:
    agent = Halting()
    agent.go_on.set()
    with client_of(serve, store_url, agent.router) as client:
        made = client.responses.create(input="x", background=True).id
        final = plain(ended(client, made))
        assert plain(client.responses.cancel(made)) == final
        assert plain(client.responses.retrieve(made)) == final
        assert final["status"] == "completed"


def test_cancelled_while_its_handler_hangs_on(serve: Serve, store_url: str) -> None:
    begun, router = threading.Event(), AgentRouter()

    @router.stream
    async def hang_on(request: ResponsesRequest, context: Context) -> AsyncIterator[str]:
        begun.set()
        try:
            await asyncio.sleep(60)
        finally:
            yield "good"  # a final word
            await asyncio.sleep(0.1)

    with client_of(serve, store_url, router) as client:
        id_ = client.responses.create(input="x", background=True).id
        assert begun.wait(10)
        assert client.responses.cancel(id_).status == "cancelled"
        check_cancelled(client, id_)


def test_deleted_while_it_runs(serve: Serve, store_url: str) -> None:
    agent = Halting()
    with client_of(serve, store_url, agent.router) as client:
        id_ = begin(client, agent)
        with client.responses.retrieve(id_, stream=True) as stream:
            for event in stream:
                if event.type == "response.output_text.delta":
                    client.responses.delete(id_)
        assert until(lambda: agent.causes) == ["client_cancelled"]
        assert not there(client, id_)
        with pytest.raises(openai.NotFoundError):
            client.responses.cancel(id_)


def test_deleted_while_it_is_queued(serve: Serve, store_url: str) -> None:
    agent = Halting()
    with client_of(serve, store_url, agent.router, limits=Limits(worker_concurrency=1)) as client:
        first = begin(client, agent)
        second = client.responses.create(input="x", background=True).id
        client.responses.delete(second)
        assert not there(client, second)
        agent.go_on.set()
        ended(client, first)
        third = client.responses.create(input="x", background=True).id
        ended(client, third)
    assert agent.begun == [first, third]


def test_a_sync_handler_is_cancelled(serve: Serve, store_url: str) -> None:
    begun, router, causes = threading.Event(), AgentRouter(), list[Any]()

    @router.invoke
    def look_around(request: ResponsesRequest, context: Context) -> str:
        begun.set()
        for _ in range(500):
            if context.cancelled.is_set():
                break
            threading.Event().wait(0.01)
        causes.append(context.cancelled.cause)
        return "too late"

    with client_of(serve, store_url, router) as client:
        id_ = client.responses.create(input="x", background=True).id
        assert begun.wait(10)
        assert client.responses.cancel(id_).status == "cancelled"
        assert until(lambda: causes) == ["client_cancelled"]
        check_cancelled(client, id_)
