"""The simulation of `make scale`: it agrees with arithmetic where arithmetic suffices."""

from dataclasses import replace
from typing import Any

import pytest

from tests.tools.scale.bend import USE, bend, expected_use, fit, saturated
from tests.tools.scale.costs import Costs, load
from tests.tools.scale.simulation import KINDS, Deployment, simulate
from tests.tools.scale.traffic import Profile, token_times

PROFILE = Profile()


@pytest.fixture
def costs() -> Costs:
    """Return round costs, none of which depends on the machine."""
    values = {name: 0.0 for name, kind in Costs.__annotations__.items() if kind is float}
    return Costs(
        machine="",
        date="",
        **{**values, "token": 50.0, "commits": 1e4, "notifying_commits": 1e4, "run_rows": 10.0},
    )


def test_a_server_is_used_as_its_streams_speak(costs: Costs) -> None:
    result = simulate(Deployment("streams", 1_000, 1), costs, PROFILE, seconds=20)
    assert result.use["server CPU"] == pytest.approx(1_000 * PROFILE.mean_rate * 50e-6, rel=0.1)
    assert result.tightest == "server CPU"


def test_tokens_wait_for_one_another(costs: Costs) -> None:
    half, most = (
        simulate(Deployment("streams", streams, 1), costs, PROFILE).p99
        for streams in (1_000, 1_900)
    )
    assert 50e-6 <= half < most


def test_the_same_seed_gives_the_same_result(costs: Costs) -> None:
    deployment = Deployment("background", 200, 2)
    assert simulate(deployment, costs, PROFILE) == simulate(deployment, costs, PROFILE)
    assert list(token_times(PROFILE, 3)) == list(token_times(PROFILE, 3))


def test_a_log_is_written_every_tenth_of_a_second(costs: Costs) -> None:
    result = simulate(Deployment("background", 1_000, 5), costs, PROFILE)
    assert result.use["notifying commits"] == pytest.approx(5 * 10 / 1e4, rel=0.1)
    assert 0.03 < result.p50 < 0.07  # half of the pause


@pytest.mark.parametrize("kind", KINDS)
def test_the_simulation_agrees_with_arithmetic(costs: Costs, kind: str) -> None:
    names = [name for name, kind in Costs.__annotations__.items() if kind is float]
    values: dict[str, Any] = {name: 20.0 for name in names if "commits" not in name}
    every = replace(costs, **values)
    deployment = Deployment(kind, 1_000, 5, 2)
    used = simulate(deployment, every, PROFILE, seconds=20).use
    expected = expected_use(deployment, every, PROFILE)
    assert used == pytest.approx(expected, rel=0.15, abs=0.001)


def test_servers_are_added_until_they_suffice(costs: Costs) -> None:
    found = fit("streams", 10_000, costs, PROFILE, cores=1)
    assert found.processes == 9  # 5 cores of work, each used to 60 %
    assert not saturated(found, costs, PROFILE)
    assert bend("streams", costs, PROFILE, 1, most=1_000_000) is None


def test_it_finds_what_more_servers_do_not_help(costs: Costs) -> None:
    slow = replace(costs, row_database=500.0)
    found = bend("background", slow, PROFILE, 1, most=1_000_000)
    assert found is not None
    assert saturated(found, slow, PROFILE) == "PostgreSQL CPU"
    rows = found.streams * PROFILE.mean_rate / PROFILE.rate * costs.run_rows
    assert rows * 500e-6 == pytest.approx(USE, rel=0.02)


def test_more_servers_do_not_help_where_each_hears_all(costs: Costs) -> None:
    loud = replace(costs, notification=100.0)
    found = bend("background", loud, PROFILE, 64, most=1_000_000)
    assert found is not None
    assert saturated(found, loud, PROFILE) == "notifications"


def test_the_costs_that_were_measured_are_complete() -> None:
    measured = load()
    assert all(vars(measured).values())
