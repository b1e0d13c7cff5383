"""docs/wire.md shows what a server sends: all of it, and as it is sent now."""

import re
from pathlib import Path

import pytest
from capture import ERRORS, EXCHANGES, MARKS, PAGE, captured
from test_access import TABLE

ELSEWHERE = {"websocket_connection_limit_reached", "interrupted", "background_timeout"}
"""Codes that no HTTP answer has."""
ADAPTERS = {"max_turns_exceeded", "usage_limit_exceeded"}
"""Codes of agents of other frameworks."""


@pytest.fixture(autouse=True)
def without_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the example agent off the network."""
    monkeypatch.delenv("OPENAI_MODEL", raising=False)


def test_the_page_is_what_is_sent_now() -> None:
    shown = {found[2]: found[3] for found in MARKS.finditer(PAGE.read_text())}
    fresh = captured()
    assert shown.keys() == fresh.keys()
    for name, text in fresh.items():
        assert shown[name] == text, f"{name}: run `make wire`"


def test_every_endpoint_is_there() -> None:
    asked = {_path(each.request) for each in EXCHANGES.values()}
    wanted = {each for each in TABLE if "input_tokens" not in each}
    assert wanted <= asked


def test_every_code_of_an_answer_is_there() -> None:
    page = (Path(__file__).parents[1] / "docs" / "errors.md").read_text()
    told = set(re.findall(r"^\| \d+ \| `(\w+)` \|", page, re.MULTILINE))
    assert told - ELSEWHERE - ADAPTERS == set(ERRORS)


def _path(request: str) -> str:
    """Write a request as test_access.py does."""
    path = request.partition("?")[0].replace(" /v1", " ")
    path = re.sub(r"models/\w+", "models/{id}", path)
    return re.sub(r"playground/[\w.]+", "playground/{file}", path)
