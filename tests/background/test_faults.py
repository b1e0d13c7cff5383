"""Background runs through shutdowns, outages, new releases and cancellations."""

import asyncio
import contextlib
import os
import signal
import sqlite3
import time
from pathlib import Path
from typing import Any

import msgspec
import psycopg
import pytest

from agent_asgi import AgentApp, AgentRouter, Limits, Reasoning, ResponsesRequest, Timeouts
from agent_asgi.background import log_writer
from agent_asgi.runs.admission import Stage
from agent_asgi.store import engine
from agent_asgi.store.base import StoreUnavailable
from agent_asgi.testing import AgentClient
from tests.support.apps import started
from tests.support.calling import QUICK
from tests.support.postgres import postgres_running
from tests.support.stream_rules import check_stream

ONE = Limits(worker_concurrency=1)
BODY = {"input": "x", "background": True}


def sleeping(ran: list[Any] | None = None, **options: Any) -> AgentRouter:
    """Make an agent that sleeps for the seconds in its input and records the input."""
    router = AgentRouter(**options)

    @router.invoke
    async def sleep(request: ResponsesRequest) -> str:
        if ran is not None:
            ran.append(request.input_text)
        given = request.input_text
        await asyncio.sleep(float(given) if given.replace(".", "").isdigit() else 0)
        return "awake"

    return router


async def post(client: AgentClient, **body: Any) -> str:
    """Start a background run; return its id."""
    id_: str = (await client.post("/responses", {"background": True, **body})).json()["id"]
    return id_


async def status(client: AgentClient, id: str) -> str:
    """Return the status of a response."""
    found: str = (await client.get(f"/responses/{id}")).json()["status"]
    return found


async def until_ended(client: AgentClient, id: str, seconds: float = 15) -> dict[str, Any]:
    """Wait until a run has ended; return its response."""
    async with asyncio.timeout(seconds):
        while await status(client, id) in ("queued", "in_progress"):
            await asyncio.sleep(0.05)
    response: dict[str, Any] = (await client.get(f"/responses/{id}")).json()
    return response


def test_the_end_of_a_server_whose_database_is_away() -> None:
    timeouts = Timeouts(heartbeat=0.3, stalled=2, rescue=0.3, poll=0.2, drain=0.5, cleanup=0.5)

    async def main(database: Any) -> None:
        app = AgentApp(sleeping(), store=database.get_uri(), timeouts=timeouts)
        async with asyncio.timeout(60):
            async with started(app):
                await post(AgentClient(app), input="60")
                await asyncio.sleep(0.5)
                await asyncio.to_thread(database.stop)
            database.start()

    with postgres_running() as database:
        asyncio.run(main(database))


def test_what_a_server_that_ends_does_with_runs_that_wait(store_url: str) -> None:
    """It executes those that only it can run, and leaves in the queue those that others can."""
    ran: list[Any] = []
    due = ["completed", "queued" if store_url.startswith("postgres") else "completed"]

    async def main() -> None:
        router = sleeping(ran, recover=False)
        async with started(AgentApp(router, store=store_url, timeouts=QUICK, limits=ONE)) as app:
            client = AgentClient(app)
            ids = [await post(client, input=each) for each in ("0.5", "0.2")]
            await asyncio.sleep(0.3)
            app._config.begin()._reach(Stage.ENDING)  # like a signal
            await asyncio.sleep(1)
            assert [await status(client, each) for each in ids] == due
            assert (await client.post("/responses", {"input": "x"})).status == 503

    asyncio.run(main())
    assert ran == ["0.5", "0.2"][: due.count("completed")]


def test_a_request_that_is_cut_while_it_is_accepted_leaves_no_lock(tmp_path: Path) -> None:
    async def main() -> None:
        app = AgentApp(sleeping(), store=f"sqlite:///{tmp_path}/r.db", timeouts=QUICK)
        async with started(app):
            client, accept = AgentClient(app), app.store.accept

            async def slow(*arguments: Any) -> Any:
                await asyncio.sleep(5)
                return await accept(*arguments)

            app.store.accept = slow  # type: ignore[method-assign,assignment]  # like a slow disk
            body = {**BODY, "conversation": "talk"}
            cut = asyncio.create_task(app(*await request_of(body)))
            await asyncio.sleep(0.3)
            cut.cancel()
            await asyncio.wait([cut])
            app.store.accept = accept  # type: ignore[method-assign]  # restored
            async with asyncio.timeout(10):
                while (await client.post("/responses", body)).status == 409:
                    await asyncio.sleep(0.1)

    asyncio.run(main())


async def request_of(body: Any) -> tuple[Any, Any, Any]:
    """Return the three arguments of an ASGI call whose answer is never read."""
    scope = AgentClient(None)._scope("POST", "/responses", {}, 0)  # type: ignore[arg-type]  # no app
    sent = [{"type": "http.request", "body": msgspec.json.encode(body), "more_body": False}]

    async def receive() -> Any:
        return sent.pop() if sent else await asyncio.Event().wait()

    async def send(_: Any) -> None:
        """Discard the answer."""

    return {**scope, "headers": []}, receive, send


