"""Reads the trace of a response from MLflow, as a tree of spans."""

from collections import defaultdict
from collections.abc import Collection, Iterable
from typing import Any

from msgspec import Struct

from .query import RESPONSE, ask, exported


class SpanNode(Struct, omit_defaults=True):
    """A span of a trace, with the spans below it."""

    name: str
    """Its name."""
    type: str
    """MLflow's type of it, for example `TOOL`."""
    start: float
    """When it began, in milliseconds after the trace."""
    duration: float | None
    """How long it took, in milliseconds; None if it has not ended."""
    status: str
    """`OK`, `ERROR` or `UNSET`."""
    inputs: Any = None
    """Its inputs. Default: none."""
    outputs: Any = None
    """Its outputs. Default: none."""
    error: str | None = None
    """Why it failed. Default: it did not."""
    children: list["SpanNode"] = []
    """The spans below it, oldest first."""


class TraceTree(Struct):
    """A trace."""

    id: str
    """MLflow's id of it."""
    spans: list[SpanNode]
    """Its first spans, usually one."""


async def read(
    response_id: str, experiment_id: str, hidden: Collection[str] | None
) -> TraceTree | None:
    """Read the trace of a response, in a thread.

    Args:
        response_id: The response.
        experiment_id: The experiment of the agent's traces.
        hidden: Names of tools that the client must not see: their spans and those of type TOOL are
            left out, and so are all outputs, errors, and inputs below the first span, which may
            repeat them. None if nothing is hidden.

    Returns:
        The trace; None if MLflow has none.

    Raises:
        Unavailable: MLflow fails, or does not answer in time.
    """
    return await ask(lambda: _read(response_id, experiment_id, hidden))


def _read(response_id: str, experiment_id: str, hidden: Collection[str] | None) -> TraceTree | None:
    from mlflow.tracing.client import TracingClient

    client = TracingClient()
    wanted = f"tags.`{RESPONSE}` = '{response_id}'"

    def find() -> Any:
        infos, _ = client.store.search_traces(
            locations=[experiment_id], filter_string=wanted, max_results=1
        )
        return infos[0] if infos else None

    info = exported(find)
    if info is None:
        return None
    return TraceTree(info.trace_id, tree(client.get_trace(info.trace_id).data.spans, hidden))


def tree(spans: Iterable[Any], hidden: Collection[str] | None) -> list[SpanNode]:
    """Return spans of MLflow as a tree, oldest first; for `hidden` see `read`."""
    ordered = sorted(spans, key=lambda span: span.start_time_ns)
    ids = {span.span_id for span in ordered}
    below: defaultdict[str | None, list[Any]] = defaultdict(list)
    for span in ordered:
        below[span.parent_id if span.parent_id in ids else None].append(span)

    def nodes(parent: str | None) -> list[SpanNode]:
        return [
            _node(span, ordered[0].start_time_ns, nodes(span.span_id))
            for span in below[parent]
            if hidden is None or not (span.span_type == "TOOL" or span.name in hidden)
        ]

    roots = nodes(None)
    if hidden is not None:
        for root in roots:
            root.outputs = root.error = None
            _strip(root.children)
    return roots


def _strip(nodes: list[SpanNode]) -> None:
    """Remove what may repeat the inputs and outputs of other spans."""
    for node in nodes:
        node.inputs = node.outputs = node.error = None
        _strip(node.children)


def _node(span: Any, origin: int, children: list[SpanNode]) -> SpanNode:
    end = span.end_time_ns
    failures = [event.attributes for event in span.events if event.name == "exception"]
    return SpanNode(
        span.name,
        span.span_type or "UNKNOWN",
        (span.start_time_ns - origin) / 1e6,
        None if end is None else (end - span.start_time_ns) / 1e6,
        span.status.status_code.value,
        span.inputs,
        span.outputs,
        str(failures[-1].get("exception.message")) if failures else None,
        children,
    )
