"""The forest against simulated truth and scikit-survival's forest; R's ranger: tests/test_oracles_forest.py."""

import numpy as np
import pandas as pd
import pytest

import churnsurv as cs

TIMES = np.arange(3.0, 37.0, 3.0)


def two_causes(n, seed, *, late=False):
    """Monthly competing exits with constant hazards that depend on rate and score, and the true cumulative incidences."""
    rng = np.random.default_rng(seed)
    X = pd.DataFrame({"rate": rng.uniform(-1, 1, n), "score": rng.uniform(-1, 1, n), "noise": rng.normal(size=n)})
    hazard = np.column_stack([0.03 * np.exp(X["rate"]), 0.01 * np.exp(-1.2 * X["score"])])
    total = hazard.sum(axis=1)
    exact = rng.exponential(1 / total)
    cause = np.where(rng.uniform(size=n) < hazard[:, 0] / total, 1, 2)
    end = rng.uniform(12, 60, n)
    stop, event = np.ceil(np.minimum(exact, end)), np.where(exact <= end, cause, 0)
    start = np.floor(rng.uniform(0, 24, n)) * (rng.uniform(size=n) < 0.8) if late else np.zeros(n)
    seen = stop > start
    y = cs.Outcome(stop[seen], event[seen], start=start[seen], causes=("attrition", "default"))
    truth = (1 - np.exp(-total[:, None] * TIMES))[:, None, :] * (hazard / total[:, None])[:, :, None]
    return X[seen].reset_index(drop=True), y, truth[seen]


def squared_error(curves, truth):
    return ((curves.at(TIMES).probability[:, 1:] - truth) ** 2).mean()


def test_cumulative_incidences_come_closer_to_the_truth_with_more_loans():
    new, _, truth = two_causes(500, 99)
    errors = []
    for n in (300, 3000):
        X, y, _ = two_causes(n, 1)
        curves = cs.RandomSurvivalForest(60, random_state=0).fit(X, y).predict_curves(new, times=TIMES)
        errors.append(squared_error(curves, truth))
    assert errors[1] < 0.6 * errors[0]
    # the same incidence for all, the marginal one, is off by the variance of the true ones
    assert errors[1] < 0.3 * truth.var(axis=0).mean()


def test_leaving_out_entry_times_is_visibly_worse():
    new, _, truth = two_causes(500, 99)
    X, y, _ = two_causes(3000, 2, late=True)
    forest = cs.RandomSurvivalForest(60, min_samples_leaf=60, random_state=0)
    right = forest.fit(X, y).predict_curves(new, times=TIMES)
    wrong = forest.fit(X, cs.Outcome(y.stop, y.event, causes=y.causes)).predict_curves(new, times=TIMES)
    assert squared_error(right, truth) < 0.4 * squared_error(wrong, truth)
    too_long = {name: (c.survival + truth.sum(axis=1) - 1).mean() for name, c in (("right", right), ("wrong", wrong))}
    assert abs(too_long["right"]) < 0.03
    assert too_long["wrong"] > 0.08


@pytest.mark.slow
def test_the_squared_error_goes_to_zero_with_the_number_of_loans_but_not_when_entry_times_are_left_out():
    """Band set after a pilot: with leaves of √n customers every fourfold number of loans takes away a quarter of the mean
    integrated squared error at least, with and without late entry; without the entry times it stays at least 1.7 times
    as large at n = 500, 4 times at n = 8,000, and above a quarter of the variance of the true incidences.
    """
    new, _, truth = two_causes(500, 99)
    known, late, ignored = [], [], []
    for n in (500, 2000, 8000):
        errors = []
        for seed in range(4):
            forest = cs.RandomSurvivalForest(100, min_samples_leaf=round(n**0.5), random_state=seed)
            X, y, _ = two_causes(n, 100 + seed)
            errors.append([squared_error(forest.fit(X, y).predict_curves(new, TIMES), truth)])
            X, y, _ = two_causes(n, 200 + seed, late=True)
            without = cs.Outcome(y.stop, y.event, causes=y.causes)
            errors[-1] += [squared_error(forest.fit(X, o).predict_curves(new, TIMES), truth) for o in (y, without)]
        for into, mean in zip((known, late, ignored), np.mean(errors, axis=0), strict=True):
            into.append(mean)
    for shrinking in (known, late):
        assert (np.diff(np.log(shrinking)) < np.log(0.75)).all()
    assert ignored[0] > 1.7 * late[0]
    assert ignored[2] > 4 * late[2]
    assert ignored[2] > 0.25 * truth.var(axis=0).mean()


def test_rankings_and_probabilities_are_as_good_as_those_of_scikit_survivals_forest():
    ensemble = pytest.importorskip("sksurv.ensemble")
    datasets = pytest.importorskip("sksurv.datasets")
    X, theirs = datasets.load_gbsg2()
    X = X.apply(lambda c: c.cat.codes.astype(float) if isinstance(c.dtype, pd.CategoricalDtype) else c.astype(float))
    y = cs.Outcome(theirs["time"], theirs["cens"].astype(int))
    horizons = np.quantile(y.stop[y.event > 0], np.linspace(0.1, 0.8, 8))
    difference = []
    for seed in range(3):
        order = np.random.default_rng(seed).permutation(len(X))
        train, test = order[:450], order[450:]
        ours = cs.RandomSurvivalForest(60, random_state=seed).fit(X.iloc[train], y[train])
        peer = ensemble.RandomSurvivalForest(60, min_samples_leaf=15, max_features="sqrt", random_state=seed)
        peer.fit(X.iloc[train], theirs[train])
        at = np.searchsorted(peer.unique_times_, horizons, side="right") - 1
        survival = peer.predict_survival_function(X.iloc[test], return_array=True)[:, at]
        scores = []
        for risk, stay in (
            (ours.predict(X.iloc[test]), ours.predict_curves(X.iloc[test], horizons).survival),
            (peer.predict(X.iloc[test]), survival),
        ):
            concordance = cs.metrics.concordance_index(y[test], risk).value
            curves = cs.Curves(
                horizons, np.stack([stay, 1 - stay], axis=1), np.zeros(len(test)), np.full(len(test), np.inf),
                ("event",), pd.RangeIndex(len(test)),
            )  # fmt: skip
            scores.append((concordance, cs.metrics.integrated_brier_score(y[test], curves, horizons).value))
        difference.append(np.subtract(*scores))
    concordance, brier = np.mean(difference, axis=0)
    assert concordance > -0.02
    assert brier < 0.005