def test_a_run_whose_handler_is_no_more_has_failed(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/r.db"
    brief = Timeouts(heartbeat=0.2, stalled=1, rescue=0.2, drain=0.1, cleanup=0.1)

    async def main() -> None:
        async with started(AgentApp(sleeping(), store=url, timeouts=brief)) as app:
            id_ = await post(AgentClient(app), input="60")
            await asyncio.sleep(0.3)
        router = AgentRouter()
        router.compact(lambda request: [])
        async with started(AgentApp(router, store=url, timeouts=brief)) as app:
            client = AgentClient(app)
            response = await until_ended(client, id_)
            assert (response["status"], response["error"]["code"]) == ("failed", "agent_error")
            events = (await client.get(f"/responses/{id_}?stream=true")).events()
            assert [each["type"] for each in events[-2:]] == ["error", "response.failed"]
            check_stream(events)

    asyncio.run(main())


def test_a_run_whose_output_no_database_takes_has_failed(tmp_path: Path) -> None:
    url, router = f"sqlite:///{tmp_path}/r.db", AgentRouter()
    refuse = """CREATE TRIGGER refuse BEFORE INSERT ON agent_asgi_items
        WHEN NEW.id LIKE 'rs_%' BEGIN SELECT RAISE(ABORT, 'no'); END"""

    @router.invoke
    async def think(request: ResponsesRequest) -> Reasoning:
        return Reasoning("hm")

    async def main() -> None:
        async with started(AgentApp(router, store=url, timeouts=QUICK)) as app:
            with contextlib.closing(sqlite3.connect(tmp_path / "r.db")) as database:
                database.execute(refuse)
            client = AgentClient(app)
            response = await until_ended(client, await post(client, input="x"))
            assert (response["status"], response["output"]) == ("failed", [])

    asyncio.run(main())


def test_a_store_that_stays_away_is_not_asked_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(log_writer, "STORE_SECONDS", 0.0)

    async def away(*_: Any) -> None:
        raise StoreUnavailable

    async def main() -> None:
        app = AgentApp(sleeping(), store=f"sqlite:///{tmp_path}/r.db", timeouts=QUICK)
        async with started(app):
            client, finish = AgentClient(app), app.store.finish
            app.store.finish = away  # type: ignore[method-assign,assignment]  # only this fails
            id_ = await post(client, input="0")
            async with asyncio.timeout(10):
                while "another attempt begins later" not in caplog.text:
                    await asyncio.sleep(0.05)
            app.store.finish = finish  # type: ignore[method-assign]  # restored
            assert (await until_ended(client, id_))["status"] == "completed"

    asyncio.run(main())


def processes_of(database: Any) -> list[int]:
    """Return the process ids of a PostgreSQL server."""
    with psycopg.connect(database.get_uri(), autocommit=True) as admin:
        rows = admin.execute("SELECT pid FROM pg_stat_activity").fetchall()
    pids = [database.get_pid(), *(pid for (pid,) in rows)]
    return [pid for pid in pids if Path(f"/proc/{pid}").exists()]


def tell(pids: list[int], what: signal.Signals) -> None:
    """Send a signal to processes, ignoring any that have ended."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, what)


def test_a_database_that_hangs_is_a_503(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "ANSWER_SECONDS", 1.0)

    async def main(database: Any) -> None:
        app = AgentApp(sleeping(), store=database.get_uri(), timeouts=QUICK)
        async with asyncio.timeout(60), started(app):
            client = AgentClient(app)
            pids = processes_of(database)
            try:
                tell(pids, signal.SIGSTOP)
                began = time.monotonic()
                assert (await client.post("/responses", BODY)).status == 503
                assert (
                    await client.post("/responses", {"input": "x", "store": False})
                ).status == 200
                assert time.monotonic() - began < 20
            finally:
                tell(pids, signal.SIGCONT)

    with postgres_running() as database:
        asyncio.run(main(database))


@pytest.mark.parametrize("durable", ["sqlite", "postgres"])
def test_runs_and_waiting_ones_are_cancelled_by_another_process(
    durable: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    url = f"sqlite:///{tmp_path}/r.db"
    if durable == "postgres":
        url = request.getfixturevalue("postgres")

    def app() -> AgentApp:
        return AgentApp(sleeping(), store=url, timeouts=QUICK, limits=ONE)

    async def main() -> None:
        async with started(app()) as one, started(app()) as other:
            running = await post(AgentClient(one), input="60")
            waiting = await post(AgentClient(one), input="60")
            await asyncio.sleep(0.3)
            for id_ in (waiting, running):
                answer = await AgentClient(other).post(f"/responses/{id_}/cancel", b"")
                assert answer.json()["status"] == "cancelled"

    asyncio.run(main())


def test_a_number_that_no_store_has_room_for(store_url: str) -> None:
    async def main() -> None:
        async with started(AgentApp(sleeping(), store=store_url)) as app:
            client = AgentClient(app)
            id_ = await post(client, input="x")
            answer = await client.get(f"/responses/{id_}?stream=true&starting_after=99999999999")
            assert (answer.status, answer.json()["error"]["param"]) == (400, "starting_after")

    asyncio.run(main())


def test_nothing_is_kept_of_runs_that_were_deleted_while_they_waited() -> None:
    async def main() -> None:
        async with started(AgentApp(sleeping(), timeouts=QUICK, limits=ONE)) as app:
            client = AgentClient(app)
            ids = [await post(client, input="0.3") for _ in range(4)]
            for id_ in ids:
                async with client.stream(f"/responses/{id_}", None, method="DELETE") as gone:
                    async for _ in gone.bodies():
                        pass
            await asyncio.sleep(1)
            assert not app._config.begin().recovery.local_contexts

    asyncio.run(main())


def test_a_start_that_fails_leaves_nothing_behind(
    postgres: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from agent_asgi.background.postgres_queue import PostgresQueue

    async def broken(self: PostgresQueue) -> None:
        raise OSError("no schema")

    monkeypatch.setattr(PostgresQueue, "_create_schema", broken)

    async def main() -> None:
        client = AgentClient(AgentApp(sleeping(), store=postgres))
        for _ in range(3):
            assert (await client.post("/responses", {"input": "x"})).status == 503
        await asyncio.sleep(0.2)
        others = asyncio.all_tasks() - {asyncio.current_task()}
        assert not [each for each in others if "agent_asgi" in str(each.get_coro())]

    asyncio.run(main())
