"""Standardised risks of confounded deferrals by cause-specific Cox models: does the interval by formula cover the truth?

The portfolios are those of ``simulate_confounding``, every customer with two loans that leave together;
``python -m tests.effects.simulate_standardised`` writes the rows of the summary table.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

import churnsurv as cs
from tests.effects.simulate_confounding import HORIZON, N, draw, summary_rows, truth, write

ESTIMANDS = ("ate", "att")


def estimate(seed, estimand):
    """Give value, lower and upper of one drawn portfolio."""
    X, y = draw(seed)
    # without the cluster the interval would be too narrow by 1 - 1/√2
    twice = pd.concat([X, X], ignore_index=True)
    outcome = cs.Outcome(np.tile(y.stop, 2), np.tile(y.event, 2), causes=y.causes)
    found = cs.effects.standardised_effect(
        cs.CauseSpecificCox(), twice, outcome, "deferral", horizon=HORIZON, cause="attrition", estimand=estimand,
        cluster=np.tile(np.arange(N), 2),
    )  # fmt: skip
    return found.value, found.lower, found.upper


def simulate(estimand, repetitions):
    """Give bias and coverage with their Monte-Carlo errors."""
    value, lower, upper = np.array([estimate(seed, estimand) for seed in range(repetitions)]).T
    true = truth(estimand)["risk_difference"]
    return {
        "truth": true,
        "mean": value.mean(),
        "mean_error": value.std(ddof=1) / np.sqrt(repetitions),
        "coverage": np.mean((lower <= true) & (true <= upper)),
        "coverage_error": np.sqrt(0.05 * 0.95 / repetitions),
    }


if __name__ == "__main__":
    table = pd.DataFrame.from_dict({name: simulate(name, 1000) for name in ESTIMANDS}, orient="index")
    quantity = "risk difference of attrition within 12 months"
    words = {name: (f"standardised CauseSpecificCox, analytic, {name.upper()}", quantity) for name in ESTIMANDS}
    write("standardised_causes.json", summary_rows(table, words, 1000))
    print(table.to_string())
