"""Runs of one conversation that wait for one another, in their order."""

import asyncio
import http.client
import json
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from agent_asgi import AgentApp, AgentRouter, Context, Limits, ResponsesRequest, Timeouts
from agent_asgi.errors import TooManyQueued
from agent_asgi.protocols import AgentBricks
from agent_asgi.store import Store, open_store
from agent_asgi.store.sql import SqlStore
from agent_asgi.store.tables import locks as locks_table
from agent_asgi.store.tables import waiting as waiting_table
from tests.store.test_store import LONG, SHORT, accept, run
from tests.support.asking import Reply, fetch
from tests.support.calling import until

QUICK = Timeouts(heartbeat=0.2, stalled=1, rescue=0.3, poll=0.2)


class Gate:
    """An agent whose runs wait until they are let through.

    Attributes:
        begun: The texts of the runs that have begun, in their order.
    """

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.at_once = self.most = 0
        self._open = threading.Semaphore(0)
        self.router = AgentRouter("gate")

        @self.router.stream
        async def gate(request: ResponsesRequest) -> AsyncIterator[str]:
            self.begun.append(request.input_text)
            self.at_once += 1
            self.most = max(self.most, self.at_once)
            try:
                while not self._open.acquire(blocking=False):
                    await asyncio.sleep(0.01)
            finally:
                self.at_once -= 1
            yield request.input_text

    def let(self, count: int = 1) -> None:
        """Let runs end."""
        self._open.release(count)

    def wait(self, *texts: str) -> None:
        """Wait until exactly these runs have begun."""
        end = time.monotonic() + 20
        while self.begun != list(texts):
            assert time.monotonic() < end, self.begun
            time.sleep(0.01)


@pytest.fixture
def gate() -> Iterator[Gate]:
    found = Gate()
    yield found
    found.let(100)


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(8) as found:
        yield found


def app_of(gate: Gate, store: Any = None, queue: int | None = 3, **bounds: int) -> AgentApp:
    limits = Limits(conversation_queue=queue, **bounds)
    return AgentApp(gate.router, store=store, limits=limits, timeouts=QUICK, single_user=True)


def send(url: str, text: str, **more: Any) -> Reply:
    return fetch(url, "POST", "/responses", body={"input": text, "conversation": "c"} | more)


def waiting(app: AgentApp, count: int) -> None:
    """Wait until a number of runs wait for the conversation."""
    until = time.monotonic() + 20
    while time.monotonic() < until:
        runtime = app._config._runtime
        if runtime is not None and len(runtime.locks._waiting) == count:
            return
        time.sleep(0.01)
    raise AssertionError(f"not {count} runs wait")


@pytest.mark.parametrize("stream", [False, True])
def test_they_run_in_their_order(
    gate: Gate, pool: ThreadPoolExecutor, serve: Callable[[Any], str], store_url: str, stream: bool
) -> None:
    app = app_of(gate, store_url)
    url = serve(app)
    replies: list[Future[Reply]] = []
    for number, text in enumerate("abc"):
        replies.append(pool.submit(send, url, text, stream=stream))
        gate.wait("a")
        waiting(app, number)
    for begun in ("ab", "abc"):
        gate.let()
        gate.wait(*begun)
    gate.let()
    assert [reply.result(20).status for reply in replies] == [200, 200, 200]
    assert (gate.begun, gate.most) == (["a", "b", "c"], 1)
    items = json.loads(fetch(url, "GET", "/conversations/c/items?order=asc&limit=100").body)
    texts = [item["content"][0]["text"] for item in items["data"]]
    assert texts == ["a", "a", "b", "b", "c", "c"]


def test_one_more_is_refused(
    gate: Gate, pool: ThreadPoolExecutor, serve: Callable[[Any], str], store_url: str
) -> None:
    app = app_of(gate, store_url, queue=1)
    url = serve(app)
    first = pool.submit(send, url, "a")
    gate.wait("a")
    second = pool.submit(send, url, "b")
    waiting(app, 1)
    third = send(url, "c")
    assert (third.status, third.error["code"]) == (409, "conversation_locked")
    assert "and 1 wait" in third.error["message"]
    gate.let(2)
    assert [first.result(20).status, second.result(20).status] == [200, 200]


