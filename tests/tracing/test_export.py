"""Traces that do not fit in the queue."""

import asyncio
import threading
import time
from typing import Any

import mlflow
import pytest

from agent_asgi import AgentApp, AgentRouter
from agent_asgi.testing import AgentClient
from agent_asgi.tracing import export, mlflow_exporter
from agent_asgi.tracing.export import Pending, pending
from tests.support.apps import started
from tests.support.scrape import by, parse
from tests.support.traces import traces


def test_trace_without_room_is_dropped_and_counted(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    router = AgentRouter("t-room")

    @router.invoke
    async def hurried() -> str:
        with mlflow.start_span("inner"):
            return "x"

    gate = threading.Event()
    write = mlflow_exporter.TraceExporter._write

    def held(self: Any, items: Any) -> None:
        assert gate.wait(30)
        write(self, items)

    async def main() -> list[float]:
        seconds = []
        async with started(AgentApp(router)) as app:
            client = AgentClient(app)
            await client.post("/responses", {"input": "warm"})
            await asyncio.to_thread(mlflow.flush_trace_async_logging)
            assert pending.spans == pending.traces == pending.size == 0
            monkeypatch.setattr(mlflow_exporter.TraceExporter, "_write", held)
            monkeypatch.setattr(export, "MAX_TRACES", 1)
            await client.post("/responses", {"input": "first"})
            for _ in range(2):
                begun = time.monotonic()
                assert (await client.post("/responses", {"input": "lost"})).status == 200
                seconds.append(time.monotonic() - begun)
            asyncio.get_running_loop().call_later(0.1, gate.set)
            await client.post("/responses", {"input": "last"})
        return seconds

    before = pending.lost
    pending._logged.clear()
    seconds = asyncio.run(main())
    assert all(each > export.ROOM_SECONDS * 0.8 for each in seconds), seconds
    assert pending.lost == before + 2
    assert pending.spans == pending.traces == pending.size == 0
    found = [each.data.spans[0].inputs["input"] for each in traces(agent="t-room")]
    assert found == ["warm", "first", "last"]
    reports = [each for each in caplog.messages if "faster than they can be exported" in each]
    assert reports == [
        f"Traces arrive faster than they can be exported; {before + 1} traces lost since the start."
    ]
    assert sum("development and light load" in each for each in caplog.messages) == 1


def test_room_is_given_in_the_order_of_coming(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "ROOM_SECONDS", 5.0)
    waiting = Pending()
    waiting.add(export.MAX_TRACES, 0, 0)

    async def main() -> list[int]:
        served: list[int] = []

        async def wait(number: int) -> None:
            if await waiting.wait_for_room():
                waiting.add(1, 0, 0)
                served.append(number)

        tasks = [asyncio.create_task(wait(each)) for each in range(3)]
        for count in range(3):
            await asyncio.sleep(0.01)
            assert len(served) == count
            await asyncio.to_thread(waiting.remove, 1, 0, 0)
        await asyncio.gather(*tasks)
        monkeypatch.setattr(export, "ROOM_SECONDS", 0.01)
        assert not await waiting.wait_for_room()
        return served

    assert asyncio.run(main()) == [0, 1, 2]


def test_room_that_spans_of_a_running_trace_leave_is_given_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(export, "ROOM_SECONDS", 60.0)
    waiting = Pending()
    waiting.add(0, export.MAX_SPANS, 0)

    async def main() -> None:
        asyncio.get_running_loop().call_later(0.05, waiting.remove, 0, 1, 0)
        async with asyncio.timeout(30):
            assert await waiting.wait_for_room()

    asyncio.run(main())


def test_bounds_count_traces_spans_and_bytes() -> None:
    for traces_, spans, size in [
        (export.MAX_TRACES, 0, 0),
        (0, export.MAX_SPANS, 0),
        (0, 0, export.MAX_BYTES),
    ]:
        waiting = Pending()
        waiting.add(traces_, spans, size)
        assert waiting.full()
        assert not waiting.full(2)
        waiting.remove(traces_, spans, size)
        assert not waiting.full()


def test_nobody_waits_for_room_while_nothing_can_leave(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "ROOM_SECONDS", 60.0)
    waiting = Pending()
    waiting.add(export.MAX_TRACES, 0, 0)
    waiting.stalled = True

    async def main() -> None:
        async with asyncio.timeout(30):
            assert not await waiting.wait_for_room()

    asyncio.run(main())


def test_spans_of_no_run_are_dropped_beyond_twice_the_bound(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asyncio.run(_start_once())
    monkeypatch.setattr(export, "MAX_SPANS", 0)
    before = pending.lost
    with mlflow.start_span("t-beyond"), mlflow.start_span("below"):
        pass
    assert pending.lost == before + 1
    assert pending.spans == 0
    monkeypatch.undo()
    mlflow.flush_trace_async_logging()
    assert not [each for each in traces() if each.data.spans[0].name == "t-beyond"]


async def _start_once() -> None:
    router = AgentRouter("t-once")
    router.invoke(lambda: "x")
    async with started(AgentApp(router)) as app:
        await AgentClient(app).post("/responses", {"input": "x"})


def test_a_run_that_is_cancelled_while_its_trace_waits_ends_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It has already been answered, and its status is in the store and the metrics."""

    async def slow() -> bool:
        await asyncio.sleep(0.3)
        return True

    monkeypatch.setattr(pending, "wait_for_room", slow)
    router = AgentRouter("waits")

    @router.invoke
    async def say(request: dict[str, Any]) -> str:
        return "x"

    app = AgentApp(router)

    async def main() -> None:
        async with started(app):
            asking = asyncio.create_task(AgentClient(app).post("/responses", {"input": "x"}))
            await asyncio.sleep(0.1)
            for task in asyncio.all_tasks():
                if "call" in repr(task.get_coro()):
                    task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asking
            samples = parse((await AgentClient(app).get("/metrics")).body.decode())
            assert by(samples, "runs_total", "status") == {"completed": 1}

    asyncio.run(main())
    assert [each.info.tags["agent_asgi.status"] for each in traces(agent="waits")] == ["completed"]
