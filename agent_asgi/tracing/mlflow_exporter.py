"""Exports traces with MLflow's client, in threads; to a database, many in one transaction."""

import contextlib
import copy
import functools
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from mlflow.environment_variables import MLFLOW_ASYNC_TRACE_LOGGING_MAX_WORKERS
from mlflow.exceptions import MlflowException
from mlflow.tracing.export.mlflow_v3 import MlflowV3SpanExporter
from mlflow.tracing.export.utils import try_link_prompts_to_trace
from mlflow.tracing.utils import add_size_stats_to_trace_metadata
from mlflow.utils.credentials import get_default_host_creds
from mlflow.utils.rest_utils import http_request
from mlflow.utils.workspace_context import ServerWorkspaceContext
from opentelemetry.sdk.trace import ReadableSpan

from .export import STALL_SECONDS, is_root, pending, size_of
from .propagation import manager

DATABASES = ("postgresql", "mysql", "sqlite", "mssql")
HOLD_SECONDS = 5.0
"""How long the spans of an unfinished trace are held; most are written with their trace."""
LOOK_SECONDS = 1.0
LINGER_SECONDS = 1.0
"""How long a trace waits for others, to be written in one transaction."""
REST = 2.0
"""How long the thread sleeps after each statement, in multiples of the time that it took."""
MAX_BATCH_SPANS = 10
BATCH_SECONDS = 0.3
MAX_BATCH = 50
PATIENCE_SECONDS = 60.0
"""How long the export of a trace is retried while the database or server is down."""
PAUSE_SECONDS = 0.5
PROBE_SECONDS = 2.0


@dataclass
class Item:
    """A unit of export: a trace with all its spans, or some spans of an unfinished trace."""

    spans: list[ReadableSpan] = field(default_factory=list)
    size: int = 0
    since: float = field(default_factory=time.monotonic)
    traces: int = 0
    root: ReadableSpan | None = None
    groups: dict[tuple[str, str | None], list[Any]] = field(default_factory=dict)
    trace: Any = None
    prompts: Sequence[Any] = ()

    @property
    def attachments(self) -> dict[str, Any]:
        """MLflow's attachments, by id."""
        spans = self.trace.data.spans if self.trace else ()
        return {id_: each for span in spans for id_, each in span._attachments.items()}


