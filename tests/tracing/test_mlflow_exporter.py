"""Writing traces in batches: a faulty trace does not harm the others."""

import asyncio
import contextlib
import sqlite3
import threading
import time
import uuid
from collections.abc import Iterator
from typing import Any

import mlflow
import pytest
from mlflow.exceptions import MlflowException
from mlflow.tracing.client import TracingClient

from agent_asgi import AgentApp, AgentRouter, Context
from agent_asgi.testing import AgentClient
from agent_asgi.tracing import mlflow_exporter
from agent_asgi.tracing.export import pending
from agent_asgi.tracing.mlflow_exporter import Item, TraceExporter, one_transaction
from tests.support.apps import ask, started
from tests.support.traces import traces


@pytest.fixture
def name() -> Iterator[str]:
    """Install the exporter; yield a unique name for the test."""
    router = AgentRouter("t-sink")
    router.invoke(lambda: "x")

    async def main() -> None:
        async with started(AgentApp(router)) as app:
            await AgentClient(app).post("/responses", {"input": "x"})

    mlflow.tracing.enable()
    asyncio.run(main())
    yield f"t-sink-{uuid.uuid4().hex}"
    mlflow.flush_trace_async_logging()


def make(name: str, text: str = "?") -> str:
    """Make a trace with two spans; return its id."""
    span = mlflow.start_span_no_context(name, inputs=text, tags={"agent_asgi.agent": name})
    mlflow.start_span_no_context("inner", parent_span=span).end()
    span.end(outputs="!")
    return str(span.trace_id)


