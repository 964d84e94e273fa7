import numpy as np
import pandas as pd
import pytest

from churnsurv.data import build_spells
from churnsurv.exceptions import DataError
from tests.data.tables import RULES, loan_table, performance_table


@pytest.fixture(scope="module")
def spells():
    loans = loan_table((1, -6, 24), (2, -2, 24), (3, 1, 24), (4, -22, 24), (5, -6, 24), (6, -6, 24))
    performance = performance_table(
        *[(1, 0, "open", 601), (1, 1, "open", 611), (1, 2, "open", 621), (1, 3, "prepaid", 0)],
        *[(2, 0, "open", 602), (2, 1, "open", 612), (2, 2, "open", 622), (2, 3, "open", 632)],
        *[(3, 1, "open", 613), (3, 2, "open", 623), (3, 3, "open", 633)],
        *[(4, 0, "open", 604), (4, 1, "open", 614)],
        *[(5, 0, "open", 605), (5, 1, "charged off", 0)],
        *[(6, 2, "open", 626), (6, 3, "open", 636)],
    )
    return build_spells(loans, performance, RULES)


def test_the_cohort_are_the_loans_under_observation_with_what_was_known_then(spells):
    cohort = spells.landmark("2024-02-29")
    frame = cohort.frame.set_index("loan_id")
    # 4 matured and 5 defaulted in February; 6 was first seen in March
    assert sorted(frame.index) == [1, 2, 3]
    assert frame.loc[1, ["age", "stop", "cause", "score"]].tolist() == [8, 2, "attrition", 611]
    assert frame.loc[2, ["age", "stop", "cause", "score"]].tolist() == [4, 2, "open", 612]
    assert frame.loc[3, ["age", "stop", "cause", "score"]].tolist() == [1, 2, "open", 613]
    assert cohort.y.from_origin
    assert cohort.y.causes == ("attrition", "default")
    assert sorted(cohort.y.event.tolist()) == [0, 0, 1]


def test_a_date_inside_a_month_counts_as_the_end_of_the_one_before(spells):
    assert spells.landmark("2024-03-30").frame.equals(spells.landmark("2024-02-29").frame)


def test_the_cohort_of_the_last_date_has_covariates_and_ages_but_no_outcome(spells):
    cohort = spells.landmark("2024-04-30")
    frame = cohort.frame.set_index("loan_id")
    assert sorted(frame.index) == [2, 3, 6]
    np.testing.assert_array_equal(frame.loc[[2, 3, 6], "score"], [632, 633, 636])
    np.testing.assert_array_equal(frame.loc[[2, 3, 6], "age"], [6, 3, 10])
    with pytest.raises(DataError, match="No loan was observed after 2024-04-30"):
        _ = cohort.y


def test_a_date_outside_the_observed_time_is_refused(spells):
    for date in ("2023-12-31", "2025-01-31"):
        with pytest.raises(DataError, match="outside the observed time"):
            spells.landmark(date)


def test_spells_until_a_date_do_not_know_the_exits_after_it(spells):
    until = spells.until("2024-03-31")
    assert until.frame["cause"].astype(str).isin(["open", "matured", "default"]).all()
    assert until.reconciliation.set_index("reason").loc["open at the end of observation", "loans"] == 4
    assert sorted(until.landmark("2024-03-31").frame["loan_id"]) == [1, 2, 3, 6]


def test_spells_after_a_date_enter_at_their_age_then(spells):
    after = spells.after("2024-03-31")
    assert after.frame["loan_id"].tolist() == [1, 2, 3, 6]
    np.testing.assert_array_equal(after.frame["start"], [9, 5, 2, 9])
    assert after.reconciliation["loans"].iloc[0] == 6


def test_the_cohort_leaves_out_loans_with_missing_covariates_when_asked(spells):
    cohort = spells.landmark("2024-02-29")
    assert len(cohort.complete()) == len(cohort) == 3


@pytest.fixture
def gappy():
    """Spells of three loans; the score is missing in the month before each exit."""
    loans = loan_table((1, 0, 24), (2, 0, 24), (3, 0, 24))
    performance = performance_table(
        *[(1, 0, "open", 600), (1, 1, "open", 601), (1, 2, "open", np.nan), (1, 3, "prepaid", 0)],
        *[(2, 0, "open", 600), (2, 1, "open", np.nan), (2, 2, "charged off", 0)],
        *[(3, 0, "open", 600), (3, 1, "open", 601), (3, 2, "open", 602), (3, 3, "open", 603)],
    )
    return build_spells(loans, performance, RULES)


def test_a_cohort_of_complete_spells_has_every_exit_after_the_date(gappy):
    cohort = gappy.complete().landmark("2024-02-29")
    assert cohort.frame["loan_id"].tolist() == [1, 3]
    assert cohort.frame["cause"].tolist() == ["attrition", "open"]
    assert cohort.frame.equals(gappy.landmark("2024-02-29").complete().frame)


def test_complete_spells_are_cut_as_the_whole_ones_are(gappy):
    complete = gappy.complete()
    assert complete.complete() is complete
    assert complete.until("2024-03-31").frame.equals(gappy.until("2024-03-31").complete().frame)
    assert complete.after("2024-02-29").frame.equals(gappy.after("2024-02-29").complete().frame)


def test_exits_left_out_for_missing_covariates_have_a_reason_of_their_own(gappy):
    complete = gappy.complete()
    balance = complete.reconciliation.set_index("reason")["loans"]
    assert balance["loans in"] == balance.iloc[1:].sum() == 3
    assert balance[balance > 0].to_dict() == {
        "loans in": 3,
        "open at the end of observation": 1,
        "attrition, left out for missing covariates": 1,
        "default, left out for missing covariates": 1,
    }
    assert complete.completeness.to_numpy().tolist() == [
        ["spells", 11, 5],
        ["loans", 3, 0],
        ["attrition", 1, 1],
        ["default", 1, 1],
    ]
    assert gappy.completeness["left_out"].sum() == 0


def test_spells_that_all_lack_a_covariate_name_it(gappy):
    empty = build_spells(loan_table((1, 0, 24)), performance_table(*[(1, n, "open", np.nan) for n in range(3)]), RULES)
    with pytest.raises(
        DataError, match=r"No spell is left of 3: each lacks a covariate \('score' in 100% of the spells\)"
    ):
        empty.complete()


def test_a_refused_date_is_plain_and_comes_with_the_usable_ones(spells):
    with pytest.raises(DataError, match="^2019-01-01 lies outside .* give a date from 2024-01-31 to 2024-04-30"):
        spells.landmark(pd.Timestamp("2019-01-01"))


@pytest.mark.parametrize("cut", ["landmark", "until", "after"])
def test_dates_that_are_not_iso_are_refused(spells, cut):
    with pytest.raises(DataError, match="'03.04.2024' is no date"):
        getattr(spells, cut)("03.04.2024")
