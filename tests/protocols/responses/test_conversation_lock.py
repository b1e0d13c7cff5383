"""`conversation`: one run at a time in each; the lock is released however the run ends."""

import asyncio
import threading
from collections.abc import AsyncIterator
from typing import Any

import openai
import pytest
from openai.types.responses import Response

from agent_asgi import AgentApp, AgentRouter, Context, ResponsesRequest, Timeouts
from agent_asgi.store import open_store
from tests.support.calling import Serve, client_of, connect, ended, error_of, until

TALK: Any = {"input": "x", "conversation": "talk"}


class Halting:
    """An agent that outputs one word, then waits; the input "fail" makes it fail."""

    def __init__(self) -> None:
        self.router = AgentRouter()
        self.sessions: list[str | None] = []
        self.left = threading.Event()
        self.go_on = threading.Event()
        self.router.stream(self.halt)

    async def halt(self, request: ResponsesRequest, context: Context) -> AsyncIterator[str]:
        """Yield a word and wait until `go_on` is set."""
        self.sessions.append(context.session_id)
        try:
            yield "word"
            while not self.go_on.is_set():
                await asyncio.sleep(0.01)
            if request.input_text == "fail":
                raise RuntimeError
        finally:
            await asyncio.sleep(0.05)
            self.left.set()


def check_locked(client: openai.OpenAI, **more: Any) -> None:
    """Check that a run in the conversation is told to retry later."""
    with pytest.raises(openai.ConflictError) as raised:
        client.responses.create(**(TALK | more))
    assert error_of(raised) == (409, "conversation_locked", None)
    assert int(raised.value.response.headers["retry-after"]) >= 1
    assert raised.value.response.headers.get("x-should-retry") != "false"


def free_again(client: openai.OpenAI) -> bool:
    """Return whether the conversation accepts a run."""
    try:
        made: Response = client.responses.create(**TALK)
    except openai.ConflictError:
        return False
    return made.status == "completed"


def test_one_run_at_a_time(serve: Serve, store_url: str) -> None:
    agent = Halting()
    with client_of(serve, store_url, agent.router) as client:
        with client.responses.create(**TALK, stream=True) as stream:
            next(iter(stream))
            check_locked(client)
            check_locked(client, stream=True)
            check_locked(client, background=True)
            check_locked(client, conversation={"id": "talk"})
            assert len(agent.sessions) == 1
            with client.responses.create(input="x", conversation="else", stream=True) as other:
                next(iter(other))
                agent.go_on.set()
                assert list(other)[-1].type == "response.completed"
            client.responses.create(input="x")
            assert list(stream)[-1].type == "response.completed"
        assert until(lambda: free_again(client))
    assert agent.sessions == ["talk", "else", None, "talk"]


@pytest.mark.parametrize("stream", [False, True])
def test_turn_follows_turn_at_once(serve: Serve, store_url: str, stream: bool) -> None:
    agent = Halting()
    agent.go_on.set()
    with client_of(serve, store_url, agent.router) as client:
        for _ in range(10):
            if stream:
                with client.responses.create(**TALK, stream=True) as events:
                    assert list(events)[-1].type == "response.completed"
            else:
                client.responses.create(**TALK)
    assert len(agent.sessions) == 10


@pytest.mark.parametrize("more", [{}, {"background": True}])
def test_free_again_after_a_failure(serve: Serve, store_url: str, more: dict[str, Any]) -> None:
    agent = Halting()
    agent.go_on.set()
    with client_of(serve, store_url, agent.router) as client:
        if more:
            made = client.responses.create(**(TALK | more | {"input": "fail"}))
            assert ended(client, made.id).status == "failed"
        else:
            with pytest.raises(openai.InternalServerError):
                client.responses.create(**(TALK | {"input": "fail"}))
        assert until(lambda: free_again(client), seconds=3)


def test_free_again_after_a_client_left(serve: Serve, store_url: str) -> None:
    agent = Halting()
    with client_of(serve, store_url, agent.router) as client:
        with client.responses.create(**TALK, stream=True) as stream:
            next(iter(stream))
        assert agent.left.wait(5)
        agent.go_on.set()
        assert until(lambda: free_again(client), seconds=3)


@pytest.mark.parametrize("way", ["cancel", "delete", "let it end"])
def test_free_again_after_a_background_run(serve: Serve, store_url: str, way: str) -> None:
    agent = Halting()
    with client_of(serve, store_url, agent.router) as client:
        id_ = client.responses.create(**TALK, background=True).id
        check_locked(client)
        until(lambda: agent.sessions)
        check_locked(client)
        if way == "cancel":
            client.responses.cancel(id_)
        elif way == "delete":
            client.responses.delete(id_)
        agent.go_on.set()
        assert until(lambda: free_again(client), seconds=3)


def test_a_long_run_keeps_it(serve: Serve, durable_url: str) -> None:
    agent = Halting()
    timeouts = Timeouts(heartbeat=0.2, stalled=4)
    urls = [
        serve(AgentApp(agent.router, store=durable_url, timeouts=timeouts)),
        serve(AgentApp(Halting().router, store=durable_url, timeouts=timeouts)),
    ]
    with connect(urls[0]).responses.create(**TALK, stream=True) as stream:
        next(iter(stream))
        for _ in range(10):  # longer than `stalled`
            check_locked(connect(urls[1]))
            threading.Event().wait(0.5)
        agent.go_on.set()
        list(stream)


def test_a_lease_that_ends_too_early_lets_no_second_run_begin(serve: Serve, store_url: str) -> None:
    agent = Halting()
    app = AgentApp(agent.router, store=store_url)
    with connect(serve(app)) as client:
        with client.responses.create(**TALK, stream=True) as stream:
            made: Any = next(iter(stream))
            asyncio.run(forget(app, store_url, made.response.id))
            check_locked(client)
            check_locked(client, background=True)
            agent.go_on.set()
            list(stream)
        assert until(lambda: free_again(client))


async def forget(app: AgentApp, store_url: str, response_id: str) -> None:
    """Delete a run's lock from the store, as if its lease had ended."""
    if not app.store.shared:
        await app.store.unlock(response_id)
        return
    store = open_store(store_url)
    try:
        await store.unlock(response_id)
    finally:
        await store.close()


def test_a_refused_request_leaves_it_free(serve: Serve, store_url: str) -> None:
    agent = Halting()
    agent.go_on.set()
    with client_of(serve, store_url, agent.router) as client:
        for more in ({"previous_response_id": "resp_nope"}, {"background": True, "store": False}):
            extra: Any = more
            with pytest.raises(openai.APIStatusError):
                client.responses.create(**TALK, **extra)
            client.responses.create(**TALK)
            until(lambda: free_again(client), seconds=3)
