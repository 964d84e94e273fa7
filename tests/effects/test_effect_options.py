"""Options that are passed on, cut to rows, or of another function; Estimates that are not what is said of them."""

from functools import partial

import numpy as np
import pandas as pd
import pytest

import churnsurv as cs
from churnsurv import effects
from churnsurv.exceptions import DataError
from tests.effects.test_effects import trial

pytestmark = pytest.mark.filterwarnings("ignore::churnsurv.exceptions.SmallSampleWarning")
N = 200


@pytest.fixture(scope="module")
def data():
    return trial(11, N)


def three(arm):
    return np.where(np.arange(N) % 3 == 0, "call", arm).tolist()


# ---- missing values in lists ----


def test_a_missing_arm_of_a_negative_control_is_no_arm_called_nan(data):
    y, arm = data
    mixed = [a if a == "offer" else np.nan for a in arm]
    for options in ({}, {"period": (0, 6)}):
        with pytest.raises(DataError, match="arm has 100 missing values"):
            effects.negative_control(y, mixed, horizon=5, **options)


@pytest.mark.parametrize("name", ["strata", "cluster"])
def test_missing_labels_of_rows_are_refused_where_rows_are_cut(data, name):
    y, arm = data
    labels = [np.nan if i < 2 else f"c{i % 60}" for i in range(N)]
    calls = (
        lambda: effects.negative_control(y, arm, horizon=5, period=(0, 6), **{name: labels}),
        lambda: effects.effect_by_subgroup(y, arm, np.arange(N) % 2, horizon=5, **{name: labels}),
        lambda: effects.pairwise_tests(y, three(arm), **{name: labels}),
    )
    for call in calls:
        with pytest.raises(DataError, match=f"{name} has 2 missing values"):
            call()


def test_lists_series_and_arrays_of_rows_are_cut_alike(data):
    y, arm = data
    cluster, weight = np.arange(N) % 90, np.linspace(0.5, 2, N)
    found = set()
    for form in (list, np.asarray, lambda v: pd.Series(v, index=np.arange(N)[::-1])):
        control = effects.negative_control(
            y, form(arm), period=(1, 7), horizon=5, cluster=form(cluster), sample_weight=form(weight)
        )
        table = effects.pairwise_tests(y, form(three(arm)), cluster=form(cluster), sample_weight=form(weight))
        found.add((control.estimate.value, control.estimate.se, tuple(table["statistic"])))
    assert len(found) == 1


def test_short_options_of_rows_are_named(data):
    y, arm = data
    for name in ("cluster", "sample_weight"):
        with pytest.raises(DataError, match=rf"{name} has shape \(10,\)"):
            effects.negative_control(y, arm, period=(0, 5), horizon=5, **{name: np.arange(10) + 1.0})


# ---- options of another function, and none where one is needed ----


@pytest.mark.parametrize(
    ("options", "message"),
    [({}, "risk_difference needs horizon"), ({"horizon": 5, "weights": 1}, "risk_difference has no option 'weights'")],
)
def test_options_that_are_missing_or_unknown_are_named(data, options, message):
    y, arm = data
    calls = (
        lambda: effects.effect_by_subgroup(y, arm, np.arange(N) % 2, **options),
        lambda: effects.negative_control(y, arm, **options),
        lambda: effects.noninferiority_test(y, arm, margin=0.1, effect="risk_difference", **options),
    )
    for call in calls:
        with pytest.raises(DataError, match=message):
            call()


def test_pairs_need_a_test_and_its_options(data):
    y, arm = data
    with pytest.raises(DataError, match="gray_test needs cause"):
        effects.pairwise_tests(y, three(arm), test=effects.gray_test)
    with pytest.raises(DataError, match="hazard_ratio gives Estimate, no TestResult"):
        effects.pairwise_tests(y, three(arm), test=effects.hazard_ratio)
    with pytest.raises(DataError, match="logrank_test has no option 'kind'"):
        effects.pairwise_tests(y, three(arm), kind="wald")
    table = effects.pairwise_tests(y, three(arm), test=partial(effects.logrank_test, rho=1))
    assert len(table) == 3


@pytest.mark.parametrize("horizon", ["12", None, np.nan])
def test_a_horizon_of_balances_that_is_no_number_is_named(data, horizon):
    y, arm = data
    with pytest.raises(DataError, match="horizon=.* is not a finite number"):
        effects.retained_balance(y, arm, np.ones(N), horizon=horizon)


@pytest.mark.parametrize("period", ["abc", "ab", (1, 2, 3), 4])
def test_a_period_has_two_ends(data, period):
    y, arm = data
    with pytest.raises(DataError, match=r"give its two ends, such as period=\(0, 3\)"):
        effects.negative_control(y, arm, period=period, horizon=5)


# ---- E-values of what they are said to be of ----


@pytest.mark.parametrize(
    ("name", "measure"),
    [
        ("risk_difference", "risk ratio"),
        ("number_needed_to_treat", "risk ratio"),
        ("rmst_ratio", "risk ratio"),
        ("rmtl_ratio", "risk ratio"),
        ("hazard_ratio", "risk ratio"),
        ("risk_ratio", "hazard ratio"),
    ],
)
def test_an_e_value_of_something_else_is_refused(data, name, measure):
    y, arm = data
    found = getattr(effects, name)(y, arm, **({} if name == "hazard_ratio" else {"horizon": 8}))
    with pytest.raises(DataError, match=f"is no {measure} by its name"):
        effects.e_value(found, measure=measure)


def test_ratios_of_every_estimator_have_an_e_value(data):
    y, arm = data
    X = pd.DataFrame({"x": np.random.default_rng(1).normal(size=N), "arm": arm})
    ratios = [
        effects.risk_ratio(y, arm, horizon=8),
        effects.weighted_effect(y, arm, X[["x"]], effect="risk_ratio", horizon=8, variance="robust"),
        effects.standardised_effect(cs.CoxPH(), X, y, "arm", effect="risk_ratio", horizon=8),
        effects.doubly_robust_effect(cs.CoxPH(), X, y, "arm", effect="risk_ratio", horizon=8),
    ]
    for ratio in ratios:
        assert effects.e_value(ratio, measure="risk ratio").value > 1
    hazards = [
        effects.hazard_ratio(y, arm),
        effects.subdistribution_hazard_ratio(y, arm, cause="attrition"),
        effects.weighted_effect(y, arm, X[["x"]], effect="hazard_ratio", variance="robust"),
    ]
    for ratio in hazards:
        assert effects.e_value(ratio, measure="hazard ratio").value > 1


# ---- names that were not asked for ----


def test_a_delta_adjusted_risk_of_any_cause_speaks_of_no_cause():
    y = cs.Outcome([2, 4, 5, 8, 1, 2, 3, 6], [0, 0, 0, 0, 1, 1, 0, 1])
    with pytest.raises(cs.exceptions.TooFewEventsError, match="Arm 'offer' has no event within 5"):
        effects.delta_adjusted(y, np.repeat(["offer", "none"], 4), horizon=5, delta={})
