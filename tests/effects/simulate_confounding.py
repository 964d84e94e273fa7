"""Deferrals given to the distressed (I3): what a naive comparison, weighting and standardisation say about their effect.

Distress z ~ N(0, 1) and a flag f make customers leave; the probability of a deferral is 1/(1 + exp(0.4 − 0.9 z − 0.5 f)).
Hazards per month: attrition 0.02 exp(0.6 z + 0.4 f − 0.4 deferral), default 0.4 times that, so that leaving by any cause is
proportional too. The truth is integrated over z and f. ``python -m tests.effects.simulate_confounding`` writes the rows of the
summary table.
"""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from joblib import Parallel, delayed
from scipy.optimize import brentq

import churnsurv as cs

N, HORIZON = 500, 12.0
EFFECT = -0.4
NODES, POINT = np.polynomial.hermite_e.hermegauss(60)


def propensity(z, f):
    return 1 / (1 + np.exp(0.4 - 0.9 * z - 0.5 * f))


def hazard(z, f, arm):
    """Hazard of leaving by any cause; 1/1.4 of it is attrition."""
    return 1.4 * 0.02 * np.exp(0.6 * z + 0.4 * f + EFFECT * arm)


def truth(estimand="ate"):
    """Risk difference of attrition, difference of restricted means, hazard ratio of attrition over the horizon."""
    z, f = np.tile(NODES, 2), np.repeat([0, 1], len(NODES))
    weight = np.tile(POINT, 2) / POINT.sum() / 2
    e = propensity(z, f)
    weight = weight * {"ate": 1.0, "att": e, "overlap": e * (1 - e)}[estimand]
    weight = weight / weight.sum()
    h = [hazard(z, f, arm) for arm in (0, 1)]
    risk = [weight @ (1 - np.exp(-each * HORIZON)) / 1.4 for each in h]
    mean = [weight @ ((1 - np.exp(-each * HORIZON)) / each) for each in h]
    times = np.linspace(0, HORIZON, 2001)
    survival = [weight @ np.exp(-np.outer(each, times)) for each in h]
    density = [weight @ (each[:, None] * np.exp(-np.outer(each, times))) for each in h]

    def score(beta):
        share = survival[1] * np.exp(beta) / (survival[1] * np.exp(beta) + survival[0])
        return np.trapezoid(density[1] - share * (density[0] + density[1]), times)

    return {
        "risk_difference": risk[1] - risk[0],
        "rmst_difference": mean[1] - mean[0],
        "hazard_ratio": np.exp(brentq(score, -3, 3)),
    }


def draw(seed, n=N):
    """Give covariates with the arm, and the outcome."""
    rng = np.random.default_rng(seed)
    z, f = rng.normal(size=n), rng.integers(0, 2, n)
    arm = (rng.random(n) < propensity(z, f)).astype(int)
    time = rng.exponential(1 / hazard(z, f, arm))
    cause = 1 + (rng.random(n) > 1 / 1.4)
    end = rng.uniform(HORIZON, 30, n)
    y = cs.Outcome(np.minimum(time, end), np.where(time <= end, cause, 0), causes=("attrition", "default"))
    return pd.DataFrame({"z": z, "f": f, "deferral": arm}), y


