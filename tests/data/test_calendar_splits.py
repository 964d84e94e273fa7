"""Splits by date: the development knows nothing of what came after, the cohort is followed from there."""

import numpy as np
import pandas as pd
import pytest

import churnsurv as cs
from churnsurv.data import build_spells, out_of_time, rolling_origin
from churnsurv.exceptions import DataError
from tests.data.tables import RULES, loan_table, performance_table
from tests.shipped import shipped


@pytest.fixture(scope="module")
def spells():
    """Three loans from January: 1 repays in April, 2 fails in June, 3 stays to June."""
    loans = loan_table((1, 0, 24), (2, 0, 24), (3, 0, 24))
    performance = performance_table(
        *[(1, month, "open", 610 + month) for month in range(3)],
        (1, 3, "prepaid", 0),
        *[(2, month, "open", 620 + month) for month in range(5)],
        (2, 5, "charged off", 0),
        *[(3, month, "open", 630 + month) for month in range(6)],
    )
    return build_spells(loans, performance, RULES)


@pytest.fixture(scope="module")
def example():
    return shipped()[1]


def test_development_and_cohort_are_those_of_the_date(spells):
    development, cohort = out_of_time(spells, "2024-02-29")
    pd.testing.assert_frame_equal(development.frame, spells.until("2024-02-29").frame)
    assert development.y.n_events == 0
    rows = cohort.frame.set_index("loan_id")
    assert rows["stop"].to_dict() == {1: 2, 2: 4, 3: 4}
    assert rows["cause"].to_dict() == {1: "attrition", 2: "default", 3: "open"}
    assert rows["score"].to_dict() == {1: 611, 2: 621, 3: 631}


def test_a_horizon_ends_the_follow_up(spells):
    _, cohort = out_of_time(spells, "2024-02-29", horizon=3)
    rows = cohort.frame.set_index("loan_id")
    assert rows["stop"].to_dict() == {1: 2, 2: 3, 3: 3}
    assert rows["cause"].to_dict() == {1: "attrition", 2: "open", 3: "open"}


def test_a_horizon_censors_and_changes_nothing_else(example):
    development, whole = out_of_time(example, "2025-03-31")
    again, cohort = out_of_time(example, "2025-03-31", horizon=12)
    pd.testing.assert_frame_equal(again.frame, development.frame)
    expected = whole.frame.copy()
    late = expected["stop"] > 12
    assert 0.2 < late.mean() < 0.95
    expected["stop"] = expected["stop"].clip(upper=12)
    expected.loc[late, "cause"] = "open"
    pd.testing.assert_frame_equal(cohort.frame, expected)


def test_a_model_of_the_development_predicts_the_cohort(example):
    development, cohort = out_of_time(example, "2025-09-30", horizon=12)
    known, tested = development.complete(), cohort.complete()
    columns = ["rate_incentive", "credit_score", "response_hours"]
    model = cs.CoxPH(cause="attrition").fit(known.X[columns], known.y, cluster=known.groups)
    concordance = cs.metrics.concordance_index(tested.y, model.predict(tested.X[columns]), cause="attrition")
    assert concordance.lower > 0.5


@pytest.mark.parametrize(
    ("date", "options", "message"),
    [
        ("2024-06-30", {}, r"on for 0 months after 2024-06-30 \(until 2024-06-30\), but the test needs 1"),
        ("2030-01-31", {}, "0 months after 2030-01-31"),
        ("2024-04-30", {"horizon": 3}, "2 months after 2024-04-30 .* needs 3: give an earlier date"),
        ("2023-06-30", {}, "outside the observed time: give a date from 2024-01-31 to 2024-06-30"),
        ("04/2024", {}, "'04/2024' is no date"),
        ("2024-02-29", {"horizon": 0}, "horizon=0: give a whole number of periods"),
        ("2024-02-29", {"horizon": 1.5}, "horizon=1.5"),
    ],
)
def test_dates_that_leave_nothing_to_test_on_are_refused(spells, date, options, message):
    with pytest.raises(DataError, match=message):
        out_of_time(spells, date, **options)


