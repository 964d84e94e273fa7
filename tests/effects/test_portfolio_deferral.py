"""Deferrals and restructurings of the shipped portfolio, given by observed distress, against the truth it was drawn from."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import chi2

import churnsurv as cs

CONFOUNDERS = {
    "deferral": ["days_past_due_max_12m", "debt_to_income", "expense_shock_3m", "credit_score"],
    "restructuring": ["days_past_due_max_12m", "debt_to_income", "unemployed", "credit_score"],
}


def trials(portfolio, cohort, rules, name):
    """Give a trial per month: who gets it at the month's end against who has not yet, the latter until they get it too."""
    since = pd.to_datetime(
        cohort["loan_id"].map(
            portfolio.interventions.query("intervention == @name").set_index("loan_id")["assigned_on"]
        )
    )
    eligible = (cohort["age"] >= 3) & (cohort["term"] - cohort["age"] >= 12) & ~(since < cohort["landmark"])
    d, since = cohort[eligible], since[eligible]
    arm = (since == d["landmark"]).to_numpy().astype(int)
    first_cause = len(rules.endings) - len(rules.cause_names)
    event = np.maximum(d["cause"].cat.codes.to_numpy(dtype=int) - first_cause + 1, 0)
    months = ((since.dt.year - d["landmark"].dt.year) * 12 + since.dt.month - d["landmark"].dt.month).to_numpy(
        dtype=float
    )
    switched = (arm == 0) & (months < d["stop"].to_numpy())
    stop = np.where(switched, months, d["stop"].to_numpy(dtype=float))
    y = cs.Outcome(stop, np.where(switched, 0, event), causes=rules.cause_names)
    return y, arm, d[CONFOUNDERS[name]], d["customer_id"].to_numpy()


@pytest.mark.slow
def test_effects_under_confounding_agree_with_the_truth_of_the_portfolio():
    portfolio = cs.data.load_example()
    spells = cs.data.build_spells(portfolio.loans, portfolio.performance, portfolio.rules, macro=portfolio.macro)
    cohort = spells.landmark(list(pd.date_range("2023-09-30", "2025-09-30", freq="ME"))).frame
    distance, naive = [], {}
    for name in CONFOUNDERS:
        y, arm, X, customer = trials(portfolio, cohort, portfolio.rules, name)
        truth = portfolio.truth["interventions"][name]["effects"]["treated"]["marginal_log_hazard_ratio"]
        for cause in ("attrition", "default"):
            options = {"effect": "hazard_ratio", "horizon": 12, "cause": cause, "cluster": customer}
            # hardly anybody gets it in a month: the customers in whom the arms overlap are those who do
            found = cs.effects.weighted_effect(
                y, arm, X, estimand="overlap", interval="normal", n_resamples=60, random_state=0, **options
            )
            distance.append((np.log(found.value) - truth[cause]) * found.value / found.se)
            alone = X[[]].assign(nothing=np.arange(len(X)) % 7.0)
            plain = cs.effects.weighted_effect(y, arm, alone, estimand="overlap", variance="robust", **options)
            naive[name, cause] = (np.log(plain.value) - truth[cause]) * plain.value / plain.se
    assert chi2.sf(np.sum(np.square(distance)), len(distance)) > 0.001
    # the distressed default more, whatever is done for them
    assert naive["deferral", "default"] > 3
    assert naive["restructuring", "default"] > 3
