"""A roll of two servers, smaller than `make roll`."""

import asyncio

import pytest

from tests.support.pages import ROOT
from tests.tools.roll.deployment import Size, roll


@pytest.mark.alone
def test_nothing_is_lost_and_nothing_is_executed_twice() -> None:
    size = Size(streams=8, runs=8, stream_steps=4, run_steps=50, drain=4, lead=1.5)
    report = asyncio.run(roll(ROOT, size))
    assert not report.faults
    assert report.seen.resumed
    assert max(report.seen.attempts.values()) > 1
