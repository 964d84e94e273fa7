"""Alarm rates without drift and with a known one, in the scenarios of :mod:`tests.evaluation.simulate_monitoring`."""

import numpy as np
import pytest

from tests.evaluation.simulate_monitoring import SCENARIOS, rows, simulate, within

#: repetitions here; the file that the page shows has more
FEW = {500: 300, 5_000: 100, 50_000: 20}


@pytest.mark.slow
@pytest.mark.parametrize("name", SCENARIOS)
def test_alarms_ring_as_often_as_they_should(name):
    for n in SCENARIOS[name].repetitions:
        found = simulate(name, n, FEW[n], seed=31)
        assert [row for row in found if not within(row)] == []


@pytest.mark.parametrize("name", ["score", "customers", "overlap"])
def test_a_few_samples_without_drift_raise_few_alarms(name):
    assert all(within(row) for row in simulate(name, 500, 200, seed=32))


def test_the_written_figures_are_of_all_scenarios_and_within_their_bands():
    found = rows()
    names = {
        f"{name}, n = {n:,}" for scenario in SCENARIOS.values() for name in scenario.names for n in scenario.repetitions
    }
    assert {row["name"] for row in found} == names
    assert [row["name"] for row in found if not within(row)] == []


def test_a_known_drift_is_found_more_often_in_larger_samples():
    share = {row["name"]: row["estimate"] for row in rows() if np.isnan(row["truth"])}
    large = [name for name in share if name.endswith("n = 5,000")]
    assert large
    assert all(share[name] >= share[name.replace("5,000", "500")] - 0.1 for name in large)
