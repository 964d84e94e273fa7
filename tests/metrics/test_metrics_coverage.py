"""Do the intervals of metrics cover, and do the paired tests keep their level? What is kept is checked, anew with -m slow."""

import json

import pytest

from tests.metrics.simulate_metrics import MEASURES, TESTS, file_of, simulated


def outside(rows):
    """Give the rows that are more than three Monte-Carlo errors from the truth: the band of the simulation."""
    return [row for row in rows if abs(row["estimate"] - row["truth"]) > 3 * row["monte_carlo_error"]]


@pytest.mark.parametrize("name", [*MEASURES, *TESTS])
def test_what_the_page_shows_is_within_the_bands(name):
    rows = json.loads(file_of(name).read_text())
    assert len(rows) == (2 if name in MEASURES else 1)
    assert not outside(rows)


@pytest.mark.parametrize("name", ["paired test of Harrell's C, entry", "paired test of the Brier score"])
def test_paired_tests_of_a_few_data_sets_reject_about_as_often_as_they_say(name):
    assert not outside(simulated(name, 150))


@pytest.mark.slow
@pytest.mark.parametrize("name", [*MEASURES, *TESTS])
def test_the_simulation_gives_what_is_kept(name):
    kept = json.loads(file_of(name).read_text())
    for found, row in zip(simulated(name), kept, strict=True):
        assert (found["name"], found["quantity"]) == (row["name"], row["quantity"])
        for column in ("truth", "estimate", "monte_carlo_error", "repetitions"):
            assert found[column] == pytest.approx(row[column], rel=1e-6)