@pytest.mark.parametrize("background", [False, True])
def test_those_that_wait_are_bounded_in_all_conversations(
    gate: Gate,
    pool: ThreadPoolExecutor,
    serve: Callable[[Any], str],
    store_url: str,
    background: bool,
) -> None:
    url = serve(app_of(gate, store_url, max_queued=2))
    ids = [json.loads(send(url, text, background=True).body)["id"] for text in "abc"]
    gate.wait("a")
    other = pool.submit(send, url, "d", conversation="other")
    gate.wait("a", "d")
    refused = send(url, "e", conversation="other", background=background)
    assert (refused.status, refused.error["code"]) == (429, "too_many_queued")
    gate.let(5)
    assert other.result(20).status == 200
    for id_ in ids:
        assert b"response.completed" in fetch(url, "GET", f"/responses/{id_}?stream=true").body
    assert send(url, "f").status == 200


@pytest.mark.parametrize("keyed", [False, True])
def test_one_that_waits_takes_no_place_from_others(
    gate: Gate, pool: ThreadPoolExecutor, serve: Callable[[Any], str], keyed: bool
) -> None:
    app = app_of(gate, max_runs=2)
    url = serve(app)
    headers = {"idempotency-key": "k"} if keyed else {}
    body = {"input": "b", "conversation": "c"}
    replies = [pool.submit(send, url, "a")]
    gate.wait("a")
    replies.append(pool.submit(fetch, url, "POST", "/responses", None, body, headers))
    waiting(app, 1)
    replies.append(pool.submit(send, url, "d", conversation="other"))
    gate.wait("a", "d")
    gate.let(4)
    assert [reply.result(20).status for reply in replies] == [200, 200, 200]
    runtime = app._config._runtime
    assert runtime is not None
    limiter = runtime.engine.limiters["gate"]
    until(lambda: limiter.free == 2)  # the places are free after the answers


