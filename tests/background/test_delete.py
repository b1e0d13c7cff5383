"""A conversation stays locked until the handler of a deleted run has ended."""

import asyncio
import threading
from collections.abc import AsyncIterator
from typing import Any

import openai
import pytest

from agent_asgi import AgentRouter, ResponsesRequest
from tests.support.calling import Serve, client_of, error_of, until

WAYS = ["background", "key"]


class Cleaner:
    """An agent that cleans up until it is released."""

    def __init__(self) -> None:
        self.begun, self.cleaning, self.release = (threading.Event() for _ in range(3))
        self.router = AgentRouter("cleaner")
        self.router.stream(self.work)

    async def work(self, request: ResponsesRequest) -> AsyncIterator[str]:
        yield "word"
        if request.input_text != "wait":
            return
        self.begun.set()
        try:
            await asyncio.sleep(60)
        finally:
            self.cleaning.set()
            while not self.release.is_set():
                await asyncio.sleep(0.01)


def ask(client: openai.OpenAI, way: str, text: str) -> str:
    options: Any = {"background": True}
    if way == "key":
        options = {"extra_headers": {"idempotency-key": text}}
    stream = client.responses.create(input=text, conversation="talk", stream=True, **options)
    with stream:
        return str(next(iter(stream)).response.id)


@pytest.mark.parametrize("way", WAYS)
def test_a_deleted_runs_conversation_is_free_when_its_handler_has_ended(
    serve: Serve, store_url: str, way: str
) -> None:
    """Two handlers were at work in one conversation."""
    agent = Cleaner()
    client = client_of(serve, store_url, agent.router, single_user=True)
    id_ = ask(client, way, "wait")
    assert agent.begun.wait(10)
    client.responses.delete(id_)
    assert agent.cleaning.wait(10)
    with pytest.raises(openai.ConflictError) as raised:
        ask(client, way, "more")
    assert error_of(raised)[1] == "conversation_locked"
    agent.release.set()
    until(lambda: _free(client, way))


def _free(client: openai.OpenAI, way: str) -> bool:
    try:
        ask(client, way, "more")
    except openai.ConflictError:
        return False
    return True
