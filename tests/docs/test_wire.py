"""docs/wire.md shows everything a server sends, exactly as it is sent today."""

import re

from tests.support.endpoints import TABLE
from tests.support.pages import ROOT
from tests.tools.capture import ERRORS, EXCHANGES, MARKS, PAGE, captured

ELSEWHERE = {
    "websocket_connection_limit_reached",
    "interrupted",
    "background_timeout",
    "host_not_allowed",
    "invocation_not_found",
}
"""Codes that never appear in the answers of a default app: `host_not_allowed` is one of
`agent-asgi serve`, `invocation_not_found` of Agent Bricks."""
SWITCHED_ON = ("/a2a", "/agui", "/api/", "/mcp", "/.well-known")
"""The paths of protocols that have pages of their own."""
ADAPTERS = {"max_turns_exceeded", "usage_limit_exceeded"}
"""Codes of agents from other frameworks."""


def test_the_page_is_what_is_sent_now() -> None:
    shown = {found[2]: found[3] for found in MARKS.finditer(PAGE.read_text())}
    fresh = captured()
    assert shown.keys() == fresh.keys()
    for name, text in fresh.items():
        assert shown[name] == text, f"{name}: run `make wire`"


def test_every_endpoint_is_there() -> None:
    asked = {_path(each.request) for each in EXCHANGES.values()}
    wanted = {each for each in TABLE if "input_tokens" not in each}
    default = {each for each in wanted if not each.partition(" ")[2].startswith(SWITCHED_ON)}
    assert default <= asked


def test_every_code_of_an_answer_is_there() -> None:
    page = (ROOT / "docs" / "errors.md").read_text()
    told = set(re.findall(r"^\| \d+ \| `(\w+)` \|", page, re.MULTILINE))
    assert told - ELSEWHERE - ADAPTERS == set(ERRORS)


def _path(request: str) -> str:
    """Return a request as tests.support.endpoints writes it."""
    path = request.partition("?")[0].replace(" /v1", " ")
    path = re.sub(r"models/\w+", "models/{id}", path)
    path = re.sub(r"conversations/[\w-]+", "conversations/{id}", path)
    path = re.sub(r"(?<=\}/items)/\w+", "/{item_id}", path)
    return re.sub(r"(docs|playground)/[\w.]+", r"\1/{file}", path)
