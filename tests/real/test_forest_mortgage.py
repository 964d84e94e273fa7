"""A competing-risk forest on the public panel of US mortgages: what its importances and risks are."""

import numpy as np
import pandas as pd
import pytest

import churnsurv as cs
from churnsurv.data import SpellRules, build_spells
from tests.real.panel import FOLDER, ROOT, needs_panel

pytestmark = needs_panel


@pytest.fixture(scope="module")
def spells():
    panel = pd.read_parquet(FOLDER / "dcr_mortgage_panel.parquet")
    # every third loan
    some = panel[panel["id"].isin(np.sort(panel["id"].unique())[::3])]
    rules = SpellRules.from_toml(ROOT / "reports" / "mortgage.toml")
    return build_spells(None, some, rules, macro=pd.read_parquet(FOLDER / "macro_monthly.parquet"))


@pytest.fixture(scope="module")
def forest(spells):
    return cs.RandomSurvivalForest(20, min_samples_leaf=20, random_state=0).fit(spells.X, spells.y)


def importance(forest, spells, cause):
    return forest.permutation_importance(spells.X, spells.y, cause=cause, n_repeats=2, random_state=0)


def test_loan_to_value_rates_and_score_matter_to_default(forest, spells):
    result = importance(forest, spells, "default")
    assert result.baseline.lower > 0.6
    assert set(list(result.groups)[:3]) == {"LTV_time", "rate_incentive", "FICO_orig_time"}
    assert (result.lower[:3] > 0).all()


def test_loan_to_value_matters_most_to_payoff(forest, spells):
    result = importance(forest, spells, "attrition")
    assert result.baseline.lower > 0.55
    assert next(iter(result.groups)) == "LTV_time"
    assert result.lower[0] > 0


def test_risks_at_eight_and_twelve_quarters_rise_with_loan_to_value(forest, spells):
    cohort = spells.landmark("2009-12-31")
    loans = cohort.frame[cohort.frame["age"] + 12 <= forest.last_]
    risk = {
        horizon: cs.partial_dependence(
            forest, loans[spells.X.columns], "LTV_time", horizon=horizon, cause="default",
            start=loans["age"].to_numpy(), grid=[60, 120],
        ).average
        for horizon in (8, 12)
    }  # fmt: skip
    assert risk[8][1] > risk[8][0]
    assert (risk[12] > risk[8]).all()