@pytest.mark.parametrize("queue", [None, 0])
def test_by_default_none_waits(
    gate: Gate, pool: ThreadPoolExecutor, serve: Callable[[Any], str], queue: int | None
) -> None:
    url = serve(app_of(gate, queue=queue))
    first = pool.submit(send, url, "a")
    gate.wait("a")
    assert send(url, "b").status == 409
    gate.let()
    assert first.result(20).status == 200


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_two_servers_keep_one_order(
    gate: Gate,
    pool: ThreadPoolExecutor,
    serve: Callable[[Any], str],
    kind: str,
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> None:
    store = f"sqlite:///{tmp_path}/r.db"
    if kind == "postgres":
        store = request.getfixturevalue("postgres")
    apps = [app_of(gate, store), app_of(gate, store)]
    urls = [serve(app) for app in apps]
    replies = [pool.submit(send, urls[0], "a")]
    gate.wait("a")
    replies.append(pool.submit(send, urls[1], "b"))
    waiting(apps[1], 1)
    accepted = send(urls[0], "c", background=True)
    assert accepted.status == 200
    replies.append(pool.submit(send, urls[1], "d"))
    waiting(apps[1], 2)
    gate.let(4)
    assert [reply.result(20).status for reply in replies] == [200, 200, 200]
    gate.wait("a", "b", "c", "d")
    assert gate.most == 1


def test_a_background_run_is_accepted_at_once(
    gate: Gate, serve: Callable[[Any], str], store_url: str
) -> None:
    url = serve(app_of(gate, store_url))
    ids = [json.loads(send(url, text, background=True).body)["id"] for text in "abc"]
    gate.wait("a")
    time.sleep(1)  # sweeps change nothing
    assert gate.begun == ["a"]
    statuses = [json.loads(fetch(url, "GET", f"/responses/{id_}").body)["status"] for id_ in ids]
    assert statuses == ["in_progress", "queued", "queued"]
    gate.let(3)
    for id_ in ids:
        last = fetch(url, "GET", f"/responses/{id_}?stream=true").body
        assert b"response.completed" in last
    assert (gate.begun, gate.most) == (["a", "b", "c"], 1)


@pytest.mark.parametrize("way", ["cancel", "delete"])
def test_one_that_leaves_the_queue_blocks_nobody(
    gate: Gate, serve: Callable[[Any], str], store_url: str, way: str
) -> None:
    url = serve(app_of(gate, store_url))
    ids = [json.loads(send(url, text, background=True).body)["id"] for text in "abc"]
    gate.wait("a")
    if way == "cancel":
        cancelled = fetch(url, "POST", f"/responses/{ids[1]}/cancel")
        assert json.loads(cancelled.body)["status"] == "cancelled"
    else:
        assert fetch(url, "DELETE", f"/responses/{ids[1]}").status == 200
    gate.let(2)
    assert b"response.completed" in fetch(url, "GET", f"/responses/{ids[2]}?stream=true").body
    assert gate.begun == ["a", "c"]


def test_no_wake_is_lost(serve: Callable[[Any], str], store_url: str) -> None:
    router = AgentRouter("quick")

    @router.invoke
    async def quick(request: ResponsesRequest) -> str:
        await asyncio.sleep(0)
        return "done"

    limits = Limits(conversation_queue=9)
    url = serve(AgentApp(router, store=store_url, limits=limits, single_user=True))
    ids = []
    for number in range(20):
        for _ in range(3):
            body = {"input": "x", "conversation": f"c{number}", "background": True}
            ids.append(json.loads(fetch(url, "POST", "/responses", body=body).body)["id"])
    until = time.monotonic() + 15  # a lost wake costs a lease and a sweep, 30 s
    while ids:
        reply = fetch(url, "GET", f"/responses/{ids[-1]}")
        if json.loads(reply.body)["status"] == "completed":
            ids.pop()
        assert time.monotonic() < until, f"{len(ids)} wait"


def test_a_client_that_leaves_waits_no_longer(
    gate: Gate, pool: ThreadPoolExecutor, serve: Callable[[Any], str], store_url: str
) -> None:
    app = app_of(gate, store_url)
    url = serve(app)
    first = pool.submit(send, url, "a")
    gate.wait("a")
    body = json.dumps({"input": "gone", "conversation": "c"})
    connection = http.client.HTTPConnection(url.removeprefix("http://"))
    connection.request("POST", "/responses", body, {"content-type": "application/json"})
    waiting(app, 1)
    connection.close()
    waiting(app, 0)
    last = pool.submit(send, url, "b")
    waiting(app, 1)
    gate.let(2)
    assert [first.result(20).status, last.result(20).status] == [200, 200]
    assert gate.begun == ["a", "b"]


def test_one_that_is_refused_in_its_turn_lets_the_next_begin(
    gate: Gate, pool: ThreadPoolExecutor, serve: Callable[[Any], str], store_url: str
) -> None:
    app = AgentApp(
        gate.router, store=store_url, limits=Limits(conversation_queue=5), single_user=True
    )
    url = serve(app)
    first = pool.submit(send, url, "a")
    gate.wait("a")
    missing = [{"type": "item_reference", "id": "msg_missing"}]
    body = {"input": missing, "conversation": "c"}
    key = {"idempotency-key": "k"}
    refused = pool.submit(fetch, url, "POST", "/responses", None, body, key)
    waiting(app, 1)
    id_ = json.loads(send(url, "b", background=True).body)["id"]
    gate.let(2)
    assert first.result(20).status == 200
    assert refused.result(20).status == 400
    gate.wait("a", "b")
    assert b"response.completed" in fetch(url, "GET", f"/responses/{id_}?stream=true").body


def test_a_run_that_waited_has_its_headers(
    pool: ThreadPoolExecutor, serve: Callable[[Any], str], tmp_path: Path
) -> None:
    router, seen, opened = AgentRouter("reader"), list[str | None](), threading.Event()

    @router.invoke
    async def reader(request: ResponsesRequest, context: Context) -> str:
        seen.append(context.headers.get("x-user-token"))
        while not opened.is_set():
            await asyncio.sleep(0.01)
        return "done"

    limits = Limits(conversation_queue=5)
    store = f"sqlite:///{tmp_path}/r.db"
    url = serve(AgentApp(router, store=store, limits=limits, single_user=True))
    body = {"input": "x", "conversation": "c", "background": True}
    ids = []
    for number in range(2):
        token = {"x-user-token": f"t{number}"}
        reply = fetch(url, "POST", "/responses", body=body, headers=token)
        ids.append(json.loads(reply.body)["id"])
    time.sleep(0.5)
    opened.set()
    for id_ in ids:
        assert b"response.completed" in fetch(url, "GET", f"/responses/{id_}?stream=true").body
    assert seen == ["t0", "t1"]


def test_few_questions_are_asked_of_the_store(
    gate: Gate,
    pool: ThreadPoolExecutor,
    serve: Callable[[Any], str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store, locks = open_store(f"sqlite:///{tmp_path}/r.db"), list[str]()
    lock = store.lock

    async def counted(conversation: str, owner: str, id: str, seconds: float) -> bool:
        locks.append(id)
        return await lock(conversation, owner, id, seconds)

    monkeypatch.setattr(store, "lock", counted)
    app = app_of(gate, store, queue=7)
    url = serve(app)
    first = pool.submit(send, url, "a")
    gate.wait("a")
    others = [pool.submit(send, url, text) for text in "bcdefg"]
    waiting(app, 6)
    asked = len(locks)
    time.sleep(1.5)
    assert len(locks) == asked, "who waits only reads"
    gate.let(7)
    assert {each.result(20).status for each in (first, *others)} == {200}


def test_sessions_of_agent_bricks_wait(
    gate: Gate, pool: ThreadPoolExecutor, serve: Callable[[Any], str]
) -> None:
    app = AgentApp(gate.router, protocols=[AgentBricks()], timeouts=QUICK)
    url = serve(app)

    def invoke(number: int, **more: Any) -> Reply:
        id_ = f"00000000-0000-0000-0000-00000000000{number}"
        body = {"id": id_, "session_id": "s", "input": str(number), **more}
        return fetch(url, "POST", "/api/invocations", body=body)

    first = pool.submit(invoke, 1)
    gate.wait("1")
    assert invoke(2, background=True).status == 202
    third = pool.submit(invoke, 3)
    waiting(app, 1)
    gate.let(3)
    assert [first.result(20).status, third.result(20).status] == [200, 200]
    assert (gate.begun, gate.most) == (["1", "2", "3"], 1)


def test_a_user_may_have_half_of_the_places(store_url: str) -> None:
    async def main(store: Store) -> None:
        for number in range(2):
            assert await store.lock(f"c{number}", "ann", f"r{number}", LONG)
            assert await store.wait_for(f"c{number}", "ann", f"w{number}", LONG, 9, 4)
        with pytest.raises(TooManyQueued, match=r"of one user \(limit 2\)"):
            await store.wait_for("c0", "ann", "w2", LONG, 9, 4)
        for number in range(2):  # without authentication they are no user's
            assert await store.wait_for("c", "", f"x{number}", LONG, 9, 4)
        with pytest.raises(TooManyQueued, match=r"queued runs \(limit 4\)"):
            await store.wait_for("c", "", "x2", LONG, 9, 4)

    run(store_url, main)


def test_a_turn_in_every_store(store_url: str) -> None:
    async def main(store: Store) -> None:
        assert await store.lock("c", "ann", "r1", LONG)
        assert await store.wait_for("c", "ann", "r2", LONG, 2, 9)
        assert await store.wait_for("c", "ann", "r3", LONG, 2, 9)
        assert not await store.wait_for("c", "ann", "r4", LONG, 2, 9)
        assert await store.wait_for("c", "bob", "r5", LONG, 1, 9)
        with pytest.raises(TooManyQueued, match="limit 3"):
            await store.wait_for("d", "bob", "r7", LONG, 9, 3)
        assert await store.next_waiting("c", "ann") == "r2"
        assert not await store.lock("c", "ann", "r2", LONG)
        await store.unlock("r1")
        for late in ("r3", "r6"):
            assert not await store.lock("c", "ann", late, LONG)
        assert await store.lock("c", "ann", "r2", LONG)
        await store.stop_waiting("r2")
        assert await store.next_waiting("c", "ann") == "r3"
        await store.stop_waiting("r3")
        assert await store.next_waiting("c", "ann") is None
        await store.unlock("r2")
        assert await store.lock("c", "ann", "r6", LONG)

    run(store_url, main)


def test_who_waits_no_longer_is_passed_over(store_url: str) -> None:
    async def main(store: Store) -> None:
        assert await store.lock("c", "ann", "r1", LONG)
        assert await store.wait_for("c", "ann", "r2", SHORT, 1, 9)
        await store.renew("p1", ["r2"], 4 * SHORT)
        await asyncio.sleep(2 * SHORT)
        assert await store.next_waiting("c", "ann") == "r2"
        await asyncio.sleep(4 * SHORT)
        assert await store.next_waiting("c", "ann") is None
        await store.unlock("r1")
        assert await store.lock("c", "ann", "r3", LONG)

    run(store_url, main)


def test_a_stored_run_is_claimed_in_its_turn(store_url: str) -> None:
    async def main(store: Store) -> None:
        assert await store.lock("c", "ann", "r1", LONG)
        assert await store.wait_for("c", "ann", "r2", SHORT, 9, 9)
        assert await store.wait_for("c", "ann", "r3", SHORT, 9, 9)
        for id_ in ("r2", "r3"):
            await accept(store, id_, "p1", SHORT)
        await asyncio.sleep(2 * SHORT)
        assert await store.claim("r2", "p2", LONG) is None
        assert list(await store.abandoned(["tutor"])) == []
        await store.unlock("r1")
        assert [record.id for record in await store.abandoned(["tutor"])] == ["r2"]
        assert await store.claim("r3", "p2", LONG) is None
        claimed = await store.claim("r2", "p2", LONG)
        assert claimed is not None
        assert await store.locked_by("c", "ann") == "r2"
        assert await store.claim("r3", "p2", LONG) is None
        await store.want_cancel("r3", "ann")
        cancelled = await store.claim("r3", "p2", LONG)
        assert cancelled is not None
        assert await store.next_waiting("c", "ann") is None

    run(store_url, main)


def test_a_wake_during_a_vain_attempt_is_not_lost(
    gate: Gate,
    pool: ThreadPoolExecutor,
    serve: Callable[[Any], str],
    postgres: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store, vain = open_store(postgres), list[str]()
    claim = store.claim

    async def slow(id: str, holder: str, lease: float) -> Any:
        record = await claim(id, holder, lease)
        if record is None and not vain:
            vain.append(id)
            gate.let()  # the run before ends before this attempt does
            await asyncio.sleep(2)
        return record

    monkeypatch.setattr(store, "claim", slow)
    limits, timeouts = Limits(conversation_queue=3), Timeouts(rescue=60)
    url = serve(AgentApp(gate.router, store=store, limits=limits, timeouts=timeouts))
    first = pool.submit(send, url, "a")
    gate.wait("a")
    id_ = json.loads(send(url, "b", background=True).body)["id"]
    assert first.result(20).status == 200
    gate.wait("a", "b")
    assert vain == [id_]
    gate.let()


def test_no_more_wait_than_may(postgres: str) -> None:
    async def main(store: Store) -> None:
        other = open_store(postgres)
        await other.open()
        try:
            asked = [
                each.wait_for("c", "ann", f"r{number}{each is store}", LONG, 3, 99)
                for number in range(10)
                for each in (store, other)
            ]
            assert sum(await asyncio.gather(*asked)) == 3
        finally:
            await other.close()

    run(postgres, main)


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_what_dead_processes_left_is_swept(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    url = f"sqlite:///{tmp_path}/r.db"
    if kind == "postgres":
        url = request.getfixturevalue("postgres")

    async def main(store: Store) -> None:
        assert isinstance(store, SqlStore)
        await accept(store, "r1", "p1", SHORT)
        for number in range(5):  # a stored run, a dead one, one that is alive
            seconds = SHORT if number < 3 else LONG
            assert await store.lock(f"c{number}", "ann", f"r{number}", seconds)
            assert await store.wait_for("c", "ann", f"r{number}", seconds, 9, 9)
        await asyncio.sleep(2 * SHORT)
        await store.sweep()
        for table in (locks_table, waiting_table):
            async with store._reading() as db:
                rows = (await db.execute(select(table.c.response_id))).scalars().all()
            assert sorted(rows) == ["r1", "r3", "r4"]

    run(url, main)
