"""The interventions of simulated portfolios are estimated by their designs without bias; shortcuts mislead as told."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binomtest

import churnsurv as cs
from churnsurv.data import build_spells
from churnsurv.effects import Landmark, TimeVaryingTreatment
from tests.effects.portfolio_effects import joint_test, month_ends, portfolio_effects, simulated_effects

#: portfolios of the test of coverage
PORTFOLIOS = 200


def test_the_interventions_of_the_shipped_portfolio_have_their_true_effects():
    effects = portfolio_effects(cs.data.load_example())
    assert effects["name"].nunique() == 11
    assert joint_test(effects)[2] > 0.001


@pytest.mark.slow
def test_intervals_of_regenerated_portfolios_cover_the_truth():
    """Coverage of 95 % intervals over portfolios of 5,000 loans.

    Thirteen effects: each is judged by its binomial p-value (1e-4, so that a sound design fails once in 800 runs), all
    together by the mean over the portfolios within three Monte-Carlo errors; the jackknife of eight regions may cover more.
    """
    found = simulated_effects(range(1_000, 1_000 + PORTFOLIOS))
    by_effect = found.groupby(["name", "cause"])["covered"].sum()
    for (name, cause), count in by_effect.items():
        if name == "cross_selling" and count > 0.95 * PORTFOLIOS:
            continue
        assert binomtest(int(count), PORTFOLIOS, 0.95).pvalue > 1e-4, (name, cause, count / PORTFOLIOS)
    share = found.groupby("seed")["covered"].mean()
    assert abs(share.mean() - 0.95) < 3 * share.std() / np.sqrt(PORTFOLIOS), share.mean()


def contacts(seed, n_loans, chance):
    """Give a portfolio's spells and a table of calls that do nothing, made by chance month after month."""
    portfolio = cs.data.simulate(n_loans, seed=seed, truth_of_effects=False)
    spells = build_spells(portfolio.loans, portfolio.performance, portfolio.rules, macro=portfolio.macro)
    rng = np.random.default_rng(seed)
    rows = spells.frame[(spells.frame["period"] >= "2024-01-01") & (spells.frame["cause"] == "open")]
    called = rows[rng.random(len(rows)) < chance].drop_duplicates("loan_id")
    day = called["period"] + pd.offsets.MonthEnd(0)
    table = pd.DataFrame({"loan_id": called["loan_id"], "intervention": "call", "assigned_on": day, "arm": "call"})
    return spells, table


def naive(spells, table):
    """Compare loans that were ever called with the others, from the beginning of 2024 on."""
    cohort = spells.landmark("2023-12-31")
    ever = pd.DataFrame({"ever": cohort.frame["loan_id"].isin(table["loan_id"]).astype(float)})
    model = cs.CoxPH(cause="attrition").fit(ever, cohort.y, cluster=cohort.groups)
    return model.coef_["ever"], np.sqrt(model.covariance_.to_numpy()[0, 0])


def by_design(design, spells, table):
    found = design.estimate(design.cohort(spells, table), safety=None)["hazard_ratio", "attrition"]
    return np.log(found.value), found.se / found.value


DATED = TimeVaryingTreatment(intervention="call", since="2023-12-31", prevalent="leave out")
SEQUENCE = Landmark(intervention="call", dates=month_ends("2024-01-31", "2026-06-30", 3), follow_up=12, within=3)


def test_calls_that_do_nothing_seem_to_keep_customers_until_time_is_counted_rightly():
    spells, table = contacts(1, 3_000, 0.05)
    value, se = naive(spells, table)
    assert value + 4 * se < 0
    value, se = by_design(DATED, spells, table)
    assert abs(value) < 3.5 * se


@pytest.mark.slow
@pytest.mark.parametrize("design", [DATED, SEQUENCE], ids=["time-varying", "landmarks"])
def test_designs_of_dated_treatments_cover_no_effect_where_the_naive_comparison_never_does(design):
    # 200 portfolios of 2,000 loans; three Monte-Carlo errors, 0.904 to 0.996 (a pilot of 16 came first)
    n, covered, false = 200, 0, 0
    for seed in range(n):
        spells, table = contacts(1_000 + seed, 2_000, 0.05)
        value, se = naive(spells, table)
        false += value + 1.96 * se < 0
        value, se = by_design(design, spells, table)
        covered += abs(value) < 1.96 * se
    assert false > 0.95 * n
    assert abs(covered / n - 0.95) < 3 * np.sqrt(0.95 * 0.05 / n)
