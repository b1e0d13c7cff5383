"""`/v1/conversations` with the openai client: conversations, their items, pages, errors, owners."""

from collections.abc import Iterator
from typing import Any

import openai
import pytest

from agent_asgi import AgentApp, AgentRouter, Limits, ResponsesRequest
from tests.support.asking import fetch
from tests.support.calling import Json, Serve, client_of, connect, error_of, plain, texts
from tests.support.owners import OWNERS, as_user

NOWHERE = "conv_" + "0" * 32


def echo() -> AgentRouter:
    """Make an agent that says how many items it got."""
    router = AgentRouter("echo")

    @router.invoke
    async def reply(request: ResponsesRequest) -> str:
        return f"{len(request.input)} items"

    return router


def said(text: str, role: str = "user", **more: Any) -> Any:
    """Make a message as a client sends it."""
    return {"role": role, "content": text, **more}


def root_of(client: openai.OpenAI) -> str:
    """Return the URL of the app that a client uses."""
    return str(client.base_url).removesuffix("/v1/")


@pytest.fixture
def client(serve: Serve) -> Iterator[openai.OpenAI]:
    """A client of an app that knows no users."""
    with client_of(serve, "memory://", echo()) as client:
        yield client


def test_a_conversation_is_created_changed_and_deleted(serve: Serve, store_url: str) -> None:
    with client_of(serve, store_url, echo()) as client:
        made = client.conversations.create(items=[said("hi")], metadata={"topic": "a"})
        assert made.id.startswith("conv_")
        assert len(made.id) == len(NOWHERE)
        assert made.object == "conversation"
        assert made.metadata == {"topic": "a"}
        assert client.conversations.retrieve(made.id) == made
        changed = client.conversations.update(made.id, metadata={"topic": "b"})
        assert plain(changed) == plain(made) | {"metadata": {"topic": "b"}}
        assert client.conversations.update(made.id, metadata=None).metadata == {}
        gone = client.conversations.delete(made.id)
        assert plain(gone) == {"id": made.id, "object": "conversation.deleted", "deleted": True}
        for call in (client.conversations.retrieve, client.conversations.delete):
            with pytest.raises(openai.NotFoundError) as raised:
                call(made.id)
            assert error_of(raised) == (404, "conversation_not_found", None)


def test_an_empty_conversation(client: openai.OpenAI) -> None:
    made = client.conversations.create()
    assert made.metadata == {}
    assert plain(client.conversations.items.list(made.id)) == {
        "object": "list",
        "data": [],
        "first_id": None,
        "last_id": None,
        "has_more": False,
    }
    assert client.conversations.create(items=[], metadata=None).id != made.id


