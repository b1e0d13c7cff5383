"""Somebody else's cancellation of a request's task is raised again when the run has ended."""

import asyncio
import json
import sqlite3
from contextlib import closing
from pathlib import Path

import anyio
import pytest
from starlette.types import Message, Receive, Scope, Send

from agent_asgi import AgentApp, AgentRouter
from agent_asgi.store import open_store
from agent_asgi.store.base import Record
from agent_asgi.store.conversation_store import Addition
from agent_asgi.store.sql import SqlStore
from agent_asgi.testing import AgentClient
from tests.support.apps import started

SCOPE: Scope = {
    "type": "http",
    "method": "POST",
    "path": "/responses",
    "query_string": b"",
    "headers": [],
}


def agent() -> AgentRouter:
    router = AgentRouter("cancelled-by-host")
    router.invoke(lambda: "x")
    return router


def request(app: AgentApp) -> asyncio.Task[None]:
    """Start a task that calls the app; nobody reads the answer."""
    messages = [{"type": "http.request", "body": json.dumps({"input": "x"}).encode()}]

    async def receive() -> Message:
        if not messages:
            await asyncio.Event().wait()
        return messages.pop()

    async def send(message: Message) -> None:
        pass

    return asyncio.create_task(app({**SCOPE}, receive, send))


def test_while_the_response_is_saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    saving, save = asyncio.Event(), SqlStore.save

    async def save_slowly(self: SqlStore, record: Record, addition: Addition | None = None) -> None:
        saving.set()
        await asyncio.sleep(0.2)
        await save(self, record, addition)

    async def main() -> bool:
        monkeypatch.setattr(SqlStore, "save", save_slowly)
        store = open_store(f"sqlite:///{tmp_path}/responses.db")
        async with started(AgentApp(agent(), store=store)) as app:
            task = request(app)
            await saving.wait()
            task.cancel()
            await asyncio.wait([task])
            return task.cancelled()

    assert asyncio.run(main())
    with closing(sqlite3.connect(tmp_path / "responses.db")) as database:
        assert database.execute("SELECT status FROM agent_asgi_responses").fetchall() == [
            ("completed",)
        ]


def test_while_the_run_waits_for_mlflow() -> None:
    async def main() -> bool:
        async with started(AgentApp(agent())) as app:
            tracer = app._config.begin().tracer
            settled, tracer._settled = tracer._settled, asyncio.Event()
            task = request(app)
            await asyncio.sleep(0.1)
            task.cancel()
            await asyncio.wait([task], timeout=5)
            tracer._settled = settled
            return task.cancelled()

    assert asyncio.run(main())


def test_a_handlers_own_cancel_scope_is_not_the_hosts() -> None:
    """As when httpx connects to a host with several addresses."""
    router = AgentRouter("impatient")

    @router.invoke
    async def impatient() -> str:
        with anyio.move_on_after(0.01):
            await anyio.sleep(10)
        return "I waited long enough."

    app = AgentApp(router)

    async def host(scope: Scope, receive: Receive, send: Send) -> None:
        with anyio.CancelScope():
            await app(scope, receive, send)

    answer = asyncio.run(AgentClient(host).post("/responses", {"input": "x"}))
    assert answer.status == 200, answer.body
    assert answer.output_text == "I waited long enough."
