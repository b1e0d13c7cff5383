"""Lists of responses and of conversations: newest first, in pages, of one user only."""

from typing import Any
from urllib.parse import urlencode

import openai
import pytest

from agent_asgi import AgentApp, AgentRouter, Limits, ResponsesRequest
from tests.support.asking import fetch
from tests.support.calling import Json, Serve, client_of, connect, plain
from tests.support.owners import OWNERS, as_user

LISTS = ("/v1/responses", "/responses", "/v1/conversations", "/conversations")


def poet(name: str = "poet", text: str = "x") -> AgentRouter:
    """Make an agent that says a text."""
    router = AgentRouter(name)

    @router.stream
    async def reply(request: ResponsesRequest) -> Any:
        yield text

    return router


def listed(client: openai.OpenAI, kind: str = "responses", **query: Any) -> Json:
    """Return a page of a list, which the openai client has no method for."""
    path = f"/{kind}?{urlencode(query)}"
    page: Any = client.get(path, cast_to=object)
    assert isinstance(page, dict)
    return page


def ids(page: Json) -> list[str]:
    """Return the ids of a page."""
    return [each["id"] for each in page["data"]]


@pytest.mark.parametrize("path", LISTS)
def test_strangers_get_no_list(serve: Serve, path: str) -> None:
    url = serve(AgentApp(poet()))
    reply = fetch(url, "GET", path)
    assert (reply.status, reply.error["code"]) == (403, "authentication_required")
    assert reply.error["type"] == "permission_error"


def test_responses_are_listed_newest_first_in_pages(serve: Serve, store_url: str) -> None:
    with client_of(serve, store_url, poet(), single_user=True) as client:
        assert listed(client) == {
            "object": "list",
            "data": [],
            "first_id": None,
            "last_id": None,
            "has_more": False,
        }
        made = [client.responses.create(input=f"q{n}") for n in range(5)]
        client.responses.create(input="x", store=False)
        page = listed(client, limit=3)
        assert ids(page) == [each.id for each in made[:1:-1]]
        assert page["data"][0] == plain(client.responses.retrieve(made[-1].id))
        assert (page["first_id"], page["last_id"]) == (made[4].id, made[2].id)
        assert page["has_more"]
        rest = listed(client, limit=3, after=page["last_id"])
        assert ids(rest) == [made[1].id, made[0].id]
        assert not rest["has_more"]
        client.responses.delete(made[2].id)
        assert made[2].id not in ids(listed(client))
        with pytest.raises(openai.BadRequestError):
            listed(client, after="resp_none")


def test_conversations_are_listed_newest_first_in_pages(serve: Serve, store_url: str) -> None:
    with client_of(serve, store_url, poet(), single_user=True) as client:
        made = [client.conversations.create(metadata={"n": f"{n}"}) for n in range(3)]
        client.responses.create(input="x", conversation="named")
        page = listed(client, "conversations", limit=2)
        assert ids(page) == ["named", made[2].id]
        assert page["data"][1] == plain(made[2])
        assert page["has_more"]
        rest = listed(client, "conversations", limit=2, after=page["last_id"])
        assert ids(rest) == [made[1].id, made[0].id]
        assert not rest["has_more"]
        with pytest.raises(openai.BadRequestError):
            listed(client, "conversations", after="conv_none")


@pytest.mark.parametrize("single_user", [False, True])
def test_each_user_has_lists_of_their_own(serve: Serve, store_url: str, single_user: bool) -> None:
    app: Any = {"middleware": OWNERS, "single_user": single_user}
    with client_of(serve, store_url, poet(), **app) as client:
        ann, bob = as_user(client, "ann"), as_user(client, "bob")
        response = ann.responses.create(input="x", conversation="talk")
        assert ids(listed(ann)) == [response.id]
        assert ids(listed(ann, "conversations")) == ["talk"]
        assert ids(listed(bob)) == ids(listed(bob, "conversations")) == []


def test_a_running_response_is_listed_with_its_status(serve: Serve) -> None:
    with client_of(serve, "memory://", poet(), single_user=True) as client:
        id_ = client.responses.create(input="x", background=True).id
        (one,) = listed(client)["data"]
        assert one["id"] == id_
        assert one["status"] in ("queued", "in_progress", "completed")


def test_an_agent_lists_its_own_responses(serve: Serve) -> None:
    url = serve(AgentApp(poet("one"), poet("two"), single_user=True))
    with connect(url) as client, connect(f"{url}/two") as below:
        first = client.responses.create(input="x", model="one").id
        second = client.responses.create(input="x", model="two").id
        assert ids(listed(client)) == [second, first]
        assert ids(listed(below)) == [second]


def test_a_page_has_no_more_bytes_than_a_conversation(serve: Serve) -> None:
    limits = Limits(max_conversation_bytes=5000)
    agent = poet(text="x" * 3000)
    with client_of(serve, "memory://", agent, single_user=True, limits=limits) as client:
        made = [client.responses.create(input="x").id for _ in range(2)]
        page = listed(client)
        assert (ids(page), page["has_more"]) == ([made[1]], True)
        assert ids(listed(client, after=made[1])) == [made[0]]


def test_conversations_are_searched_in_pages(serve: Serve, store_url: str) -> None:
    with client_of(serve, store_url, poet(text="Roses are red"), middleware=OWNERS) as client:
        ann, bob = as_user(client, "ann"), as_user(client, "bob")
        for name in ("first", "second", "third"):
            ann.responses.create(input=f"{name} poem", conversation=name)
        titled = ann.conversations.create(metadata={"title": "On ROSES"}).id
        bob.responses.create(input="roses", conversation="other")
        page = listed(ann, "conversations", search="roses", limit=2)
        assert ids(page) == [titled, "third"]
        assert (page["has_more"], page["last_id"]) == (True, "third")
        rest = listed(ann, "conversations", search="roses", limit=2, after="third")
        assert (ids(rest), rest["has_more"]) == (["second", "first"], False)
        assert ids(listed(ann, "conversations", search=" second POEM ")) == ["second"]
        assert ids(listed(ann, "conversations", search="%")) == []
        assert ids(listed(ann, "conversations", search="thir")) == ["third"]
        assert len(ids(listed(ann, "conversations", search=""))) == 4
        for query in ({"search": "x" * 201}, {"search": "x", "after": "conv_none"}):
            with pytest.raises(openai.BadRequestError):
                listed(ann, "conversations", **query)


def test_a_search_may_stop_between_two_finds(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent_asgi.store.conversation_store.MAX_LOOKED", 2)
    with client_of(serve, "memory://", poet(), single_user=True) as client:
        for name in ("old", "c2", "c1", "c0"):
            client.responses.create(input=f"in {name}", conversation=name)
        page = listed(client, "conversations", search="in old")
        assert (ids(page), page["has_more"], page["last_id"]) == ([], True, "c1")
        page = listed(client, "conversations", search="in old", after="c1")
        assert (ids(page), page["has_more"], page["last_id"]) == (["old"], True, "old")
        page = listed(client, "conversations", search="in old", after="old")
        assert (ids(page), page["has_more"]) == ([], False)
