"""Properties of the spells of any random performance table."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from churnsurv.data import build_spells
from churnsurv.exceptions import DataError
from tests.data.tables import RULES, loan_table, month, performance_table, spells_by_hand
from tests.depth import examples

ROWS = st.dictionaries(
    st.tuples(st.integers(1, 4), st.integers(-2, 12)),
    st.tuples(
        st.sampled_from(["open"] * 6 + ["prepaid", "charged off", "done"]), st.integers(0, 9) | st.just(float("nan"))
    ),
    min_size=1,
    max_size=40,
)
LOANS = st.lists(st.tuples(st.integers(-6, 4), st.integers(1, 14)), min_size=4, max_size=4)


def tables(loans, rows, seed):
    """Give the tables, the rows shuffled and some of them twice."""
    performance = performance_table(
        *[(loan, number, status, score) for (loan, number), (status, score) in rows.items()]
    )
    twice = performance.sample(frac=1.3, replace=True, random_state=seed)
    dirty = pd.concat([performance, twice]).sample(frac=1, random_state=seed)
    return loan_table(*[(loan, opened, term) for loan, (opened, term) in enumerate(loans, start=1)]), dirty


def unless_refused(make, reason):
    """Give what is made, or None when it is refused for the stated reason."""
    try:
        return make()
    except DataError as error:
        if reason not in str(error):
            raise
        return None


def built(loans, performance):
    return unless_refused(lambda: build_spells(loans, performance, RULES), "No row of the performance table is usable")


@examples(15, 100)
@given(LOANS, ROWS, st.integers(0, 99))
def test_spells_are_those_of_the_obvious_loop(loans, rows, seed):
    loan_frame, performance = tables(loans, rows, seed)
    spells, expected = built(loan_frame, performance), spells_by_hand(loan_frame, performance)
    if spells is None:
        assert expected.empty
        return
    frame = spells.frame[["loan_id", "start", "stop", "score"]].astype(float)
    pd.testing.assert_frame_equal(frame, expected.drop(columns="cause").astype(float))
    assert spells.frame["cause"].astype(str).tolist() == expected["cause"].tolist()


@examples(8, 50)
@given(LOANS, ROWS, st.integers(0, 99))
def test_spells_never_overlap_and_the_reconciliation_balances(loans, rows, seed):
    spells = built(*tables(loans, rows, seed))
    if spells is None:
        return
    # the outcome checks overlaps and events before the last interval
    assert len(spells.y) == len(spells.frame)
    assert (spells.frame["stop"] - spells.frame["start"] == 1).all()
    balance = spells.reconciliation["loans"]
    assert balance.iloc[0] == balance.iloc[1:].sum() == 4
    # every loan-period that ends open is followed by a spell or is waiting in `ahead`
    is_open = spells.frame["cause"] == "open"
    following = pd.concat([spells.frame, spells.ahead])[["loan_id", "start"]].apply(tuple, axis=1)
    ends = spells.frame.loc[is_open, ["loan_id", "stop"]].apply(tuple, axis=1)
    assert set(ends) <= set(following)


@examples(8, 50)
@given(LOANS, ROWS, st.integers(-2, 12), st.integers(0, 99))
def test_no_value_from_a_spells_own_month_or_later_is_used(loans, rows, now, seed):
    loan_frame, performance = tables(loans, rows, seed)
    spells = built(loan_frame, performance)
    if spells is None:
        return
    later = performance.assign(score=performance["score"].where(performance["month"] < month(now), -1.0))
    perturbed = built(loan_frame, later.drop_duplicates())
    so_far = spells.frame["period"] <= month(now)
    pd.testing.assert_frame_equal(spells.frame[so_far], perturbed.frame[so_far])


@examples(8, 50)
@given(LOANS, ROWS, st.integers(0, 11), st.integers(0, 99))
def test_what_is_known_until_a_date_does_not_depend_on_what_comes_after(loans, rows, now, seed):
    loan_frame, performance = tables(loans, rows, seed)
    date = month(now + 1) - pd.Timedelta(days=1)
    spells, past = built(loan_frame, performance), built(loan_frame, performance[performance["month"] <= month(now)])
    if spells is None or past is None:
        return
    until = unless_refused(lambda: spells.until(date), "outside the observed time")
    if until is None:
        return
    pd.testing.assert_frame_equal(until.frame, past.frame)
    in_order = [part.ahead.sort_values(["loan_id", "start"]).reset_index(drop=True) for part in (until, past)]
    pd.testing.assert_frame_equal(*in_order)


@examples(8, 50)
@given(LOANS, ROWS, st.integers(0, 11), st.integers(0, 99))
def test_a_landmark_cohort_knows_nothing_of_what_comes_after_but_the_outcome(loans, rows, now, seed):
    loan_frame, performance = tables(loans, rows, seed)
    date = month(now + 1) - pd.Timedelta(days=1)
    spells = built(loan_frame, performance)
    if spells is None:
        return
    cohort = unless_refused(lambda: spells.landmark(date), "outside the observed time")
    if cohort is None:
        return
    columns = ["loan_id", "age", "amount", "score"]
    today = unless_refused(lambda: spells.until(date).landmark(date), "outside the observed time")
    if today is None:
        # nobody was observed in the month before the date
        assert len(cohort) == 0
        return
    in_order = [part.frame[columns].sort_values("loan_id").reset_index(drop=True) for part in (cohort, today)]
    pd.testing.assert_frame_equal(*in_order)
    last = spells.frame.groupby("loan_id")["stop"].max()
    stop = cohort.frame["stop"] + cohort.frame["age"]
    np.testing.assert_array_equal(stop, np.maximum(cohort.frame["loan_id"].map(last), cohort.frame["age"]))


def test_the_properties_can_fail():
    """The slow twin tells lagged from unlagged values."""
    loans, performance = loan_table((1, 0, 12)), performance_table((1, 0, "open", 1), (1, 1, "open", 2))
    frame = build_spells(loans, performance, RULES).frame
    unlagged = frame.assign(score=[1.0, 2.0])
    with pytest.raises(AssertionError):
        pd.testing.assert_series_equal(unlagged["score"], spells_by_hand(loans, performance)["score"].astype(float))
