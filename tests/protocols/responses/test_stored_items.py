"""Items of stored responses: listed page by page, and referenced by id."""

from typing import Any

import openai
import pytest

from agent_asgi import AgentRouter, FunctionCall, ReasoningItem, ResponsesRequest, SummaryText
from tests.support.calling import Json, Serve, client_of, error_of, texts

MANY = 250


def listener() -> tuple[AgentRouter, list[ResponsesRequest]]:
    """Make an agent that records its requests."""
    router, heard = AgentRouter(), list[ResponsesRequest]()

    @router.invoke
    async def listen(request: ResponsesRequest) -> list[Any]:
        heard.append(request)
        return [
            ReasoningItem(summary=[SummaryText(text="hm")]),
            FunctionCall("f", {}, "call_1", client=True),
            f"answer {len(heard)}",
        ]

    return router, heard


def say(number: int, **more: Any) -> Any:
    """Make a user message."""
    return {"role": "user", "content": f"text {number}", **more}


def refer(id: str) -> Any:
    """Make a reference to an item."""
    return {"type": "item_reference", "id": id}


def pages(client: openai.OpenAI, id: str, **query: Any) -> list[Json]:
    """Return all input items of a response, using the client's pagination."""
    found = []
    for item in client.responses.input_items.list(id, **query):
        found.append(item.to_dict(mode="json", warnings=False))
        assert len(found) <= 2 * MANY, "it pages for ever"
    return found


def test_every_item_is_listed_once(serve: Serve, store_url: str) -> None:
    router, _ = listener()
    said = [f"text {each}" for each in range(MANY)]
    with client_of(serve, store_url, router) as client:
        made = client.responses.create(input=[say(each) for each in range(MANY)])
        oldest_first = pages(client, made.id, order="asc", limit=100)
        assert texts(oldest_first) == said
        assert len({each["id"] for each in oldest_first}) == MANY
        assert pages(client, made.id) == oldest_first[::-1]
        assert pages(client, made.id, order="desc", limit=7) == oldest_first[::-1]


def test_a_page(serve: Serve, store_url: str) -> None:
    router, _ = listener()
    with client_of(serve, store_url, router) as client:
        made = client.responses.create(input=[say(each) for each in range(5)])
        ids = [each["id"] for each in pages(client, made.id, order="asc")]
        raw = client.responses.input_items.with_raw_response.list(
            made.id, order="asc", after=ids[1], limit=2
        )
        page = raw.http_response.json()
        assert [each["id"] for each in page["data"]] == ids[2:4]
        assert (page["object"], page["first_id"], page["last_id"]) == ("list", ids[2], ids[3])
        assert page["has_more"] is True
        rest = pages(client, made.id, order="asc", after=ids[3])
        assert [each["id"] for each in rest] == ids[4:]
        assert pages(client, made.id, after=ids[0]) == []


def test_wrong_pages_are_refused(serve: Serve, store_url: str) -> None:
    router, _ = listener()
    wrong = [("limit", "0"), ("limit", "101"), ("limit", "x"), ("order", "up"), ("after", "no")]
    with client_of(serve, store_url, router) as client:
        made = client.responses.create(input="x")
        for name, value in wrong:
            with pytest.raises(openai.BadRequestError) as raised:
                client.responses.input_items.list(made.id, extra_query={name: value})
            assert error_of(raised) == (400, "invalid_request", name)


def test_items_keep_the_ids_that_they_came_with(serve: Serve, store_url: str) -> None:
    router, _ = listener()
    items = [
        say(0, id="mine", status="completed"),
        say(1),
        {"type": "acme:thing", "id": "theirs", "n": 1},
    ]
    with client_of(serve, store_url, router) as client:
        made = client.responses.create(input=items)
        listed = pages(client, made.id, order="asc")
        assert [listed[0]["id"], listed[2]["id"]] == ["mine", "theirs"]
        assert listed[2] == items[2]
        assert listed == pages(client, made.id, order="asc")


def test_a_repeated_id_does_not_hold_up_the_pages(serve: Serve, store_url: str) -> None:
    router, _ = listener()
    items = [say(0, id="__fake_id__"), say(1, id="__fake_id__"), say(2, id="__fake_id__"), say(3)]
    with client_of(serve, store_url, router) as client:
        made = client.responses.create(input=items)
        for order in ("asc", "desc"):
            listed = pages(client, made.id, order=order, limit=1)
            assert sorted(texts(listed)) == [f"text {each}" for each in range(4)]


