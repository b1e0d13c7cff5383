"""The docs list every error code, every limit with its default, every cause of a cancellation."""

import ast
import dataclasses
import re
from collections.abc import Iterator
from typing import get_args

import pytest

from agent_asgi import Limits, Timeouts, errors
from agent_asgi.context import Cause
from agent_asgi.observability import metrics
from tests.support.pages import ROOT

DOCS = ROOT / "docs"
PLACES = {
    "AgentError": 2,
    "InvalidRequest": 2,
    "AgentFailed": 1,
    "Conflict": 1,
    "NotFound": 1,
    "RunTimeout": 1,
    "TooMany": 1,
}
"""Position of the code among the arguments."""


def codes() -> Iterator[str]:
    """Return every error code that appears in the package's source."""
    for path in (ROOT / "agent_asgi").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            for given in _codes_of(node):
                yield from _texts(given)


def _codes_of(node: ast.AST) -> Iterator[ast.AST]:
    """Return a node's expressions for an error code."""
    if isinstance(node, ast.ClassDef):
        for base in node.bases:
            for call in ast.walk(node):
                if isinstance(call, ast.Call) and ast.unparse(call.func) == "super().__init__":
                    yield from _arguments(call, ast.unparse(base))
    elif isinstance(node, ast.Call):
        yield from _arguments(node, ast.unparse(node.func))
    elif isinstance(node, ast.arguments):
        named = node.args[len(node.args) - len(node.defaults) :]
        yield from (
            given for name, given in zip(named, node.defaults, strict=True) if name.arg == "code"
        )
    elif isinstance(node, ast.Assign):
        for target in node.targets:
            yield from _assigned(target, node.value)


def _arguments(call: ast.Call, name: str) -> Iterator[ast.AST]:
    place = PLACES.get(name)
    if place is not None:
        yield from call.args[place : place + 1]
        yield from (each.value for each in call.keywords if each.arg == "code")


def _assigned(target: ast.AST, value: ast.AST) -> Iterator[ast.AST]:
    if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
        for each, given in zip(target.elts, value.elts, strict=True):
            yield from _assigned(each, given)
    elif isinstance(target, ast.Name) and target.id == "code":
        yield value


def _texts(given: ast.AST) -> Iterator[str]:
    if isinstance(given, ast.Constant) and isinstance(given.value, str):
        yield given.value
    elif isinstance(given, ast.IfExp):
        yield from _texts(given.body)
        yield from _texts(given.orelse)


KINDS = ("too_many_runs", "too_many_streams")  # the code contains what the limiter counts
CODES = sorted({*codes(), *KINDS, *errors._TYPES.values()})


AFTER_THE_START = metrics.RUN_CODES | {"cancelled", "websocket_connection_limit_reached"}
"""Codes of runs and connections that have begun: their requests were not refused."""


def test_every_code_of_a_refusal_is_a_label_of_the_metrics() -> None:
    assert set(CODES) == metrics.CODES | AFTER_THE_START


def test_the_search_finds_codes_of_every_form() -> None:
    assert {
        "agent_error",
        "background_timeout",
        "body_timeout",
        "interrupted",
        "invalid_json",
        "invalid_token",
        "nested_too_deeply",
        "not_supported",
        "previous_response_not_found",
        "too_many_queued",
        "unavailable",
        "websocket_connection_limit_reached",
    } <= set(CODES)


@pytest.mark.parametrize("code", CODES)
def test_every_code_is_documented(code: str) -> None:
    assert f"`{code}`" in (DOCS / "errors.md").read_text()


@pytest.mark.parametrize("bounds", [Limits, Timeouts])
def test_every_bound_is_documented_with_its_default(bounds: type[Limits | Timeouts]) -> None:
    page = (DOCS / "serving.md").read_text()
    defaults = {each.name: each.default for each in dataclasses.fields(bounds)}
    assert not [name for name in defaults if f"{name}`" not in page]
    head = page.index(f"| `{bounds.__name__}` |")
    table = page[head : page.index("\n\n", head)]
    told: dict[str, str] = {}
    for names, values in re.findall(r"^\| (`\w+`(?:, `\w+`)*) \| ([^|]*) \|", table, re.MULTILINE)[
        1:
    ]:
        told.update(zip(re.findall(r"\w+", names), values.split(", "), strict=True))
    assert {name: _number(value) for name, value in told.items()}.items() <= defaults.items()


def _number(text: str) -> float | None:
    if text == "none":
        return None
    number, _, unit = text.replace(",", "").partition(" ")
    return int(number) << (20 if unit == "MiB" else 0)


def test_every_cause_is_documented() -> None:
    page = (DOCS / "handlers.md").read_text()
    assert not [cause for cause in get_args(Cause) if f"| `{cause}` |" not in page]
