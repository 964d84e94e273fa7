"""Spells from the public panel of US mortgages, with every quirk its description lists."""

import numpy as np
import pandas as pd
import pytest

import churnsurv as cs
from churnsurv.data import SpellRules, build_spells, check_tables
from tests.real.panel import FOLDER, ROOT, needs_panel

pytestmark = needs_panel


@pytest.fixture(scope="module")
def rules():
    return SpellRules.from_toml(ROOT / "reports" / "mortgage.toml")


@pytest.fixture(scope="module")
def panel():
    return pd.read_parquet(FOLDER / "dcr_mortgage_panel.parquet")


@pytest.fixture(scope="module")
def macro():
    return pd.read_parquet(FOLDER / "macro_monthly.parquet")


@pytest.fixture(scope="module")
def spells(panel, macro, rules):
    return build_spells(None, panel, rules, macro=macro)


def test_every_loan_is_accounted_for(spells):
    balance = spells.reconciliation.set_index("reason")["loans"]
    assert balance["loans in"] == 5000
    assert balance.iloc[1:].sum() == 5000
    assert balance["attrition"] == 2625
    assert balance["default"] == 1525
    assert balance[["matured", "open at the end of observation", "open when last observed, earlier"]].sum() == 850


def test_every_quirk_is_counted_under_its_rule(spells):
    count = spells.cleaning.set_index(["rule", "column"])["count"]
    assert count["exact duplicate", "time"] == 38
    assert count["gap", "time"] == 152
    gap = spells.cleaning.set_index("rule").loc["gap", "action"]
    assert "112 loans" in gap
    assert count["static column moves", "Interest_Rate_orig_time"] == 352
    assert count["static column moves", "FICO_orig_time"] == 35
    assert count["zero means missing", "Interest_Rate_orig_time"] > 0
    assert count["zero means missing", "balance_time"] == 29
    assert count["not plausible", "LTV_time"] > 0
    late = count["late entry", "time"] / 5000
    assert late == pytest.approx(0.84, abs=0.005)


def test_events_at_first_sight_at_age_zero_have_a_spell_of_positive_length(spells, panel):
    at_zero = panel[(panel["time"] == panel["orig_time"]) & (panel["status_time"] > 0)]
    first = spells.frame[(spells.frame["start"] == 0) & ~spells.frame["cause"].isin(["open", "matured"])]
    assert len(first) == at_zero["id"].nunique() > 60
    assert (first["stop"] == 1).all()


def test_nothing_after_the_fact_is_a_covariate(rules):
    leaks = {"lgd_time", "recovery_res", "res_time", "default_time", "payoff_time"}
    assert not leaks & set(rules.covariate_names)


def test_the_balance_of_the_exit_row_is_not_used(spells, panel):
    exits = spells.frame[spells.frame["cause"] == "attrition"]
    assert (exits["balance_time"].dropna() > 0).all()


def test_survival_at_four_quarters_needs_the_entry_times(spells):
    loans = spells.frame.groupby("loan_id").agg(start=("start", "min"), stop=("stop", "max"), cause=("cause", "last"))
    event = (~loans["cause"].isin(["open", "matured"])).astype(int).to_numpy()
    stop, entry = loans["stop"].to_numpy(), loans["start"].to_numpy()

    def at_four(y):
        table = cs.KaplanMeier().fit(y, min_at_risk=1).table_
        return table.loc[table["time"] <= 4, "estimate"].iloc[-1]

    assert at_four(cs.Outcome(stop, event, start=entry)) == pytest.approx(0.73, abs=0.005)
    assert at_four(cs.Outcome(stop, event)) == pytest.approx(0.89, abs=0.005)
    # the spells leave the missing quarters out of the risk set, which hardly matters
    all_causes = cs.Outcome(spells.y.stop, (spells.y.event > 0).astype(int), spells.y.start, spells.y.subject)
    assert at_four(all_causes) == pytest.approx(0.73, abs=0.005)


def test_the_rate_incentive_is_the_lagged_own_rate_minus_the_market_rate_of_that_quarter(spells, panel, macro):
    market = macro.set_index("month")["MORTGAGE30US"].resample("QS").mean()
    some = spells.complete().frame.query("start > entry").sample(200, random_state=1)
    before = some["period"] - pd.DateOffset(months=3)
    time = (before.dt.year - 2000) * 4 + before.dt.quarter
    own = panel.drop_duplicates(["id", "time"]).set_index(["id", "time"])["interest_rate_time"]
    expected = own.reindex(pd.MultiIndex.from_arrays([some["loan_id"], time])).to_numpy() - market[before].to_numpy()
    np.testing.assert_allclose(some["rate_incentive"], expected)


def test_the_hazards_have_the_documented_signs(spells):
    complete = spells.complete()
    model = cs.CauseSpecificCox("rate_incentive + LTV_time + FICO_orig_time").fit(complete.X, complete.y)
    payoff, default = model.models_["attrition"].summary(), model.models_["default"].summary()
    assert payoff.loc["rate_incentive", "statistic"] > 2
    assert payoff.loc["LTV_time", "statistic"] < -2
    assert default.loc["LTV_time", "statistic"] > 2
    assert default.loc["FICO_orig_time", "statistic"] < -2


def test_the_check_reports_the_quirks_and_no_error(panel, macro, rules):
    checks = check_tables(None, panel, rules, macro=macro)
    assert not (checks["status"] == "error").any()
    warned = set(checks.loc[checks["status"] == "warning", "rule"])
    assert {"exact duplicate", "gap", "static column moves", "zero means missing", "not plausible"} <= warned
