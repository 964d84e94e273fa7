"""Long-run behaviour of the tests of arms: type-I error and power, in the scenarios of :mod:`tests.effects.simulate_tests`."""

import numpy as np
import pytest

from churnsurv.effects import logrank_test
from tests.effects.simulate_tests import LEVEL, SCENARIOS, N, rows, simulate, study, within

#: repetitions here; the file that the page shows has more
FEW = 300


@pytest.mark.slow
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_type_i_errors_and_power_are_what_they_should_be(scenario):
    found = simulate(scenario, FEW, seed=21)
    assert [row for row in found if not within(row)] == []
    if scenario.startswith("crossing"):
        maxcombo, log_rank = (row["estimate"] for row in found)
        assert maxcombo > log_rank + 3 * np.sqrt(0.5 / FEW)


def rejections(repetitions, options, arguments):
    """Give the share of type-I errors with and without the arguments that the design asks for."""
    rng = np.random.default_rng(22)
    p_values = []
    for _ in range(repetitions):
        s = study(rng, N, **options)
        right = logrank_test(s.y, s.arm, cause="attrition", **arguments(s)).p_value
        p_values.append((right, logrank_test(s.y, s.arm, cause="attrition").p_value))
    return (np.array(p_values) < LEVEL).mean(axis=0)


@pytest.mark.parametrize(
    ("options", "arguments"),
    [
        ({"confounded": True}, lambda s: {"sample_weight": s.weight}),
        ({"clustered": True}, lambda s: {"cluster": s.cluster}),
    ],
    ids=["confounded", "by branch"],
)
def test_weights_and_clusters_mend_what_the_plain_test_gets_wrong(options, arguments):
    repetitions = 150
    band = 3 * np.sqrt(LEVEL * (1 - LEVEL) / repetitions)
    right, naive = rejections(repetitions, options, arguments)
    assert abs(right - LEVEL) <= band
    assert naive > LEVEL + band


def test_the_written_figures_are_of_all_scenarios():
    names = {f"{name}: {scenario}" for scenario, (tests, _, _) in SCENARIOS.items() for name in tests}
    assert {row["name"] for row in rows()} == names
