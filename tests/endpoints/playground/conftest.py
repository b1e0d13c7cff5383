"""One browser for a module's tests, and an example agent that stays off the network."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from tests.support.browsing import chromium


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Run one browser for all tests."""
    with chromium() as browser:
        yield browser


@pytest.fixture(autouse=True)
def without_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the example agent off the network."""
    monkeypatch.delenv("OPENAI_MODEL", raising=False)
