"""Models that cannot serve, seeds that are none, names that all effects share, and what n counts."""

import numpy as np
import pandas as pd
import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.linear_model import LogisticRegression
from sklearn.svm import SVC, LinearSVC

import churnsurv as cs
from churnsurv import effects
from churnsurv.exceptions import DataError
from tests.effects.simulate_confounding import draw
from tests.effects.test_effects import trial

X, Y = draw(3, 240)
ARM = X["deferral"]
CONFOUNDERS = X.drop(columns="deferral")


@pytest.mark.parametrize("model", ["rf", SVC(), LinearSVC(), LogisticRegression, 3])
def test_a_model_without_probabilities_is_named_with_its_argument(model):
    with pytest.raises(DataError, match=r"^model=.* gives no probabilities"):
        effects.propensity(CONFOUNDERS, ARM, model=model)
    with pytest.raises(DataError, match=r"^classifier=.* gives no probabilities"):
        effects.doubly_robust_effect(cs.CoxPH(), X, Y, "deferral", horizon=9, classifier=model)


def test_a_calibrated_model_has_probabilities():
    found = effects.propensity(CONFOUNDERS, ARM, model=CalibratedClassifierCV(LinearSVC()))
    assert found.probability.sum(axis=1) == pytest.approx(np.ones(len(X)))


@pytest.mark.parametrize("model", ["cox", cs.CoxPH, LogisticRegression(), None])
@pytest.mark.parametrize("effect", [effects.standardised_effect, effects.doubly_robust_effect])
def test_a_model_without_curves_is_named(effect, model):
    with pytest.raises(DataError, match=r"^model=.* predicts no curves"):
        effect(model, X, Y, "deferral", horizon=9)


@pytest.mark.parametrize("seed", ["a", -1, 1.5, True])
def test_seeds_are_whole_numbers(seed):
    with pytest.raises(DataError, match="random_state=.*whole number"):
        effects.propensity(CONFOUNDERS, ARM, folds=2, random_state=seed)
    with pytest.raises(DataError, match="random_state=.*whole number"):
        effects.weighted_effect(Y, ARM, CONFOUNDERS, horizon=9, random_state=seed)


@pytest.mark.parametrize("workers", ["a", 0, 1.5])
def test_numbers_of_processes_are_whole_and_not_zero(workers):
    with pytest.raises(DataError, match="n_jobs=.*number of processes"):
        effects.weighted_effect(Y, ARM, CONFOUNDERS, horizon=9, n_jobs=workers)


def test_the_time_lost_has_one_name():
    weighted = effects.weighted_effect(
        Y, ARM, CONFOUNDERS, effect="rmtl_difference", horizon=9, n_resamples=20, random_state=1
    )
    robust = effects.doubly_robust_effect(cs.CoxPH(), X, Y, "deferral", effect="rmtl_difference", horizon=9)
    assert "restricted mean time lost" in weighted.name
    assert "restricted mean time lost difference" in robust.name
    with pytest.raises(DataError, match="effect='time_lost_difference' is not known.*rmtl_difference"):
        effects.weighted_effect(Y, ARM, CONFOUNDERS, effect="time_lost_difference", horizon=9)


def test_n_counts_subjects_whatever_the_clusters():
    y, arm = trial(2, 120)
    options = {"cluster": np.arange(120) // 2 + 100 * (arm == "offer")}
    with pytest.warns(cs.exceptions.SmallSampleWarning):
        found = [
            effects.risk_difference(y, arm, horizon=6, **options).n,
            effects.hazard_ratio(y, arm, **options).n,
            effects.rmst_ratio(y, arm, horizon=6, **{"cluster": np.arange(120) % 10}).n,
        ]
    assert found == [120, 120, 120]


def test_n_of_an_average_over_the_treated_goes_with_its_events():
    one = effects.standardised_effect(cs.CoxPH(), X, Y, "deferral", horizon=9, estimand="att")
    assert one.n == len(X)
    assert one.n_events <= one.n
    assert f"averaged over the {int((ARM == 1).sum())} treated" in one.method


def test_arms_that_are_not_compared_are_not_counted():
    rng = np.random.default_rng(1)
    frame = pd.DataFrame({"x": rng.normal(size=300), "arm": rng.choice(["a", "b", "c"], 300)})
    leave = rng.exponential(8, 300)
    y = cs.Outcome(np.minimum(leave, 12), leave <= 12)
    pair = int(frame["arm"].isin(["a", "c"]).sum())
    options = {"horizon": 6, "treated": "c"}
    assert effects.standardised_effect(cs.CoxPH(), frame, y, "arm", **options).n == pair
    assert effects.doubly_robust_effect(cs.CoxPH(), frame, y, "arm", **options).n == pair
    assert effects.weighted_effect(y, frame["arm"], frame[["x"]], variance="robust", **options).n == pair
