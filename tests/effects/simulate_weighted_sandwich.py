"""Does the sandwich of weighted effects cover, with several loans per customer, some in both arms, and a competing default?

500 customers with one to three loans. Distress of a loan is z = (its customer's + its own)/√2, both N(0, 1); with a flag f it
gives the probability of a deferral, 1/(1 + exp(0.4 − strength z − 0.5 f)). The hazard per month is 0.028 exp(0.6 z + 0.4 f +
effect · deferral + u), u ~ N(0, 0.5²) shared by a customer's loans and not known; 1/1.4 of the exits are attrition, the others
default. Exits are seen by month, loans are lost from sight after 4 to 30 of them. The truth is integrated over z, f and u.
``python -m tests.effects.simulate_weighted_sandwich`` writes the rows of the summary table.
"""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd

import churnsurv as cs
from tests.effects.simulate_confounding import write

CUSTOMERS, HORIZON, FRAILTY = 500, 12, 0.5
ESTIMANDS = ("ate", "att", "overlap")
NODES, POINT = np.polynomial.hermite_e.hermegauss(40)


def probability(z, f, strength):
    return 1 / (1 + np.exp(0.4 - strength * z - 0.5 * f))


def rate(z, f, u, arm, effect):
    return 0.028 * np.exp(0.6 * z + 0.4 * f + effect * arm + u)


def truth(estimand, strength, effect):
    """Give the difference of the risks of attrition within the horizon."""
    z, f, u = (grid.ravel() for grid in np.meshgrid(NODES, [0.0, 1.0], FRAILTY * NODES, indexing="ij"))
    e = probability(z, f, strength)
    weight = np.einsum("i,j,k->ijk", POINT, [1.0, 1.0], POINT).ravel()
    weight = weight * {"ate": 1.0, "att": e, "overlap": e * (1 - e)}[estimand]
    reference, other = (weight @ -np.expm1(-HORIZON * rate(z, f, u, arm, effect)) / 1.4 for arm in (0, 1))
    return (other - reference) / weight.sum()


def draw(seed, strength, effect, customers=CUSTOMERS):
    """Give outcome, arm, confounders and customer of each loan."""
    rng = np.random.default_rng(seed)
    customer = np.repeat(np.arange(customers), rng.integers(1, 4, customers))
    n = len(customer)
    z = (rng.normal(size=customers)[customer] + rng.normal(size=n)) / np.sqrt(2)
    f, u = rng.integers(0, 2, n), FRAILTY * rng.normal(size=customers)[customer]
    arm = (rng.random(n) < probability(z, f, strength)).astype(int)
    month = np.ceil(rng.exponential(1 / rate(z, f, u, arm, effect)))
    cause, end = 1 + (rng.random(n) > 1 / 1.4), rng.integers(4, 31, n)
    y = cs.Outcome(np.minimum(month, end), np.where(month <= end, cause, 0), causes=("attrition", "default"))
    return y, arm, pd.DataFrame({"z": z, "f": f}), customer


def simulate(repetitions, strength, effect, customers=CUSTOMERS):
    """Give, by estimand, truth and mean estimate, the mean standard error over the true one, and coverage."""
    found = np.empty((repetitions, len(ESTIMANDS), 4))
    with warnings.catch_warnings():
        # customers in great distress are few: that is the setting
        warnings.simplefilter("ignore", cs.exceptions.PositivityWarning)
        for seed in range(repetitions):
            y, arm, X, customer = draw(seed, strength, effect, customers)
            for k, estimand in enumerate(ESTIMANDS):
                e = cs.effects.weighted_effect(
                    y, arm, X, horizon=HORIZON, cause="attrition", cluster=customer, estimand=estimand,
                    variance="sandwich",
                )  # fmt: skip
                found[seed, k] = e.value, e.se, e.lower, e.upper
    aims = np.array([truth(estimand, strength, effect) for estimand in ESTIMANDS])
    spread = found[:, :, 0].std(axis=0, ddof=1)
    return pd.DataFrame(
        {
            "truth": aims,
            "mean": found[:, :, 0].mean(axis=0),
            "mean_error": spread / np.sqrt(repetitions),
            "se_ratio": found[:, :, 1].mean(axis=0) / spread,
            "coverage": np.mean((found[:, :, 2] <= aims) & (aims <= found[:, :, 3]), axis=0),
        },
        index=pd.Index(ESTIMANDS, name="estimand"),
    )


SCENARIOS = {"effect": (0.6, -0.4), "no effect": (0.6, 0.0), "strong confounding": (0.9, -0.4)}
WHOSE = {"ate": "all", "att": "the treated", "overlap": "the overlap population"}


def main(repetitions=1000):
    """Write the rows of the summary table."""
    rows = []
    error = float(np.sqrt(0.05 * 0.95 / repetitions))
    for name, (strength, effect) in SCENARIOS.items():
        table = simulate(repetitions, strength, effect)
        print(name, table.round(5).to_string(), sep="\n", flush=True)
        for estimand, row in table.iterrows():
            rejected = {"quantity": "type-I error: risk difference of attrition within 12 months", "truth": 0.05}
            covered = {
                "quantity": "coverage of 95% interval: risk difference of attrition within 12 months",
                "truth": 0.95,
            }
            parts = [
                {
                    "quantity": "mean estimate: risk difference of attrition within 12 months",
                    "truth": row["truth"], "estimate": row["mean"], "monte_carlo_error": row["mean_error"],
                },
                (covered | {"estimate": row["coverage"]} if effect else rejected | {"estimate": 1 - row["coverage"]})
                | {"monte_carlo_error": error},
            ]  # fmt: skip
            head = {"name": f"weighted effect of {WHOSE[estimand]}, sandwich: {name}"}
            numbers = ("truth", "estimate", "monte_carlo_error")
            rows += [
                head | part | {k: round(float(part[k]), 6) for k in numbers} | {"repetitions": repetitions}
                for part in parts
            ]
    write("weighted_sandwich.json", rows)


if __name__ == "__main__":
    main()