def test_a_foreign_items_id_may_be_anything(serve: Serve, store_url: str) -> None:
    router, heard = listener()
    foreign: Any = [{"type": "acme:thing", "id": each} for each in (5, ["a"])]
    with client_of(serve, store_url, router) as client:
        made = client.responses.create(input=foreign, timeout=3)
        assert heard[0].input == foreign
        assert client.responses.retrieve(made.id).output_text == made.output_text
        assert len(pages(client, made.id)) == 2


def test_an_id_with_a_null_character(serve: Serve, store_url: str) -> None:
    router, _ = listener()
    with client_of(serve, store_url, router) as client:
        made = client.responses.create(input=[say(0, id="a\0b")])
        assert client.responses.retrieve(made.id).id == made.id


def test_items_are_referred_to(serve: Serve, store_url: str) -> None:
    router, heard = listener()
    with client_of(serve, store_url, router) as client:
        first = client.responses.create(input=[say(0), say(1)])
        asked = [each["id"] for each in pages(client, first.id, order="asc")]
        answered = [each.id for each in first.output if each.id is not None]
        references = [refer(each) for each in [*asked, *answered]]
        second = client.responses.create(input=[*references, say(2)])
        *given, last = heard[1].to_dict()["input"]
        assert [each["id"] for each in given] == [*asked, *answered]
        types = [each["type"] for each in given]
        assert types == ["message", "message", "reasoning", "function_call", "message"]
        assert texts([given[0], given[1], given[4]]) == ["text 0", "text 1", "answer 1"]
        assert last["content"] == "text 2"
        assert [each["id"] for each in pages(client, second.id, order="asc")][:5] == [
            *asked,
            *answered,
        ]


def test_a_stranger_cannot_guess_the_id_that_an_agent_chose(serve: Serve, store_url: str) -> None:
    router = AgentRouter()
    said: Any = {"role": "user", "content": "secret", "id": "msg_in"}

    @router.invoke
    async def reply(request: ResponsesRequest) -> Json:
        return {"type": "message", "id": "msg_1", "content": f"you said: {texts(request.input)}"}

    with client_of(serve, store_url, router) as client:
        victim = client.responses.create(input=[said])
        for id_ in ("msg_1", "msg_in"):
            with pytest.raises(openai.BadRequestError) as raised:
                client.responses.create(input=[refer(id_)])
            assert error_of(raised) == (400, "item_not_found", "input[0].id")
            made = client.responses.create(input=[refer(id_)], previous_response_id=victim.id)
            assert "secret" in made.output_text
    with client_of(serve, store_url, router, single_user=True) as client:
        client.responses.create(input=[said])
        assert "secret" in client.responses.create(input=[refer("msg_1")]).output_text


def test_a_reference_in_a_continuation(serve: Serve, store_url: str) -> None:
    router, heard = listener()
    with client_of(serve, store_url, router) as client:
        other = client.responses.create(input=[say(0)])
        first = client.responses.create(input=[say(1)])
        message = refer(str(other.output[-1].id))
        client.responses.create(input=[message], previous_response_id=first.id)
    assert texts(heard[2].new_input) == ["answer 1"]
    assert texts(heard[2].input[-2:]) == ["answer 2", "answer 1"]


def test_an_unknown_reference_is_named(serve: Serve, store_url: str) -> None:
    router, heard = listener()
    with client_of(serve, store_url, router) as client:
        hidden = client.responses.create(input="x", store=False)
        for id_ in ("msg_nope", str(hidden.output[-1].id)):
            with pytest.raises(openai.BadRequestError) as raised:
                client.responses.create(input=[refer(id_)])
            assert error_of(raised) == (400, "item_not_found", "input[0].id")
        with pytest.raises(openai.BadRequestError) as raised:
            client.responses.create(input=[say(0), refer("msg_nope")], background=True)
        assert error_of(raised) == (400, "item_not_found", "input[1].id")
    assert len(heard) == 1


def test_an_item_is_there_while_any_response_has_it(serve: Serve, store_url: str) -> None:
    router, heard = listener()
    with client_of(serve, store_url, router) as client:
        first = client.responses.create(input=[say(0)])
        message = first.output[-1]
        second = client.responses.create(input=[message.to_dict(), say(1)])  # type: ignore[list-item]
        client.responses.delete(second.id)
        client.responses.create(input=[refer(str(message.id))])
    assert texts(heard[-1].input) == ["answer 1"]
