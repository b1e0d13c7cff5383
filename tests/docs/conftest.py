"""Fixtures shared by the tests of the documentation."""

import pytest


@pytest.fixture(autouse=True)
def without_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the example agent off the network."""
    monkeypatch.delenv("OPENAI_MODEL", raising=False)
