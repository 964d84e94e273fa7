import numpy as np
import pandas as pd
import pytest

import churnsurv as cs
from churnsurv.estimators.contributions import term_contributions
from churnsurv.exceptions import DataError


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(3)
    n = 200
    X = pd.DataFrame({
        "rate": rng.normal(4, 1, n),
        "score": rng.normal(600, 40, n),
        "segment": pd.Categorical(rng.choice(["a", "b", "c"], n)),
    })  # fmt: skip
    time = np.ceil(rng.exponential(20 * np.exp(-0.4 * (X["rate"].to_numpy() - 4))))
    return X, cs.Outcome(time, rng.integers(0, 2, n))


@pytest.mark.parametrize("formula", [None, "cr(rate, df=3) + score + segment", "rate * segment"])
def test_contributions_add_up_to_the_linear_predictor_against_its_mean(data, formula):
    X, y = data
    model = cs.CoxPH(formula).fit(X, y)
    added = term_contributions(model, X, reference=X.iloc[:50])
    predicted = model.predict(X)
    np.testing.assert_allclose(added.sum(axis=1), predicted - predicted[:50].mean(), atol=1e-10)
    np.testing.assert_allclose(
        term_contributions(model, X).sum(axis=1),
        predicted - model.coef_.to_numpy() @ model.center_.to_numpy(),
        atol=1e-10,
    )


def test_categories_of_a_column_are_one_term(data):
    X, y = data
    model = cs.CoxPH().fit(X, y)
    added = term_contributions(model, X)
    assert list(added.columns) == ["rate", "score", "segment"]
    # by hand: the dummies of b and c, each against its mean, times its coefficient
    b, c = ((X["segment"] == level).to_numpy(dtype=float) for level in "bc")
    by_hand = (b - b.mean()) * model.coef_["segment[T.b]"] + (c - c.mean()) * model.coef_["segment[T.c]"]
    np.testing.assert_allclose(term_contributions(model, X, reference=X)["segment"], by_hand, atol=1e-12)


def test_rows_with_a_missing_value_have_no_contributions_and_do_not_count_in_the_mean(data):
    X, y = data
    model = cs.CoxPH().fit(X, y)
    holed = X.copy()
    holed.loc[3, "rate"] = np.nan
    added = term_contributions(model, holed, reference=holed)
    assert added.loc[3].isna().all()
    complete = X.drop(index=3)
    pd.testing.assert_frame_equal(added.drop(index=3), term_contributions(model, complete, reference=complete))


def test_what_cannot_be_split_is_refused(data):
    X, y = data
    with pytest.raises(DataError, match="models_"):
        term_contributions(cs.CauseSpecificCox().fit(X, y), X)
    empty = X.assign(rate=np.nan)
    with pytest.raises(DataError, match="reference has no row"):
        term_contributions(cs.CoxPH().fit(X, y), X, reference=empty)
