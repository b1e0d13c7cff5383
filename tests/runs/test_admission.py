"""Limits on the size of a body, on concurrent runs and streams, and on a run's output."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import openai
import pytest
from starlette.requests import HTTPConnection

from agent_asgi import AgentApp, AgentRouter, Limits, ResponsesRequest, Timeouts
from agent_asgi.runs.admission import Limiter
from agent_asgi.testing import AgentClient
from tests.support.apps import started
from tests.support.calling import Serve, connect, ended, error_of, until
from tests.support.owners import as_user


class Held:
    """An agent whose runs wait until they are released."""

    def __init__(self, protocol: Any = "responses") -> None:
        self.router = AgentRouter(protocol=protocol)
        self.begun = 0
        self.open = False

        @self.router.invoke
        async def invoke(request: dict[str, Any]) -> str:
            self.begun += 1
            while not self.open:
                await asyncio.sleep(0.01)
            return "done"

        @self.router.stream
        async def stream(request: dict[str, Any]) -> AsyncIterator[str]:
            yield await invoke(request)


@pytest.mark.parametrize(
    ("stream", "protocol", "path"),
    [
        (False, "responses", "/responses"),
        (True, "responses", "/v1/responses"),
        (True, "responses", "/invocations"),
        (False, "json", "/invocations"),
        (True, "json", "/invocations"),
    ],
)
def test_one_run_too_many_is_a_429(stream: bool, protocol: Any, path: str) -> None:
    held = Held(protocol)
    app = AgentApp(held.router, limits=Limits(max_runs=2), timeouts=Timeouts(room=0.05))
    body = {"input": "x", "stream": stream}

    async def main() -> None:
        client = AgentClient(app)
        first = [asyncio.create_task(client.post(path, body)) for _ in range(2)]
        while held.begun < 2:
            await asyncio.sleep(0.01)
        refused = await client.post(path, body)
        assert refused.status == 429
        assert refused.json()["error"]["code"] == "too_many_runs"
        assert refused.headers["retry-after"] == "1"
        assert "x-should-retry" not in refused.headers  # no handler has started
        held.open = True
        assert [each.status for each in await asyncio.gather(*first)] == [200, 200]
        assert (await client.post(path, body)).status == 200
        assert held.begun == 3

    asyncio.run(main())


def test_runs_wait_for_room_in_their_order(serve: Serve) -> None:
    """The openai client notices nothing; runs beyond the waiting room are refused at once."""
    held = Held()
    app = AgentApp(held.router, limits=Limits(max_runs=1), timeouts=Timeouts(room=10))
    client = AgentClient(app)

    async def main() -> None:
        tasks = [asyncio.create_task(client.post("/responses", {"input": "x"})) for _ in range(2)]
        while held.begun < 1:
            await asyncio.sleep(0.01)
        assert (await client.post("/responses", {"input": "x"})).status == 429
        held.open = True
        assert [each.status for each in await asyncio.gather(*tasks)] == [200, 200]

    asyncio.run(main())


def test_turns_compactions_and_keyed_runs_need_room_too(serve: Serve) -> None:
    held = Held()

    @held.router.compact
    async def compact(request: ResponsesRequest) -> Iterator[Any]:
        return iter(({"type": "compaction", "encrypted_content": "x"},))

    url = serve(AgentApp(held.router, limits=Limits(max_runs=1), timeouts=Timeouts(room=0.05)))
    client = connect(url)

    def keyed(key: str) -> Any:
        headers = {"Idempotency-Key": key}
        return client.responses.create(model="agent", input="x", extra_headers=headers)

    calls: list[Callable[[], Any]] = [
        lambda: client.responses.compact(model="agent", input="x"),
        lambda: client.responses.create(model="agent", input="x"),
        lambda: keyed("other"),
    ]
    first = ThreadPoolExecutor(1).submit(keyed, "first")
    until(lambda: held.begun)
    for call in calls:
        with pytest.raises(openai.RateLimitError) as raised:
            call()
        assert error_of(raised)[:2] == (429, "too_many_runs")
    with client.responses.connect() as connection:
        connection.response.create(model="agent", input="x")
        event: Any = connection.recv()
        assert (event.type, event.error.code) == ("error", "too_many_runs")
        held.open = True
        assert first.result().output_text == "done"
        connection.response.create(model="agent", input="x")
        while (event := connection.recv()).type != "response.completed":
            pass
    assert keyed("other").output_text == "done"


def test_background_runs_that_wait_are_bounded(serve: Serve) -> None:
    held = Held()
    client = connect(
        serve(AgentApp(held.router, limits=Limits(worker_concurrency=1, max_queued=2)))
    )

    def begin() -> openai.types.responses.Response:
        return client.responses.create(model="agent", input="x", background=True)

    ids = [begin().id]
    until(lambda: held.begun)
    ids += [begin().id, begin().id]
    with pytest.raises(openai.RateLimitError, match="Too many queued runs") as raised:
        begin()
    assert error_of(raised)[:2] == (429, "too_many_queued")
    held.open = True
    assert {ended(client, each).status for each in ids} == {"completed"}


def test_one_user_does_not_fill_the_queue(serve: Serve) -> None:
    async def by_header(request: HTTPConnection) -> str | None:
        return request.headers.get("x-user")

    held = Held()
    limits = Limits(worker_concurrency=1, max_queued=4)
    client = connect(serve(AgentApp(held.router, limits=limits, authenticate=by_header)))
    ann, bob = as_user(client, "ann"), as_user(client, "bob")

    def begin(user: openai.OpenAI) -> tuple[openai.OpenAI, str]:
        return user, user.responses.create(model="agent", input="x", background=True).id

    queued = [begin(ann)]
    until(lambda: held.begun)
    queued += [begin(ann), begin(ann)]
    with pytest.raises(openai.RateLimitError, match="queued runs of one user") as raised:
        begin(ann)
    assert error_of(raised)[:2] == (429, "too_many_queued")
    queued += [begin(bob), begin(bob)]
    held.open = True
    assert {ended(user, id_).status for user, id_ in queued} == {"completed"}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("kind", ["memory", "sqlite"])
def test_background_runs_that_come_at_once_are_bounded(
    tmp_path: Path, kind: str, stream: bool
) -> None:
    held = Held()
    store = "memory://" if kind == "memory" else f"sqlite:///{tmp_path}/responses.db"
    limits = Limits(worker_concurrency=1, max_queued=3, max_streams=4)
    app = AgentApp(held.router, store=store, limits=limits, single_user=True)

    async def main() -> None:
        async with started(app):
            client = AgentClient(app)
            body = {"input": "x", "background": True, "stream": stream}
            asked = [asyncio.create_task(client.post("/responses", body)) for _ in range(40)]
            while sum(each.done() for each in asked) < 36:
                await asyncio.sleep(0.01)
            held.open = True
            statuses = Counter(each.status for each in await asyncio.gather(*asked))
            listed = (await client.get("/responses?limit=100")).json()["data"]
            assert statuses[200] + statuses[429] == 40
            assert statuses[200] == len(listed) <= 4  # one runs, three wait

    asyncio.run(main())


def test_open_streams_are_bounded(serve: Serve) -> None:
    held = Held()
    client = connect(serve(AgentApp(held.router, limits=Limits(max_streams=1))))
    run = client.responses.create(model="agent", input="x", background=True)
    with client.responses.with_streaming_response.create(
        model="agent", input="x", background=True, stream=True
    ) as followed:
        assert followed.status_code == 200
        calls: list[Callable[[], Any]] = [
            lambda: client.responses.create(model="agent", input="x", stream=True),
            lambda: client.responses.retrieve(run.id, stream=True),
        ]
        for call in calls:
            with pytest.raises(openai.RateLimitError) as raised:
                call()
            assert error_of(raised)[:2] == (429, "too_many_streams")
        begun = held.begun
        with pytest.raises(openai.RateLimitError):  # no run starts if nobody could follow it
            client.responses.create(model="agent", input="x", stream=True, background=True)
        assert held.begun == begun
        with pytest.raises(Exception, match="HTTP 429"), client.responses.connect():
            pass
        with pytest.raises(openai.RateLimitError):  # an answer from the store counts too
            client.responses.retrieve(run.id)
        held.open = True

    def streams() -> bool:
        try:
            return bool([*client.responses.create(model="agent", input="x", stream=True)])
        except openai.RateLimitError:  # the server has not yet noticed that the other client left
            return False

    until(streams)


@pytest.mark.parametrize("name", ["max_body_bytes", "max_depth", "max_runs", "max_output_bytes"])
def test_a_bound_is_at_least_one(name: str) -> None:
    with pytest.raises(ValueError, match=f"Limits: {name} must be at least 1"):
        Limits(**{name: 0})


def test_room_made_just_as_a_wait_is_given_up_is_not_lost() -> None:
    async def main() -> None:
        limiter = Limiter(1, "runs", 10)
        await limiter.enter()
        waits = asyncio.create_task(limiter.enter())
        leaves = asyncio.create_task(limiter.enter())
        await asyncio.sleep(0)
        leaves.cancel()
        await asyncio.wait([leaves])
        limiter.leave()
        waits.cancel()  # it has been admitted but does not know it yet
        await asyncio.wait([waits])
        assert limiter.free == 1
        with limiter:
            assert not limiter.free

    asyncio.run(main())


def test_a_place_is_free_while_its_run_is_outside() -> None:
    async def main() -> None:
        limiter = Limiter(1, "runs", 10)
        await limiter.enter()
        second = asyncio.create_task(limiter.enter())
        await asyncio.sleep(0)
        with limiter.outside():
            await second
            assert limiter.free == 0
            third = asyncio.create_task(limiter.enter())
            await asyncio.sleep(0)
        assert limiter.free == -1  # it is back, though there is no room
        assert not limiter.try_enter()
        limiter.leave()
        await asyncio.sleep(0)
        assert not third.done()
        limiter.leave()
        await third
        limiter.leave()
        assert limiter.free == 1

    asyncio.run(main())
