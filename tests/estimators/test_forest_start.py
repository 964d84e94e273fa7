"""Predictions of a forest from a current age: up to it, between event times, past the follow-up, with missing values."""

import numpy as np
import pytest

import churnsurv as cs
from churnsurv.exceptions import NotIdentifiedError, SupportWarning
from tests.estimators.test_forest_truth import two_causes


@pytest.fixture(scope="module")
def data():
    X, y, _ = two_causes(300, 8, late=True)
    return X, cs.Outcome(y.stop + 2, y.event, start=y.start + 2, causes=y.causes)


@pytest.fixture(scope="module")
def forest(data):
    return cs.RandomSurvivalForest(15, random_state=0).fit(*data)


def test_from_an_age_past_the_follow_up_nothing_is_known(forest, data):
    with pytest.warns(SupportWarning, match="past the last time known"):
        curves = forest.predict_curves(data[0][:2], [12, 24, forest.last_ + 20], start=forest.last_ + 10)
    np.testing.assert_array_equal(curves.survival[:, :2], 1)
    assert np.isnan(curves.probability[:, :, 2]).all()
    with pytest.warns(SupportWarning):
        assert np.isnan(curves.risk("attrition", horizon=10)).all()


def test_from_the_last_event_time_on_nobody_leaves_any_more(forest, data):
    last = forest.event_times_[-1]
    curves = forest.predict_curves(data[0][:2], [last], start=last)
    np.testing.assert_array_equal(curves.survival, 1)


def test_an_age_between_event_times_counts_the_next_one(forest, data):
    grid = forest.event_times_
    at, between = (forest.predict_curves(data[0][:3], start=s).probability for s in (grid[4], (grid[4] + grid[5]) / 2))
    np.testing.assert_array_equal(between, at)
    assert (at[:, 0, 4] == 1).all()
    assert (at[:, 0, 5] < 1).any()


def test_the_first_age_of_entry_is_the_earliest_start(forest, data):
    X = data[0][:3]
    assert forest.first_entry_ == 2
    np.testing.assert_array_equal(forest.predict_curves(X, start=2), forest.predict_curves(X))
    with pytest.raises(NotIdentifiedError, match="nobody was watched before the age of 2"):
        forest.predict_curves(X, start=[2, 1.9, 2], level=0.95)


def test_conditional_risks_are_ratios_of_the_unconditional_ones(forest, data):
    # P(left by k in (s, t] | customer at s) = (F_k(t) − F_k(s)) / S(s)
    X, ages = data[0][:5], np.array([4.0, 6, 9, 11.5, 15])
    curves = forest.predict_curves(X)
    later = forest.predict_curves(X, start=ages)
    for cause in later.causes:
        risk = later.risk(cause, horizon=10)
        for i, age in enumerate(ages):
            begin = forest.predict_curves(X[i : i + 1]).at([age, age + 10])
            gone = begin.cumulative_incidence(cause)[0]
            assert risk[i] == pytest.approx((gone[1] - gone[0]) / begin.survival[0, 0], abs=1e-12)
    assert len(curves) == 5


def test_a_missing_value_that_training_never_had_ends_what_is_known_of_a_path(forest, data):
    X = data[0][:3].assign(start=[2.0, 5, 9], stop=[5.0, 9, 12], loan=1)
    X.loc[1, "rate"] = np.nan
    curves = forest.predict_path(X, "start", "stop", "loan", [4.0, 5, 6, 10])
    np.testing.assert_array_equal(np.isnan(curves.survival[0]), [False, False, True, True])


def test_a_missing_value_that_training_had_is_an_answer_on_a_path_too(data):
    X, y = data
    holes = X.assign(rate=np.where(np.arange(len(X)) % 4 == 0, np.nan, X["rate"]))
    forest = cs.RandomSurvivalForest(15, random_state=0).fit(holes, y)
    pieces = holes[:3].assign(start=[2.0, 5, 9], stop=[5.0, 9, 12], loan=1)
    assert pieces["rate"].isna().sum() == 1
    curves = forest.predict_path(pieces, "start", "stop", "loan", [4.0, 6, 10])
    alone = forest.predict_curves(pieces, [4.0, 5, 6, 9, 10], start=pieces["start"])
    assert curves.survival[0, 0] == pytest.approx(alone.survival[0, 0], abs=1e-12)
    assert curves.survival[0, 1] == pytest.approx(alone.survival[0, 1] * alone.survival[1, 2], abs=1e-12)
