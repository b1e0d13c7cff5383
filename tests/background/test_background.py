"""Background runs: polled, streamed, followed from any event, abandoned by their clients."""

import asyncio
import gc
import threading
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import openai
import pytest

from agent_asgi import AgentError, AgentRouter, Context, FunctionCall, ResponsesRequest
from tests.support.calling import (
    Serve,
    client_of,
    ended,
    error_of,
    plain,
    replayed,
    streamed,
    until,
)
from tests.support.openresponses_schema import validate_event, validate_response
from tests.support.stream_rules import check_stream


def counter(pause: float = 0.02, last: int = 10, **options: Any) -> tuple[AgentRouter, list[str]]:
    """Make an agent that counts slowly; the list collects the ids of finished runs."""
    router, done = AgentRouter(**options), list[str]()

    @router.stream
    async def count(request: ResponsesRequest, context: Context) -> AsyncIterator[Any]:
        yield FunctionCall(call_id="c", name="f", arguments='{"a": 1}')
        for number in range(last):
            yield f"{number} "
            await asyncio.sleep(pause)
        done.append(context.response_id)

    return router, done


COUNTED = "0 1 2 3 4 5 6 7 8 9 "


def test_polled_until_it_is_completed(serve: Serve, store_url: str) -> None:
    router = AgentRouter("counter")
    seen = list[str]()

    @router.stream
    async def count(request: ResponsesRequest) -> AsyncIterator[str]:
        yield COUNTED
        async with asyncio.timeout(20):
            while "in_progress" not in seen:
                await asyncio.sleep(0.01)

    with client_of(serve, store_url, router) as client:
        queued = client.responses.create(input="x", model="m", background=True)
        assert (queued.status, queued.background, queued.output) == ("queued", True, [])
        validate_response(plain(queued))

        def look() -> openai.types.responses.Response:
            found = client.responses.retrieve(queued.id)
            validate_response(plain(found))
            seen.append(str(found.status))
            return found

        final = until(look, lambda found: found.status == "completed")
    assert set(seen) <= {"queued", "in_progress", "completed"}
    assert "in_progress" in seen
    assert (final.id, final.model, final.output_text) == (queued.id, "m", COUNTED)


def test_streamed(serve: Serve, store_url: str) -> None:
    router, _ = counter()
    with client_of(serve, store_url, router) as client:
        events = streamed(client, input="x", background=True)
        for event in events:
            validate_event(event)
        final = check_stream(events)
        assert plain(client.responses.retrieve(final["id"])) == final
    types = [each["type"].removeprefix("response.") for each in events[:3]]
    assert types == ["created", "queued", "in_progress"]
    assert [each["response"]["status"] for each in events[:3]] == [
        "queued",
        "queued",
        "in_progress",
    ]


def test_it_streams_as_it_goes(serve: Serve, store_url: str) -> None:
    go_on, router = threading.Event(), AgentRouter()

    @router.stream
    async def halt(request: ResponsesRequest) -> AsyncIterator[str]:
        yield "first"
        while not go_on.is_set():
            await asyncio.sleep(0.01)
        yield " second"

    with client_of(serve, store_url, router) as client:
        with client.responses.create(input="x", background=True, stream=True) as stream:
            deltas = []
            for event in stream:
                if event.type == "response.output_text.delta":
                    deltas.append(event.delta)
                    go_on.set()
    assert deltas == ["first", " second"]


def test_a_client_that_leaves_does_not_stop_it(serve: Serve, store_url: str) -> None:
    router, done = counter()
    with client_of(serve, store_url, router) as client:
        with client.responses.create(input="x", background=True, stream=True) as stream:
            created: Any = next(iter(stream))
        id_ = created.response.id
        assert done == []
        final = ended(client, id_)
        assert (final.status, final.output_text, done) == ("completed", COUNTED, [id_])
        check_stream(replayed(client, id_))


def test_it_is_followed_from_any_event_on(serve: Serve, store_url: str) -> None:
    router, _ = counter(pause=0.03, last=8)
    with client_of(serve, store_url, router) as client:
        events = streamed(client, input="x", background=True)
        id_ = events[0]["response"]["id"]
        assert replayed(client, id_) == events
        for number in range(len(events) - 1):
            assert replayed(client, id_, starting_after=number) == events[number + 1 :]


