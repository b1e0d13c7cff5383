"""Requests with an `Idempotency-Key`: one run, however often and however it is requested."""

import asyncio
import http.client
import json
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import openai
import pytest

from agent_asgi import AgentError, AgentRouter, Context, ResponsesRequest
from tests.support.calling import (
    Json,
    Serve,
    client_of,
    connect,
    error_of,
    plain,
    replayed,
    streamed,
)
from tests.support.openresponses_schema import validate_event, validate_response
from tests.support.stream_rules import check_stream

KEY = {"Idempotency-Key": "k1"}


def counter(pause: float = 0.0) -> tuple[AgentRouter, list[str]]:
    """Make an agent that outputs how often it ran; return it and a list of its run ids."""
    router, runs = AgentRouter(), list[str]()

    @router.stream
    async def count(request: ResponsesRequest, context: Context) -> AsyncIterator[str]:
        runs.append(context.response_id)
        yield "run "
        for _ in range(4):
            await asyncio.sleep(pause / 4)
            yield "on "
        yield str(len(runs))

    return router, runs


def test_one_after_the_other(serve: Serve, store_url: str) -> None:
    router, runs = counter()
    with client_of(serve, store_url, router) as client:
        first, second = [
            client.responses.create(input="x", extra_headers=KEY, timeout=5) for _ in range(2)
        ]
        assert plain(first) == plain(second)
        validate_response(plain(first))
        assert plain(client.responses.retrieve(first.id)) == plain(first)
        client.responses.create(input="x", extra_headers={"Idempotency-Key": "k2"})
        client.responses.create(input="x")
    assert len(runs) == 3


def test_streams_one_after_the_other(serve: Serve, store_url: str) -> None:
    router, runs = counter(0.1)
    with client_of(serve, store_url, router) as client:
        first, second = [streamed(client, input="x", extra_headers=KEY) for _ in range(2)]
        for event in first:
            validate_event(event)
        final = check_stream(first)
        assert first == second == replayed(client, final["id"])
        assert plain(client.responses.retrieve(final["id"])) == final
    assert len(runs) == 1


def test_at_the_same_time(serve: Serve, store_url: str) -> None:
    router, runs = counter(0.4)

    def ask() -> Json:
        return plain(client.responses.create(input="x", extra_headers=KEY))

    with client_of(serve, store_url, router) as client, ThreadPoolExecutor(4) as pool:
        answers = [pool.submit(ask) for _ in range(4)]
        one, *others = [each.result(15) for each in answers]
    assert [each == one for each in others] == [True, True, True]
    assert runs == [one["id"]]


def test_streams_at_the_same_time(serve: Serve, store_url: str) -> None:
    router, runs = counter(0.4)
    with client_of(serve, store_url, router) as client, ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(streamed, client, input="x", extra_headers=KEY) for _ in range(4)]
        one, *others = [each.result(15) for each in asked]
        check_stream(one)
    assert [each == one for each in others] == [True, True, True]
    assert len(runs) == 1


def test_a_client_asks_again_after_its_timeout(serve: Serve, store_url: str) -> None:
    router, runs = counter(1.2)
    with client_of(serve, store_url, router) as client:
        hasty = client.with_options(timeout=0.3, max_retries=5)
        answer = hasty.responses.create(input="x", extra_headers=KEY)
    assert answer.output_text.endswith("1")
    assert runs == [answer.id]


def test_a_client_leaves_and_comes_back(serve: Serve, store_url: str) -> None:
    router, runs = counter(0.4)
    with client_of(serve, store_url, router) as client:
        with client.responses.create(input="x", stream=True, extra_headers=KEY) as stream:
            created: Any = next(iter(stream))
        events = streamed(client, input="x", extra_headers=KEY)
        assert check_stream(events)["id"] == created.response.id
    assert runs == [created.response.id]


def test_another_body_is_refused_once(serve: Serve, store_url: str) -> None:
    router, runs = counter()
    with client_of(serve, store_url, router) as client:
        client.responses.create(input="x", extra_headers=KEY)
        posts, app_url = list[str](), str(client.base_url).removesuffix("/v1/")
        hooks: Any = {"request": [lambda request: posts.append(request.method)]}
        patient = openai.DefaultHttpxClient(event_hooks=hooks)
        with connect(app_url, max_retries=3, http_client=patient) as other:
            with pytest.raises(openai.ConflictError) as raised:
                other.responses.create(input="y", extra_headers=KEY)
        assert error_of(raised) == (409, "idempotency_key_reused", None)
        assert raised.value.response.headers["x-should-retry"] == "false"
        with pytest.raises(openai.ConflictError):
            client.responses.create(input="x", stream=True, extra_headers=KEY)
    assert (posts, len(runs)) == (["POST"], 1)


def post(url: str, body: str) -> Any:
    """POST a body unchanged."""
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=10)
    try:
        connection.request("POST", "/responses", body.encode(), dict(KEY))
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


def test_how_the_body_is_written_does_not_matter(serve: Serve, store_url: str) -> None:
    router, runs = counter()
    with client_of(serve, store_url, router) as client:
        url = str(client.base_url).removesuffix("/v1/")
        first = post(url, '{"input": "ä", "metadata": {"a": "1", "b": "2"}}')
        again = post(url, '{"metadata":{"b":"2",  "a":"1"},\n"input":"\\u00e4"}')
        assert first == again
        assert first[0] == 200
        assert post(url, '{"input": "ä", "metadata": {"a": "2", "b": "1"}}')[0] == 409
    assert len(runs) == 1


def test_a_failure_is_told_again(serve: Serve, store_url: str) -> None:
    router, runs = AgentRouter(), list[str]()

    @router.invoke
    async def break_down(request: ResponsesRequest) -> str:
        runs.append("x")
        if request.input_text == "secret":
            raise RuntimeError("secret")
        raise AgentError("No more.", 429, "quota", param="input", headers={"x-limit": "7"})

    def ask(client: openai.OpenAI, said: str, key: str) -> openai.APIStatusError:
        with pytest.raises(openai.APIStatusError) as raised:
            client.responses.create(input=said, extra_headers={"Idempotency-Key": key})
        return raised.value

    with client_of(serve, store_url, router) as client:
        for said, status in (("x", 429), ("secret", 500)):
            first, second = ask(client, said, said), ask(client, said, said)
            assert (first.status_code, second.status_code) == (status, status)
            assert first.body == second.body
            for each in (first, second):
                assert each.response.headers["x-should-retry"] == "false"
                assert each.response.headers.get("x-limit") == ("7" if said == "x" else None)
        assert "secret" not in str(second.body)
    assert len(runs) == 2


def test_a_failed_stream_is_told_again(serve: Serve, store_url: str) -> None:
    router, runs = AgentRouter(), list[str]()

    @router.stream
    async def break_down(request: ResponsesRequest) -> AsyncIterator[str]:
        runs.append("x")
        yield "half"
        raise AgentError("No more.", 429, "quota")

    with client_of(serve, store_url, router) as client:
        first, second = [streamed(client, input="x", extra_headers=KEY) for _ in range(2)]
        assert check_stream(first)["status"] == "failed"
    assert first == second
    assert len(runs) == 1
