import numpy as np
import pandas as pd
import pytest

import churnsurv as cs
from churnsurv.estimators.univariable import level_counts, univariable_fits
from churnsurv.exceptions import DataError


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(8)
    n = 400
    X = pd.DataFrame(
        {
            "rate": rng.normal(size=n),
            "my age": rng.normal(40, 10, n),
            "segment": rng.choice(["a", "b", "c"], n),
            "branch": rng.choice(["n", "s"], n),
        }
    )
    subject = np.repeat(np.arange(n // 2), 2)
    start, stop = np.tile([0, 6], n // 2), np.tile([6, 12], n // 2)
    cause = np.where(np.tile([False, True], n // 2), rng.integers(0, 3, n), 0)
    return X, cs.Outcome(stop, cause, start=start, subject=subject, causes=("attrition", "default"))


def test_each_term_alone_is_the_model_of_that_column(rows):
    X, y = rows
    arguments = {"strata": "branch", "cluster": y.subject // 2}
    model = cs.CoxPH(cause="attrition").fit(X, y, **arguments)
    fits = univariable_fits(model, X, y, cluster=arguments["cluster"])
    assert list(fits) == ["rate", "my age", "segment"]
    for column, fit in fits.items():
        alone = cs.CoxPH(cause="attrition").fit(X[[column, "branch"]], y, **arguments)
        pd.testing.assert_frame_equal(fit.summary(), alone.summary())


def test_a_fine_gray_term_alone_keeps_its_options(rows):
    X, y = rows
    model = cs.FineGray("default", ties="breslow").fit(X[["rate", "my age"]], y)
    alone = cs.FineGray("default", ties="breslow").fit(X[["rate"]], y)
    pd.testing.assert_frame_equal(univariable_fits(model, X, y)["rate"].summary(), alone.summary())


def test_terms_of_a_formula_stand_alone_and_interactions_do_not(rows):
    X, y = rows
    model = cs.CoxPH("cs(rate, df=3) * segment", cause="attrition").fit(X, y)
    fits = univariable_fits(model, X, y)
    assert list(fits) == ["cs(rate, df=3)", "segment"]
    assert len(fits["cs(rate, df=3)"].coef_) == 3


def test_rows_that_the_fit_left_out_are_left_out_of_every_fit(rows):
    X, y = rows
    X = X.assign(rate=X["rate"].where(X["rate"] > -1))
    with pytest.warns(cs.exceptions.MissingDataWarning):
        model = cs.CoxPH(cause="attrition", missing="drop").fit(X, y, cluster=y.subject // 2)
    fits = univariable_fits(model, X, y, cluster=y.subject // 2)
    kept = X["rate"].notna().to_numpy()
    alone = cs.CoxPH("segment", cause="attrition").fit(X[kept], y[kept], cluster=(y.subject // 2)[kept])
    pd.testing.assert_frame_equal(fits["segment"].summary(), alone.summary())
    assert level_counts(model, X, y).loc[0, "rows"] == kept.sum()


def test_counts_by_level_are_those_of_the_rows(rows):
    X, y = rows
    model = cs.CoxPH(cause="default").fit(X, y)
    counts = level_counts(model, X, y).set_index(["column", "level"])
    leaves = y.event == 2
    assert counts.loc[("", "")].tolist() == [200, 400, leaves.sum()]
    for level in "abc":
        there = (X["segment"] == level).to_numpy()
        expected = [len(np.unique(y.subject[there])), there.sum(), (leaves & there).sum()]
        assert counts.loc[("segment", level)].tolist() == expected


def test_other_rows_or_missing_arguments_are_refused(rows):
    X, y = rows
    model = cs.CoxPH(cause="attrition").fit(X, y, cluster=y.subject // 2)
    with pytest.raises(DataError, match="fitted with cluster: pass cluster"):
        univariable_fits(model, X, y)
    with pytest.raises(DataError, match="the fit had 400"):
        level_counts(model, X[:399], y[np.arange(399)])
    other = cs.Outcome(y.stop, np.where(y.event == 1, 2, y.event), start=y.start, subject=y.subject, causes=y.causes)
    with pytest.raises(DataError, match="0 events of 'attrition'"):
        level_counts(model, X, other)
