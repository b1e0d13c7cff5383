"""Quotas of users: what is refused, what the client is told, in one process and in several."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import openai
import pytest
from starlette.requests import HTTPConnection

from agent_asgi import AgentApp, AgentRouter, Limits, Quota, ResponsesRequest, Usage
from agent_asgi.protocols import MCP, ChatCompletions
from agent_asgi.runs import quotas
from agent_asgi.runs.quotas import _admit, _duration
from agent_asgi.store import MemoryStore
from agent_asgi.store.base import StoreUnavailable
from agent_asgi.store.meters import MemoryMeters, Meters, Use
from agent_asgi.testing import AgentClient
from tests.support.apps import ask_unstarted, started
from tests.support.asking import fetch
from tests.support.calling import Serve, connect, ended, error_of, until
from tests.support.owners import as_user

KEY = {"Idempotency-Key": "key"}


async def by_header(request: HTTPConnection) -> str | None:
    """Return the user that the header names."""
    return request.headers.get("x-user")


class Held:
    """An agent whose runs wait until they are released, and use 10 tokens."""

    def __init__(self, **options: Any) -> None:
        self.router = AgentRouter(**options)
        self.begun = 0
        self.open = threading.Event()

        @self.router.stream
        async def stream(request: dict[str, Any]) -> AsyncIterator[Any]:
            self.begun += 1
            yield "begun "
            while request.get("input") == "wait" and not self.open.is_set():
                await asyncio.sleep(0.01)
            yield Usage(input_tokens=7, output_tokens=3)


@pytest.fixture(params=["memory", "postgres"])
def shared(request: pytest.FixtureRequest) -> str:
    """Return the URL of a store that counts in the process, and of one that counts for all."""
    return "memory://" if request.param == "memory" else request.getfixturevalue("postgres")


def app_of(held: Held, quota: Any, store: Any = "memory://", **options: Any) -> AgentApp:
    return AgentApp(held.router, store=store, authenticate=by_header, quota=quota, **options)


def limited(raised: Any) -> Any:
    """Check that an error says that a limit is reached; return its headers."""
    assert error_of(raised)[:2] == (429, "rate_limit_exceeded")
    return raised.value.response.headers


def test_concurrent_runs(serve: Serve, shared: str) -> None:
    held = Held()
    client = connect(serve(app_of(held, Quota(concurrent_runs=2), shared)))
    ann, bob = as_user(client, "ann"), as_user(client, "bob")

    def run(user: openai.OpenAI, **options: Any) -> Any:
        return user.responses.create(model="agent", input="wait", **options)

    with ThreadPoolExecutor(4) as pool:
        first = [pool.submit(run, ann) for _ in range(2)]
        until(lambda: held.begun == 2)
        for options in ({}, {"stream": True}, {"extra_headers": {"Idempotency-Key": "k"}}):
            with pytest.raises(openai.RateLimitError) as raised:
                run(ann, **options)
            assert limited(raised)["retry-after"] == "1"
            assert "Too many concurrent runs (limit 2)" in str(raised.value)
            assert "x-ratelimit-limit-requests" not in limited(raised)
        other = pool.submit(run, bob)
        until(lambda: held.begun == 3)
        queued = run(ann, background=True)  # waits in the queue, as far as it has room
        held.open.set()
        for each in (*first, other):
            assert each.result().output_text == "begun "
    assert ended(ann, queued.id).status == "completed"
    for _ in range(5):  # one after the other is never too many
        assert run(ann).output_text == "begun "
        assert len([*run(ann, stream=True)]) > 5
    keyed = run(ann, extra_headers={"Idempotency-Key": "other"})
    assert keyed.output_text == "begun "
    with ThreadPoolExecutor(2) as pool:
        assert len([*pool.map(lambda _: run(ann).id, range(2))]) == 2  # the keyed one has left


def test_runs_per_minute(serve: Serve, shared: str) -> None:
    url = serve(app_of(Held(), Quota(runs_per_minute=3), shared))
    ann = as_user(connect(url), "ann")
    told = []
    for stream in (False, True, False):
        body: Any = {"model": "agent", "input": "x", "stream": stream}
        with ann.responses.with_streaming_response.create(**body) as raw:
            raw.read()
            told.append(raw.headers)
    assert [each["x-ratelimit-limit-requests"] for each in told] == ["3"] * 3
    assert [each["x-ratelimit-remaining-requests"] for each in told] == ["2", "1", "0"]
    assert 55 < float(told[2]["x-ratelimit-reset-requests"].rstrip("s").replace("1m0", "60")) <= 60
    with pytest.raises(openai.RateLimitError) as raised:
        ann.responses.create(model="agent", input="x")
    headers = limited(raised)
    assert 15 <= int(headers["retry-after"]) <= 20
    assert headers["x-ratelimit-remaining-requests"] == "0"
    assert "x-should-retry" not in headers
    assert "Too many runs per minute (limit 3). Retry in " in str(raised.value)
    for stream in (False, True):
        body = {"model": "agent", "input": "x", "stream": stream, "background": True}
        with pytest.raises(openai.RateLimitError) as raised:
            ann.responses.create(**body)
        limited(raised)
    bob = as_user(connect(url), "bob")
    assert bob.responses.create(model="agent", input="x").output_text == "begun "


def test_the_openai_client_waits_and_tries_again(serve: Serve, shared: str) -> None:
    url = serve(app_of(Held(), Quota(runs_per_minute=60, concurrent_runs=60), shared))
    client = as_user(connect(url, max_retries=3), "ann")
    began = time.monotonic()
    with ThreadPoolExecutor(8) as pool:
        answers = pool.map(
            lambda _: client.responses.create(model="agent", input="x").output_text, range(61)
        )
        assert set(answers) == {"begun "}
    assert time.monotonic() - began > 0.3


def test_tokens_per_minute(serve: Serve, shared: str) -> None:
    client = connect(serve(app_of(Held(), Quota(tokens_per_minute=15), shared)))
    ann = as_user(client, "ann")
    raw = ann.responses.with_raw_response.create(model="agent", input="x")
    assert raw.headers["x-ratelimit-remaining-tokens"] == "15"
    queued = ann.responses.create(model="agent", input="x", background=True)
    assert ended(ann, queued.id).status == "completed"

    def refused() -> Any:
        try:
            ann.responses.create(model="agent", input="x")
        except openai.RateLimitError as error:
            return error

    error = until(refused)
    assert "Too many tokens per minute (limit 15)" in str(error)
    assert 10 < int(error.response.headers["retry-after"]) <= 64
    assert error.response.headers["x-ratelimit-remaining-tokens"] == "0"
    assert error.response.headers["x-ratelimit-limit-tokens"] == "15"


def test_every_user_may_have_another_quota() -> None:
    def quota_of(user: str) -> Quota | None:
        return None if user == "root" else Quota(runs_per_minute=len(user))

    app = app_of(Held(), quota_of)

    async def statuses(user: str) -> list[int]:
        client = AgentClient(app, headers={"x-user": user})
        return [(await client.post("/responses", {"input": "x"})).status for _ in range(5)]

    async def main() -> None:
        async with started(app):
            assert await statuses("root") == [200] * 5
            assert await statuses("bob") == [200] * 3 + [429] * 2
            assert await statuses("ann") == [200] * 3 + [429] * 2

    asyncio.run(main())


def test_stored_bytes(serve: Serve, store_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quotas, "MEASURED_SECONDS", 0.0)
    client = connect(serve(app_of(Held(), Quota(stored_bytes=3_000), store_url)))
    ann, bob = as_user(client, "ann"), as_user(client, "bob")
    talk = ann.conversations.create()
    made = ann.responses.create(model="agent", input="x" * 2_000, conversation=talk.id)
    with pytest.raises(openai.RateLimitError) as raised:
        ann.responses.create(model="agent", input="x")
    assert error_of(raised)[:2] == (429, "storage_limit_exceeded")
    assert raised.value.response.headers["x-should-retry"] == "false"
    message: Any = {"type": "message", "role": "user", "content": "x"}
    with pytest.raises(openai.RateLimitError):
        ann.conversations.items.create(talk.id, items=[message])
    with pytest.raises(openai.RateLimitError):
        ann.conversations.create()
    assert ann.responses.create(model="agent", input="x", store=False).output_text == "begun "
    assert bob.responses.create(model="agent", input="x").output_text == "begun "
    ann.responses.delete(made.id)
    ann.conversations.delete(talk.id)
    assert ann.responses.create(model="agent", input="x").output_text == "begun "


def test_what_is_stored_is_not_measured_each_time(serve: Serve) -> None:
    measured = list[str]()

    class Measured(MemoryStore):
        async def stored_bytes(self, owner: str) -> int:
            measured.append(owner)
            return await super().stored_bytes(owner)

    client = connect(serve(app_of(Held(), Quota(stored_bytes=1 << 20), Measured())))
    for user in ("ann", "ann", "bob", "ann"):
        as_user(client, user).responses.create(model="agent", input="x")
    assert measured == ["ann", "bob"]


def test_other_protocols(serve: Serve) -> None:
    protocols = (ChatCompletions(), MCP())
    url = serve(app_of(Held(), Quota(runs_per_minute=1), protocols=protocols))
    ann = as_user(connect(url), "ann")
    messages: Any = [{"role": "user", "content": "x"}]
    assert ann.chat.completions.create(model="agent", messages=messages).choices
    with pytest.raises(openai.RateLimitError) as raised:
        ann.chat.completions.create(model="agent", messages=messages)
    limited(raised)
    with ann.responses.connect() as connection:
        connection.response.create(model="agent", input="x")
        event: Any = connection.recv()
        assert (event.type, event.error.code) == ("error", "rate_limit_exceeded")
    call = {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "tools/call",
        "params": {"name": "agent", "arguments": {"input": "x"}},
    }
    headers = {"x-user": "ann", "accept": "application/json, text/event-stream"}
    reply = fetch(url, "POST", "/mcp", body=call, headers=headers)
    assert b"Too many runs per minute" in reply.body


def test_a_json_agent() -> None:
    held = Held(protocol="json")
    app = app_of(held, Quota(runs_per_minute=1, stored_bytes=1))

    async def main() -> list[int]:
        client = AgentClient(app, headers={"x-user": "ann"})
        body = {"input": "x", "stream": True}
        return [(await client.post("/invocations", body)).status for _ in range(2)]

    assert asyncio.run(main()) == [200, 429]


def test_a_run_that_does_not_begin_holds_no_place(serve: Serve, shared: str) -> None:
    held = Held()
    quota = Quota(concurrent_runs=1)
    url = serve(app_of(held, quota, shared, single_user=True))
    ann = as_user(connect(url), "ann")
    for _ in range(3):
        with pytest.raises(openai.BadRequestError):
            ann.responses.create(model="agent", input="x", conversation="conv_unknown")
        assert ann.responses.create(model="agent", input="x").output_text == "begun "


def test_a_refused_run_is_not_one_per_minute(serve: Serve, shared: str) -> None:
    held = Held()
    limits = Limits(max_queued=1, worker_concurrency=1)
    app = app_of(held, Quota(runs_per_minute=3), shared, limits=limits, single_user=True)
    ann = as_user(connect(serve(app)), "ann")

    def run(**options: Any) -> Any:
        return ann.responses.create(**{"model": "agent", "input": "x", **options})

    for options in ({}, {"stream": True}, {"background": True}, {"extra_headers": KEY}):
        for _ in range(2):
            with pytest.raises(openai.BadRequestError):
                run(conversation="conv_unknown", **options)
    talk = ann.conversations.create()
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(run, input="wait", conversation=talk.id)
        until(lambda: held.begun)
        for options in ({}, {"stream": True}, {"background": True}, {"extra_headers": KEY}):
            with pytest.raises(openai.ConflictError):
                run(conversation=talk.id, **options)
        held.open.set()
        first.result()
    assert run(extra_headers=KEY).id == run(extra_headers=KEY).id  # one run
    run()
    with pytest.raises(openai.RateLimitError):
        run()


def test_a_run_that_finds_no_room_is_not_one_per_minute(serve: Serve) -> None:
    held = Held()
    limits = Limits(max_queued=1, worker_concurrency=1)
    app = app_of(held, Quota(runs_per_minute=4), limits=limits)
    ann = as_user(connect(serve(app)), "ann")

    def run(**options: Any) -> Any:
        return ann.responses.create(model="agent", input="wait", **options)

    queued = [run(background=True)]
    until(lambda: held.begun)
    queued.append(run(background=True))
    for _ in range(4):
        with pytest.raises(openai.RateLimitError) as raised:
            run(background=True)
        assert error_of(raised)[:2] == (429, "too_many_queued")
    held.open.set()
    assert {ended(ann, each.id).status for each in queued} == {"completed"}
    for _ in range(2):
        run()
    with pytest.raises(openai.RateLimitError) as raised:
        run()
    limited(raised)


def test_an_answer_does_not_wait_until_its_end_is_counted() -> None:
    counted = list[int]()

    class Slow(MemoryMeters):
        async def leave(self, user: str, quota: Quota, tokens: int, **options: Any) -> None:
            await may_count.wait()
            counted.append(tokens)

    class Store(MemoryStore):
        meters = Slow()

    app = app_of(Held(), Quota(tokens_per_minute=100), Store())
    may_count = asyncio.Event()

    async def main() -> None:
        async with started(app):
            client = AgentClient(app, headers={"x-user": "ann"})
            for stream in (False, True):
                body = {"input": "x", "stream": stream}
                async with asyncio.timeout(10):
                    assert (await client.post("/responses", body)).status == 200
            assert not counted
            asyncio.get_running_loop().call_later(0.2, may_count.set)
        assert counted == [10, 10]  # the server has waited

    asyncio.run(main())


def test_one_run_after_another_is_never_too_many_for_two_processes(
    serve: Serve, postgres: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quotas, "ANSWERED_SECONDS", (0.1,) * 100)  # the machine may be busy
    quota = Quota(concurrent_runs=1)
    clients = [as_user(connect(serve(app_of(Held(), quota, postgres))), "ann") for _ in range(2)]
    for number in range(30):
        answer = clients[number % 2].responses.create(model="agent", input="x")
        assert answer.output_text == "begun "


@pytest.mark.parametrize("holds", [False, True])
def test_what_ends_between_two_looks_refuses_nothing(
    monkeypatch: pytest.MonkeyPatch, *, holds: bool
) -> None:
    monkeypatch.setattr(quotas, "ANSWERED_SECONDS", (0.0,))
    uses = [Use(False, 0, 0.5, 0.5), Use(True, 1, 1.0, 0.5)]

    class Racing(Meters):
        async def admit(self, user: str, quota: Quota, *, holds: bool) -> Use:
            return uses.pop(0)

        async def leave(self, user: str, quota: Quota, tokens: int, **options: Any) -> None:
            raise NotImplementedError

    quota = Quota(runs_per_minute=5, concurrent_runs=1)
    assert asyncio.run(_admit(Racing(), "ann", quota, holds=holds)).admitted


def test_a_flood_is_refused_without_counting() -> None:
    counted = list[str]()

    class Counting(MemoryMeters):
        async def admit(self, user: str, quota: Quota, *, holds: bool) -> Use:
            counted.append(user)
            return await super().admit(user, quota, holds=holds)

    class Store(MemoryStore):
        meters = Counting()

    app = app_of(Held(), Quota(runs_per_minute=2), Store())

    async def main() -> list[int]:
        client = AgentClient(app, headers={"x-user": "ann"})
        return [(await client.post("/responses", {"input": "x"})).status for _ in range(30)]

    assert asyncio.run(main()) == [200] * 2 + [429] * 28
    assert 3 <= len(counted) <= 6


def test_if_the_store_does_not_answer_the_process_counts() -> None:
    class Down(MemoryMeters):
        async def admit(self, user: str, quota: Quota, *, holds: bool) -> Use:
            raise StoreUnavailable

    class Store(MemoryStore):
        meters = Down()

    app = app_of(Held(), Quota(runs_per_minute=1), Store())
    headers = {"x-user": "ann"}

    async def main() -> list[int]:
        client = AgentClient(app, headers=headers)
        return [(await client.post("/responses", {"input": "x"})).status for _ in range(2)]

    assert asyncio.run(main()) == [200, 429]


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quotas, "REMEMBERED", 3)
    counted = quotas.Quotas(Quota(runs_per_minute=1), MemoryStore())
    remembered: dict[str, Any] = dict.fromkeys("abc")
    quotas._make_room(remembered)
    assert remembered == {}
    assert not counted._refused


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0ms"), (0.0001, "1ms"), (0.12, "120ms"), (1, "1s"), (1.5, "1.5s"), (60, "1m0s"),
     (59.9999, "1m0s"), (361.25, "6m1.25s")],
)  # fmt: skip
def test_durations(seconds: float, text: str) -> None:
    assert _duration(seconds) == text


@pytest.mark.parametrize("name", Quota.__slots__)
def test_bad_quotas(name: str) -> None:
    with pytest.raises(ValueError, match=f"Quota: {name} must be at least 1"):
        Quota(**{name: 0})
    wrong: Any = 1.5
    with pytest.raises(TypeError, match=f"Quota: {name} must be int or None"):
        Quota(**{name: wrong})
    with pytest.raises(TypeError, match="quota must be"):
        AgentApp(AgentRouter(), quota=wrong)


def test_without_a_quota_nothing_is_said() -> None:
    router = AgentRouter()

    @router.invoke
    async def hello(request: ResponsesRequest) -> str:
        return "hello"

    answer = ask_unstarted(AgentApp(router), "/responses", {"input": "x"})
    assert not [name for name in answer.headers if "ratelimit" in name]
