"""Runs in a conversation: they get its items, and add their input and output when they end."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

import openai
import pytest
from websockets.sync.client import connect as open_socket

from agent_asgi import AgentApp, AgentRouter, FunctionCall, Limits, ResponsesRequest
from agent_asgi.store import MemoryStore, open_store
from agent_asgi.store.base import Store
from agent_asgi.testing import AgentClient
from tests.support.apps import started
from tests.support.asking import ANN, BOB, TOKENS, fetch
from tests.support.calling import QUICK, Serve, client_of, connect, ended, error_of, plain, texts
from tests.support.servers import Server

NOWHERE = "conv_" + "0" * 32


class Listener:
    """An agent that records what it hears and numbers its answers."""

    def __init__(self) -> None:
        self.heard: list[list[str]] = []
        self.router = AgentRouter("listener")
        self.router.stream(self.reply)

    async def reply(self, request: ResponsesRequest) -> AsyncIterator[Any]:
        """Say how many items came; or call a function, fail, or wait, as the last text asks."""
        heard = texts(request.input)
        self.heard.append(heard)
        yield f"a{len(heard)}"
        if heard[-1] == "fail":
            raise RuntimeError
        if heard[-1] == "cut":
            yield {"output": [], "incomplete_details": {"reason": "max_output_tokens"}}
        if heard[-1] == "wait":
            await asyncio.sleep(60)
        if heard[-1] == "call":
            yield FunctionCall(call_id="c1", name="add", arguments="{}")


def items_of(client: openai.OpenAI, id: str) -> list[str]:
    """Return the texts of a conversation's items, oldest first."""
    items = client.conversations.items.list(id, order="asc", limit=100)
    return texts([plain(item) for item in items if item.type == "message"])


def over_socket(url: str, *bodies: Any) -> list[Any]:
    """Run turns over one WebSocket; return the last event of each."""
    events = []
    with open_socket(url.replace("http", "ws", 1) + "/responses") as ws:
        for body in bodies:
            ws.send(json.dumps({"type": "response.create", **body}))
            while (event := json.loads(ws.recv(10)))["type"] not in (
                *("response.completed", "response.incomplete", "response.failed", "error"),
            ):
                pass
            events.append(event)
    return events


@pytest.mark.parametrize("more", [{}, {"stream": True}, {"background": True}])
def test_a_run_gets_the_conversation_and_adds_to_it(
    serve: Serve, store_url: str, more: dict[str, Any]
) -> None:
    agent = Listener()
    with client_of(serve, store_url, agent.router) as client:
        id_ = client.conversations.create(items=[{"role": "user", "content": "before"}]).id
        forms: list[Any] = [id_, {"id": id_}]
        for conversation in forms:
            made: Any = client.responses.create(input="q", conversation=conversation, **more)
            if "stream" in more:
                events = list(made)
                assert events[0].response.conversation.id == id_
                made = events[-1].response
            made = ended(client, made.id)
            assert (made.status, made.conversation.id) == ("completed", id_)
            own = client.responses.input_items.list(made.id).data
            assert texts([plain(item) for item in own]) == ["q"]
        assert agent.heard == [["before", "q"], ["before", "q", "a2", "q"]]
        assert items_of(client, id_) == ["before", "q", "a2", "q", "a4"]
        stored = client.conversations.items.list(id_, limit=1).data[0]
        assert plain(stored) == plain(made.output[0])


def test_a_socket_has_conversations_too(serve: Serve, store_url: str) -> None:
    agent = Listener()
    url = serve(AgentApp(agent.router, store=store_url))
    with connect(url) as client:
        id_ = client.conversations.create().id
        turns = [{"input": text, "conversation": id_} for text in ("q1", "q2")]
        first, second, unknown = over_socket(url, *turns, {"input": "x", "conversation": NOWHERE})
        assert (
            first["response"]["conversation"] == second["response"]["conversation"] == {"id": id_}
        )
        assert agent.heard == [["q1"], ["q1", "a1", "q2"]]
        assert items_of(client, id_) == ["q1", "a1", "q2", "a3"]
        assert (unknown["status"], unknown["error"]["code"]) == (400, "conversation_not_found")


def test_the_first_curl_remembers(serve: Serve, store_url: str) -> None:
    agent = Listener()
    with client_of(serve, store_url, agent.router, single_user=True) as client:
        for text in ("What is 12 * (3 + 4)?", "and times 2?"):
            made = client.responses.create(input=text, conversation="my-first")
            assert made.conversation is not None
            assert made.conversation.id == "my-first"
        assert agent.heard[1] == ["What is 12 * (3 + 4)?", "a1", "and times 2?"]


