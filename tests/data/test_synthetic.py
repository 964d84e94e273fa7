"""The simulated lender: arguments, and a world that behaves as lenders' worlds do."""

import numpy as np
import pandas as pd
import pytest

import churnsurv as cs
from churnsurv.data import build_spells, simulate
from churnsurv.data.synthetic.states import count_of
from churnsurv.exceptions import DataError
from tests.data.derived import burnout


@pytest.fixture(scope="module")
def portfolio():
    return simulate(5_000, seed=11, truth_of_effects=False)


@pytest.fixture(scope="module")
def spells(portfolio):
    return build_spells(portfolio.loans, portfolio.performance, portfolio.rules, macro=portfolio.macro)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_loans": 10}, "at least 100"),
        ({"n_loans": 100.5}, "n_loans is 100.5; give a whole number"),
        ({"n_loans": "100"}, "n_loans is '100'; give a whole number"),
        ({"seed": -1}, "seed is -1; give a whole number from 0"),
        ({"seed": 1.5}, "seed is 1.5; give a whole number"),
        ({"as_of": "2026-09-15"}, "not the end of a month"),
        ({"as_of": "30.09.2026"}, "'30.09.2026' is no date"),
        ({"as_of": "1700-01-31"}, "not the end of a month from 1900"),
        ({"drift": "polulation"}, "no drift 'polulation'; give a Drift or one of 'population', 'concept'"),
        ({"dirty": 0.9}, "dirty is 0.9; give the share of the loans to make dirty, from 0 to 0.5"),
        ({"dirty": "some"}, "dirty is 'some'"),
    ],
)
def test_a_portfolio_that_makes_no_sense_is_refused(arguments, message):
    with pytest.raises(DataError, match=message):
        simulate(**{"n_loans": 100, **arguments})


def test_the_same_seed_gives_the_same_portfolio_and_another_seed_another():
    first, again, other = (simulate(200, seed=seed) for seed in (1, 1, 2))
    for name in ("loans", "performance", "macro", "interventions"):
        pd.testing.assert_frame_equal(getattr(first, name), getattr(again, name), check_exact=True)
    assert first.truth == again.truth
    assert not first.loans["amount"].equals(other.loans["amount"])
    assert not first.macro["market_rate"].equals(other.macro["market_rate"])


def test_the_effects_can_be_left_out_and_change_no_table():
    with_effects, without = simulate(200, seed=1), simulate(200, seed=1, truth_of_effects=False)
    pd.testing.assert_frame_equal(with_effects.performance, without.performance)
    assert "effects" in with_effects.truth["interventions"]["rate_offer"]
    assert "effects" not in without.truth["interventions"]["rate_offer"]


def test_the_portfolio_has_the_number_of_loans_asked_for_and_ends_at_the_date():
    portfolio = simulate(333, seed=1, as_of="2025-12-31")
    assert len(portfolio.loans) == portfolio.performance["loan_id"].nunique() == 333
    assert portfolio.performance["month"].max() == pd.Timestamp("2025-12-31")
    assert portfolio.loans["origination_date"].max() <= pd.Timestamp("2025-12-31")


def test_every_month_of_every_loan_has_one_row_with_every_column(portfolio):
    performance = portfolio.performance
    assert not performance.isna().any(axis=None)
    assert not portfolio.loans.isna().any(axis=None)
    assert not portfolio.macro.isna().any(axis=None)
    assert not performance.duplicated(["loan_id", "month"]).any()
    assert len(portfolio.macro) == portfolio.macro["month"].nunique() * portfolio.macro["region"].nunique()
    # the market is known from the month before the first loan on
    assert portfolio.macro["month"].min() < portfolio.loans["origination_date"].min()


def test_exits_are_as_frequent_as_lenders_see_them(spells):
    monthly = 100 * spells.frame["cause"].value_counts(normalize=True)
    assert 1.3 <= monthly["attrition"] <= 1.8
    assert 0.1 <= monthly["default"] <= 0.2
    assert 0.2 <= monthly["renewed"] <= 0.4


