"""Every query of docs/deploy/grafana.json finds series in a real scrape."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import promql_parser as promql
import pytest
from prometheus_client.parser import text_string_to_metric_families

from agent_asgi import AgentApp, AgentRouter, ResponsesRequest, Usage
from tests.support.asking import fetch
from tests.support.calling import Serve
from tests.support.pages import ROOT

DASHBOARD = json.loads((ROOT / "docs" / "deploy" / "grafana.json").read_text())
VARIABLES = {"$__rate_interval": "5m", "$agent": ".*"}
Labels = dict[str, str]


def queries() -> list[str]:
    """Return the queries of all panels."""
    return [target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]]


def parse(query: str) -> promql.Expr:
    """Return a query's syntax tree, with Grafana's variables filled in."""
    for name, value in VARIABLES.items():
        query = query.replace(name, value)
    assert "$" not in query
    return promql.parse(query)


def children(node: Any) -> Iterator[Any]:
    """Return the expressions within an expression."""
    for name in ("expr", "lhs", "rhs", "vector_selector"):
        if (child := getattr(node, name, None)) is not None:
            yield child
    yield from getattr(node, "args", ())


def missing(node: Any, series: dict[str, list[Labels]], wanted: frozenset[str]) -> list[str]:
    """Return what an expression asks for that no series has.

    Args:
        node: The expression.
        series: The labels of all series, by name.
        wanted: The labels by which the expressions around it group.
    """
    if isinstance(node, promql.VectorSelector):
        found = [each for each in series.get(str(node.name), []) if matches(node, each)]
        if not found:
            return [str(node)]
        return [f"{node.name} by {label}" for label in wanted if label not in found[0]]
    modifier = getattr(node, "modifier", None)
    if isinstance(node, promql.AggregateExpr) and modifier is not None:
        wanted |= frozenset(modifier.labels)
    if isinstance(node, promql.Call) and node.func.name == "histogram_quantile":
        wanted |= {"le"}
    return [each for child in children(node) for each in missing(child, series, wanted)]


def matches(selector: Any, labels: Labels) -> bool:
    """Return whether a series' labels satisfy a selector."""
    return all(
        each.name in labels and _matches(each, labels[each.name])
        for each in selector.matchers.matchers
    )


def _matches(matcher: Any, value: str) -> bool:
    is_pattern = matcher.op in (promql.MatchOp.Re, promql.MatchOp.NotRe)
    is_negated = matcher.op in (promql.MatchOp.NotEqual, promql.MatchOp.NotRe)
    pattern = matcher.value if is_pattern else re.escape(matcher.value)
    return (re.fullmatch(pattern, value) is not None) is not is_negated


@pytest.fixture
def series(serve: Serve, tmp_path: Path) -> dict[str, list[Labels]]:
    """Return the labels of all series of an agent that did all that it can do."""
    router = AgentRouter("shown")

    @router.stream
    async def obey(request: ResponsesRequest) -> Any:
        yield "x"
        yield Usage(input_tokens=1, output_tokens=1)
        if request.input_text == "fail":
            raise ValueError("x")

    url = serve(AgentApp(router, store=f"sqlite:///{tmp_path}/responses.db"))
    for said in ("x", "fail"):
        fetch(url, "POST", "/responses", None, {"input": said, "stream": True})
    assert fetch(url, "GET", "/nowhere", None).status == 404
    scrape = fetch(url, "GET", "/metrics", None).body.decode()
    found: dict[str, list[Labels]] = {}
    for family in text_string_to_metric_families(scrape):
        for sample in family.samples:
            found.setdefault(sample.name, []).append(sample.labels)
    return found


def test_every_query_finds_series(series: dict[str, list[Labels]]) -> None:
    assert len(queries()) > 12
    for query in queries():
        assert missing(parse(query), series, frozenset()) == [], query
    (agents,) = [each for each in DASHBOARD["templating"]["list"] if each["name"] == "agent"]
    found = re.fullmatch(r"label_values\((\w+), (\w+)\)", agents["query"])
    assert found is not None
    assert [each[found[2]] for each in series[found[1]]] == ["shown"]


@pytest.mark.parametrize(
    "wrong",
    [
        "agent_asgi_runs",
        'agent_asgi_runs_total{status="done"}',
        'agent_asgi_runs_total{user="x"}',
        "sum by (user) (agent_asgi_runs_total)",
        "rate(agent_asgi_runs_total[5m]) / sum by (agent, why) (agent_asgi_refused_total)",
        "histogram_quantile(0.9, agent_asgi_run_seconds_count)",
    ],
)
def test_a_wrong_query_is_found(wrong: str, series: dict[str, list[Labels]]) -> None:
    assert missing(parse(wrong), series, frozenset())


def test_panels_do_not_overlap() -> None:
    cells = [
        (x, y)
        for panel in DASHBOARD["panels"]
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]
    assert len(cells) == len(set(cells))
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])