@pytest.mark.parametrize("text", ["fail", "wait"])
@pytest.mark.parametrize("background", [False, True])
def test_failed_and_cancelled_runs_add_nothing(
    serve: Serve, store_url: str, text: str, background: bool
) -> None:
    agent = Listener()
    with client_of(serve, store_url, agent.router) as client:
        id_ = client.conversations.create().id
        if background:
            made = client.responses.create(input=text, conversation=id_, background=True)
            if text == "wait":
                client.responses.cancel(made.id)
            assert ended(client, made.id).status in ("failed", "cancelled")
        else:
            failed = contextlib.suppress(openai.APIError)
            stream = client.responses.create(input=text, conversation=id_, stream=True)
            with stream, failed:
                for event in stream:
                    if event.type == "response.output_text.delta" and text == "wait":
                        break
        while True:
            try:
                client.responses.create(input="next", conversation=id_)
            except openai.ConflictError:
                continue
            break
        assert agent.heard[-1] == ["next"]
        assert items_of(client, id_) == ["next", "a1"]


def test_an_incomplete_run_adds_what_it_has(serve: Serve) -> None:
    agent = Listener()
    with client_of(serve, "memory://", agent.router) as client:
        id_ = client.conversations.create().id
        assert client.responses.create(input="cut", conversation=id_).status == "incomplete"
        assert items_of(client, id_) == ["cut", "a1"]


def test_what_is_not_stored_is_not_added(serve: Serve, store_url: str) -> None:
    agent = Listener()
    with client_of(serve, store_url, agent.router, single_user=True) as client:
        for id_ in (client.conversations.create().id, "named"):
            client.responses.create(input="q", conversation=id_)
            client.responses.create(input="secret", conversation=id_, store=False)
            assert agent.heard[-1] == ["q", "a1", "secret"]
            assert items_of(client, id_) == ["q", "a1"]
        client.responses.create(input="secret", conversation="never", store=False)
        with pytest.raises(openai.NotFoundError):
            client.conversations.retrieve("never")


def test_items_that_the_conversation_has_are_not_repeated(serve: Serve, store_url: str) -> None:
    agent = Listener()
    with client_of(serve, store_url, agent.router) as client:
        id_ = client.conversations.create().id
        client.responses.create(input="q1", conversation=id_)
        known: list[Any] = [
            plain(item) for item in client.conversations.items.list(id_, order="asc")
        ]
        whole: Any = [*known, {"role": "user", "content": "q2"}]
        client.responses.create(input=whole, conversation=id_)
        assert agent.heard[-1] == ["q1", "a1", "q2"]
        reference = {"type": "item_reference", "id": known[0]["id"]}
        again: Any = [reference, {"role": "user", "content": "q3"}]
        made = client.responses.create(input=again, conversation=id_)
        assert agent.heard[-1] == ["q1", "a1", "q2", "a3", "q3"]
        assert items_of(client, id_) == ["q1", "a1", "q2", "a3", "q3", "a5"]
        client.responses.create(input="q4", previous_response_id=made.id)
        assert agent.heard[-1] == ["q1", "q3", "a5", "q4"]


def test_an_item_of_the_conversation_may_be_referred_to(serve: Serve) -> None:
    agent = Listener()
    with client_of(serve, "memory://", agent.router) as client:
        message: Any = {"role": "user", "content": "before", "id": "msg_before"}
        id_ = client.conversations.create(items=[message]).id
        reference: Any = [{"type": "item_reference", "id": "msg_before"}]
        with pytest.raises(openai.BadRequestError) as raised:
            client.responses.create(input=reference)
        assert error_of(raised)[1] == "item_not_found"
        client.responses.create(input=reference, conversation=id_)
        assert agent.heard == [["before"]]


def test_a_functions_output_answers_a_call_of_the_conversation(serve: Serve) -> None:
    agent = Listener()
    with client_of(serve, "memory://", agent.router) as client:
        id_ = client.conversations.create().id
        tools: Any = [{"type": "function", "name": "add", "parameters": {}}]
        client.responses.create(input="call", conversation=id_, tools=tools)
        output: Any = [{"type": "function_call_output", "call_id": "c1", "output": "2"}]
        client.responses.create(input=output, conversation=id_)
        assert agent.heard[-1] == ["call", "a1", "", "2"]
        output[0]["call_id"] = "c9"
        with pytest.raises(openai.BadRequestError) as raised:
            client.responses.create(input=output, conversation=id_)
        assert error_of(raised) == (400, "invalid_request", "input[0].call_id")
        client.responses.create(input="x", conversation=id_)  # it is not locked


@pytest.mark.parametrize("more", [{}, {"stream": True}, {"background": True}])
def test_an_unknown_conversation_is_a_400(serve: Serve, more: dict[str, Any]) -> None:
    agent = Listener()
    with client_of(serve, "memory://", agent.router) as client:
        for _ in range(2):  # the second finds it unlocked
            with pytest.raises(openai.BadRequestError) as raised:
                client.responses.create(input="x", conversation=NOWHERE, **more)
            assert error_of(raised) == (400, "conversation_not_found", "conversation")
    assert agent.heard == []


