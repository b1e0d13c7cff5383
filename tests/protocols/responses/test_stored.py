"""Stored responses through the OpenAI client: fetched, deleted, and not found."""

from collections.abc import AsyncIterator
from typing import Any

import openai
import pytest

from agent_asgi import AgentError, AgentRouter, Context, ResponsesRequest
from tests.support.calling import Serve, client_of, ended, error_of, plain, streamed
from tests.support.openresponses_schema import validate_response
from tests.support.speaker import SAID, speaker

STATUS = {"incomplete": "incomplete", "failed": "failed"}


def test_what_was_answered_is_retrieved(serve: Serve, store_url: str) -> None:
    with client_of(serve, store_url, speaker()) as client:
        for kind in SAID:
            answer = plain(client.responses.create(input=kind, model="m", metadata={"k": "v"}))
            stored = plain(client.responses.retrieve(answer["id"]))
            assert stored == answer
            assert stored["status"] == STATUS.get(kind, "completed")
            validate_response(stored)


def test_what_was_streamed_is_retrieved(serve: Serve, store_url: str) -> None:
    with client_of(serve, store_url, speaker()) as client:
        for kind in SAID:
            final = streamed(client, input=kind)[-1]["response"]
            assert plain(client.responses.retrieve(final["id"])) == final
            assert final["status"] == STATUS.get(kind, "completed")


@pytest.mark.parametrize("stream", [False, True])
def test_a_run_that_raised_is_stored_as_failed(serve: Serve, store_url: str, stream: bool) -> None:
    router, ids = AgentRouter(), []

    @router.stream
    async def break_down(request: ResponsesRequest, context: Context) -> AsyncIterator[str]:
        ids.append(context.response_id)
        yield "half"
        raise AgentError("No more today.", 429, "quota")

    with client_of(serve, store_url, router) as client:
        if stream:
            streamed(client, input="x")
        else:
            with pytest.raises(openai.RateLimitError):
                client.responses.create(input="x")
        stored = client.responses.retrieve(ids[0])
    assert stored.status == "failed"
    assert stored.error is not None
    assert (stored.error.code, stored.error.message) == ("quota", "No more today.")
    assert stored.output_text == "half"
    assert plain(stored)["output"][0]["status"] == "in_progress"


@pytest.mark.parametrize("stream", [False, True])
def test_what_is_not_to_be_stored_is_not_found(serve: Serve, store_url: str, stream: bool) -> None:
    with client_of(serve, store_url, speaker()) as client:
        if stream:
            made = streamed(client, input="text", store=False)[-1]["response"]
        else:
            made = plain(client.responses.create(input="text", store=False))
        assert made["store"] is False
        check_gone(client, made["id"])


def check_gone(client: openai.OpenAI, id: str) -> None:
    """Check that every request for a response says it does not exist."""
    asks: list[Any] = [
        lambda: client.responses.retrieve(id),
        lambda: client.responses.retrieve(id, stream=True),
        lambda: client.responses.delete(id),
        lambda: client.responses.cancel(id),
        lambda: client.responses.input_items.list(id),
    ]
    for ask in asks:
        with pytest.raises(openai.NotFoundError) as raised:
            ask()
        assert error_of(raised) == (404, "response_not_found", None)
    with pytest.raises(openai.BadRequestError) as refused:
        client.responses.create(input="text", previous_response_id=id)
    assert error_of(refused) == (400, "previous_response_not_found", "previous_response_id")


def test_deleted_is_gone_everywhere(serve: Serve, store_url: str) -> None:
    with client_of(serve, store_url, speaker()) as client:
        made = client.responses.create(input="text")
        other = client.responses.create(input="text")
        raw = client.responses.with_raw_response.delete(made.id)
        assert raw.http_response.json() == {
            "id": made.id,
            "object": "response.deleted",
            "deleted": True,
        }
        check_gone(client, made.id)
        reference: Any = {"type": "item_reference", "id": made.output[0].id}
        with pytest.raises(openai.BadRequestError) as raised:
            client.responses.create(input=[reference])
        assert error_of(raised) == (400, "item_not_found", "input[0].id")
        assert client.responses.retrieve(other.id).output_text == "hi there"


def test_an_id_that_never_was(serve: Serve, store_url: str) -> None:
    with client_of(serve, store_url, speaker()) as client:
        for id_ in ("resp_nope", "a b", "ü", "compact", "r" * 3000):
            check_gone(client, id_)


def test_an_id_with_a_null_character(serve: Serve, store_url: str) -> None:
    with client_of(serve, store_url, speaker()) as client:
        check_gone(client, "a\0b")


def test_a_response_belongs_to_its_agent(serve: Serve, store_url: str) -> None:
    routers = [speaker(name="one"), speaker(name="two")]
    with client_of(serve, store_url, *routers) as client:
        made = client.responses.create(input="text", model="two")
        root = str(client.base_url).removesuffix("/v1/")
        two = client.with_options(base_url=f"{root}/two/v1")
        assert two.responses.retrieve(made.id).id == made.id
        one = client.with_options(base_url=f"{root}/one/v1")
        with pytest.raises(openai.NotFoundError):
            one.responses.retrieve(made.id)


def test_wrong_values_are_named(serve: Serve, store_url: str) -> None:
    wrong = [("stream", "maybe"), ("starting_after", "-1"), ("starting_after", "x")]
    with client_of(serve, store_url, speaker()) as client:
        made = client.responses.create(input="text")
        for name, value in wrong:
            with pytest.raises(openai.BadRequestError) as raised:
                client.responses.retrieve(made.id, extra_query={name: value})
            assert error_of(raised) == (400, "invalid_request", name)


def test_what_is_not_offered_is_not_found(serve: Serve, store_url: str) -> None:
    with client_of(serve, store_url, speaker(name="tutor")) as client:
        with pytest.raises(openai.NotFoundError):
            client.responses.input_tokens.count(input="x")
        assert client.models.retrieve("tutor").id == "tutor"
        with pytest.raises(openai.NotFoundError) as raised:
            client.models.retrieve("nobody")
        assert error_of(raised) == (404, "model_not_found", "model")


def test_a_finished_response_is_not_cancelled(serve: Serve, store_url: str) -> None:
    with client_of(serve, store_url, speaker()) as client:
        for kind in ("text", "failed", "incomplete"):
            made = client.responses.create(input=kind)
            assert plain(client.responses.cancel(made.id)) == plain(made)
            assert plain(ended(client, made.id)) == plain(made)
