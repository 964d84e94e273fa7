"""Three arms coded 0, 1, 2 are three arms, not a dose."""

import numpy as np
import pandas as pd
import pytest
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

import churnsurv as cs
from churnsurv.effects import doubly_robust_effect, standardised_effect
from churnsurv.exceptions import DataError


@pytest.fixture(scope="module")
def three():
    """Arm 1 leaves much faster than arms 0 and 2, which are alike: no line through the numbers fits."""
    rng = np.random.default_rng(5)
    number = rng.integers(0, 3, 900)
    leave = rng.exponential(np.where(number == 1, 5.0, 20.0))
    y = cs.Outcome(np.minimum(leave, 12), leave <= 12)
    return pd.DataFrame({"x": rng.normal(size=900), "arm": number}), y


@pytest.mark.parametrize("effect", [standardised_effect, doubly_robust_effect])
@pytest.mark.parametrize("treated", [1, 2])
def test_numbers_and_words_give_the_same_effect(three, effect, treated):
    X, y = three
    words = X.assign(arm=X["arm"].map({0: "a", 1: "b", 2: "c"}))
    one = effect(cs.CoxPH(), X, y, "arm", horizon=6, treated=treated)
    other = effect(cs.CoxPH(), words, y, "arm", horizon=6, treated="abc"[treated])
    assert (one.value, one.se) == (pytest.approx(other.value), pytest.approx(other.se))
    coded = effect(cs.CoxPH("C(arm) + x"), X, y, "arm", horizon=6, treated=treated)
    assert coded.value == pytest.approx(other.value)


def test_bootstraps_and_forests_take_them_as_labels_too(three):
    X, y = three
    options = {"horizon": 6, "treated": 1, "variance": "bootstrap", "n_resamples": 20, "random_state": 1}
    found = standardised_effect(cs.CoxPH(), X, y, "arm", **options)
    assert found.value == pytest.approx(standardised_effect(cs.CoxPH(), X, y, "arm", horizon=6, treated=1).value)
    assert found.lower > 0
    forest = cs.RandomSurvivalForest(n_estimators=10, random_state=1)
    assert standardised_effect(forest, X, y, "arm", **options).value > 0.2


@pytest.mark.parametrize("formula", ["arm + x", "arm:x", "C(arm) + x:arm"])
def test_formulas_and_pipelines_that_would_take_a_dose_are_refused(three, formula):
    X, y = three
    with pytest.raises(DataError, match=r"for a dose: write C\(arm\)"):
        standardised_effect(cs.CoxPH(formula), X, y, "arm", horizon=6, treated=1)
    scaled = Pipeline([("scale", StandardScaler().set_output(transform="pandas")), ("cox", cs.CoxPH())])
    with pytest.raises(DataError, match="give them labels of text"):
        standardised_effect(scaled, X, y, "arm", horizon=6, treated=1)