def test_a_conversation_with_an_id_excludes_a_previous_response(serve: Serve) -> None:
    agent = Listener()
    with client_of(serve, "memory://", agent.router) as client:
        id_ = client.conversations.create().id
        first = client.responses.create(input="x").id
        with pytest.raises(openai.BadRequestError) as raised:
            client.responses.create(input="x", conversation=id_, previous_response_id=first)
        assert error_of(raised) == (400, "invalid_request", "previous_response_id")


def test_with_a_name_a_chain_is_the_history(serve: Serve, store_url: str) -> None:
    agent = Listener()
    with client_of(serve, store_url, agent.router, single_user=True) as client:
        client.responses.create(input="q1", conversation="talk")
        other = client.responses.create(input="else").id
        client.responses.create(input="q2", conversation="talk", previous_response_id=other)
        assert agent.heard[-1] == ["else", "a1", "q2"]
        assert items_of(client, "talk") == ["q1", "a1", "q2", "a3"]


def test_a_name_is_each_users_own(serve: Serve, store_url: str) -> None:
    agent = Listener()
    url = serve(AgentApp(agent.router, authenticate=TOKENS, store=store_url))
    for token in (ANN, BOB, ANN):
        body = {"input": "q", "conversation": "talk"}
        reply = fetch(url, "POST", "/responses", token, body)
        assert json.loads(reply.body)["conversation"] == {"id": "talk"}
    assert agent.heard == [["q"], ["q"], ["q", "a1", "q"]]


def test_a_name_of_a_stranger_does_not_remember(
    serve: Serve, tmp_path: Any, caplog: pytest.LogCaptureFixture
) -> None:
    url = f"sqlite:///{tmp_path}/r.db"
    agent = Listener()
    known = Server(AgentApp(agent.router, store=url, single_user=True))
    fetch(known.url, "POST", "/responses", None, {"input": "secret", "conversation": "talk"})
    known.stop()
    app = AgentApp(agent.router, store=url)
    stranger = serve(app)
    for _ in range(2):
        body = {"input": "q", "conversation": "talk"}
        reply = fetch(stranger, "POST", "/responses", None, body)
        assert "conversation" not in json.loads(reply.body)
        assert agent.heard[-1] == ["q"]
    for method, path in (("GET", ""), ("GET", "/items"), ("DELETE", "")):
        reply = fetch(stranger, method, f"/conversations/talk{path}")
        assert (reply.status, reply.error["code"]) == (404, "conversation_not_found")
    lines = [each for each in caplog.records if "names a conversation" in each.message]
    assert [each.levelname for each in lines] == ["WARNING"]


@pytest.mark.parametrize("limit", ["max_conversation_items", "max_conversation_bytes"])
@pytest.mark.parametrize("way", ["conversation", "previous_response_id"])
def test_a_conversation_that_is_too_large_is_a_400(
    serve: Serve, store_url: str, limit: str, way: str
) -> None:
    agent = Listener()
    bound = 3 if limit == "max_conversation_items" else 3000
    options: Any = {"limits": Limits(**{limit: bound}), "single_user": True}
    with client_of(serve, store_url, agent.router, **options) as client:
        more: Any = {"conversation": "talk"} if way == "conversation" else {}
        for _ in range(2):
            made = client.responses.create(input="x" * 1300, **more)
            more = more or {way: made.id}
        if way != "conversation":
            more = {way: made.id}
        for _ in range(2):
            with pytest.raises(openai.BadRequestError) as raised:
                client.responses.create(input="x", **more)
            assert error_of(raised) == (400, "conversation_too_large", way)
        assert len(agent.heard) == 2


def test_a_conversation_that_is_deleted_during_a_run_stays_deleted(
    serve: Serve, store_url: str
) -> None:
    agent = Listener()
    with client_of(serve, store_url, agent.router) as client:
        id_ = client.conversations.create().id
        with client.responses.create(input="q", conversation=id_, stream=True) as stream:
            next(iter(stream))
            client.conversations.delete(id_)
            assert list(stream)[-1].type == "response.completed"
        with pytest.raises(openai.NotFoundError):
            client.conversations.retrieve(id_)


def test_a_retry_with_a_key_adds_once(serve: Serve, store_url: str) -> None:
    agent = Listener()
    with client_of(serve, store_url, agent.router) as client:
        id_ = client.conversations.create().id
        headers = {"idempotency-key": "k"}
        for _ in range(2):
            client.responses.create(input="q", conversation=id_, extra_headers=headers)
        assert agent.heard == [["q"]]
        assert items_of(client, id_) == ["q", "a1"]


