"""Alarm rates without drift and with a known one, in the scenarios of :mod:`tests.evaluation.simulate_monitoring`."""

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


def test_the_written_figures_are_of_the_scenarios_and_within_their_bands():
    written = {row["name"] for row in rows()}
    names = {(name, n) for scenario in SCENARIOS.values() for name in scenario.names for n in scenario.repetitions}
    assert written <= {f"{name}, n = {n:,}" for name, n in names}
    # every alarm at the smallest size; larger sizes as far as they were run
    quiet = [name for scenario in SCENARIOS.values() if scenario.quantity == "false alarms" for name in scenario.names]
    assert {f"{name}, n = 500" for name in quiet} <= written
    assert [row["name"] for row in rows() if not within(row)] == []
