"""A small, deterministic part of `make fuzz`."""

import json
import os
import subprocess
import sys
from typing import Any

import pytest

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
    # hypothesis takes values from the modules that are loaded, and the order of sets matters too:
    # only in a process of its own are the requests the same each time
    command = [sys.executable, "-m", "tests.tools.fuzz.over_openapi"]
    env = os.environ | {"PYTHONHASHSEED": "0"}
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["links"] > 10
    assert found["positive data"] > 100
    assert found["negative data"] > 100


def test_the_parts_are_all_of_it() -> None:
    assert sum(each.share for each in PROPERTIES) == 100


@pytest.mark.parametrize("seed", SEEDS)
def test_the_seeds_are_requests(seed: bytes) -> None:
    try_body(seed)
