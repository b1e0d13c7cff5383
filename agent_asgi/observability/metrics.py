"""The metrics of an app, for Prometheus."""

import itertools
import os
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client.core import Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from ..context import GIVEN_BACK, RunMode
from ..schema.responses import Usage
from . import GENAI_BUCKETS
from .multiprocess import FOLDER

STATUSES = ("completed", "failed", "incomplete", "cancelled", GIVEN_BACK)
BUCKETS = (
    *(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5),
    *(1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0),
)
"""Upper bounds of the histograms' buckets, in seconds."""
MAX_TOKENS = 1 << 63
"""Larger numbers of tokens are ignored; they may be too large for a float."""
NAMES = ("agent_asgi_", "gen_ai_invoke_agent_duration")
"""What the names of the app's metrics begin with."""
OTHER = "other"
CODES = frozenset(
    {
        "approval_already_answered",
        "authentication_error",
        "authentication_required",
        "bad_gateway",
        "body_timeout",
        "conversation_locked",
        "conversation_not_found",
        "conversation_too_large",
        "gateway_timeout",
        "host_not_allowed",
        "insufficient_scope",
        "idempotency_key_reused",
        "invocation_not_found",
        "invalid_json",
        "invalid_request",
        "invalid_token",
        "item_not_found",
        "model_not_found",
        "nested_too_deeply",
        "no_handler",
        "not_found",
        "not_supported",
        "origin_not_allowed",
        "permission_error",
        "previous_response_not_found",
        "rate_limit_exceeded",
        "request_too_large",
        "response_not_found",
        "server_error",
        "storage_limit_exceeded",
        "timeout",
        "too_many_nodes",
        "too_many_queued",
        "too_many_requests",
        "too_many_runs",
        "too_many_streams",
        "trace_not_found",
        "unauthenticated",
        "unavailable",
        "unsupported_content_encoding",
    }
)
"""The error codes that are values of the label `why`. Others, for example an app's own, count as
`other`, because the values of a label must be bounded."""
RUN_CODES = frozenset(
    {
        "agent_error",
        "background_timeout",
        "guardrail_tripped",
        "interrupted",
        "max_turns_exceeded",
        "output_too_large",
        "silence_timeout",
        "tool_choice_violated",
        "usage_limit_exceeded",
    }
)
"""The error codes that only runs have. These and `CODES` are values of the label `error_type`."""
OTHER_ERROR = "_OTHER"
"""The value for all other codes, OpenTelemetry's."""
_app_numbers = itertools.count()
"""Distinguish the apps of a process. The processes of a server build their apps in the same order,
so an app has the same number in each."""


class Metrics:
    """The metrics of an app, in a separate registry.

    If `PROMETHEUS_MULTIPROC_DIR` is set, `exposition` returns the app's metrics of all processes
    that share the folder. All apps of a process write to the same files, so there each metric also
    has the label `app`, which `exposition` removes.

    Args:
        agents: The names of the app's agents.

    Attributes:
        agents: The metrics of each agent's runs, by its name.
        is_multiprocess: Whether other processes expose this process's metrics too.

    Raises:
        ValueError: `PROMETHEUS_MULTIPROC_DIR` is set but is not a folder.
    """

    def __init__(self, agents: Iterable[str]) -> None:
        self._registry = CollectorRegistry()
        self.is_multiprocess = FOLDER in os.environ
        if self.is_multiprocess:
            number = str(next(_app_numbers))
            self._app: tuple[str, ...] = (number,)
            self._registry.register(_FilesCollector(number))
            families = _Families(["app"], None)
        else:
            self._app = ()
            families = _Families([], self._registry)
            ProcessCollector(registry=self._registry)
        self.agents = {name: AgentMetrics(families, (*self._app, name)) for name in agents}
        self._refused = families.refused
        self._store_seconds = families.store_seconds
        waiting, dropped = families.traces_waiting, families.traces_dropped
        self._waiting = waiting.labels(*self._app) if self._app else waiting
        self._dropped = dropped.labels(*self._app) if self._app else dropped
        self._dropped_before = 0

    def refused(self, code: str) -> None:
        """Count a request that was refused before a handler started.

        Args:
            code: The error's code.
        """
        self._refused.labels(*self._app, code if code in CODES else OTHER).inc()

    def store_timer(self, operation: str) -> Callable[[float], None]:
        """Return the function that records the duration of a store's operation, in seconds."""
        return self._store_seconds.labels(*self._app, operation).observe

    def update(self, runs: Mapping[str, int], waiting: int, dropped: int) -> None:
        """Update the metrics of runs and of traces.

        Args:
            runs: The number of runs in flight, by agent; agents without any may be left out.
            waiting: The number of exports of traces that wait in this process.
            dropped: The number of traces that it has dropped since it started.
        """
        for name, agent in self.agents.items():
            agent.flush(runs.get(name, 0))
        self._waiting.set(waiting)
        self._dropped.inc(dropped - self._dropped_before)
        self._dropped_before = dropped

    def exposition(self, accept: str) -> tuple[bytes, str]:
        """Return all metrics as of the last `update`, and their content type.

        Args:
            accept: The request's `accept` header, which selects the format.
        """
        encode, content_type = choose_encoder(accept)
        return encode(self._registry), content_type


