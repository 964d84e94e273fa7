"""Coverage of pooled intervals: the target is what the fitted models do among all customers, conditional on them."""

import numpy as np
import pandas as pd
import pytest

import churnsurv as cs
from churnsurv.data import CustomerKFold

METRICS = ["concordance", "auc", "brier", "observed_expected"]


def customers(rng, n):
    """Customers with two loans each, whose leaving shares a frailty: loans are not independent."""
    frailty = np.repeat(rng.gamma(2.0, 0.5, n // 2), 2)
    X = pd.DataFrame(rng.normal(size=(n, 3)), columns=["a", "b", "c"])
    # a covariate of the customer
    X["a"] = np.repeat(rng.normal(size=n // 2), 2)
    leave = rng.exponential(20 * np.exp(-0.7 * X["a"] - 0.4 * X["b"]) / frailty)
    censored = rng.uniform(8, 40, n)
    return X, cs.Outcome(np.minimum(leave, censored), leave <= censored), np.repeat(np.arange(n // 2), 2)


def covered(n_samples, n, n_population):
    """Tell for each sample whether the intervals of the estimates, and of the difference in concordance, hold the truth."""
    everyone, outcome, _ = customers(np.random.default_rng(12345), n_population)
    left = cs.KaplanMeier().fit(outcome).curves_.risk(None, 12)[0]
    models = {"cox": cs.CoxPH(), "b alone": cs.CoxPH("b")}
    hits = []
    for seed in range(n_samples):
        X, y, groups = customers(np.random.default_rng(seed), n)
        options = {"groups": groups, "cv": 3, "horizons": [12], "metrics": METRICS, "null": False}
        found = cs.evaluation.compare(models, X, y, **options)
        truth = {(name, metric): 0.0 for name in models for metric in METRICS}
        shares = dict.fromkeys(METRICS, 0.0)
        for train, test in CustomerKFold(3, random_state=0).split(X, y, groups):
            early = float(np.sum(y.event[test] & (y.stop[test] <= 12)))
            share = {
                "concordance": float(y.event[test].sum()),
                "auc": early,
                "brier": len(test),
                "observed_expected": len(test),
            }
            for metric in METRICS:
                shares[metric] += share[metric]
            for name, model in models.items():
                model.fit(X.iloc[train], y[train])
                curves = model.predict_curves(everyone, [12])
                risk = curves.risk(None, 12)
                values = {
                    "concordance": cs.metrics.concordance_index(outcome, model.predict(everyone)).value,
                    "auc": cs.metrics.cumulative_dynamic_auc(outcome, risk, 12).value,
                    "brier": cs.metrics.brier_score(outcome, risk, 12).value,
                    "observed_expected": left / risk.mean(),
                }
                for metric, value in values.items():
                    truth[name, metric] += share[metric] * value
        row = {}
        for name in models:
            for metric in METRICS:
                estimate = found.estimate(metric, model=name)
                row[name, metric] = estimate.lower < truth[name, metric] / shares[metric] < estimate.upper
        gap = (truth["b alone", "concordance"] - truth["cox", "concordance"]) / shares["concordance"]
        difference = found.differences.set_index("metric").loc["concordance"]
        row["difference", "concordance"] = difference["lower"] < gap < difference["upper"]
        hits.append(row)
    return pd.DataFrame(hits).mean()


def test_intervals_cover_in_a_few_samples():
    # band stated before looking: 0.95 - 4 standard errors of 15 samples = 0.725
    assert (covered(15, 200, 2_000) > 0.725).all()


@pytest.mark.slow
def test_intervals_cover_as_they_say():
    # band stated before looking: 0.95 ± 3 standard errors of 200 samples = 0.904 to 0.996
    coverage = covered(200, 300, 5_000)
    print(coverage)
    assert ((coverage > 0.904) & (coverage < 0.996)).all()
