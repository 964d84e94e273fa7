"""Brier scores where censoring depends on a covariate that leaving depends on too: by three weights, less the score of all.

One covariate of four values, hazards of leaving and of censoring that rise with it; the predictions are wrong on purpose. A
score without censoring is that of the same customers, so that 0 is the truth. Stated before looking: Kaplan–Meier weights are
off by more than 3 Monte-Carlo errors, those within strata and by a Cox model are not. A first run by month had the Cox model
off by a tenth of Kaplan–Meier's error: partly the end of the study taken for events, which it no longer is, partly ties, which
a Cox model takes for rounded times. So its band holds for times without ties, and by month a fifth of Kaplan–Meier's error is
allowed.

``python -m tests.metrics.simulate_censoring`` writes ``simulated/censoring.json``.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd

import churnsurv as cs
from churnsurv import metrics

FILE = Path(__file__).with_name("simulated") / "censoring.json"
WORDS = {
    "kaplan_meier": "Kaplan-Meier (assumes that censoring depends on nothing)",
    "strata": "Kaplan-Meier within strata",
    "cox": "Cox model",
}


def draw(
    rng: np.random.Generator, n: int, months: bool = True
) -> tuple[cs.Outcome, pd.DataFrame, np.ndarray, np.ndarray]:
    """Give customers whose leaving and censoring depend on x, a wrong risk at 12 months, and what happened by then.

    x in four classes; times by day or rounded up to months; the study ends at 60.
    """
    x = rng.integers(0, 4, n) - 1.5
    leaves, censored = rng.exponential(20 * np.exp(-0.8 * x)), rng.exponential(20 * np.exp(-0.9 * x))
    if months:
        leaves, censored = np.ceil(leaves), np.ceil(censored)
    y = cs.Outcome(np.minimum(leaves, censored).clip(max=60), (leaves <= censored) & (leaves <= 60))
    return y, pd.DataFrame({"x": x}), 1 - np.exp(-12 / 20 * np.exp(0.3 * x)), leaves <= 12


def bias(repetitions: int, n: int, seed: int, months: bool) -> pd.DataFrame:
    """Give the Brier scores by three weights, less that without censoring in the same customers, one row per data set."""
    rng = np.random.default_rng(seed)
    rows = []
    for _ in range(repetitions):
        y, X, risk, left = draw(rng, n, months)
        models = {
            "kaplan_meier": None,
            "strata": cs.CensoringModel().fit(y, strata=X["x"]),
            "cox": cs.CensoringModel(cs.CoxPH()).fit(y, X),
        }
        whole = np.mean((left - risk) ** 2)
        rows.append({k: metrics.brier_score(y, risk, 12, censoring=m).value - whole for k, m in models.items()})
    return pd.DataFrame(rows)


def main(repetitions: int = 300) -> None:
    """Simulate and write the rows."""
    rows = [
        {
            "name": f"metric: Brier score, censoring by a covariate{', months' if months else ''}: {WORDS[name]}",
            "quantity": "mean of estimate - score without censoring",
            "truth": 0.0,
            "estimate": float(values.mean()),
            "monte_carlo_error": float(values.std(ddof=1) / np.sqrt(repetitions)),
            "repetitions": repetitions,
        }
        for months in (False, True)
        for name, values in bias(repetitions, 1_000, seed=2 + months, months=months).items()
    ]
    FILE.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
