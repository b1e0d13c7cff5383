"""The spans of a trace as a tree."""

from types import SimpleNamespace
from typing import Any

from agent_asgi.tracing.reader import SpanNode, tree

MS = 1_000_000


def span(id: str, parent: str | None, start: int, end: int | None, **more: Any) -> Any:
    """Make a span as MLflow's client returns it; times are in milliseconds."""
    fields: dict[str, Any] = {
        "span_id": id,
        "parent_id": parent,
        "name": id,
        "span_type": "UNKNOWN",
        "start_time_ns": start * MS,
        "end_time_ns": None if end is None else end * MS,
        "status": SimpleNamespace(status_code=SimpleNamespace(value="OK")),
        "inputs": f"in {id}",
        "outputs": f"out {id}",
        "events": [],
    }
    return SimpleNamespace(**fields | more)


def names(nodes: list[SpanNode]) -> Any:
    """Return the names of a tree."""
    return {node.name: names(node.children) for node in nodes}


def test_spans_are_below_their_parents_oldest_first() -> None:
    spans = [
        span("late", "root", 105, None),
        span("early", "root", 101, 103),
        span("root", None, 100, 110),
        span("inner", "early", 99, 102),  # by a clock that is slow
        span("lost", "not there", 120, 121),
    ]
    roots = tree(spans, None)
    assert names(roots) == {"root": {"early": {"inner": {}}, "late": {}}, "lost": {}}
    root = roots[0]
    assert (root.start, root.duration, root.inputs, root.outputs) == (
        1.0,
        10.0,
        "in root",
        "out root",
    )
    assert root.children[1].duration is None
    assert tree([], None) == []


def test_why_a_span_failed_is_told() -> None:
    event = SimpleNamespace(name="exception", attributes={"exception.message": "No."})
    other = SimpleNamespace(name="retry", attributes={})
    failed = SimpleNamespace(status_code=SimpleNamespace(value="ERROR"))
    (root,) = tree([span("root", None, 0, 1, status=failed, events=[event, other])], None)
    assert (root.status, root.error) == ("ERROR", "No.")


def test_hidden_tools_and_what_is_below_them_are_left_out() -> None:
    event = SimpleNamespace(name="exception", attributes={"exception.message": "find failed"})
    spans = [
        span("root", None, 0, 9, events=[event]),
        span("find", "root", 1, 3),
        span("cache", "find", 1, 2),
        span("other", "root", 4, 6, span_type="TOOL"),
        span("think", "root", 7, 8, span_type=None),
    ]
    (root,) = tree(spans, {"find"})
    assert names([root]) == {"root": {"think": {}}}
    assert (root.inputs, root.outputs, root.error) == ("in root", None, None)
    (think,) = root.children
    assert (think.inputs, think.outputs, think.type) == (None, None, "UNKNOWN")