class _Families:
    """The metrics before labels are applied; `app`, if it is used, is the first label of each."""

    def __init__(self, app: Sequence[str], registry: CollectorRegistry | None) -> None:
        counter = partial(Counter, registry=registry)
        gauge = partial(Gauge, registry=registry, multiprocess_mode="livesum")
        histogram = partial(Histogram, registry=registry, buckets=BUCKETS)
        agent, mode = [*app, "agent"], [*app, "agent", "mode"]
        self.runs = counter("agent_asgi_runs", "Runs that have ended.", [*mode, "status"])
        self.in_flight = gauge("agent_asgi_runs_in_flight", "Runs that have not ended.", agent)
        self.seconds = histogram("agent_asgi_run_seconds", "Time of a run.", mode)
        self.first_event = histogram(
            "agent_asgi_first_event_seconds", "Time to a handler's first output.", mode
        )
        self.events = counter("agent_asgi_events", "Events of runs that have ended.", agent)
        self.tokens = counter(
            "agent_asgi_tokens", "Tokens that handlers reported as used.", [*agent, "direction"]
        )
        self.refused = counter(
            "agent_asgi_refused", "Requests refused before a handler started.", [*app, "why"]
        )
        self.traces_waiting = gauge(
            "agent_asgi_traces_waiting", "Exports of traces that wait.", app
        )
        self.traces_dropped = counter(
            "agent_asgi_traces_dropped", "Traces dropped because exports fell behind.", app
        )
        self.invocations = Histogram(
            "gen_ai_invoke_agent_duration_seconds",
            "Time of a run, by the name of OpenTelemetry's conventions.",
            [*app, "gen_ai_agent_name", "error_type"],
            registry=registry,
            buckets=GENAI_BUCKETS,
        )
        self.store_seconds = histogram(
            "agent_asgi_store_seconds", "Time of a call of the store.", [*app, "operation"]
        )


