"""Drift and dirt of simulated portfolios are what was asked for, where and as often as recorded."""

import numpy as np
import pandas as pd
import pytest

from churnsurv.data import Drift, build_spells, check_tables, simulate
from churnsurv.exceptions import DataError

CLEAN = {"truth_of_effects": False, "seed": 5}


def test_nothing_differs_before_a_drift_begins():
    drift = Drift(covariates={"credit_score": -40}, segments={"young": 1.0}, since="2026-05-15")
    plain, drifted = simulate(1_000, **CLEAN), simulate(1_000, drift=drift, **CLEAN)
    rows = [p.performance[p.performance["month"] < "2026-05-01"].reset_index(drop=True) for p in (plain, drifted)]
    pd.testing.assert_frame_equal(*rows)
    score = [p.performance.groupby("month")["credit_score"].mean() for p in (plain, drifted)]
    assert (score[1] - score[0])["2026-05-31"] == pytest.approx(-40, abs=3)
    late = drifted.loans["origination_date"] >= "2026-05-01"
    assert (drifted.loans["segment"][late] == "young").all()
    assert (drifted.loans["segment"][~late] == "young").mean() < 0.4
    assert drifted.truth["drift"]["since"] == "2026-05"


def test_a_concept_drift_changes_exits_and_no_covariate_and_is_recorded():
    drift = Drift(coefficients={"attrition": {"rate_incentive": 2.0}})
    plain, drifted = simulate(1_000, **CLEAN), simulate(1_000, drift=drift, **CLEAN)
    exits = [p.performance.query("month > '2026-06-30'")["status"].eq("prepaid").sum() for p in (plain, drifted)]
    assert exits[1] > exits[0] + 50
    keys = ["loan_id", "month", "credit_score", "nps", "balance_slope_3m"]
    both = plain.performance[keys].merge(drifted.performance[keys], on=["loan_id", "month"])
    np.testing.assert_array_equal(both["credit_score_x"], both["credit_score_y"])
    np.testing.assert_array_equal(both["nps_x"], both["nps_y"])
    assert drifted.truth["drift"]["coefficients"] == {"attrition": {"rate_incentive": 2.0}}
    assert drifted.truth["coefficients"] == plain.truth["coefficients"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"covariates": {"credit_scor": 1}}, "covariates of the drift name 'credit_scor'. Did you mean 'credit_score'"),
        ({"covariates": {"complaints_12m": 1}}, "covariates of the drift name 'complaints_12m'"),
        ({"segments": {"old": 1.0}}, "segments of the drift name 'old'. Known are salaried"),
        ({"segments": {"young": 0.5}}, r"shares \[0.5\]: give shares from 0 that add up to 1"),
        ({"coefficients": {"churn": {}}}, "coefficients of the drift name 'churn'"),
        ({"coefficients": {"default": {"csta": 1}}}, "coefficients of default of the drift name 'csta'. .*'csat'"),
    ],
)
def test_a_drift_of_what_cannot_drift_is_refused(arguments, message):
    with pytest.raises(DataError, match=message):
        Drift(**arguments)


def test_a_drift_after_the_last_month_is_refused():
    with pytest.raises(DataError, match=r"begins in 2026-10, after the last month \(2026-09\)"):
        simulate(100, drift=Drift(covariates={"csat": 1}, since="2026-10-01"))


@pytest.fixture(scope="module")
def dirty():
    return simulate(1_500, dirty=0.1, drift="population", **CLEAN)


def counts(findings, columns=("rule", "table", "column")):
    """Give the counts of findings as a series, without what is no fault."""
    series = findings.set_index(list(columns))["count"]
    harmless = series.index.get_level_values("rule").isin(["late entry", "same-period entry and exit"])
    return series[~harmless].sort_index()


def test_the_clean_up_counts_the_dirt_that_was_put_in(dirty):
    spells = build_spells(dirty.loans, dirty.performance, dirty.rules, macro=dirty.macro)
    planted = counts(pd.DataFrame(dirty.truth["dirt"]))
    # what moves is seen in panels only, a missing value by the check
    elsewhere = planted.index.get_level_values("rule").isin(["static column moves", "missing values"])
    found = counts(spells.cleaning)
    pd.testing.assert_series_equal(found, planted[~elsewhere], check_dtype=False)
    assert (found > 0).all()
    assert len(found) >= 10
    assert spells.reconciliation["loans"].iloc[0] == 1_500


def test_the_check_counts_the_missing_values_that_were_put_in(dirty):
    checks = check_tables(dirty.loans, dirty.performance, dirty.rules, macro=dirty.macro)
    found = checks[(checks["rule"] == "missing values") & (checks["status"] == "warning")]
    # what cannot be true is made missing first
    missing = ("missing values", "zero means missing", "not plausible")
    planted = {d["column"]: d["count"] for d in dirty.truth["dirt"] if d["rule"] in missing}
    assert dict(zip(found["column"], found["count"], strict=True)) == planted


def test_a_panel_counts_the_static_columns_that_move(dirty):
    static = dirty.loans.drop(columns="term").drop_duplicates()
    spells = build_spells(None, dirty.performance.merge(static, on="loan_id"), dirty.rules, macro=dirty.macro)
    planted = next(d["count"] for d in dirty.truth["dirt"] if d["rule"] == "static column moves")
    assert counts(spells.cleaning)["static column moves", "performance", "term"] == planted > 0


def test_under_the_dirt_are_the_tables_of_the_same_seed(dirty):
    clean = simulate(1_500, drift="population", **CLEAN)
    assert clean.truth["dirt"] == []
    columns = [name for name in clean.performance.columns if name != "loan_id"]
    faults = sum(d["count"] for d in dirty.truth["dirt"])
    same = dirty.performance.merge(clean.performance, how="inner", on=[*columns, "loan_id"]).drop_duplicates()
    moved = (
        dirty.performance["term"] != dirty.performance["loan_id"].map(clean.loans.set_index("loan_id")["term"])
    ).sum()
    assert len(clean.performance) - faults <= len(same) < len(clean.performance)
    assert moved > 0
    assert 0.09 < faults / 1_500 < 0.11


def test_truth_of_the_dirt_sums_to_the_share_of_loans_asked_for():
    few = simulate(200, dirty=0.02, **CLEAN)
    assert all(d["count"] == 1 for d in few.truth["dirt"])
