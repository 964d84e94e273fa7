"""Simulations: coverage and type-I error of Fine–Gray and cause-specific models, with censoring, late entry and months.

Bands are three Monte-Carlo standard errors about the nominal level, as in the reference simulation of R (coverage of the
same design there: 0.9495 for ``crr`` and for the weighted Cox fit).
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

import churnsurv as cs
from tests.estimators.fine_gray_twins import CAUSES

pytestmark = pytest.mark.slow

P = 0.5


def exits(rng: np.random.Generator, x: np.ndarray, beta: float) -> tuple[np.ndarray, np.ndarray]:
    """Draw time and cause of Fine and Gray (1999): F1(t|x) = 1 − (1 − p (1 − e^−t))^exp(xβ)."""
    ratio = np.exp(beta * x)
    share = 1 - (1 - P) ** ratio
    cause = np.where(rng.uniform(size=len(x)) < share, 1, 2)
    v = rng.uniform(size=len(x)) * share
    first = -np.log(1 - (1 - (1 - v) ** (1 / ratio)) / P)
    return np.where(cause == 1, first, rng.exponential(np.exp(-0.5 * x))), cause


def incidence(t: float, x: float, beta: float) -> float:
    return float(1 - (1 - P * (1 - np.exp(-t))) ** np.exp(beta * x))


def sample(rng: np.random.Generator, n: int, beta: float, design: str) -> tuple[pd.DataFrame, cs.Outcome]:
    """Give n rows: plain, or on a grid of sixths with entry that is late for a half; who left before entry is not seen."""
    size = n if design == "plain" else 3 * n
    x = rng.integers(0, 2, size).astype(float)
    time, cause = exits(rng, x, beta)
    if design == "plain":
        censored = rng.uniform(0.5, 3, n)
        y = cs.Outcome(np.minimum(time, censored), np.where(time <= censored, cause, 0), causes=CAUSES)
        return pd.DataFrame({"x": x}), y
    time = np.ceil(6 * time)
    entry = np.floor(6 * np.where(rng.uniform(size=size) < 0.5, 0.0, rng.uniform(0, 1, size)))
    seen = np.flatnonzero(time > entry)[:n]
    x, time, cause, entry = x[seen], time[seen], cause[seen], entry[seen]
    censored = entry + np.ceil(6 * rng.uniform(0.5, 3, len(seen)))
    event = np.where(time <= censored, cause, 0)
    return pd.DataFrame({"x": x}), cs.Outcome(np.minimum(time, censored), event, start=entry, causes=CAUSES)


def band(level: float, repeats: int) -> tuple[float, float]:
    margin = 3 * np.sqrt(level * (1 - level) / repeats)
    return level - margin, level + margin


@pytest.mark.parametrize(("design", "repeats", "n"), [("plain", 2000, 200), ("months and entry", 1000, 300)])
def test_intervals_of_the_coefficient_and_of_the_incidence_cover(design: str, repeats: int, n: int) -> None:
    rng = np.random.default_rng(105)
    beta, z = 0.6, norm.ppf(0.975)
    horizon = 1.0 if design == "plain" else 6.0
    truth = [incidence(1.0, x, beta) for x in (0.0, 1.0)]
    new = pd.DataFrame({"x": [0.0, 1.0]})
    found = []
    for _ in range(repeats):
        X, y = sample(rng, n, beta, design)
        model = cs.FineGray("attrition").fit(X, y)
        coef, se = model.coef_["x"], np.sqrt(model.covariance_.loc["x", "x"])
        curves = model.predict_curves(new, [horizon], level=0.95)
        inside = (curves.lower[:, 0, 0] <= truth) & (truth <= curves.upper[:, 0, 0])
        found.append([abs(coef - beta) <= z * se, *inside, coef])
    covered = np.mean(found, axis=0)
    low, high = band(0.95, repeats)
    assert low <= covered[0] <= high
    assert np.all((covered[1:3] >= low) & (covered[1:3] <= high)), covered
    # Efron's rule on the grid leaves a bias of a few per cent of a standard error
    assert abs(covered[3] - beta) < 0.04


@pytest.mark.parametrize("design", ["plain", "months and entry"])
def test_without_effects_tests_reject_at_their_level(design: str) -> None:
    rng = np.random.default_rng(106)
    repeats = 1000
    rejected = []
    for _ in range(repeats):
        X, y = sample(rng, 250, 0.0, design)
        model = cs.FineGray("attrition").fit(X, y)
        over_time = model.proportional_hazards_test(X, y, transform="identity")
        rejected.append(
            [
                model.summary().loc["x", "p_value"] < 0.05,
                model.tests().loc["robust_score", "p_value"] < 0.05,
                over_time.loc["x", "p_value"] < 0.05,
            ]
        )
    low, high = band(0.05, repeats)
    rates = np.mean(rejected, axis=0)
    assert np.all((rates >= low) & (rates <= high)), rates


def test_proportional_hazards_test_finds_an_effect_that_fades() -> None:
    rng = np.random.default_rng(107)
    n = 4000
    x = rng.integers(0, 2, n).astype(float)
    time = np.where(x == 1, rng.weibull(0.6, n), rng.weibull(1.4, n))
    cause = np.where(rng.uniform(size=n) < 0.7, 1, 2)
    censored = rng.uniform(0.5, 3, n)
    y = cs.Outcome(np.minimum(time, censored), np.where(time <= censored, cause, 0), causes=CAUSES)
    X = pd.DataFrame({"x": x})
    model = cs.FineGray("attrition").fit(X, y)
    assert model.proportional_hazards_test(X, y).loc["x", "p_value"] < 1e-6


@pytest.mark.parametrize("clustered", [False, True])
def test_intervals_of_the_risk_by_cause_specific_models_cover(clustered: bool) -> None:
    rng = np.random.default_rng(108)
    repeats, customers = 1000, 150
    hazard = {"attrition": (0.05, 0.5), "default": (0.03, -0.4)}
    # two loans of a customer share the covariate, and most of them the quantile of their exit
    rates = [r * np.exp(b * 0.5) for r, b in hazard.values()]
    total = sum(rates)
    horizon = 12.0
    truth = [np.exp(-total * horizon), *(r / total * (1 - np.exp(-total * horizon)) for r in rates)]
    inside = []
    for _ in range(repeats):
        loans = 2 if clustered else 1
        x = np.repeat(rng.normal(size=customers), loans)
        by_cause = np.column_stack([r * np.exp(b * x) for r, b in hazard.values()])
        exposure = rng.exponential(size=customers * loans)
        second = np.arange(len(x)) % loans == 1
        same = np.repeat(rng.uniform(size=customers) < 0.6, loans)
        exposure[second & same] = exposure[np.flatnonzero(second & same) - 1]
        time = exposure / by_cause.sum(axis=1)
        cause = np.where(rng.uniform(size=len(x)) < by_cause[:, 0] / by_cause.sum(axis=1), 1, 2)
        censored = rng.uniform(6, 40, len(x))
        y = cs.Outcome(np.minimum(time, censored), np.where(time <= censored, cause, 0), causes=CAUSES)
        cluster = np.arange(len(x)) // loans if clustered else None
        model = cs.CauseSpecificCox().fit(pd.DataFrame({"x": x}), y, cluster=cluster)
        curves = model.predict_curves(pd.DataFrame({"x": [0.5]}), [horizon], level=0.95)
        inside.append((curves.lower[0, :, 0] <= truth) & (truth <= curves.upper[0, :, 0]))
    low, high = band(0.95, repeats)
    rates = np.mean(inside, axis=0)
    assert np.all((rates >= low) & (rates <= high)), rates