class AgentMetrics:
    """The metrics of an agent's runs. Not thread-safe.

    Runs are counted in plain numbers, which `flush` adds to the metrics: prometheus_client's locks
    and checks would take 29,000 instructions per run, a tenth of its time.
    """

    def __init__(self, families: _Families, labels: tuple[str, ...]) -> None:
        self._families = families
        self._labels = labels
        self._events = 0
        self._input_tokens = 0
        self._output_tokens = 0
        self._modes: dict[RunMode, _ModeMetrics] = {}
        self._invocations: dict[str, _Durations] = {}
        self._in_flight_gauge = families.in_flight.labels(*labels)
        self._events_counter = families.events.labels(*labels)
        self._input_counter = families.tokens.labels(*labels, "input")
        self._output_counter = families.tokens.labels(*labels, "output")

    def run_ended(
        self,
        mode: RunMode,
        status: str,
        seconds: float,
        first_event_seconds: float | None,
        events: int,
        usage: Usage | None,
        error: str | None,
    ) -> None:
        """Count a run that has ended.

        Args:
            mode: How it was answered.
            status: How it ended. If it was given back, nothing else is counted.
            seconds: Its duration.
            first_event_seconds: The time to its handler's first output; None if it had none.
                Ignored if the mode is "json", which has no events.
            events: The number of its events.
            usage: The tokens that the handler reported; None if it reported none.
            error: The code that it failed with; None if it did not fail.
        """
        metrics = self._modes.get(mode) or self._bind(mode)
        metrics.statuses[status] += 1
        if status == GIVEN_BACK:
            return
        metrics.seconds.add(seconds)
        (self._invocations.get(error or "") or self._bind_error(error or "")).add(seconds)
        if first_event_seconds is not None and metrics.first_event is not None:
            metrics.first_event.add(first_event_seconds)
        self._events += events
        if usage is not None:
            if 0 < usage.input_tokens < MAX_TOKENS:
                self._input_tokens += usage.input_tokens
            if 0 < usage.output_tokens < MAX_TOKENS:
                self._output_tokens += usage.output_tokens

    def flush(self, in_flight: int) -> None:
        """Add what was counted since the last call to the metrics, and set the runs in flight."""
        for metrics in self._modes.values():
            metrics.flush()
        for durations in self._invocations.values():
            durations.flush()
        self._in_flight_gauge.set(in_flight)
        self._events_counter.inc(self._events)
        self._input_counter.inc(self._input_tokens)
        self._output_counter.inc(self._output_tokens)
        self._events = self._input_tokens = self._output_tokens = 0

    def _bind(self, mode: RunMode) -> "_ModeMetrics":
        """Create the metrics of a mode, at its first run: modes without runs have no metrics."""
        metrics = self._modes[mode] = _ModeMetrics(self._families, self._labels, mode)
        return metrics

    def _bind_error(self, code: str) -> "_Durations":
        """Return the durations of the runs that fail with a code, or of all others if it is ""."""
        label = code if not code or code in CODES or code in RUN_CODES else OTHER_ERROR
        durations = self._invocations.get(label)
        if durations is None:
            histogram = self._families.invocations.labels(*self._labels, label)
            durations = self._invocations[label] = _Durations(histogram, GENAI_BUCKETS)
        return durations


class _ModeMetrics:
    """What was counted for a mode since the last flush."""

    def __init__(self, families: _Families, agent: tuple[str, ...], mode: RunMode) -> None:
        labels = (*agent, mode)
        self.statuses = dict.fromkeys(STATUSES, 0)
        self.seconds = _Durations(families.seconds.labels(*labels))
        self.first_event = None
        if mode != "json":
            self.first_event = _Durations(families.first_event.labels(*labels))
        self._counters = {status: families.runs.labels(*labels, status) for status in STATUSES}

    def flush(self) -> None:
        for status, counter in self._counters.items():
            counter.inc(self.statuses[status])
            self.statuses[status] = 0
        self.seconds.flush()
        if self.first_event is not None:
            self.first_event.flush()


class _Durations:
    """Durations since the last flush."""

    __slots__ = ("_bounds", "_counts", "_histogram", "_sum")

    def __init__(self, histogram: Histogram, bounds: Sequence[float] = BUCKETS) -> None:
        self._histogram = histogram
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0

    def add(self, seconds: float) -> None:
        self._counts[bisect_left(self._bounds, seconds)] += 1
        self._sum += seconds

    def flush(self) -> None:
        """Add all durations to the histogram, as its `observe` does for a single one."""
        self._histogram._sum.inc(self._sum)
        for bucket, count in zip(self._histogram._buckets, self._counts, strict=True):
            if count:
                bucket.inc(count)
        self._counts = [0] * len(self._counts)
        self._sum = 0.0


class _FilesCollector(Collector):
    """Collects the metrics of an app from the files of all processes."""

    def __init__(self, app: str) -> None:
        self._app = app
        self._files = MultiProcessCollector(None)  # type: ignore[no-untyped-call]

    def collect(self) -> Iterator[Metric]:
        for metric in self._files.collect():  # type: ignore[no-untyped-call]
            if metric.name.startswith(NAMES):  # the others are the host's
                metric.samples = [
                    sample
                    for sample in metric.samples
                    if sample.labels.pop("app", None) == self._app
                ]
                yield metric