def test_items_are_stored_in_their_full_form(serve: Serve, store_url: str) -> None:
    given: list[Any] = [
        said("Who?"),
        said("Me.", "assistant", id="msg_mine"),
        {"type": "function_call", "call_id": "c1", "name": "add", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c1", "output": "2"},
        {"type": "reasoning", "summary": [], "encrypted_content": "e"},
        {"type": "acme:note", "text": "x", "status": None},
    ]
    with client_of(serve, store_url, echo()) as client:
        id_ = client.conversations.create().id
        added = client.conversations.items.create(id_, items=given)
        listed = client.conversations.items.list(id_, order="asc")
        sent = [plain(item) for item in added.data]
        assert [plain(item) for item in listed.data] == sent
        assert (added.first_id, added.last_id) == (sent[0]["id"], sent[-1]["id"])
        assert [item["id"].partition("_")[0] for item in sent] == [
            *("msg", "msg", "fc", "fco", "rs", "item")
        ]
        assert sent[0]["content"] == [{"type": "input_text", "text": "Who?"}]
        assert sent[1]["content"] == [{"type": "output_text", "text": "Me."}]
        assert sent[1]["id"] == "msg_mine"
        assert [item.get("status") for item in sent] == [*["completed"] * 4, None, None]
        assert sent[5] == given[5] | {"id": sent[5]["id"]}
        one = client.conversations.items.retrieve(sent[3]["id"], conversation_id=id_)
        assert plain(one) == sent[3]


def test_items_are_paged_by_the_client(serve: Serve, store_url: str) -> None:
    with client_of(serve, store_url, echo()) as client:
        id_ = client.conversations.create(items=[said(f"{n}") for n in range(20)]).id
        client.conversations.items.create(id_, items=[said(f"{n}") for n in range(20, 25)])
        oldest_first = client.conversations.items.list(id_, order="asc", limit=10)
        assert [len(page.data) for page in oldest_first.iter_pages()] == [10, 10, 5]
        found = texts([plain(item) for item in oldest_first])
        assert found == [str(n) for n in range(25)]
        newest_first = client.conversations.items.list(id_, limit=10)
        assert texts([plain(item) for item in newest_first]) == found[::-1]


def test_an_item_that_is_there_is_not_repeated(client: openai.OpenAI) -> None:
    id_ = client.conversations.create(items=[said("a", id="msg_a")]).id
    added = client.conversations.items.create(
        id_, items=[said("a", id="msg_a"), said("b", id="msg_b")]
    )
    assert [item.id for item in added.data] == ["msg_a", "msg_b"]
    assert len(client.conversations.items.list(id_).data) == 2


def test_an_item_is_deleted(client: openai.OpenAI) -> None:
    made = client.conversations.create(items=[said("a", id="msg_a"), said("b", id="msg_b")])
    items = client.conversations.items
    assert items.delete("msg_a", conversation_id=made.id) == made
    assert [item.id for item in items.list(made.id).data] == ["msg_b"]
    for call in (items.delete, items.retrieve):
        with pytest.raises(openai.NotFoundError) as raised:
            call("msg_a", conversation_id=made.id)
        assert error_of(raised) == (404, "item_not_found", None)


MANY = [said("x")] * 21
WRONG: list[tuple[str, Json, str]] = [
    ("", {"items": MANY}, "items"),
    ("", {"items": [{"role": "x", "content": "y"}]}, "items[0].role"),
    ("", {"items": "x"}, "items"),
    ("", {"metadata": {"a": 1}}, "metadata[...]"),
    ("", {"metadata": {str(n): "" for n in range(17)}}, "metadata"),
    ("/{id}", {}, "metadata"),
    ("/{id}/items", {"items": []}, "items"),
    ("/{id}/items", {}, "items"),
    ("/{id}/items", {"items": MANY}, "items"),
    ("/{id}/items", {"items": [said("x"), {"type": "message"}]}, "items[1].role"),
    ("/{id}/items", {"items": [{"type": "item_reference", "id": "m"}]}, "items[0].type"),
]


@pytest.mark.parametrize(("path", "body", "param"), WRONG)
def test_a_wrong_field_is_named(client: openai.OpenAI, path: str, body: Json, param: str) -> None:
    path = path.replace("{id}", client.conversations.create().id)
    reply = fetch(root_of(client), "POST", f"/conversations{path}", body=body)
    assert (reply.status, reply.error["param"]) == (400, param.removesuffix("[...]")), reply.body


def test_a_wrong_page_is_refused(client: openai.OpenAI) -> None:
    id_ = client.conversations.create(items=[said("a")]).id
    for query in ("limit=0", "limit=101", "order=up", "after=msg_none"):
        reply = fetch(root_of(client), "GET", f"/conversations/{id_}/items?{query}")
        assert (reply.status, reply.error["param"]) == (400, query.partition("=")[0])


def test_what_does_not_exist_is_not_found(client: openai.OpenAI) -> None:
    conversations = client.conversations
    for call in (
        lambda: conversations.retrieve(NOWHERE),
        lambda: conversations.update(NOWHERE, metadata={}),
        lambda: conversations.delete(NOWHERE),
        lambda: conversations.items.list(NOWHERE),
        lambda: conversations.items.create(NOWHERE, items=[said("x")]),
        lambda: conversations.items.retrieve("msg_1", conversation_id=NOWHERE),
        lambda: conversations.items.delete("msg_1", conversation_id=NOWHERE),
    ):
        with pytest.raises(openai.NotFoundError) as raised:
            call()
        assert error_of(raised) == (404, "conversation_not_found", None)


@pytest.mark.parametrize("limit", ["max_conversation_items", "max_conversation_bytes"])
def test_a_conversation_does_not_outgrow_its_limit(serve: Serve, limit: str) -> None:
    bound = 3 if limit == "max_conversation_items" else 400
    limits = Limits(**{limit: bound})
    with client_of(serve, "memory://", echo(), limits=limits) as client:
        id_ = client.conversations.create(items=[said("x")] * 2).id
        with pytest.raises(openai.BadRequestError) as raised:
            client.conversations.items.create(id_, items=[said("x" * 200)] * 2)
        assert error_of(raised) == (400, "conversation_too_large", "conversation")
        assert len(client.conversations.items.list(id_).data) == 2


def test_a_conversation_belongs_to_its_user(serve: Serve, store_url: str) -> None:
    with client_of(serve, store_url, echo(), middleware=OWNERS) as client:
        ann, bob = as_user(client, "ann"), as_user(client, "bob")
        id_ = ann.conversations.create(items=[said("secret", id="msg_a")]).id
        conversations = bob.conversations
        for call in (
            lambda: conversations.retrieve(id_),
            lambda: conversations.update(id_, metadata={}),
            lambda: conversations.delete(id_),
            lambda: conversations.items.list(id_),
            lambda: conversations.items.create(id_, items=[said("x")]),
            lambda: conversations.items.retrieve("msg_a", conversation_id=id_),
            lambda: conversations.items.delete("msg_a", conversation_id=id_),
        ):
            with pytest.raises(openai.NotFoundError):
                call()
        assert len(ann.conversations.items.list(id_).data) == 1


def test_a_name_has_the_same_endpoints(serve: Serve) -> None:
    with client_of(serve, "memory://", echo(), single_user=True) as client:
        client.responses.create(input="x", conversation="my-first")
        assert client.conversations.retrieve("my-first").id == "my-first"
        assert len(client.conversations.items.list("my-first").data) == 2
        assert client.conversations.delete("my-first").deleted


def test_conversations_below_an_agents_name(serve: Serve) -> None:
    other = AgentRouter("other")
    other.invoke(lambda request: "x")
    url = serve(AgentApp(echo(), other))
    with connect(url) as client, connect(f"{url}/other") as below:
        id_ = below.conversations.create().id
        assert client.conversations.retrieve(id_).id == id_
