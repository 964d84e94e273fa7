"""Rules that read the lags of the rules, and series of which each value knows the next."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import churnsurv as cs
from churnsurv.data import build_spells, lint
from tests.data.leaks import changed, spells_of


@pytest.fixture(scope="module")
def portfolio():
    return cs.data.simulate(400, seed=11)


@pytest.fixture(scope="module")
def spells(portfolio):
    return build_spells(portfolio.loans, portfolio.performance, portfolio.rules, macro=portfolio.macro)


def told(found):
    return {(line.level, line.rule, line.column) for line in found[found["level"] != "ok"].itertuples()}


def test_a_window_over_a_column_without_lag_names_the_column(spells):
    window = {"csat_fall": {"column": "csat", "width": 3, "statistic": "change"}}
    rules = changed(spells.rules, windows=window, lags={"csat": 0})
    fall = spells.frame["csat"] - spells.frame.groupby("loan_id")["csat"].shift(2)
    found = lint(replace(spells, rules=rules, frame=spells.frame.assign(csat_fall=fall)))
    assert told(found) == {("warning", "unlagged column", "csat"), ("warning", "unlagged column", "csat_fall")}
    assert found["evidence"].str.startswith("lag 0 of 'csat'; changes in").any()


def test_a_rate_incentive_of_the_same_month_is_unlagged(spells):
    found = lint(replace(spells, rules=changed(spells.rules, lags={"market_rate": 0})))
    assert told(found) == {("warning", "unlagged column", name) for name in ("rate_incentive", "burnout")}


def test_the_market_rate_inside_the_incentive_must_be_published(spells):
    found = lint(spells, published_after={"market_rate": 2})
    assert told(found) == {("error", "future macro value", name) for name in ("rate_incentive", "burnout")}
    assert "lags.market_rate = 3 or more" in found["remedy"].iloc[0]


def series(portfolio, values):
    """Give the macro column that has these values in the months from the first on, the same in all regions."""
    months = portfolio.macro["month"].drop_duplicates().sort_values()
    return portfolio.macro["month"].map(dict(zip(months, values(len(months)), strict=True))).to_numpy()


def interpolated(length, digits, rng):
    def values(n):
        knots = np.arange(-length, n + length, length)
        return np.round(np.interp(np.arange(n), knots, rng.normal(2, 1.5, len(knots))), digits)

    return values


@pytest.mark.parametrize(("length", "digits"), [(3, 12), (3, 2), (6, 12), (12, 12)])
def test_interpolated_series_are_found_with_their_cycle_even_rounded(portfolio, length, digits):
    growth = series(portfolio, interpolated(length, digits, np.random.default_rng(length)))
    found = lint(spells_of(portfolio, macro={"growth": growth}))
    if length == 12:
        # 45 months hold too few yearly points to be sure
        assert ("warning", "future macro value", "growth") not in told(found)
    else:
        assert ("warning", "future macro value", "growth") in told(found)
        assert found["evidence"].str.contains(f"come every {length} months, between them it is straight").any()


@pytest.mark.parametrize("kind", ["walk", "held", "trend", "noise", "steps"])
def test_honest_series_are_not_taken_for_interpolated(portfolio, kind):
    rng = np.random.default_rng(5)
    honest = {
        "walk": lambda n: np.round(np.cumsum(rng.normal(0, 0.1, n)), 1),
        "held": lambda n: np.repeat(rng.normal(2, 1, n), 3)[:n],
        "trend": lambda n: 2 + 0.1 * np.arange(n),
        "noise": lambda n: rng.poisson(1, n).astype(float),
        "steps": lambda n: (np.arange(n) > n // 2).astype(float),
    }
    found = lint(spells_of(portfolio, macro={"series": series(portfolio, honest[kind])}))
    assert not any(rule == "future macro value" for _, rule, _ in told(found))


def test_quarterly_spells_are_looked_at_by_quarter(portfolio):
    performance = portfolio.performance.sort_values(["loan_id", "month"])
    quarter = performance["month"].dt.to_period("Q")
    last = performance[~pd.DataFrame({"loan": performance["loan_id"], "q": quarter}).duplicated(keep="last")]
    loans = portfolio.loans.assign(term=portfolio.loans["term"] // 3)
    rules = changed(portfolio.rules, period="quarter")
    offered = portfolio.interventions.query("arm == 'offer'")["loan_id"]
    treated = loans.assign(treated=loans["loan_id"].isin(offered).astype(int))
    rules = changed(rules, covariates=rules.covariates.model_dump() | {"loans": ("term", "approval_days", "treated")})
    spells = build_spells(treated, last, rules, macro=portfolio.macro)
    found = lint(spells, interventions=portfolio.interventions)
    assert told(found) == {("error", "immortal time", "treated")}
    clean = [name for name in rules.covariate_names if name != "treated"]
    assert told(lint(spells, interventions=portfolio.interventions, columns=clean)) == set()