class TraceExporter(MlflowV3SpanExporter):
    """MLflow's exporter with a bounded queue.

    Args:
        tracking_uri: A database, a tracking server, or another destination that MLflow knows.
    """

    def __init__(self, tracking_uri: str) -> None:
        super().__init__(tracking_uri)
        self._uri = tracking_uri
        scheme = urlsplit(tracking_uri).scheme
        self._is_database = scheme.partition("+")[0] in DATABASES
        self._is_server = scheme in ("http", "https")
        workers: Any = MLFLOW_ASYNC_TRACE_LOGGING_MAX_WORKERS
        self._max_threads = 1 if self._is_database else workers.get()
        if self._should_log_async():
            # `mlflow.flush_trace_async_logging` calls the queue's `flush`
            vars(self)["_async_queue"] = self
        self._reset()
        if hasattr(os, "register_at_fork"):  # not on Windows
            os.register_at_fork(after_in_child=self._reset)

    def _reset(self) -> None:
        self._open: dict[int, Item] = {}
        self._queue: deque[Item] = deque()
        self._changed = threading.Condition()
        self._threads: list[threading.Thread] = []
        self._busy = 0
        self._hurry = False
        self._size = 8
        self._seen = float("-inf")

    def export(self, spans: Sequence[ReadableSpan]) -> None:  # type: ignore[override]
        """Accept spans that have ended, without waiting."""
        if not self._should_log_async():  # an evaluation, or MLflow's settings say so
            super().export(spans)
            return
        for span in spans:
            self._take_in(span)

    def _take_in(self, span: ReadableSpan) -> None:
        size, id_, traces = size_of(span), span.context.trace_id, int(is_root(span))
        if pending.full(2):  # spans of no run, or runs would have waited
            pending.lose_for_room(traces)
            if span.parent is None:
                manager().pop_trace(id_)
            self.forget(id_)
            return
        whole = not manager().has_open_spans(id_)
        with self._changed:
            item = self._open.setdefault(id_, Item())
            item.spans.append(span)
            item.size += size
            item.traces += traces
            item.root = span if span.parent is None else item.root
            pending.add(traces, 1, size)
            if item.root is not None and whole:
                self._put(self._open.pop(id_))
            self._start_threads()

    def forget(self, trace_id: int) -> None:
        """Drop the spans of a trace that will not be exported."""
        with self._changed:
            item = self._open.pop(trace_id, None)
        if item is not None:
            pending.remove(item.traces, len(item.spans), item.size)

    def release(self, trace_id: int | None = None, *, older: float = 0.0) -> None:
        """Export the spans of unfinished traces.

        Args:
            trace_id: OpenTelemetry's id of the trace. Default None: of all traces.
            older: Only spans held for at least this many seconds. Default 0.
        """
        with self._changed:
            until = time.monotonic() - older
            items = [
                self._open.pop(id_)
                for id_, item in list(self._open.items())
                if item.root is None and item.since <= until and trace_id in (None, id_)
            ]
        items = [item for item in items if self._attempt(self._group, item)]
        with self._changed:
            self._put(*items)

    def flush(self, terminate: bool = False) -> None:
        """Export what waits; give up if nothing has been exported for `STALL_SECONDS`."""
        self.release()
        with self._changed:
            self._hurry = True
            self._changed.notify_all()
            while self._queue or self._busy:
                left = pending.departed
                if not self._changed.wait(STALL_SECONDS) and pending.departed == left:
                    break

    def _put(self, *items: Item) -> None:
        self._queue.extend(items)
        self._changed.notify()

    def _start_threads(self) -> None:
        busy = len(self._queue) + self._busy + bool(self._open)
        if len(self._threads) < min(self._max_threads, busy):
            name = f"agent-asgi-traces-{len(self._threads)}"
            thread = threading.Thread(target=self._work, name=name, daemon=True)
            with contextlib.suppress(RuntimeError):  # no more threads; the next span tries again
                thread.start()
                self._threads.append(thread)

    def _work(self) -> None:
        while True:
            items = self._next()
            begun = time.monotonic()
            try:
                self._write(items)
            finally:
                with self._changed:
                    self._busy -= len(items)
                    self._changed.notify_all()
            fitting = int(len(items) * BATCH_SECONDS / max(time.monotonic() - begun, 0.001))
            self._size = max(1, min(fitting, 2 * len(items), MAX_BATCH))

    def _next(self) -> list[Item]:
        """Wait for the next items; for a database, for several at once."""
        while True:
            self.release(older=HOLD_SECONDS)
            with self._changed:
                if not self._queue:
                    self._hurry = False
                    self._changed.wait(LOOK_SECONDS)
                    continue
                if self._is_database:
                    due = self._queue[0].since + LINGER_SECONDS - time.monotonic()
                    self._changed.wait_for(self._is_pressed, max(0.0, due))
                size = min(len(self._queue), self._size) if self._is_database else 1
                self._busy += size
                return [self._queue.popleft() for _ in range(size)]

    def _is_pressed(self) -> bool:
        """Return whether to write without pauses."""
        return self._hurry or len(self._queue) >= MAX_BATCH or pending.full()

    def _write(self, items: list[Item]) -> None:
        items = [item for item in items if item.root is None or self._attempt(self._pop, item)]
        plain = not any(
            item.prompts or item.attachments or any(workspace for _, workspace in item.groups)
            for item in items
        )
        if self._is_database and plain and self._write_at_once(items):
            for item in items:
                pending.remove(item.traces, len(item.spans), item.size)
            return
        for item in items:
            if self._attempt(self._retry, item):
                pending.remove(item.traces, len(item.spans), item.size)

    def _attempt(self, step: Callable[[Item], None], item: Item) -> bool:
        """Do a step of an item's export, and return whether that worked; else the item is lost."""
        try:
            step(item)
        except Exception as error:  # noqa: BLE001  the others are written all the same
            pending.lose(item.traces, f"A trace could not be exported ({_text(error)})")
            pending.remove(item.traces, len(item.spans), item.size)
            return False
        return True

    def _group(self, item: Item) -> None:
        item.groups = self._collect_mlflow_spans_for_export(item.spans)

    def _pop(self, item: Item) -> None:
        popped = manager().pop_trace(item.spans[-1].context.trace_id)
        if popped is not None:
            item.trace, item.prompts = popped.trace, popped.prompts
            key = item.trace.info.experiment_id, popped.workspace
            item.groups = {key: item.trace.data.spans}
            add_size_stats_to_trace_metadata(item.trace)

    def _write_at_once(self, items: list[Item]) -> bool:
        """Write all items in one transaction, and return whether that worked."""
        spans: dict[str, list[Any]] = {}
        try:
            with one_transaction(self._client.store) as store:
                for item in items:
                    if item.trace is not None:
                        with self._resting():
                            store.start_trace(item.trace.info)
                    for (experiment, _), group in item.groups.items():
                        spans.setdefault(experiment, []).extend(group)
                for experiment, group in spans.items():
                    for start in range(0, len(group), MAX_BATCH_SPANS):
                        with self._resting():
                            store.log_spans(experiment, group[start : start + MAX_BATCH_SPANS])
        except Exception:  # noqa: BLE001  one by one, the error of each is reported
            return False
        return True

    @contextlib.contextmanager
    def _resting(self) -> Iterator[None]:
        """Leave the interpreter to the event loop after a statement, if few traces wait."""
        begun = time.monotonic()
        yield
        if not self._is_pressed():
            time.sleep(REST * (time.monotonic() - begun))

    def _write_one(self, item: Item) -> None:
        for (experiment, workspace), spans in item.groups.items():
            with ServerWorkspaceContext(workspace) if workspace else contextlib.nullcontext():
                self._log_spans_of(experiment, spans)
                if item.trace is not None:
                    self._log_info(item)

    def _log_spans_of(self, experiment: str, spans: list[Any]) -> None:
        if urlsplit(self._uri).scheme.startswith("databricks"):
            return  # its traces have them as an artifact
        with contextlib.suppress(NotImplementedError):  # an old server has no table of spans
            self._client.log_spans(experiment, spans)

    def _log_info(self, item: Item) -> None:
        client: Any = self._client
        info = client.start_trace(item.trace.info)
        if self._should_log_spans_to_artifacts(info):
            client._upload_trace_data(info, item.trace.data)
        if item.attachments:
            client._upload_attachments(info, item.attachments)
        try_link_prompts_to_trace(client, info.trace_id, item.prompts)

    def _retry(self, item: Item) -> None:
        """Write an item; retry while the database or server is down."""
        until = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                if self._is_server:
                    self._probe()
                self._write_one(item)
            except Exception as error:
                if not self._is_down(error) or time.monotonic() > until:
                    raise
                pending.stalled = True
                pending.complain("Traces wait, MLflow cannot be reached: %s", _text(error))
                time.sleep(PAUSE_SECONDS)
            else:
                pending.stalled = False
                self._seen = time.monotonic()
                return

    def _probe(self) -> None:
        """Check that the server answers, if that is not known: MLflow's client retries for long.

        Raises:
            ConnectionError: It does not.
        """
        if time.monotonic() - self._seen > STALL_SECONDS:
            check_server(self._uri)
            self._seen = time.monotonic()

    def _is_down(self, error: Exception) -> bool:
        if isinstance(error, ConnectionError):
            return True
        if not self._is_server:
            return getattr(error, "error_code", "") == "TEMPORARILY_UNAVAILABLE"
        with contextlib.suppress(ConnectionError):
            check_server(self._uri)
            return False  # it answers, so it refuses this trace
        self._seen = float("-inf")
        return True