def test_a_background_run_on_another_server_adds_to_it(serve: Serve, postgres: str) -> None:
    here, there = Listener(), Listener()
    limits = Limits(worker_concurrency=0)
    worker = Server(AgentApp(there.router, store=postgres, timeouts=QUICK, single_user=True))
    try:
        options: Any = {"limits": limits, "single_user": True}
        with client_of(serve, postgres, here.router, **options) as client:
            for id_ in (client.conversations.create().id, "named"):
                client.responses.create(input="q1", conversation=id_)
                made = client.responses.create(input="q2", conversation=id_, background=True)
                made = ended(client, made.id)
                assert made.conversation is not None
                assert (made.status, made.conversation.id) == ("completed", id_)
                assert there.heard[-1] == ["q1", "a1", "q2"]
                assert items_of(client, id_) == ["q1", "a1", "q2", "a3"]
    finally:
        worker.stop()


def chat(client: openai.OpenAI, conversation: str, *said: str, **more: Any) -> str:
    """Send a chat with a history of its own; return the answer."""
    roles = ("user", "assistant")
    messages: Any = [
        {"role": roles[number % 2], "content": text} for number, text in enumerate(said)
    ]
    made = client.chat.completions.create(
        model="listener",
        messages=messages,
        store=True,
        extra_body={"conversation": conversation},
        **more,
    )
    return made.choices[0].message.content or ""


@pytest.mark.parametrize("more", [{}, {"extra_headers": {"idempotency-key": "k"}}])
def test_a_chats_own_history_counts(serve: Serve, store_url: str, more: dict[str, Any]) -> None:
    agent = Listener()
    with client_of(serve, store_url, agent.router) as client:
        id_ = client.conversations.create().id
        assert chat(client, id_, "q1") == "a1"
        assert chat(client, id_, "q1", "a1", "q2", **more) == "a3"
        assert agent.heard[-1] == ["q1", "a1", "q2"]
        assert items_of(client, id_) == ["q1", "a1", "q2", "a3"]
        assert chat(client, id_, "q1", "a1", "q2") == "a3"  # regenerated
        assert items_of(client, id_) == ["q1", "a1", "q2", "a3"]
        assert chat(client, id_, "q1", "a1", "edited") == "a3"
        assert items_of(client, id_) == ["q1", "a1", "edited", "a3"]
        client.responses.create(input="on", conversation=id_)
        assert agent.heard[-1] == ["q1", "a1", "edited", "a3", "on"]
        assert chat(client, id_, "new") == "a1"
        assert items_of(client, id_) == ["new", "a1"]


def test_a_chat_keeps_what_it_does_not_show(serve: Serve) -> None:
    router = AgentRouter("listener")

    @router.stream
    async def reply(request: ResponsesRequest) -> AsyncIterator[Any]:
        yield {"type": "reasoning", "summary": []}
        yield "answer"

    with client_of(serve, "memory://", router) as client:
        id_ = client.conversations.create().id
        chat(client, id_, "q1")
        chat(client, id_, "q1", "answer", "q2")
        types = [item.type for item in client.conversations.items.list(id_, order="asc")]
        assert types == ["message", "reasoning", "message"] * 2
        chat(client, id_, "q1")
        assert len(client.conversations.items.list(id_).data) == 3


def test_two_requests_at_once_do_not_lose_a_turn() -> None:
    """The items are read under the lock."""

    class Slow(MemoryStore):
        async def lock(self, *args: Any) -> bool:
            free = await super().lock(*args)
            await asyncio.sleep(0)
            return free

    agent = Listener()

    async def main() -> None:
        app = AgentApp(agent.router, store=Slow(), single_user=True)
        async with started(app):
            client = AgentClient(app)

            async def turn() -> None:
                body = {"input": "q", "conversation": "talk"}
                while (await client.post("/responses", body)).status == 409:
                    await asyncio.sleep(0)

            await asyncio.gather(*(turn() for _ in range(5)))

    asyncio.run(main())
    assert [len(heard) for heard in agent.heard] == [1, 3, 5, 7, 9]


def test_a_run_without_a_conversation_asks_the_store_for_none(serve: Serve) -> None:
    store: Store = open_store("memory://")
    calls: list[str] = []

    class Watched:
        def sweep(self) -> None:
            pass

        def __getattr__(self, name: str) -> Any:
            calls.append(name)
            raise AssertionError(name)

    store.conversations = Watched()  # type: ignore[assignment]  # any use fails
    agent = Listener()
    with connect(serve(AgentApp(agent.router, store=store))) as client:
        first = client.responses.create(input="x")
        client.responses.create(input="x", previous_response_id=first.id)
        client.responses.create(input="x", conversation="a-stranger's")
    assert calls == []
