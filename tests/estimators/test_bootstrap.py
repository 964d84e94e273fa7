"""The bootstrap of Cox coefficients is that of fits to resampled rows, by subject or cluster."""

import numpy as np
import pandas as pd
import pytest

import churnsurv as cs
from churnsurv.exceptions import DataError, NotIdentifiedError, SmallSampleWarning


def loans(n=400, seed=0):
    rng = np.random.default_rng(seed)
    X = pd.DataFrame(rng.normal(size=(n, 2)), columns=["a", "b"]).assign(region=rng.choice(["n", "s"], n))
    start = rng.integers(0, 5, n).astype(float)
    y = cs.Outcome(start + np.ceil(rng.exponential(9 * np.exp(-0.5 * X["a"]))), rng.integers(0, 2, n), start=start)
    return X, y


def test_a_resample_by_weights_is_a_fit_to_the_drawn_rows():
    X, y = loans()
    cluster = np.arange(len(X)) // 4
    model = cs.CoxPH(ties="breslow").fit(X, y, strata="region")
    table = cs.bootstrap_intervals(model, X, y, cluster=cluster, n_resamples=20, random_state=3)
    fits = []
    for seed in np.random.SeedSequence(3).spawn(20):
        drawn = np.random.default_rng(seed).integers(0, 100, 100)
        rows = np.concatenate([np.flatnonzero(cluster == c) for c in drawn])
        fits.append(cs.CoxPH(ties="breslow").fit(X.iloc[rows], y[rows], strata="region").coef_.to_numpy())
    np.testing.assert_allclose(table["se"], np.std(fits, axis=0, ddof=1), rtol=1e-8)
    np.testing.assert_allclose(table["bias"], np.mean(fits, axis=0) - model.coef_, rtol=1e-6, atol=1e-10)
    np.testing.assert_allclose(table["lower"], np.percentile(fits, 2.5, axis=0), rtol=1e-8)
    np.testing.assert_allclose(table["hr_upper"], np.exp(np.percentile(fits, 97.5, axis=0)), rtol=1e-8)


def test_standard_errors_are_near_those_of_the_sandwich_and_threads_change_nothing():
    X, y = loans(1_500, seed=1)
    cluster = np.arange(len(X)) // 3
    model = cs.CoxPH().fit(X[["a", "b"]], y, cluster=cluster)
    one, two = (
        cs.bootstrap_intervals(model, X[["a", "b"]], y, cluster=cluster, random_state=0, n_jobs=n) for n in (1, 2)
    )
    pd.testing.assert_frame_equal(one, two)
    # 200 resamples know a standard error to 5 % (one standard deviation)
    np.testing.assert_allclose(one["se"], model.summary()["se"], rtol=0.2)


def test_subjects_are_drawn_with_all_their_rows():
    X, y = loans(seed=2)
    cut = np.ceil((y.start + y.stop) / 2)
    inside = np.flatnonzero((cut > y.start) & (cut < y.stop))
    rows = np.concatenate([np.arange(len(X)), inside])
    stop, event = y.stop[rows].copy(), y.event[rows].copy()
    stop[inside], event[inside] = cut[inside], 0
    split = cs.Outcome(stop, event, start=np.concatenate([y.start, cut[inside]]), subject=rows)
    whole, parts = (
        cs.bootstrap_intervals(cs.CoxPH().fit(x, outcome), x, outcome, n_resamples=30, random_state=1)
        for x, outcome in ((X[["a"]], y), (X[["a"]].iloc[rows], split))
    )
    np.testing.assert_allclose(parts, whole, rtol=1e-7)


def test_resamples_without_an_estimate_are_counted_and_what_makes_no_sense_is_refused():
    X, y = loans(seed=3)
    rare = X[["a"]].assign(rare=(np.arange(len(X)) < 12).astype(float))
    few = cs.Outcome(y.stop, np.where((rare["rare"] == 1) & (np.arange(len(X)) > 1), 0, 1), start=y.start)
    with pytest.warns(SmallSampleWarning, match="resamples of 100 without a finite estimate"):
        cs.bootstrap_intervals(cs.CoxPH().fit(rare, few), rare, few, n_resamples=100, random_state=0)
    model = cs.CoxPH().fit(X[["a"]], y)
    with pytest.raises(DataError, match="at least 20"):
        cs.bootstrap_intervals(model, X[["a"]], y, n_resamples=3)
    with pytest.raises(DataError, match="one cluster"):
        cs.bootstrap_intervals(model, X[["a"]], y, cluster=np.zeros(len(X)))
    with pytest.raises(NotIdentifiedError, match="penalised"):
        cs.bootstrap_intervals(cs.CoxPH(penalty="firth").fit(X[["a"]], y), X[["a"]], y)