def test_nothing_comes_after_the_last_event(serve: Serve, store_url: str) -> None:
    router, _ = counter(pause=0, last=1)
    with client_of(serve, store_url, router) as client:
        events = streamed(client, input="x", background=True)
        id_, last = events[0]["response"]["id"], events[-1]["sequence_number"]
        for number in (last, last + 5):
            assert replayed(client, id_, starting_after=number, timeout=3) == []


def test_two_clients_follow_it_while_it_runs(serve: Serve, store_url: str) -> None:
    router, done = counter(pause=0.05)
    with client_of(serve, store_url, router) as client, ThreadPoolExecutor(3) as pool:
        id_ = client.responses.create(input="x", background=True).id
        all_of_it = [pool.submit(replayed, client, id_) for _ in range(2)]
        rest = pool.submit(replayed, client, id_, starting_after=4)
        assert done == []
        one, two = [each.result(15) for each in all_of_it]
        check_stream(one)
        assert one == two
        assert rest.result(15) == one[5:]


def test_a_failure(serve: Serve, store_url: str) -> None:
    router = AgentRouter()

    @router.stream
    async def break_down(request: ResponsesRequest) -> AsyncIterator[str]:
        yield "half"
        raise AgentError("No more today.", 429, "quota")

    with client_of(serve, store_url, router) as client:
        final = ended(client, client.responses.create(input="x", background=True).id)
        assert (final.status, final.output_text) == ("failed", "half")
        assert final.error is not None
        assert (final.error.code, final.error.message) == ("quota", "No more today.")
        check_stream(replayed(client, final.id))
        events = streamed(client, input="x", background=True)
    assert check_stream(events)["status"] == "failed"


def test_it_has_to_be_stored(serve: Serve, store_url: str) -> None:
    router, done = counter(pause=0)
    with client_of(serve, store_url, router) as client:
        for stream in (False, True):
            with pytest.raises(openai.BadRequestError) as raised:
                client.responses.create(input="x", background=True, store=False, stream=stream)
            assert error_of(raised) == (400, "invalid_request", "background")
    assert done == []


def test_its_context(serve: Serve, store_url: str) -> None:
    router, seen = AgentRouter("tutor", keep_headers=["X-Tenant"]), list[Context]()

    @router.invoke
    async def look(request: ResponsesRequest, context: Context) -> str:
        seen.append(context)
        return "ok"

    with client_of(serve, store_url, router) as client:
        made = client.responses.create(
            input="x",
            model="m",
            background=True,
            conversation="talk",
            extra_body={"user": "ann"},
            extra_headers={"x-tenant": "acme"},
        )
        assert ended(client, made.id).output_text == "ok"
    (context,) = seen
    assert (context.response_id, context.agent, context.model) == (made.id, "tutor", "m")
    assert (context.session_id, context.user, context.attempt) == ("talk", "ann", 1)
    assert (context.headers["X-Tenant"], list(context.previous_events)) == ("acme", [])


def test_it_continues_a_response(serve: Serve, store_url: str) -> None:
    router = AgentRouter()

    @router.invoke
    async def count_items(request: ResponsesRequest) -> str:
        return str(len(request.input))

    with client_of(serve, store_url, router) as client:
        first = client.responses.create(input=[{"role": "user", "content": "x"}])
        made = client.responses.create(input="y", previous_response_id=first.id, background=True)
        assert ended(client, made.id).output_text == "3"


def test_clients_that_leave_keep_no_connections(serve: Serve, store_url: str) -> None:
    router, _ = counter(pause=0.01, last=40)
    with client_of(serve, store_url, router) as client:
        ids = []
        for number in range(24):
            with client.responses.create(input="x", background=True, stream=True) as stream:
                created: Any = next(stream)
                ids.append(created.response.id)
                for _ in range(number % 12):
                    next(stream)
        assert {ended(client, each).status for each in ids} == {"completed"}
    gc.collect()  # SQLAlchemy warns about connections that were never returned to the pool