def test_origins_roll_by_steps_while_the_horizon_is_observed(spells):
    cuts = list(rolling_origin(spells, first="2024-01-31", step=1, horizon=3))
    assert [str(cut.date.date()) for cut in cuts] == ["2024-01-31", "2024-02-29", "2024-03-31"]
    assert [str(cut.date.date()) for cut in rolling_origin(spells, first="2024-01-31", step=2, horizon=3)] == [
        "2024-01-31",
        "2024-03-31",
    ]
    for date, development, cohort in cuts:
        assert (development.frame["period"] <= date).all()
        assert cohort.date == date
        assert cohort.frame["stop"].max() == 3
    assert [cut.cohort.y.n_events for cut in cuts] == [1, 1, 2]
    # by the last date repayment in April is not known yet
    assert [cut.development.y.n_events for cut in cuts] == [0, 0, 0]


def test_a_window_forgets_what_is_older(spells):
    cuts = list(rolling_origin(spells, first="2024-01-31", step=1, horizon=2, window=2))
    months = [sorted(cut.development.frame["period"].dt.month.unique()) for cut in cuts]
    assert months == [[1], [1, 2], [2, 3], [3, 4]]
    entered = cuts[-1].development.frame.drop_duplicates("loan_id")
    assert entered["start"].tolist() == [2, 2, 2]


def test_the_last_date_can_be_given(spells):
    cuts = rolling_origin(spells, first="2024-01-31", step=1, horizon=1, last="2024-03-15")
    assert [str(cut.date.date()) for cut in cuts] == ["2024-01-31", "2024-02-29"]


def test_complete_spells_are_cut_into_complete_parts(example):
    for _, development, cohort in rolling_origin(example.complete(), first="2025-01-31", step=6, horizon=6):
        assert development.X.notna().all(axis=None)
        assert cohort.X.notna().all(axis=None)
        assert len(cohort) > 500
        balance = development.reconciliation["loans"]
        assert balance.iloc[0] == balance.iloc[1:].sum()


def test_quarters_are_cut_by_quarters():
    performance = performance_table(*[(1, 3 * quarter, "open", 600) for quarter in range(8)])
    quarterly = build_spells(loan_table((1, 0, 40)), performance, RULES.model_copy(update={"period": "quarter"}))
    cuts = list(rolling_origin(quarterly, first="2024-06-30", step=2, horizon=2))
    assert [str(cut.date.date()) for cut in cuts] == ["2024-06-30", "2024-12-31", "2025-06-30"]
    np.testing.assert_array_equal([cut.cohort.frame["stop"].iloc[0] for cut in cuts], 2)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"step": 0}, "step=0: give a whole number"),
        ({"horizon": "year"}, "horizon='year'"),
        ({"window": -1}, "window=-1"),
        (
            {"first": "2024-05-31"},
            "first=2024-05-31 leaves no date with 3 months observed after it: give a date from 2024-01-31 to 2024-03-31",
        ),
        ({"first": "2023-05-31"}, "first=2023-05-31 leaves no date"),
        ({"horizon": 12}, "12 months observed after it: give a shorter horizon"),
        ({"last": "2023-01-31"}, "a later last="),
    ],
)
def test_options_that_leave_no_origin_are_refused_at_once(spells, changes, message):
    with pytest.raises(DataError, match=message):
        rolling_origin(spells, **({"first": "2024-01-31", "step": 1, "horizon": 3} | changes))


@pytest.mark.parametrize("cut", [out_of_time, rolling_origin])
def test_what_is_no_spells_is_refused(spells, cut):
    options = {"first": "2024-01-31", "step": 1, "horizon": 1} if cut is rolling_origin else {"date": "2024-01-31"}
    with pytest.raises(DataError, match="Cohort cannot be cut at a date"):
        cut(spells.landmark("2024-01-31"), **options)
