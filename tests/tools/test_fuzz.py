"""A small, deterministic part of `make fuzz`."""

from typing import Any

import pytest

from tests.tools.fuzz import over_openapi
from tests.tools.fuzz.codec import SEEDS, try_body
from tests.tools.fuzz.harness import Property
from tests.tools.fuzz.properties import PROPERTIES


@pytest.fixture(autouse=True)
def untraced(monkeypatch: pytest.MonkeyPatch) -> None:
    """Disable tracing, which would take most of the time."""
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")


@pytest.mark.parametrize("about", PROPERTIES, ids=lambda each: each.name)
def test_some_cases_of(about: Property[Any]) -> None:
    assert about.run(max(30, 4 * about.share), quick=True) >= 30


def test_some_requests_of_schemathesis() -> None:
    found = over_openapi.run(300, quick=True)
    assert found["links"] > 10
    assert found["positive data"] > 100
    assert found["negative data"] > 100


def test_the_parts_are_all_of_it() -> None:
    assert sum(each.share for each in PROPERTIES) == 100


@pytest.mark.parametrize("seed", SEEDS)
def test_the_seeds_are_requests(seed: bytes) -> None:
    try_body(seed)
