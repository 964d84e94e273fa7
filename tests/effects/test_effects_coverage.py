"""Do the intervals cover, with late entry and a competing default? Few repetitions here, many with ``-m slow``."""

import pytest

from tests.effects.simulate_effects import SCENARIOS, simulated

#: an interval through infinity covers more often
CONSERVATIVE = {"number needed to treat, attrition"}


def outside(name, rows):
    """Give the rows that are more than three Monte-Carlo errors from the truth."""
    found = []
    for row in rows:
        off = row["estimate"] - row["truth"]
        if name in CONSERVATIVE and row["quantity"].startswith("coverage"):
            off = min(off, 0.0)
        if abs(off) > 3 * row["monte_carlo_error"]:
            found.append(row)
    return found


@pytest.mark.slow
@pytest.mark.parametrize("name", SCENARIOS)
def test_the_interval_covers_as_often_as_it_says_and_the_estimate_is_centred(name):
    assert not outside(name, simulated(name))


@pytest.mark.parametrize("name", ["risk difference, attrition", "delta-adjusted risk difference"])
def test_coverage_and_mean_of_a_few_repetitions_are_near_the_truth(name):
    assert not outside(name, simulated(name, 60))
