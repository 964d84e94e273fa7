"""The null model is the Aalen–Johansen estimate for everybody."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone

import churnsurv as cs
from churnsurv.exceptions import DataError, NotIdentifiedError, SupportWarning, UnseenCategoryError, ZeroDurationWarning

CAUSES = ("attrition", "default")


def portfolio(seed=0, n=400, late=True):
    rng = np.random.default_rng(seed)
    start = rng.integers(0, 12, n) if late else np.zeros(n)
    stop = start + rng.integers(1, 30, n)
    y = cs.Outcome(stop, rng.choice(3, n, p=[0.4, 0.4, 0.2]), start=start if late else None, causes=CAUSES)
    X = pd.DataFrame({"x": rng.normal(size=n), "region": rng.choice(["a", "b"], n), "w": rng.integers(1, 4, n)})
    return X, y


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
def test_it_is_aalen_johansen_with_its_bounds(late, weighted):
    X, y = portfolio(late=late)
    weight = X["w"] if weighted else None
    aj = cs.AalenJohansen().fit(y, sample_weight=weight, variance="aalen").curves_
    curves = cs.NullModel().fit(X, y, sample_weight=weight).predict_curves(X.iloc[:3], level=0.95)
    np.testing.assert_array_equal(curves.times, aj.times)
    for name in ("probability", "lower", "upper"):
        np.testing.assert_allclose(getattr(curves, name)[1], getattr(aj, name)[0], rtol=1e-12, atol=1e-14)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.integers(12, 25))
def test_from_a_later_start_it_is_aalen_johansen_from_that_origin(seed, start):
    X, y = portfolio(seed, n=150)
    aj = cs.AalenJohansen().fit(y, origin=start).curves_
    curves = cs.NullModel().fit(X, y).predict_curves(X.iloc[:1], aj.times, start=start)
    np.testing.assert_allclose(curves.probability, aj.probability, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(curves.probability.sum(axis=1), 1, rtol=0, atol=1e-12)


def test_rows_of_different_starts_and_strata_get_their_own_curves():
    X, y = portfolio(3)
    model = cs.NullModel().fit(X, y, strata="region")
    start = np.where(np.arange(len(X)) % 2, 12.0, 15.0)
    curves = model.predict_curves(X, [20, 24], start=start)
    for region in "ab":
        for origin in (12.0, 15.0):
            rows = (X["region"] == region).to_numpy()
            aj = cs.AalenJohansen().fit(y[rows], origin=origin).curves_.at([20, 24])
            mine = curves.probability[rows & (start == origin)]
            np.testing.assert_allclose(mine, np.broadcast_to(aj.probability, mine.shape), rtol=1e-12)


def test_predict_is_one_number_per_stratum():
    X, y = portfolio(1)
    assert len(np.unique(cs.NullModel().fit(X, y).predict(X, cause="default"))) == 1
    assert len(np.unique(cs.NullModel().fit(X, y, strata="region").predict(X))) == 2


def test_it_survives_a_file_and_a_clone(tmp_path):
    X, y = portfolio(2)
    model = cs.NullModel().fit(X, y, strata="region")
    again = cs.load(cs.save(model, tmp_path / "null.churnsurv"))
    np.testing.assert_array_equal(again.predict_curves(X).probability, model.predict_curves(X).probability)
    assert clone(model).get_params() == {}


def test_exits_at_age_zero_count():
    with pytest.warns(ZeroDurationWarning):
        y = cs.Outcome([0, 0, 3, 5], [1, 0, 1, 0])
    X = pd.DataFrame({"x": range(4)})
    model = cs.NullModel().fit(X, y)
    np.testing.assert_allclose(
        model.predict_curves(X.iloc[:1]).survival, cs.AalenJohansen().fit(y).curves_.survival, rtol=1e-14
    )


def test_what_is_not_known_is_refused():
    X, y = portfolio(4)
    model = cs.NullModel().fit(X, y, strata="region")
    with pytest.raises(UnseenCategoryError, match="'c'"):
        model.predict_curves(X.assign(region="c"))
    with pytest.raises(DataError, match="region"):
        model.predict_curves(X[["x"]])
    with pytest.raises(DataError, match="rows"):
        cs.NullModel().fit(X.iloc[:5], y)
    with pytest.warns(SupportWarning):
        assert np.isnan(model.predict_curves(X, [500]).probability).all()
    late = cs.Outcome(y.stop + 5, y.event, start=y.start + 5, causes=CAUSES)
    with pytest.raises(NotIdentifiedError, match="nobody was watched"):
        cs.NullModel().fit(X, late).predict_curves(X, start=1)
    with pytest.raises(NotIdentifiedError, match="fractional"):
        cs.NullModel().fit(X, y, sample_weight=X["w"] / 7).predict_curves(X, level=0.9)