def test_about_a_third_of_the_loans_or_more_enter_late(spells):
    first = spells.frame.drop_duplicates("loan_id")
    assert 0.33 < (first["start"] > 0).mean() < 0.5


def test_customers_hold_several_loans_in_branches_of_one_region_and_share_their_covariates(portfolio):
    loans = portfolio.loans
    assert 1.2 < len(loans) / loans["customer_id"].nunique() < 2
    assert loans.groupby("branch")["region"].nunique().max() == 1
    assert loans.groupby("customer_id")["branch"].nunique().max() == 1
    rows = portfolio.performance.merge(loans[["loan_id", "customer_id"]], on="loan_id")
    for name in ("credit_score", "csat", "months_since_contact", "loyalty_programme"):
        assert rows.groupby(["customer_id", "month"])[name].nunique().max() == 1
    # terms and what is offered for a loan are the loan's own
    assert rows.groupby(["customer_id", "month"])["balance"].nunique().max() > 1


def test_values_lie_in_their_units(portfolio):
    performance, loans, macro = portfolio.performance, portfolio.loans, portfolio.macro
    bounds = {
        "credit_score": (300, 850), "csat": (1, 5), "attitude_score": (1, 5), "loyalty_tier": (0, 3), "nps": (-100, 100),
        "debt_to_income": (0, 100), "digital_completion": (0, 100), "personalised_share": (0, 100),
        "days_past_due_max_12m": (0, 120), "balance_slope_3m": (0, 15), "products_held": (1, 6), "outage_minutes": (0, 480),
    }  # fmt: skip
    for name, (lowest, highest) in bounds.items():
        assert performance[name].between(lowest, highest).all(), name
    assert loans["contract_rate"].between(2, 20).all()
    assert loans["amount_gap"].between(0, 60).all()
    assert macro["unemployment_rate"].between(2, 14).all()
    assert macro["fintech_share"].between(0, 60).all()
    indicators = [*portfolio.truth["interventions"], "unemployed", "expense_shock_3m", "moved_12m", "top_up_declined"]
    assert performance[indicators].isin((0, 1)).all(axis=None)
    assert (performance["balance"] <= performance["loan_id"].map(loans.set_index("loan_id")["amount"])).all()


def test_repaid_loans_owe_nothing_and_defaulted_ones_something(portfolio):
    by_status = portfolio.performance.groupby("status")["balance"]
    assert by_status.max()[["prepaid", "refinanced", "matured"]].eq(0).all()
    assert by_status.min()["charged_off"] > 0


def test_the_covariates_are_correlated_as_in_life(portfolio):
    rows = portfolio.performance
    correlation = rows.select_dtypes("number").corr()
    assert correlation.loc["credit_score", "debt_to_income"] < -0.2
    assert correlation.loc["credit_score", "days_past_due_max_12m"] < -0.2
    assert correlation.loc["credit_score", "fees_12m"] < -0.2
    assert correlation.loc["days_past_due_max_12m", "penalties_12m"] > 0.5
    assert correlation.loc["unemployed", "income_change_12m"] < -0.2
    assert correlation.loc["response_hours", "csat"] < -0.1
    assert correlation.loc["complaints_12m", "csat"] < -0.1
    assert correlation.loc["csat", "nps"] > 0.2
    branch = portfolio.loans.set_index("loan_id")["branch"]
    by_branch = rows.groupby(rows["loan_id"].map(branch))[["response_hours", "attitude_score"]].mean()
    assert by_branch.corr().iloc[0, 1] < -0.3


def test_life_events_are_rare(portfolio):
    share = portfolio.performance[["moved_12m", "job_change_12m", "married_12m", "divorced_12m", "disabled_12m"]].mean()
    assert share.between(0.005, 0.12).all()


def test_late_payments_come_before_most_defaults(spells):
    complete = spells.complete().frame
    late = complete["days_past_due_max_12m"] > 30
    assert late[complete["cause"] == "default"].mean() > 0.6
    assert late.mean() < 0.15


def test_the_change_of_the_score_is_that_of_the_table(portfolio):
    rows = portfolio.performance.sort_values(["loan_id", "month"])
    change = rows.groupby("loan_id")["credit_score"].diff(6)
    known = change.notna()
    np.testing.assert_array_equal(change[known], rows.loc[known, "credit_score_change_6m"])


