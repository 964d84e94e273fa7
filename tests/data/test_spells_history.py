"""Lags by column, windows, burnout and seasons are those of the obvious loop."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from churnsurv.data import build_spells
from churnsurv.exceptions import ConfigError, DataError
from tests.data.tables import loan_table, month, performance_table, rules
from tests.depth import examples

STATISTICS = {
    "mean": np.mean,
    "sum": np.sum,
    "min": np.min,
    "max": np.max,
}

HISTORY = rules(
    covariates={"performance": ["score"], "macro": ["unemployment_rate"]},
    macro={"period": "month", "region": "region"},
    rate_incentive={"own": "contract_rate", "market": "market_rate"},
    burnout=True,
    season=True,
    lags={"score": 3, "unemployment_rate": 2, "dues": 2},
    windows={
        **{name: {"column": "dues", "width": 3, "statistic": name, "least": 2} for name in STATISTICS},
        "change": {"column": "dues", "width": 4, "statistic": "change"},
        "slope": {"column": "dues", "width": 4, "statistic": "slope", "least": 3},
    },
)
MONTHS = range(-8, 14)
MACRO = pd.DataFrame(
    {
        "month": [month(number) for number in MONTHS] * 2,
        "region": ["north"] * len(MONTHS) + ["south"] * len(MONTHS),
        "market_rate": np.round(5 + np.sin(np.arange(2 * len(MONTHS))), 2),
        "unemployment_rate": np.round(4 + np.cos(np.arange(2 * len(MONTHS))), 2),
    }
)


def covariates_by_hand(loan, at, now):
    """Give the covariates of a loan in month `now` from its values by month: the slow twin."""

    def value(name, number):
        return at.get((name, number), np.nan)

    def market(name, number):
        row = MACRO[(MACRO["region"] == loan.region) & (MACRO["month"] == month(number))]
        return row[name].iloc[0] if len(row) else np.nan

    # a window of lag 2 ends two months before
    recent = [value("dues", number) for number in range(now - 4, now - 1)]
    seen = [v for v in recent if not np.isnan(v)]
    result = {name: function(seen) if len(seen) >= 2 else np.nan for name, function in STATISTICS.items()}
    result["change"] = value("dues", now - 2) - value("dues", now - 6)
    points = [(n, value("dues", n)) for n in range(now - 5, now - 1) if not np.isnan(value("dues", n))]
    result["slope"] = np.polyfit(*zip(*points, strict=True), 1)[0] if len(points) >= 3 else np.nan
    result["score"] = value("score", now - 3)
    result["unemployment_rate"] = market("unemployment_rate", now - 2)
    result["rate_incentive"] = loan.contract_rate - market("market_rate", now - 1)
    opened = (loan.opened.year - 2024) * 12 + loan.opened.month - 1
    result["burnout"] = sum(
        max(loan.contract_rate - market("market_rate", earlier - 1), 0) for earlier in range(opened, now)
    )
    result["season"] = month(now).strftime("%b")
    return result


ROWS = st.dictionaries(
    st.tuples(st.integers(1, 3), st.integers(0, 11)),
    st.tuples(st.integers(0, 9) | st.just(float("nan")), st.integers(0, 5) | st.just(float("nan"))),
    min_size=1,
    max_size=30,
)


@examples(8, 50)
@given(ROWS, st.integers(-6, 0))
def test_the_history_is_the_one_of_the_obvious_loop(rows, opened):
    loans = loan_table(*[(loan, opened, 60) for loan in (1, 2, 3)])
    loans = loans.assign(region=["north", "south", "north"], contract_rate=[5.0, 6.5, 5.5])
    performance = performance_table(*[(loan, n, "open", score) for (loan, n), (score, _) in rows.items()])
    performance["dues"] = [float(dues) for _, dues in rows.values()]
    spells = build_spells(loans, performance.sample(frac=1, random_state=1), HISTORY, macro=MACRO)
    frame = pd.concat([spells.frame, spells.ahead])
    for row in frame.itertuples():
        loan = loans.set_index("loan_id").loc[row.loan_id]
        at = {("score", n): score for (which, n), (score, _) in rows.items() if which == row.loan_id}
        at |= {("dues", n): dues for (which, n), (_, dues) in rows.items() if which == row.loan_id}
        now = (row.period.year - 2024) * 12 + row.period.month - 1
        expected = covariates_by_hand(loan, at, now)
        assert row.season == expected.pop("season")
        for name, value in expected.items():
            np.testing.assert_allclose(getattr(row, name), value, atol=1e-9, err_msg=f"{name} in month {now}")


def test_burnout_of_a_rate_that_varies_is_summed_since_the_loan_was_first_seen():
    given = HISTORY.model_copy(update={"windows": {}, "lags": {}})
    loans = loan_table((1, -3, 60)).assign(region="north")
    performance = performance_table(*[(1, n, "open", 600) for n in (0, 1, 2, 4, 5)])
    performance["contract_rate"] = [6.0, 6.2, 5.0, 9.0, 7.0]
    spells = build_spells(loans, performance, given, macro=MACRO)
    incentive = spells.frame["rate_incentive"].to_numpy()
    assert np.isnan(incentive[[0, 3]]).all()
    earlier = np.concatenate(([0], np.cumsum(np.maximum(np.nan_to_num(incentive), 0))[:-1]))
    np.testing.assert_allclose(spells.frame["burnout"], earlier)
    following = spells.ahead[spells.ahead["start"] == 9]
    np.testing.assert_allclose(following["burnout"], np.maximum(np.nan_to_num(incentive), 0).sum())


def test_burnout_is_missing_where_a_month_of_the_market_is():
    macro = MACRO[MACRO["month"] != month(-2)]
    given = HISTORY.model_copy(update={"windows": {}, "lags": {}})
    loans = loan_table((1, -3, 60), (2, 0, 60)).assign(region="north", contract_rate=6.0)
    performance = performance_table(*[(loan, n, "open", 600) for loan in (1, 2) for n in (0, 1)]).assign(dues=0.0)
    frame = build_spells(loans, performance, given, macro=macro).frame
    assert frame.groupby("loan_id")["burnout"].apply(lambda values: values.isna().all()).to_dict() == {
        1: True,
        2: False,
    }
    # in the first month of a loan nothing has been passed over
    assert frame.loc[frame["start"] == 0, "burnout"].tolist() == [0]


def test_a_month_of_the_market_before_origination_is_not_needed_for_burnout():
    given = HISTORY.model_copy(update={"windows": {}, "lags": {}})
    loans = loan_table((1, 0, 60)).assign(region="north", contract_rate=6.0)
    performance = performance_table((1, 0, "open", 600), (1, 1, "open", 600)).assign(dues=0.0)
    whole = build_spells(loans, performance, given, macro=MACRO).frame["burnout"]
    # the first incentive is that of origination, at a lag of one month
    gap = build_spells(loans, performance, given, macro=MACRO[MACRO["month"] != month(-2)]).frame["burnout"]
    assert whole.notna().all()
    assert gap.tolist() == whole.tolist()


def test_seasons_are_in_the_order_of_the_year_and_quarters_have_four():
    performance = performance_table(*[(1, n, "open", 600) for n in (0, 1, 4)])
    spells = build_spells(loan_table((1, 0, 60)), performance, rules(season=True))
    assert spells.X["season"].tolist() == ["Jan", "Feb", "May"]
    assert spells.X["season"].cat.categories.tolist()[:3] == ["Jan", "Feb", "Mar"]
    performance = performance_table(*[(1, 3 * n, "open", 600) for n in range(5)])
    quarterly = build_spells(loan_table((1, 0, 60)), performance, rules(season=True, period="quarter"))
    assert quarterly.X["season"].tolist() == ["Q1", "Q2", "Q3", "Q4", "Q1"]
    # a year before 1970 has months too
    old = loan_table((1, 0, 600)).assign(opened=pd.Timestamp("1966-11-01"))
    rows = performance_table((1, 0, "open", 1)).assign(month=pd.Timestamp("1966-12-01"))
    frame = build_spells(old, rows, rules(season=True)).frame
    assert frame[["season", "vintage", "start"]].to_numpy().tolist() == [["Dec", 1966, 1.0]]
    assert frame["period"].tolist() == [pd.Timestamp("1966-12-01")]


def test_a_value_known_ahead_may_have_lag_0():
    performance = performance_table(*[(1, n, "open", 600 + n) for n in range(3)])
    spells = build_spells(loan_table((1, 0, 12)), performance, rules(lags={"score": 0}, known_ahead=["score"]))
    np.testing.assert_array_equal(spells.X["score"], [600, 601, 602])
    # the value of the period ahead is not there yet
    assert spells.ahead["score"].isna().all()


def test_categories_keep_their_order_and_truth_values_become_numbers():
    performance = performance_table(*[(1, n, "open", 600) for n in range(3)]).assign(late=[True, False, None])
    loans = loan_table((1, 0, 12)).assign(grade=pd.Categorical(["low"], ["low", "middle", "high"]))
    given = rules(covariates={"loans": ["grade"], "performance": ["late"]})
    X = build_spells(loans, performance, given).X
    assert X["grade"].cat.categories.tolist() == ["low", "middle", "high"]
    np.testing.assert_array_equal(X["late"], [np.nan, 1, 0])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"lags": {"scores": 2}}, r"lags names 'scores', which is no lagged covariate. Did you mean 'score'"),
        ({"known_ahead": ["amount"]}, "known_ahead names 'amount', which is no lagged covariate"),
        ({"burnout": True}, "burnout is the past rate incentive"),
        (
            {"windows": {"w": {"column": "score", "width": 3, "statistic": "mean", "least": 4}}},
            "least = 4 is more than",
        ),
        ({"windows": {"w": {"column": "score", "width": 3, "statistic": "median"}}}, r"\[spells.windows\] statistic: "),
        ({"lags": {"score": -1}}, "lags.score: .*greater than or equal to 0"),
    ],
)
def test_rules_of_the_past_that_make_no_sense_are_refused(changes, message):
    with pytest.raises(ConfigError, match=message):
        rules(**changes)


def test_durations_are_refused_with_the_remedy():
    performance = performance_table((1, 0, "open", 600)).assign(score=pd.Timedelta(days=3))
    with pytest.raises(DataError, match="'score' is a duration .*convert it to a number first"):
        build_spells(loan_table((1, 0, 12)), performance, rules())


def test_a_window_over_text_is_refused():
    performance = performance_table((1, 0, "open", 600)).assign(mood="good")
    given = rules(windows={"w": {"column": "mood", "width": 3, "statistic": "mean"}})
    with pytest.raises(DataError, match="'mood' of the performance table is string, not numeric"):
        build_spells(loan_table((1, 0, 12)), performance, given)


@examples(5, 30)
@given(ROWS, st.integers(-6, 0), st.integers(0, 11))
def test_nothing_from_a_spells_own_month_or_later_is_used(rows, opened, now):
    """Values, market and statuses of month `now` and later are changed: the spells until then stay as they were."""
    loans = loan_table(*[(loan, opened, 60) for loan in (1, 2, 3)])
    loans = loans.assign(region=["north", "south", "north"], contract_rate=[5.0, 6.5, 5.5])
    performance = performance_table(*[(loan, n, "open", score) for (loan, n), (score, _) in rows.items()])
    performance["dues"] = [float(dues) for _, dues in rows.values()]
    later = performance["month"] >= month(now)
    perturbed = performance.assign(
        score=performance["score"].mask(later, -1.0), dues=performance["dues"].mask(later, 99.0)
    )
    macro = MACRO.assign(
        **{name: MACRO[name].mask(MACRO["month"] >= month(now), 77.0) for name in ("market_rate", "unemployment_rate")}
    )
    before = build_spells(loans, performance, HISTORY, macro=MACRO)
    after = build_spells(loans, perturbed, HISTORY, macro=macro)
    for one, other in ((before.frame, after.frame), (before.ahead, after.ahead)):
        so_far = one["period"] <= month(now)
        pd.testing.assert_frame_equal(one[so_far], other[so_far])
        assert so_far.all() or not one.equals(other)
