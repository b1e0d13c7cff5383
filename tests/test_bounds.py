"""How much a body may hold, how many runs and streams go on at once, how much a run may give."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import openai
import pytest
from calling import Serve, connect, ended, error_of, until
from conftest import traces

from agent_asgi import AgentApp, AgentRouter, Limits, ResponsesRequest, Timeouts
from agent_asgi.gate import Gate
from agent_asgi.testing import AgentClient, Answer


class Held:
    """An agent whose runs go on until they are let go."""

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


def ask(app: AgentApp, body: Any, path: str = "/responses") -> Answer:
    """Send one request in a loop of its own."""
    return asyncio.run(AgentClient(app).post(path, body))


def echo() -> AgentRouter:
    router = AgentRouter()

    @router.invoke
    async def say(request: ResponsesRequest) -> str:
        return "heard"

    return router


def nested(depth: int) -> bytes:
    """Give a request whose body is nested so many levels deep."""
    inside = depth - 1
    return b'{"input": "x", "metadata": ' + b"[" * inside + b"]" * inside + b"}"


@pytest.mark.parametrize("path", ["/responses", "/invocations"])
def test_a_body_nested_too_deeply(path: str) -> None:
    app = AgentApp(echo(), limits=Limits(max_depth=5))
    answer = ask(app, nested(6), path)
    assert answer.status == 400
    assert answer.json()["error"]["code"] == "nested_too_deeply"
    assert "deeper than 5" in answer.json()["error"]["message"]
    assert ask(app, nested(5), path).json()["error"]["param"] == "metadata"  # its type is wrong


def test_brackets_in_texts_do_not_count() -> None:
    text = '[[[[{{{{"\\"[[[[\\\\' * 50
    answer = ask(AgentApp(echo(), limits=Limits(max_depth=5, max_nodes=5)), {"input": text})
    assert answer.status == 200


def test_a_body_of_too_many_parts() -> None:
    app = AgentApp(echo(), limits=Limits(max_nodes=20))
    items = [{"role": "user", "content": "x"}] * 19
    answer = ask(app, {"input": items})
    assert answer.json()["error"]["code"] == "too_many_nodes"
    assert "21 arrays and objects; 20" in answer.json()["error"]["message"]
    assert ask(app, {"input": items[:18]}).status == 200


@pytest.mark.parametrize(
    "body",
    [b"[" * 500_000, b'{"a":' * 100_000, b"[]" * 400_000, b'["' * 999],
    ids=["open", "objects", "flat", "in a text"],
)
def test_a_body_of_brackets_is_a_400(body: bytes) -> None:
    answer = ask(AgentApp(echo()), body)
    assert answer.status == 400
    assert answer.json()["error"]["code"] in ("nested_too_deeply", "too_many_nodes", "invalid_json")


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
        assert "x-should-retry" not in refused.headers  # no handler has begun
        held.open = True
        assert [each.status for each in await asyncio.gather(*first)] == [200, 200]
        assert (await client.post(path, body)).status == 200
        assert held.begun == 3

    asyncio.run(main())


def test_runs_wait_for_room_in_their_order(serve: Serve) -> None:
    """The openai client notices nothing; those beyond the room to wait are refused at once."""
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
    with pytest.raises(openai.RateLimitError, match="2 background runs wait") as raised:
        begin()
    assert error_of(raised)[:2] == (429, "too_many_queued")
    held.open = True
    assert {ended(client, each).status for each in ids} == {"completed"}


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
        with pytest.raises(openai.RateLimitError):  # nor is a run begun that nobody could follow
            client.responses.create(model="agent", input="x", stream=True, background=True)
        assert held.begun == begun
        with pytest.raises(Exception, match="HTTP 429"), client.responses.connect():
            pass
        assert client.responses.retrieve(run.id).id == run.id
        held.open = True

    def streams() -> bool:
        try:
            return bool([*client.responses.create(model="agent", input="x", stream=True)])
        except openai.RateLimitError:  # the server has not yet noticed that the other one left
            return False

    until(streams)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("path", ["/responses", "/invocations"])
def test_a_handler_that_gives_too_many_outputs(stream: bool, path: str) -> None:
    router = AgentRouter()

    @router.stream
    async def babble(request: ResponsesRequest) -> AsyncIterator[str]:
        while True:
            yield "bla "

    answer = ask(AgentApp(router, limits=Limits(max_outputs=50)), {"input": "x", "stream": stream})
    check_too_large(answer, stream)
    assert answer.body.count(b"bla ") == 0 or b"bla " * 51 in answer.body.replace(b'"', b"")


@pytest.mark.parametrize("stream", [False, True])
def test_a_handler_that_never_waits_and_gives_too_much(stream: bool) -> None:
    """It leaves the event loop its turns, and ends at the bound."""
    router = AgentRouter()

    @router.stream
    async def babble(request: ResponsesRequest) -> AsyncIterator[Any]:
        while True:
            yield "bla " * 100
            yield {"type": "acme:note", "text": "x" * 100}

    app = AgentApp(router, limits=Limits(max_output_bytes=2_000_000))
    turns = 0

    async def main() -> Answer:
        nonlocal turns
        asking = asyncio.create_task(
            AgentClient(app).post("/responses", {"input": "x", "stream": stream})
        )
        while not asking.done():
            turns += 1
            await asyncio.sleep(0)
        return asking.result()

    check_too_large(asyncio.run(main()), stream)
    assert turns > 5
    trace = traces(cause="output_too_large")[-1]
    assert trace.info.tags["agent_asgi.status"] == "failed"


def check_too_large(answer: Answer, stream: bool) -> None:
    """The client is told why it gets no more."""
    if stream:
        failed = answer.events()[-1]["response"]
        assert (failed["status"], failed["error"]["code"]) == ("failed", "output_too_large")
    else:
        assert answer.status == 500
        assert answer.json()["error"]["code"] == "output_too_large"
        assert answer.headers["x-should-retry"] == "false"


def test_as_many_outputs_as_allowed() -> None:
    router = AgentRouter(protocol="json")

    @router.stream
    async def count(request: dict[str, Any]) -> AsyncIterator[int]:
        for number in range(50):
            yield number

    @router.invoke
    async def long(request: dict[str, Any]) -> str:
        return "x" * 1000

    app = AgentApp(router, limits=Limits(max_outputs=50, max_output_bytes=900))
    assert ask(app, {"stream": True}, "/invocations").body.endswith(b"data: 49\n\ndata: [DONE]\n\n")
    check_too_large(ask(app, {}, "/invocations"), stream=False)


@pytest.mark.parametrize("name", ["max_body_bytes", "max_depth", "max_runs", "max_output_bytes"])
def test_a_bound_is_at_least_one(name: str) -> None:
    with pytest.raises(ValueError, match=f"Limits: {name} must be at least 1"):
        Limits(**{name: 0})


def test_room_made_just_as_a_wait_is_given_up_is_not_lost() -> None:
    async def main() -> None:
        gate = Gate(1, "runs", 10)
        await gate.enter()
        waits = asyncio.create_task(gate.wait())
        leaves = asyncio.create_task(gate.wait())
        await asyncio.sleep(0)
        leaves.cancel()
        await asyncio.wait([leaves])
        gate.leave()
        waits.cancel()  # it has its room, and does not know it yet
        await asyncio.wait([waits])
        assert gate.free == 1
        async with gate:
            assert not gate.free

    asyncio.run(main())


def test_a_body_that_is_fine_is_not_looked_at_twice() -> None:
    """A body of many brackets in its texts and few of its own passes the slower look too."""
    body = json.dumps({"input": "[" * 1000}).encode()
    assert ask(AgentApp(echo()), body).status == 200
