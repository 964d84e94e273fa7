"""Simulated rollouts: branches with hazards of their own, switching in waves, on a calendar that moves all of them."""

import numpy as np
import pandas as pd

import churnsurv as cs
from churnsurv.effects.design import StudyCohort

START = 600


def rollout(seed, n_branches=20, loans=30, effect=0.0, spread=0.3, waves=3, drift=0.3, months=24, grows=1):
    """Give the cohort of a rollout: loan-months of branches that switch in random waves, one fifth of them never.

    Hazards of a branch wander around a level of its own (standard deviation `spread` of the logarithm, by half-year), and
    fall by `drift` over the time for all. The effect is reached after `grows` months.
    """
    rng = np.random.default_rng(seed)
    dates = np.array([6 + 4 * k for k in range(waves)] + [months + 100])
    switch = dates[rng.permutation(n_branches) % len(dates)]
    level = rng.normal(0, spread, n_branches)[:, None] + rng.normal(0, spread, (n_branches, months // 6 + 1))
    rows = []
    for branch in range(n_branches):
        entry = rng.integers(-12, months - 4, loans)
        age_at_zero = -np.minimum(entry, 0)
        for loan in range(loans):
            for month in range(max(entry[loan], 0), months):
                age = month - max(entry[loan], 0) + age_at_zero[loan]
                log = (
                    np.log(0.03)
                    + level[branch, month // 6]
                    - drift * month / months
                    + effect * np.clip((month - switch[branch] + 1) / grows, 0, 1)
                )
                left = rng.random() < -np.expm1(-np.exp(log))
                rows.append((branch, branch * loans + loan, month, age, int(left), month >= switch[branch]))
                if left:
                    break
    table = pd.DataFrame(rows, columns=["branch", "loan", "month", "age", "left", "switched"])
    return cohort_of_table(table)


def cohort_of_table(table):
    n = table["loan"].nunique()
    return StudyCohort(
        y=cs.Outcome(
            table["age"] + 1.0,
            table["left"],
            start=table["age"].astype(float),
            subject=table["loan"],
            causes=("attrition",),
        ),
        arm=np.where(table["switched"], "switched", "waiting").astype(object),
        X=pd.DataFrame({"age": table["age"].astype(float)}),
        strata=table["branch"].to_numpy(),
        cluster=table["branch"].to_numpy(),
        calendar=START + table["month"].to_numpy(),
        treated="switched",
        control="waiting",
        estimand="simulated",
        counts={"given": n, "in the cohort": n},
    )