def test_the_slope_of_the_balance_is_that_of_the_table(portfolio):
    rows = portfolio.performance.sort_values(["loan_id", "month"])
    earlier = rows.groupby("loan_id")["balance"].shift(3)
    known = (earlier > 0) & (rows["status"] == "open")
    fall = 100 * (1 - (rows["balance"] / earlier) ** (1 / 3))[known]
    np.testing.assert_allclose(fall.clip(0, 15), rows.loc[known, "balance_slope_3m"], atol=0.0051)


def test_every_year_a_disaster_strikes_a_region_for_three_months(portfolio):
    struck = portfolio.macro.pivot(index="month", columns="region", values="disaster")
    assert 15 <= struck.sum().sum() <= 21
    assert (struck.max(axis=1).groupby(struck.index.year).max().iloc[1:-1] == 1).mean() > 0.6


def test_regions_have_paths_of_their_own_and_the_press_is_the_same_everywhere(portfolio):
    within = portfolio.macro.groupby("month").nunique()
    for name in ("market_rate", "unemployment_rate", "gdp_growth", "fintech_share", "rival_service_score"):
        assert within[name].mean() > 3, name
    for name in ("policy_rate", "negative_news_30d", "misconduct_event", "regulation_step", "regulatory_cost"):
        assert within[name].max() == 1, name
    rates = portfolio.macro.pivot(index="month", columns="region", values="market_rate")
    assert rates.corr().to_numpy()[np.triu_indices(len(rates.columns), 1)].min() > 0.5
    assert rates.diff().corr().to_numpy()[np.triu_indices(len(rates.columns), 1)].max() < 0.9


def test_vintages_differ(portfolio):
    year = portfolio.loans["origination_date"].dt.year
    steps = portfolio.loans.groupby(year)["application_steps"].mean()
    assert steps.iloc[0] - steps.iloc[-1] > 2
    first = portfolio.performance.drop_duplicates("loan_id").set_index("loan_id")["credit_score"]
    score = first.groupby(portfolio.loans.set_index("loan_id")["origination_date"].dt.year).mean()
    assert score.max() - score.min() > 10


def test_the_true_incidence_is_what_aalen_and_johansen_estimate(portfolio, spells):
    table = cs.AalenJohansen().fit(spells.y).table_
    truth = portfolio.truth["cumulative_incidence"][portfolio.truth["as_of"]]
    for cause, by_age in truth.items():
        for age, value in by_age.items():
            row = table[(table["state"] == cause) & (table["time"] == float(age))].iloc[0]
            # nine estimates, and an error of four standard errors by chance once in 15,000
            assert abs(row["estimate"] - value) < 4 * row["se"], (cause, age)


def test_burnout_is_the_sum_of_past_positive_incentives(portfolio, spells):
    loan = portfolio.loans.iloc[100]
    rates = portfolio.macro[portfolio.macro["region"] == loan["region"]].set_index("month")["market_rate"]
    begun = pd.Period(loan["origination_date"], freq="M")
    frame = spells.frame[spells.frame["loan_id"] == loan["loan_id"]]
    expected = []
    for period in frame["period"]:
        months = pd.period_range(begun, pd.Period(period, freq="M") - 1, freq="M")
        seen = [rates[(month - 1).end_time.normalize()] for month in months]
        expected.append(sum(max(loan["contract_rate"] - rate, 0) for rate in seen))
    np.testing.assert_allclose(burnout(portfolio, frame), expected, atol=1e-9)
    np.testing.assert_allclose(spells.frame["burnout"], burnout(portfolio, spells.frame), atol=1e-9)


def test_counts_by_inversion_have_the_distribution_of_poisson():
    from scipy.stats import poisson

    uniform = (np.arange(100_000) + 0.5) / 100_000
    for mean in (0.05, 0.7, 1.5):
        shares = np.bincount(count_of(uniform, mean), minlength=7)[:6] / 100_000
        np.testing.assert_allclose(shares, poisson.pmf(np.arange(6), mean), atol=2e-5)