def estimates(seed, n_resamples=0):
    """Estimate in one drawn portfolio: (value, lower, upper) by the name of the method."""
    X, y = draw(seed)
    arm, confounders = X["deferral"].to_numpy(), X[["z", "f"]]
    whole = {"n_resamples": n_resamples, "random_state": seed}
    # ends that are quantiles need more resamples than a standard error
    fewer = {"n_resamples": max(n_resamples // 4, 20), "random_state": seed, "interval": "normal"}
    risk = {"horizon": HORIZON, "cause": "attrition"}
    weighted = cs.effects.weighted_effect
    with warnings.catch_warnings():
        # customers in great distress are few: that is the setting
        warnings.simplefilter("ignore")
        found = {
            "naive": weighted(y, arm, pd.DataFrame({"none": np.resize([0.0, 1.0, 2.0], N)}), variance="robust", **risk),
            "robust": weighted(y, arm, confounders, variance="robust", **risk),
            "robust hazard ratio": weighted(y, arm, confounders, effect="hazard_ratio", variance="robust", **risk),
            "Cox standardised": cs.effects.standardised_effect(
                cs.CoxPH(), X, y, "deferral", effect="risk_difference", horizon=HORIZON
            ),
        }
        if n_resamples:
            found |= {
                "bootstrap": weighted(y, arm, confounders, **risk, **whole),
                "bootstrap, overlap": weighted(y, arm, confounders, estimand="overlap", **risk, **fewer),
                "bootstrap mean": weighted(
                    y, arm, confounders, effect="rmst_difference", horizon=HORIZON, **fewer
                ),
                "bootstrap hazard ratio": weighted(y, arm, confounders, effect="hazard_ratio", **risk, **fewer),
                "standardised": cs.effects.standardised_effect(
                    cs.CauseSpecificCox(), X, y, "deferral", variance="bootstrap", **risk, **fewer
                ),
            }  # fmt: skip
    return {name: (e.value, e.lower, e.upper) for name, e in found.items()}


def targets():
    """Give what each method of :func:`estimates` is to find."""
    ate = truth()
    h = dict.fromkeys(("naive", "robust", "bootstrap", "standardised"), ate["risk_difference"])
    h["Cox standardised"] = 1.4 * ate["risk_difference"]
    h["bootstrap, overlap"] = truth("overlap")["risk_difference"]
    h["bootstrap mean"] = ate["rmst_difference"]
    return h | {"bootstrap hazard ratio": ate["hazard_ratio"], "robust hazard ratio": ate["hazard_ratio"]}


def simulate(repetitions, n_resamples=0, n_jobs=1):
    """Give bias and coverage of every method with their Monte-Carlo errors."""
    runs = Parallel(n_jobs=n_jobs)(delayed(estimates)(seed, n_resamples) for seed in range(repetitions))
    aims, rows = targets(), []
    for name in runs[0]:
        value, lower, upper = np.array([run[name] for run in runs]).T
        covered = np.mean((lower <= aims[name]) & (aims[name] <= upper))
        rows.append(
            {
                "method": name,
                "truth": aims[name],
                "mean": value.mean(),
                "mean_error": value.std(ddof=1) / np.sqrt(repetitions),
                "coverage": covered,
                "coverage_error": np.sqrt(0.05 * 0.95 / repetitions),
            }
        )
    return pd.DataFrame(rows).set_index("method")


WORDS = {
    "naive": ("unweighted comparison", "risk difference of attrition within 12 months"),
    "robust": ("weights, robust variance", "risk difference of attrition within 12 months"),
    "robust hazard ratio": ("weights, robust variance", "cause-specific hazard ratio over 12 months"),
    "bootstrap": ("weights, bootstrap (percentile)", "risk difference of attrition within 12 months"),
    "bootstrap, overlap": ("overlap weights, bootstrap (normal)", "risk difference of attrition within 12 months"),
    "bootstrap mean": ("weights, bootstrap (normal)", "difference of restricted mean time within 12 months"),
    "bootstrap hazard ratio": ("weights, bootstrap (normal)", "cause-specific hazard ratio over 12 months"),
    "standardised": (
        "standardised CauseSpecificCox, bootstrap (normal)",
        "risk difference of attrition within 12 months",
    ),
    "Cox standardised": ("standardised CoxPH, analytic", "risk difference of leaving within 12 months"),
}


def summary_rows(table, words, repetitions):
    """Give the rows of the summary table: mean estimates and coverage."""
    rows = []
    for method, row in table.iterrows():
        name, quantity = words[method]
        ends = [
            (f"mean estimate: {quantity}", row["truth"], row["mean"], row["mean_error"]),
            (f"coverage of 95% interval: {quantity}", 0.95, row["coverage"], row["coverage_error"]),
        ]
        rows += [
            {
                "name": f"confounded deferral: {name}",
                "quantity": what,
                "truth": round(float(true), 6),
                "estimate": round(float(estimate), 6),
                "monte_carlo_error": round(float(error), 6),
                "repetitions": repetitions,
            }
            for what, true, estimate, error in ends
        ]
    return rows


def write(name, rows):
    """Write rows beside this module."""
    target = Path(__file__).parent / "simulated" / name
    target.parent.mkdir(exist_ok=True)
    target.write_text(json.dumps(rows, indent=1) + "\n")


def main(repetitions=200, n_resamples=200):
    """Write the rows of the summary table."""
    table = simulate(repetitions, n_resamples, n_jobs=2)
    write("confounding.json", summary_rows(table, WORDS, repetitions))
    print(table.to_string())


if __name__ == "__main__":
    main()
