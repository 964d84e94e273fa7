"""Doubly robust effects of confounded deferrals, with right and wrong models.

The portfolios are those of ``simulate_confounding``; ``python -m tests.effects.simulate_doubly_robust`` writes the
rows of the summary table.
"""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
from joblib import Parallel, delayed

import churnsurv as cs
from tests.effects.simulate_confounding import HORIZON, draw, summary_rows, truth, write

MODELS = {
    "both models right": (cs.CauseSpecificCox(), None),
    "wrong model of leaving": (cs.CauseSpecificCox("deferral"), None),
    "wrong propensity": (cs.CauseSpecificCox(), "f"),
}


def estimate(seed, name):
    """Give value, lower and upper of one drawn portfolio."""
    X, y = draw(seed)
    model, formula = MODELS[name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = cs.effects.doubly_robust_effect(
            model, X, y, "deferral", horizon=HORIZON, cause="attrition", formula=formula
        )
    return found.value, found.lower, found.upper


def simulate(repetitions, n_jobs=1):
    """Give bias and coverage with their Monte-Carlo errors."""
    true, rows = truth()["risk_difference"], {}
    for name in MODELS:
        runs = Parallel(n_jobs=n_jobs)(delayed(estimate)(seed, name) for seed in range(repetitions))
        value, lower, upper = np.array(runs).T
        rows[name] = {
            "truth": true,
            "mean": value.mean(),
            "mean_error": value.std(ddof=1) / np.sqrt(repetitions),
            "coverage": np.mean((lower <= true) & (true <= upper)),
            "coverage_error": np.sqrt(0.05 * 0.95 / repetitions),
        }
    return pd.DataFrame.from_dict(rows, orient="index")


if __name__ == "__main__":
    table = simulate(300)
    words = {name: (f"doubly robust, {name}", "risk difference of attrition within 12 months") for name in MODELS}
    write("doubly_robust.json", summary_rows(table, words, 300))
    print(table.to_string())
