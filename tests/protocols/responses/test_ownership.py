"""A response belongs to the user who created it; for everyone else it does not exist."""

import threading
from typing import Any

import anyio
import openai
import pytest

from agent_asgi import AgentRouter, Context, ResponsesRequest
from tests.support.calling import Json, Serve, client_of, ended, plain, texts, until
from tests.support.owners import OWNERS, as_user


def answer_to(ask: Any, id: str) -> Json:
    """Return the whole error response, with the id replaced."""
    with pytest.raises(openai.APIStatusError) as raised:
        ask()
    response = raised.value.response
    kept = ("content-type", "retry-after", "x-should-retry")
    headers = {name: response.headers.get(name) for name in kept}
    body = response.text.replace(id, "ID")
    return {"status": response.status_code, "headers": headers, "body": body}


def asks(client: openai.OpenAI, id: str, item: str) -> dict[str, tuple[Any, str]]:
    """Return every way to access a response or one of its items, and the id each one uses."""
    reference: Any = {"type": "item_reference", "id": item}
    responses = client.responses
    create = responses.create
    return {
        "retrieve": (lambda: responses.retrieve(id), id),
        "stream": (lambda: responses.retrieve(id, stream=True), id),
        "input items": (lambda: responses.input_items.list(id), id),
        "cancel": (lambda: responses.cancel(id), id),
        "delete": (lambda: responses.delete(id), id),
        "continue": (lambda: create(input="x", previous_response_id=id), id),
        "in background": (
            lambda: create(input="x", previous_response_id=id, background=True),
            id,
        ),
        "compact": (lambda: responses.compact(model="m", previous_response_id=id), id),
        "refer": (lambda: create(input=[reference]), item),
    }


def echo() -> AgentRouter:
    """Make an agent that returns the name of the user."""
    router = AgentRouter()

    @router.invoke
    async def who(request: ResponsesRequest, context: Context) -> str:
        return str(context.user)

    @router.compact
    async def compact(request: ResponsesRequest) -> Json:
        return {"type": "compaction", "encrypted_content": "x"}

    return router


def check_hidden(client: openai.OpenAI, id: str, item: str) -> None:
    """Check that a client gets the same answers as for a response that never existed."""
    unknown = asks(client, "resp_nope", "msg_nope")
    for name, (ask, named) in asks(client, id, item).items():
        nothing, word = unknown[name]
        assert answer_to(ask, named) == answer_to(nothing, word), name


def test_others_do_not_see_it(serve: Serve, store_url: str) -> None:
    with client_of(serve, store_url, echo(), middleware=OWNERS) as client:
        ann, bob = as_user(client, "ann"), as_user(client, "bob")
        made = ann.responses.create(input="x")
        assert made.output_text == "ann"
        item = str(made.output[0].id)
        for other in (bob, client):
            check_hidden(other, made.id, item)
        assert plain(ann.responses.retrieve(made.id)) == plain(made)
        ann.responses.create(input="y", previous_response_id=made.id)
        ann.responses.create(input=[{"type": "item_reference", "id": item}])


def test_nobodys_is_not_somebodys(serve: Serve, store_url: str) -> None:
    with client_of(serve, store_url, echo(), middleware=OWNERS) as client:
        made = client.responses.create(input="x")
        check_hidden(as_user(client, "ann"), made.id, str(made.output[0].id))
        assert client.responses.retrieve(made.id).id == made.id


def halting() -> tuple[AgentRouter, threading.Event, list[str]]:
    """Make an agent that waits for an event; return it, the event and the ids of its runs."""
    router, go_on, begun = AgentRouter(), threading.Event(), list[str]()

    @router.invoke
    async def halt(request: ResponsesRequest, context: Context) -> str:
        begun.append(context.response_id)
        while not go_on.is_set():
            await anyio.sleep(0.01)
        return "done"

    return router, go_on, begun


def test_others_do_not_stop_it(serve: Serve, store_url: str) -> None:
    router, go_on, begun = halting()
    with client_of(serve, store_url, router, middleware=OWNERS) as client:
        ann, bob = as_user(client, "ann"), as_user(client, "bob")
        id_ = ann.responses.create(input="x", background=True).id
        until(lambda: begun)
        for name in ("cancel", "delete", "retrieve", "stream", "input items"):
            ask, _ = asks(bob, id_, "")[name]
            with pytest.raises(openai.NotFoundError):
                ask()
        assert ann.responses.retrieve(id_).status == "in_progress"
        go_on.set()
        assert ended(ann, id_).output_text == "done"


def test_conversations_of_the_same_name_are_apart(serve: Serve, store_url: str) -> None:
    router, go_on, begun = halting()
    with client_of(serve, store_url, router, middleware=OWNERS) as client:
        ann, bob = as_user(client, "ann"), as_user(client, "bob")
        talk: Any = {"input": "x", "conversation": "talk", "background": True}
        ids = [each.responses.create(**talk).id for each in (ann, bob)]
        with pytest.raises(openai.ConflictError):
            ann.responses.create(**talk)
        until(lambda: len(begun) == 2)
        go_on.set()
        assert [ended(ann, ids[0]).status, ended(bob, ids[1]).status] == ["completed"] * 2


def test_items_with_the_same_id_are_apart(serve: Serve, store_url: str) -> None:
    router, heard = AgentRouter(), list[ResponsesRequest]()

    @router.invoke
    async def listen(request: ResponsesRequest) -> str:
        heard.append(request)
        return "ok"

    with client_of(serve, store_url, router, middleware=OWNERS) as client:
        ann, bob = as_user(client, "ann"), as_user(client, "bob")
        reference: Any = {"type": "item_reference", "id": "m1"}
        for each, said in ((ann, "of ann"), (bob, "of bob")):
            message: Any = {"role": "user", "content": said, "id": "m1"}
            each.responses.create(input=[message])
        ann.responses.create(input=[reference])
        assert texts(heard[-1].input) == ["of ann"]