def test_several_are_written_in_one_transaction(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    batches = []
    write = TraceExporter._write_at_once

    def count(self: Any, items: list[Item]) -> bool:
        done = write(self, items)
        batches.append((len(items), done))
        return done

    monkeypatch.setattr(TraceExporter, "_write_at_once", count)
    ids = [make(name, str(number)) for number in range(20)]
    mlflow.flush_trace_async_logging()
    assert sum(size for size, _ in batches) == 20
    assert len(batches) < 10
    assert all(done for _, done in batches)
    found = traces(agent=name)
    assert sorted(each.info.trace_id for each in found) == sorted(ids)
    assert all([span.name for span in each.data.spans] == [name, "inner"] for each in found)
    assert all(each.info.response_preview for each in found)
    assert pending.spans == pending.size == 0


def test_a_trace_that_cannot_be_written_harms_no_other(
    name: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    pending._logged.clear()
    before = pending.lost
    span = mlflow.start_span_no_context(name, experiment_id="987654321")
    span.end()
    good = make(name)
    mlflow.flush_trace_async_logging()
    assert [each.info.trace_id for each in traces(agent=name)] == [good]
    assert pending.lost == before + 1
    assert "987654321" in caplog.text
    assert pending.spans == pending.size == 0


def test_a_trace_that_mlflow_cannot_hand_over_ends_no_thread(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, pop = pending.lost, TraceExporter._pop

    def fail_once(self: TraceExporter, item: Item) -> None:
        monkeypatch.setattr(TraceExporter, "_pop", pop)
        raise RuntimeError("no trace")

    monkeypatch.setattr(TraceExporter, "_pop", fail_once)
    make(name)
    mlflow.flush_trace_async_logging()
    good = make(name)
    mlflow.flush_trace_async_logging()
    assert [each.info.trace_id for each in traces(agent=name)] == [good]
    assert pending.lost == before + 1
    assert pending.spans == pending.size == 0


def test_a_thread_that_cannot_start_is_started_later(
    tracking_uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    exporter, start = TraceExporter(tracking_uri), threading.Thread.start

    def fail_once(self: threading.Thread) -> None:
        monkeypatch.setattr(threading.Thread, "start", start)
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", fail_once)
    monkeypatch.setattr(TraceExporter, "_work", lambda self: None)
    with exporter._changed:
        exporter._queue.append(Item())
        exporter._start_threads()
        assert not exporter._threads
        exporter._start_threads()
    (thread,) = exporter._threads
    thread.join(10)


def test_what_is_there_already_is_written_over(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run's step is written before the run ends; a failed transaction is retried."""
    monkeypatch.setattr(mlflow_exporter, "HOLD_SECONDS", 0.0)
    root = mlflow.start_span_no_context(name, inputs="?", tags={"agent_asgi.agent": name})
    mlflow.start_span_no_context("step", parent_span=root).end()
    mlflow.flush_trace_async_logging()
    root.end(outputs="!")
    mlflow.flush_trace_async_logging()
    (trace,) = traces(agent=name)
    assert sorted(each.name for each in trace.data.spans) == sorted([name, "step"])
    assert trace.info.state.value == "OK"


def test_a_root_waits_for_spans_that_end_after_it(name: str) -> None:
    root = mlflow.start_span_no_context(name, tags={"agent_asgi.agent": name})
    late = mlflow.start_span_no_context("late", parent_span=root)
    root.end()
    late.end(outputs="done")
    (trace,) = traces(agent=name)
    assert {each.name: each.outputs for each in trace.data.spans}["late"] == "done"


def test_a_locked_database_is_waited_for(name: str, tracking_uri: str) -> None:
    path = tracking_uri.removeprefix("sqlite:///")
    before = pending.lost
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        ids = [make(name) for _ in range(5)]
        time.sleep(1.5)
        assert pending.traces == 5
        connection.execute("ROLLBACK")
    mlflow.flush_trace_async_logging()
    assert sorted(each.info.trace_id for each in traces(agent=name)) == sorted(ids)
    assert pending.lost == before


def test_a_database_that_is_down_is_tried_again(
    name: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    down = [True, True, True]

    def start(self: Any, info: Any, original: Any = TracingClient.start_trace) -> Any:
        if down:
            down.pop()
            raise MlflowException("database is locked", error_code=3001)
        return original(self, info)

    def fail(self: Any, items: Any) -> bool:
        return False

    monkeypatch.setattr(TraceExporter, "_write_at_once", fail)
    monkeypatch.setattr(
        TraceExporter, "_is_down", lambda self, error: "locked" in str(error), raising=True
    )
    monkeypatch.setattr(mlflow_exporter, "PAUSE_SECONDS", 0.05)
    pending._logged.clear()
    monkeypatch.setattr(TracingClient, "start_trace", start)
    id_ = make(name)
    mlflow.flush_trace_async_logging()
    assert not down
    assert not pending.stalled
    assert [each.info.trace_id for each in traces(agent=name)] == [id_]
    assert sum("Traces wait" in message for message in caplog.messages) == 1


def test_a_store_that_rolls_back_is_noticed(name: str) -> None:
    store: Any = TracingClient().store
    maker = store.ManagedSessionMaker
    with pytest.raises(MlflowException), one_transaction(store) as single:
        with single.ManagedSessionMaker(read_only=False) as session:
            session.rollback()
    assert store.ManagedSessionMaker is maker


def test_without_async_logging_a_trace_is_written_at_its_end(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(TraceExporter, "_should_log_async", lambda _: False)
    id_ = make(name)
    trace = mlflow.get_trace(id_)
    assert trace is not None
    assert len(trace.data.spans) == 2
    assert pending.spans == 0


def test_spans_of_a_run_that_goes_on_are_written_before_its_end(
    monkeypatch: pytest.MonkeyPatch, tracking_uri: str
) -> None:
    monkeypatch.setattr(mlflow_exporter, "HOLD_SECONDS", 0.1)
    router = AgentRouter("t-goes-on")

    @router.invoke
    async def long(context: Context) -> str:
        with mlflow.start_span("step"):
            pass
        query = "SELECT name FROM spans WHERE trace_id = ?"
        path = tracking_uri.removeprefix("sqlite:///")
        with contextlib.closing(sqlite3.connect(path, timeout=30)) as connection:
            async with asyncio.timeout(30):
                while not (found := connection.execute(query, (context.trace_id,)).fetchall()):
                    await asyncio.sleep(0.1)
        return str(found)

    assert (
        "step"
        in ask(AgentApp(router), "/responses", {"input": "x"}).json()["output"][0]["content"][0][
            "text"
        ]
    )
    (trace,) = traces(agent="t-goes-on")
    assert sorted(each.name for each in trace.data.spans) == ["long", "step"]
    assert trace.info.state.value == "OK"
