import numpy as np
import pytest
from scipy.stats import norm

import churnsurv as cs
from churnsurv.effects import TrialScenario, noninferiority_test, required_events
from churnsurv.exceptions import DataError


@pytest.fixture(scope="module")
def trial():
    scenario = TrialScenario({"attrition": 0.02, "default": 0.01}, {"attrition": 0.7, "default": 1.2}, follow_up=12)
    return scenario.draw(6_000, random_state=1)


def test_it_rejects_where_the_one_sided_interval_ends_below_the_margin(trial):
    ratio = cs.effects.hazard_ratio(trial.y, trial.arm, cause="default", reference="control", level=0.95)
    for margin in (ratio.upper * 1.001, ratio.upper * 0.999):
        result = noninferiority_test(trial.y, trial.arm, margin=margin, reference="control")
        assert (result.p_value < 0.025) == (margin > ratio.upper)
    z = (np.log(ratio.value) - np.log(1.4)) / (ratio.se / ratio.value)
    found = noninferiority_test(trial.y, trial.arm, margin=1.4, reference="control")
    assert found.p_value == pytest.approx(norm.cdf(z))
    assert "at or beyond the margin 1.4" in found.estimand


def test_the_margin_may_be_on_the_risk_at_a_horizon(trial):
    risk = cs.effects.risk_difference(trial.y, trial.arm, horizon=12, cause="default", reference="control")
    found = noninferiority_test(
        trial.y, trial.arm, margin=0.02, effect="risk_difference", horizon=12, reference="control"
    )
    assert found.p_value == pytest.approx(norm.cdf((risk.value - 0.02) / risk.se))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"margin": 1.0}, "must lie above 1"),
        ({"margin": 0.0, "effect": "risk_difference", "horizon": 12}, "must lie above 0"),
        ({"margin": np.nan}, "margin=nan is not a finite number"),
        ({"margin": 1.3, "effect": "rmst_difference"}, "of which more is harm"),
        ({"margin": 1.3, "cause": "fraud"}, "fraud"),
        ({"margin": 1.3, "reference": "nobody"}, "nobody"),
    ],
)
def test_margins_that_are_none_are_refused(options, message, trial):
    with pytest.raises(DataError, match=message):
        noninferiority_test(trial.y, trial.arm, **options)


@pytest.mark.slow
def test_with_the_events_of_the_formula_it_reaches_its_power_and_at_the_margin_its_level():
    events = required_events(1.0, margin=1.3, alpha=0.025, two_sided=False)
    equal = TrialScenario({"default": 0.02}, {}, follow_up=12)
    harm = TrialScenario({"default": 0.02}, {"default": 1.3}, follow_up=12)
    n = int(np.ceil(events / -np.expm1(-12 * 0.02)))

    def test(trial):
        return noninferiority_test(trial.y, trial.arm, margin=1.3, reference="control")

    power = cs.effects.simulated_power(equal, n, test=test, alpha=0.025, repetitions=1_000, random_state=2)
    level = cs.effects.simulated_power(harm, n, test=test, alpha=0.025, repetitions=1_000, random_state=3)
    # 3 Monte-Carlo errors of 1,000 repetitions; a point for the formula
    assert abs(power.value - 0.8) < 3 * 0.0127 + 0.01
    assert abs(level.value - 0.025) < 3 * 0.0049
