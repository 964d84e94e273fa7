"""Exit rates, their exact comparison, and rates of customers and of money."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import binomtest, chi2

import churnsurv as cs
from churnsurv.evaluation import exit_rate, exit_rates, rate_ratio
from churnsurv.exceptions import DataError
from tests.shipped import shipped


@pytest.fixture(scope="module")
def spells():
    return shipped()[1]


def test_rates_are_exits_over_loan_years_with_garwoods_bounds(spells):
    year = spells.frame["period"].dt.year.to_numpy()
    row = exit_rates(spells, year).loc[2024]
    inside = spells.frame[year == 2024]
    exits, years = (inside["cause"] == "attrition").sum(), len(inside) / 12
    assert (row["attrition"], row["exposure"]) == (exits, pytest.approx(years))
    assert row["attrition rate"] == pytest.approx(exits / years)
    assert row["attrition lower"] == pytest.approx(chi2.ppf(0.025, 2 * exits) / 2 / years)
    assert row["attrition upper"] == pytest.approx(chi2.ppf(0.975, 2 * exits + 2) / 2 / years)


def test_labels_of_another_length_are_refused(spells):
    with pytest.raises(DataError, match="one label for each"):
        exit_rates(spells, [1, 2])


@pytest.mark.parametrize(
    ("events", "exposure"), [((11, 6), (800, 1000)), ((0, 4), (10, 20)), ((4, 0), (10, 20)), ((3, 3), (1, 1))]
)
def test_the_ratio_is_the_conditional_binomial_test(events, exposure):
    ratio, p_value = rate_ratio(events, exposure)
    test = binomtest(events[0], sum(events), exposure[0] / sum(exposure))
    bounds = test.proportion_ci(0.95, method="exact")
    with np.errstate(divide="ignore"):
        expected = [np.float64(p) / (1 - np.float64(p)) * exposure[1] / exposure[0] for p in bounds]
    np.testing.assert_allclose([ratio.lower, ratio.upper], expected, rtol=1e-9)
    tails = [
        binomtest(events[0], sum(events), exposure[0] / sum(exposure), alternative=side).pvalue
        for side in ("less", "greater")
    ]
    assert p_value == pytest.approx(min(1, 2 * min(tails)))
    assert np.isnan(ratio.value) == (events[1] == 0)


def test_turning_the_groups_inverts_the_ratio():
    one, p_one = rate_ratio((12, 30), (100, 140), level=0.9)
    other, p_other = rate_ratio((30, 12), (140, 100), level=0.9)
    np.testing.assert_allclose([one.value, one.lower, one.upper], [1 / other.value, 1 / other.upper, 1 / other.lower])
    assert p_one == pytest.approx(p_other)


@pytest.mark.parametrize(("events", "exposure"), [((-1, 2), (1, 1)), ((1, 2), (0, 1)), ((1, 2), (np.inf, 1))])
def test_impossible_counts_and_exposures_are_refused(events, exposure):
    with pytest.raises(DataError, match="exposures above 0"):
        rate_ratio(events, exposure)


def test_equal_weights_give_the_rate_of_loans_and_customers_leave_once(spells):
    loans = exit_rate(spells, "attrition")
    equal = exit_rate(spells, "attrition", weight=np.full(len(spells), 7.0))
    assert (equal.value, equal.se) == (pytest.approx(loans.value), pytest.approx(loans.se))
    customers = exit_rate(spells, "attrition", unit="customer")
    assert customers.n == spells.frame["customer_id"].nunique()
    assert customers.n_events <= loans.n_events


def test_the_variance_is_that_of_sums_over_customers(spells):
    frame, rate = spells.frame, exit_rate(spells, "attrition")
    exits = (frame["cause"] == "attrition").groupby(frame["customer_id"]).sum()
    years = frame.groupby("customer_id").size() / 12
    assert rate.value == pytest.approx(exits.sum() / years.sum())
    assert rate.se == pytest.approx(np.sqrt(((exits - rate.value * years) ** 2).sum()) / years.sum())


def test_weights_that_are_missing_are_left_out_and_bad_ones_refused(spells):
    known = np.arange(len(spells)) % 2 == 0
    part = replace(spells, frame=spells.frame[known].reset_index(drop=True))
    assert exit_rate(spells, "default", weight=np.where(known, 1.0, np.nan)).value == pytest.approx(
        exit_rate(part, "default").value
    )
    for weight in ([1.0], np.full(len(spells), -1.0), np.zeros(len(spells))):
        with pytest.raises(DataError, match="weight"):
            exit_rate(spells, "default", weight=weight)
    with pytest.raises(DataError, match="no cause"):
        exit_rate(spells, "churn")
    with pytest.raises(DataError, match="customer"):
        exit_rate(spells, "default", unit="customer", weight=np.ones(len(spells)))


def test_missingness_counts_gaps_after_the_first_periods_by_quarter(spells):
    frame = spells.frame.copy()
    last = frame["period"].dt.to_period("Q") == frame["period"].max().to_period("Q")
    frame.loc[last, "credit_score"] = np.nan
    row = cs.data.missingness(replace(spells, frame=frame), ["credit_score"]).iloc[0]
    later = frame["start"] >= frame["entry"] + 1
    assert (row["first"], row["last"]) == (0.0, 1.0)
    assert row["missing"] == (last & later).sum()
    assert row["spells"] == later.sum()
    with pytest.raises(DataError, match=r"'credit_scor'.*'credit_score'"):
        cs.data.missingness(spells, ["credit_scor"])
