"""Ids of items that are used twice in a conversation, by an agent or by a client."""

from collections.abc import AsyncIterator
from typing import Any

import openai
import pytest

from agent_asgi import (
    AgentRouter,
    ApprovalRequest,
    FunctionCall,
    FunctionCallOutput,
    OutputText,
    ReasoningItem,
    ResponsesRequest,
    SummaryText,
)
from tests.support.calling import Json, Serve, client_of, ended, error_of, plain, texts

ANSWER = {"type": "message", "id": "msg_1", "role": "assistant"}


def literal() -> tuple[AgentRouter, list[list[str]]]:
    """Make an agent whose answers all have one id, and the texts that it heard."""
    router, heard = AgentRouter(), list[list[str]]()

    @router.stream
    async def reply(request: ResponsesRequest) -> AsyncIterator[Any]:
        heard.append(texts(request.input))
        yield ANSWER | {"content": [{"type": "output_text", "text": "same"}]}

    return router, heard


def stored(client: openai.OpenAI, id: str) -> list[Json]:
    """Return a conversation's items, oldest first."""
    return [plain(item) for item in client.conversations.items.list(id, order="asc", limit=100)]


@pytest.mark.parametrize("more", [{}, {"stream": True}, {"background": True}])
def test_an_id_that_an_agent_uses_each_turn_loses_no_answer(
    serve: Serve, store_url: str, more: Json
) -> None:
    router, heard = literal()
    with client_of(serve, store_url, router) as client:
        id_ = client.conversations.create().id
        for text in ("q1", "q2"):
            made: Any = client.responses.create(input=text, conversation=id_, **more)
            if "stream" in more:
                made = list(made)[-1].response
            made = ended(client, made.id)
            assert stored(client, id_)[-1] == plain(made.output[0])
        assert heard[1] == ["q1", "same", "q2"]
        assert texts(stored(client, id_)) == ["q1", "same", "q2", "same"]


@pytest.mark.parametrize("more", [{}, {"stream": True}, {"background": True}])
@pytest.mark.parametrize("id_", ["i" * 513, "fc_" + "i" * 509, "\U0001f600" * 129, "a\0b"])
def test_an_id_that_a_database_cannot_hold_is_replaced(
    serve: Serve, store_url: str, more: Json, id_: str
) -> None:
    router = AgentRouter()

    @router.stream
    async def reply(request: ResponsesRequest) -> AsyncIterator[Any]:
        yield {"type": "message", "id": id_, "content": "a"}
        yield FunctionCall("own", id=id_)
        yield ApprovalRequest("erase", id=id_)

    with client_of(serve, store_url, router, single_user=True) as client:
        made: Any = client.responses.create(input="q", conversation="talk", **more)
        made = ended(client, list(made)[-1].response.id if "stream" in more else made.id)
        assert (made.status, made.store) == ("completed", True)
        ids = [item.id for item in made.output]
        assert len(set(ids)) == 3
        assert (id_ in ids) == (len(id_) == 512)  # as a call's it becomes longer
        assert max(map(len, ids)) <= 512
        assert [item["id"] for item in stored(client, "talk")][1:] == ids
        answer: Any = {"type": "mcp_approval_response", "approval_request_id": ids[2]}
        client.responses.create(input=[answer | {"approve": True}], conversation="talk")


def test_a_chain_in_a_conversation_loses_no_answer(serve: Serve, store_url: str) -> None:
    router, _ = literal()
    with client_of(serve, store_url, router, single_user=True) as client:
        made = client.responses.create(input="q1", conversation="talk")
        client.responses.create(input="q2", conversation="talk", previous_response_id=made.id)
        assert texts(stored(client, "talk")) == ["q1", "same", "q2", "same"]


def test_a_new_text_under_a_known_id_is_heard(serve: Serve, store_url: str) -> None:
    router, heard = literal()
    with client_of(serve, store_url, router) as client:
        id_ = client.conversations.create().id
        for text in ("one", "two", "two"):
            said: Any = {"type": "message", "role": "user", "id": "u1", "content": text}
            client.responses.create(input=[said], conversation=id_)
        assert heard[-1] == ["one", "same", "two", "same", "two"]
        assert texts(stored(client, id_)) == [*heard[-1], "same"]
        assert len({item["id"] for item in stored(client, id_)}) == 6


def test_a_whole_output_that_is_sent_back_is_a_repeat(serve: Serve, store_url: str) -> None:
    router, counts = AgentRouter(), list[int]()

    @router.invoke
    async def reply(request: ResponsesRequest) -> list[Any]:
        counts.append(len(request.input))
        own, parts = FunctionCall("own", {"a": 1}), [OutputText(text="r")]
        return [
            ReasoningItem(summary=[SummaryText(text="hm")]),
            own,
            FunctionCallOutput(own.call_id, parts),
            FunctionCall("theirs", client=True),
            {"type": "web_search_call", "id": "ws_1", "status": "completed", "action": None},
            "answer",
        ]

    with client_of(serve, store_url, router) as client:
        id_ = client.conversations.create().id
        made = client.responses.create(input="q1", conversation=id_)
        back: Any = [item.to_dict() for item in made.output]
        before = stored(client, id_)
        client.responses.create(input=[*back, {"role": "user", "content": "q2"}], conversation=id_)
        assert counts == [1, 8]
        assert stored(client, id_)[: len(before)] == before
        assert len(stored(client, id_)) == 2 * len(before)


def test_adding_an_item_shows_what_is_stored(serve: Serve, store_url: str) -> None:
    router, _ = literal()
    with client_of(serve, store_url, router) as client:
        id_ = client.conversations.create().id
        said: Any = {"type": "message", "role": "user", "id": "same", "content": "first"}
        other: Any = {"type": "message", "role": "user", "id": "other", "content": "x"}
        first = client.conversations.items.create(id_, items=[said])
        again = client.conversations.items.create(id_, items=[said | {"status": "completed"}])
        assert [plain(item) for item in again.data] == [plain(item) for item in first.data]
        items = [other, said | {"content": "second"}]
        with pytest.raises(openai.BadRequestError) as raised:
            client.conversations.items.create(id_, items=items)
        assert error_of(raised) == (400, "invalid_request", "items[1].id")
        assert texts(stored(client, id_)) == ["first"]