def check_server(uri: str) -> None:
    """Check that a tracking server answers without a server error.

    Args:
        uri: Its http or https URI.

    Raises:
        ConnectionError: It does not.
    """
    try:
        request: Any = http_request  # untyped
        creds: Any = get_default_host_creds(uri)  # type: ignore[no-untyped-call]
        answer = request(
            creds, "/health", "GET", max_retries=0, timeout=PROBE_SECONDS, raise_on_status=False
        )
    except Exception as error:
        raise ConnectionError(_text(error)) from error
    if answer.status_code >= 500:
        raise ConnectionError(f"the tracking server answers {answer.status_code}")


@contextlib.contextmanager
def one_transaction(store: Any) -> Iterator[Any]:
    """Yield a copy of MLflow's SQL store whose calls share one transaction.

    Args:
        store: The store, which opens a transaction for each call. It is not changed.

    Raises:
        MlflowException: The store has rolled back: nothing has been written.
    """
    with store.ManagedSessionMaker(read_only=False) as session:
        begun = session.get_transaction() or session.begin()
        single = copy.copy(store)
        single.ManagedSessionMaker = lambda **_: contextlib.nullcontext(session)
        single.get_experiment = functools.cache(store.get_experiment)
        yield single
        if session.get_transaction() is not begun:
            raise MlflowException("The store has rolled back its transaction.")


def _text(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:300]
