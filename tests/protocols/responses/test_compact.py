"""`POST /responses/compact`: a compacted conversation, accepted as input again."""

from typing import Any

import openai
import pytest

from agent_asgi import AgentError, AgentRouter, Message, ResponsesRequest, Usage
from tests.support.calling import Json, Serve, client_of, error_of, texts
from tests.support.openresponses_schema import validate


def shortener() -> tuple[AgentRouter, list[ResponsesRequest], list[ResponsesRequest]]:
    """Make an agent; return it, the requests it answered and the ones it compacted."""
    router, heard, compacted = AgentRouter(), list[ResponsesRequest](), list[ResponsesRequest]()

    @router.invoke
    async def answer(request: ResponsesRequest) -> str:
        heard.append(request)
        return "answer"

    @router.compact
    async def compact(request: ResponsesRequest) -> list[Any]:
        compacted.append(request)
        kept = Message(role="user", content=[{"type": "input_text", "text": "kept"}])
        short: Json = {"type": "compaction", "encrypted_content": "short"}
        return [kept, short, Usage(input_tokens=3, output_tokens=2)]

    return router, heard, compacted


def test_what_it_gave_is_taken_back(serve: Serve, store_url: str) -> None:
    router, heard, compacted = shortener()
    with client_of(serve, store_url, router) as client:
        first = client.responses.create(input="one")
        raw = client.responses.with_raw_response.compact(
            model="agent", input="two", previous_response_id=first.id
        )
        body = raw.http_response.json()
        validate("CompactResource", body)
        assert body["object"] == "response.compaction"
        assert body["usage"]["total_tokens"] == 5
        assert [each["type"] for each in body["output"]] == ["message", "compaction"]
        again = client.responses.create(input=body["output"])
        listed = list(client.responses.input_items.list(again.id, order="asc"))
        assert [each.id for each in listed] == [each["id"] for each in body["output"]]
        client.responses.create(input="three", previous_response_id=again.id)
        with pytest.raises(openai.NotFoundError):
            client.responses.retrieve(body["id"])
    assert texts(compacted[0].input) == ["one", "answer", "two"]
    sent = heard[1].to_dict()["input"]
    assert sent == body["output"]
    assert sent[1]["encrypted_content"] == "short"
    kinds = [each["type"] for each in heard[2].to_dict()["input"]]
    assert kinds == ["message", "compaction", "message", "message"]


def test_a_conversation_is_compacted_and_stays_as_it_is(serve: Serve, store_url: str) -> None:
    router, _, compacted = shortener()
    with client_of(serve, store_url, router, single_user=True) as client:
        id_ = client.conversations.create(items=[{"role": "user", "content": "one"}]).id
        for name in (id_, {"id": id_}, "not-there"):
            client.responses.compact(model="agent", input="two", extra_body={"conversation": name})
        items = client.conversations.items.list(id_).data
        assert texts([item.to_dict() for item in items]) == ["one"]
        with pytest.raises(openai.NotFoundError):
            client.conversations.retrieve("not-there")
        with pytest.raises(openai.BadRequestError) as raised:
            client.responses.compact(
                model="agent", extra_body={"conversation": "conv_none"}, input="x"
            )
        assert error_of(raised) == (400, "conversation_not_found", "conversation")
    heard = [texts(request.input) for request in compacted]
    assert heard == [["one", "two"], ["one", "two"], ["two"]]


def test_a_model_must_be_named(serve: Serve, store_url: str) -> None:
    router, _, compacted = shortener()
    with client_of(serve, store_url, router) as client:
        with pytest.raises(openai.BadRequestError) as raised:
            client.responses.compact(model=None, input="x")
        assert error_of(raised) == (400, "invalid_request", "model")
        with pytest.raises(openai.BadRequestError) as missing:
            client.responses.compact(model="agent", previous_response_id="resp_nope")
        assert error_of(missing)[1] == "previous_response_not_found"
    assert compacted == []


def test_an_agent_that_cannot(serve: Serve) -> None:
    router = AgentRouter("tutor")

    @router.invoke
    async def answer(request: ResponsesRequest) -> str:
        return "answer"

    with client_of(serve, "memory://", router) as client:
        with pytest.raises(openai.BadRequestError) as raised:
            client.responses.compact(model="tutor", input="x")
    assert error_of(raised) == (400, "not_supported", "model")
    assert "tutor" in raised.value.message


@pytest.mark.parametrize(
    ("given", "status"), [("only text", 500), (AgentError("Too much.", 429, "quota"), 429)]
)
def test_one_that_fails(serve: Serve, given: Any, status: int) -> None:
    router = AgentRouter()

    @router.compact
    async def compact(request: ResponsesRequest) -> str:
        if isinstance(given, Exception):
            raise given
        return str(given)

    with client_of(serve, "memory://", router) as client:
        with pytest.raises(openai.APIStatusError) as raised:
            client.responses.compact(model="agent", input="x")
    assert raised.value.status_code == status
    assert raised.value.response.headers["x-should-retry"] == "false"
