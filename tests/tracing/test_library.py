"""Undocumented parts of MLflow and OpenTelemetry that this package uses.

Each test fails if the library changes it.
"""

import inspect
from typing import Any

import mlflow
import pytest
from cachetools import TTLCache
from mlflow.entities import LiveSpan
from mlflow.tracing.client import TracingClient
from mlflow.tracing.export.mlflow_v3 import MlflowV3SpanExporter
from mlflow.tracing.export.utils import flush_exporter, try_link_prompts_to_trace
from mlflow.tracing.processor.mlflow_v3 import MlflowV3SpanProcessor
from mlflow.tracing.processor.otel import OtelSpanProcessor
from mlflow.tracing.provider import (
    get_context_api,
    get_current_otel_span,
    is_tracing_enabled,
    provider,
    set_span_in_context,
)
from mlflow.tracing.trace_manager import InMemoryTraceManager
from mlflow.tracing.utils import add_size_stats_to_trace_metadata
from mlflow.tracing.utils.otlp import should_use_otlp_exporter
from mlflow.tracking.fluent import _get_experiment_id
from mlflow.utils.credentials import get_default_host_creds
from mlflow.utils.rest_utils import http_request
from mlflow.version import IS_TRACING_SDK_ONLY
from opentelemetry.attributes import BoundedAttributes
from opentelemetry.sdk.trace import Event, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.trace import Status, StatusCode


@pytest.fixture
def span(tracking_uri: str) -> Any:
    """Return an open MLflow span."""
    mlflow.tracing.enable()
    made = mlflow.start_span_no_context("t-library")
    assert isinstance(made, LiveSpan)
    return made


def parameters(function: Any) -> list[str]:
    return list(inspect.signature(function).parameters)


def test_processors_of_a_provider() -> None:
    """`_active_span_processor` and `_span_processors`: a processor added there is called."""
    made, seen = TracerProvider(), []

    class Processor(SpanProcessor):
        def on_end(self, span: Any) -> None:
            seen.append(span.name)

    active: Any = made._active_span_processor
    active._span_processors = (Processor(),)
    made.get_tracer("x").start_span("one").end()
    assert seen == ["one"]


def test_a_span_that_ends() -> None:
    """`_on_ending` comes before any `on_end`, which gets `_attributes`, `_events` and `_status`."""
    made, seen = TracerProvider(), list[Any]()

    class Processor(SpanProcessor):
        def _on_ending(self, span: Any) -> None:
            span._attributes = BoundedAttributes(attributes={"b": 1})
            span._events = [Event("exception", {"exception.type": "X"}, 7)]
            span._status = Status(span.status.status_code)

        def on_end(self, span: Any) -> None:
            seen.append((dict(span.attributes), span.events[0].timestamp, span.status.description))

    made.add_span_processor(Processor())
    span = made.get_tracer("x").start_span("one", attributes={"a": 1})
    span.set_status(Status(StatusCode.ERROR, "secret"))
    span.add_event("other")
    span.end()
    assert seen == [({"b": 1}, 7, None)]


def test_mlflows_provider(span: Any) -> None:
    assert callable(provider.get_or_init_tracer)
    assert isinstance(provider.get(), TracerProvider)
    assert is_tracing_enabled()
    assert not should_use_otlp_exporter()
    assert callable(get_context_api().attach)  # type: ignore[no-untyped-call]
    token = set_span_in_context(span)
    assert get_current_otel_span().get_span_context().trace_id > 0  # type: ignore[union-attr]
    mlflow.tracing.provider.detach_span_from_context(token)
    span.end()


def test_trace_manager(span: Any) -> None:
    """`get_trace` holds a lock; `_traces` is a cache with `ttl` and `maxsize`."""
    manager: Any = InMemoryTraceManager.get_instance()  # type: ignore[no-untyped-call]
    assert isinstance(manager._traces, TTLCache)
    assert manager._traces.maxsize >= 1000
    assert manager._traces.ttl > 0
    assert span.trace_id in manager._traces
    with manager.get_trace(span.trace_id) as trace:
        assert span.span_id in trace.span_dict
        assert trace.info.tags["mlflow.traceName"] == "t-library"
    otel_id = int(span.trace_id.removeprefix("tr-"), 16)
    assert manager.get_mlflow_trace_id_from_otel_id(otel_id) == span.trace_id
    assert manager.has_open_spans(otel_id)
    popped = manager.pop_trace(otel_id)
    assert [each.name for each in popped.trace.data.spans] == ["t-library"]
    assert (list(popped.prompts), popped.workspace) == ([], None)
    assert parameters(manager.register_trace) == ["otel_trace_id", "trace_info", "is_remote_trace"]
    add_size_stats_to_trace_metadata(popped.trace)
    assert popped.trace.info.trace_metadata["mlflow.trace.sizeBytes"]


def test_exporter(tracking_uri: str) -> None:
    """`_client`, `_should_log_async`, `_async_queue`, `_collect_mlflow_spans_for_export`."""
    exporter: Any = MlflowV3SpanExporter(tracking_uri)
    assert exporter._client.tracking_uri == tracking_uri
    assert exporter._should_log_async()
    flushed: list[bool] = []

    class Queue:
        def flush(self, terminate: bool) -> None:
            flushed.append(terminate)

    exporter._async_queue = Queue()
    flush_exporter(exporter)
    assert flushed == [False]
    assert exporter._collect_mlflow_spans_for_export([]) == {}
    assert parameters(exporter._should_log_spans_to_artifacts) == ["trace_info"]


def test_processors_of_mlflow(tracking_uri: str) -> None:
    """OpenTelemetry's batch processor comes after MLflow's hooks; `_export_metrics`."""
    names = [each.__name__ for each in OtelSpanProcessor.__mro__]
    assert names.index("BatchSpanProcessor") > names.index("OtelMetricsMixin")
    assert "_export_metrics" in vars(OtelSpanProcessor(_Nowhere(), export_metrics=False))
    processor: Any = MlflowV3SpanProcessor(_Nowhere(), False, use_batch_processor=False)
    assert isinstance(processor.span_exporter, _Nowhere)


class _Nowhere(SpanExporter):
    def export(self, spans: Any) -> SpanExportResult:
        return SpanExportResult.SUCCESS

    def shutdown(self) -> None:
        """Do nothing."""


def test_client_and_store(tracking_uri: str) -> None:
    """`_upload_trace_data`, `_upload_attachments`; `ManagedSessionMaker` and `get_experiment`."""
    client: Any = TracingClient(tracking_uri)
    assert parameters(client._upload_trace_data) == ["trace_info", "trace_data"]
    assert parameters(client._upload_attachments)[:2] == ["trace_info", "attachments"]
    assert parameters(try_link_prompts_to_trace)[:3] == ["client", "trace_id", "prompts"]
    store = client.store
    with store.ManagedSessionMaker(read_only=False) as session:
        assert session.get_transaction() or session.begin()
    assert store.get_experiment(_get_experiment_id()).experiment_id
    assert parameters(store.log_spans)[:2] == ["location", "spans"]
    assert parameters(store.start_trace) == ["trace_info"]


def test_spans_and_the_rest(span: Any) -> None:
    """The `_attachments` of a span."""
    span.end()
    assert span.to_immutable_span()._attachments == {}
    assert get_default_host_creds("http://127.0.0.1:1").host  # type: ignore[no-untyped-call]
    assert {"max_retries", "timeout", "raise_on_status"} <= set(parameters(http_request))
    assert IS_TRACING_SDK_ONLY is False
