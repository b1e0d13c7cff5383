"""An app's counts as Prometheus reads them; the only importer of prometheus_client."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from .counts import BOUNDS, Counts, Histogram, RunMode, Runs

Number = int | float
Sample = tuple[Sequence[str], Number]
_EDGES = [*(f"{each:g}" for each in BOUNDS), "+Inf"]


def exposition(counts: Counts, accept: str, *, process: bool) -> tuple[bytes, str]:
    """Write counts in the format that a scraper asks for.

    Args:
        counts: The counts.
        accept: The request's `accept` header.
        process: Whether this process's memory, CPU time and files are told too.

    Returns:
        The body and its content type.
    """
    registry = CollectorRegistry()
    registry.register(_Families(counts))
    if process:
        ProcessCollector(registry=registry)
    encode, content_type = choose_encoder(accept)
    return encode(registry), content_type


class _Families(Collector):
    """Makes metrics of counts."""

    def __init__(self, counts: Counts) -> None:
        self._counts = counts

    def collect(self) -> Iterator[Metric]:
        """Give each metric with its samples."""
        yield from self._of_runs()
        counts = self._counts
        refused = [([why], number) for why, number in counts.refused.items()]
        yield _counter("refused", "Requests refused before a handler started.", ["why"], refused)
        waiting = "Exports of traces that wait, in this process."
        yield _gauge("traces_waiting", waiting, [], [([], counts.traces_waiting)])
        dropped = "Traces given up because exports had fallen behind."
        yield _counter("traces_dropped", dropped, [], [([], counts.traces_dropped)])
        times = [([operation], each) for operation, each in counts.store.items()]
        yield _histogram("store_seconds", "Time of a call of the store.", ["operation"], times)

    def _of_runs(self) -> Iterator[Metric]:
        runs = list(_by_agent_and_mode(self._counts))
        agents = _by_agent(self._counts)
        yield _counter(
            "runs",
            "Runs that have ended.",
            ["agent", "mode", "status"],
            [([*labels, s], n) for labels, each in runs for s, n in each.statuses.items()],
        )
        flying = [([agent], each.in_flight) for agent, each in agents]
        yield _gauge("runs_in_flight", "Runs that have not ended.", ["agent"], flying)
        by = ["agent", "mode"]
        times = [(labels, each.seconds) for labels, each in runs]
        yield _histogram("run_seconds", "Time of a run.", by, times)
        firsts = [(labels, each.first_event) for labels, each in runs if labels[1] != "json"]
        yield _histogram("first_event_seconds", "Time to a handler's first output.", by, firsts)
        events = [([agent], each.events) for agent, each in agents]
        yield _counter("events", "Events of runs that have ended.", ["agent"], events)
        tokens = [([agent, "input"], each.input_tokens) for agent, each in agents]
        tokens += [([agent, "output"], each.output_tokens) for agent, each in agents]
        told = "Tokens that handlers said were used."
        yield _counter("tokens", told, ["agent", "direction"], tokens)


def _by_agent_and_mode(counts: Counts) -> Iterator[tuple[tuple[str, RunMode], Runs]]:
    for agent, modes in counts.runs.items():
        for mode, runs in modes.items():
            if any(runs.statuses.values()):
                yield (agent, mode), runs


def _by_agent(counts: Counts) -> list[tuple[str, Runs]]:
    """Give what is told of each agent in all modes together."""
    return [
        (
            agent,
            Runs(
                in_flight=sum(each.in_flight for each in modes.values()),
                events=sum(each.events for each in modes.values()),
                input_tokens=sum(each.input_tokens for each in modes.values()),
                output_tokens=sum(each.output_tokens for each in modes.values()),
            ),
        )
        for agent, modes in counts.runs.items()
    ]


def _counter(name: str, told: str, labels: Sequence[str], samples: Iterable[Sample]) -> Metric:
    metric = CounterMetricFamily(f"agent_asgi_{name}", told, labels=labels)
    for values, number in samples:
        metric.add_metric(values, number)
    return metric


def _gauge(name: str, told: str, labels: Sequence[str], samples: Iterable[Sample]) -> Metric:
    metric = GaugeMetricFamily(f"agent_asgi_{name}", told, labels=labels)
    for values, number in samples:
        metric.add_metric(values, number)
    return metric


def _histogram(
    name: str, told: str, labels: Sequence[str], samples: Iterable[tuple[Sequence[str], Histogram]]
) -> Metric:
    metric = HistogramMetricFamily(f"agent_asgi_{name}", told, labels=labels)
    for values, each in samples:
        buckets = list(zip(_EDGES, map(float, accumulate(each.buckets)), strict=True))
        metric.add_metric(values, buckets, each.sum)
    return metric
