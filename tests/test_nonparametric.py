"""Kaplan-Meier, Nelson-Aalen, Aalen-Johansen and the censoring model: hand-worked values, slow twins, identities."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

import churnsurv as cs
from churnsurv.exceptions import DataError, NotIdentifiedError, SmallSampleWarning, SupportWarning
from tests.nonparametric_twins import close, on_states

pytestmark = pytest.mark.filterwarnings("ignore::churnsurv.exceptions.SmallSampleWarning")

# 1 of 4 leaves at 6 (one is censored there, after), 1 of 2 at 12
SMALL = cs.Outcome(stop=[6, 6, 12, 18], event=[1, 0, 1, 0])


# -- hand-worked -------------------------------------------------------------------------------------------------------


def test_kaplan_meier_multiplies_the_shares_that_stay():
    table = cs.KaplanMeier().fit(SMALL).table_
    assert table.columns.tolist() == [
        "group", "time", "n_risk", "n_event", "n_censored", "estimate", "se", "lower", "upper",
    ]  # fmt: skip
    assert table[["time", "n_risk", "n_event", "n_censored"]].to_numpy().tolist() == [
        [6, 4, 1, 1],
        [12, 2, 1, 0],
        [18, 1, 0, 1],
    ]
    # S = 3/4, then 3/4 * 1/2; Greenwood: 1/(4*3), then + 1/(2*1)
    np.testing.assert_allclose(table["estimate"], [3 / 4, 3 / 8, 3 / 8])
    np.testing.assert_allclose(table["se"], [3 / 4 * (1 / 12) ** 0.5, *[3 / 8 * (7 / 12) ** 0.5] * 2])


def test_a_row_is_at_risk_after_its_entry_and_up_to_its_stop():
    # at 3: rows 0 and 1 (row 2 enters at 3, so is at risk after it); at 5: rows 1 and 2
    y = cs.Outcome(stop=[3, 5, 8], event=[1, 1, 0], start=[0, 1, 3])
    table = cs.KaplanMeier().fit(y).table_
    assert table["n_risk"].tolist() == [2, 2, 1]
    np.testing.assert_allclose(table["estimate"], [1 / 2, 1 / 4, 1 / 4])


def test_the_origin_is_closed_without_entry_times():
    with pytest.warns(match="at time 0"):
        y = cs.Outcome(stop=[0, 4, 4], event=[1, 0, 1])
    table = cs.KaplanMeier().fit(y).table_
    assert table["n_risk"].tolist() == [3, 2]
    np.testing.assert_allclose(table["estimate"], [2 / 3, 1 / 3])


def test_aalen_johansen_shares_the_fall_of_the_survival_among_the_causes():
    y = cs.Outcome([1, 2, 2, 3, 4], [1, 2, 1, 0, 2], causes=("a", "b"))
    table = cs.AalenJohansen().fit(y).table_
    assert table.columns.tolist() == [
        "group", "state", "time", "n_risk", "n_event", "n_censored", "estimate", "se", "lower", "upper",
    ]  # fmt: skip
    # at 1: S 1 -> 4/5, F_a = 1/5. At 2: 4 at risk, one each: F_a += 4/5 * 1/4, F_b = 4/5 * 1/4, S = 2/5. At 4: the last.
    np.testing.assert_allclose(
        on_states(table, "estimate"),
        [[4 / 5, 2 / 5, 2 / 5, 0], [1 / 5, 2 / 5, 2 / 5, 2 / 5], [0, 1 / 5, 1 / 5, 3 / 5]],
        atol=1e-15,
    )
    np.testing.assert_array_equal(on_states(table, "n_event"), [[1, 2, 0, 1], [1, 1, 0, 0], [0, 1, 0, 1]])


def test_nelson_aalen_adds_events_over_those_at_risk():
    table = cs.NelsonAalen().fit(SMALL, conf_type="plain").table_
    # H = 1/4, 1/4 + 1/2; Var = 1/16, 1/16 + 1/4
    np.testing.assert_allclose(table["estimate"], [1 / 4, 3 / 4, 3 / 4])
    np.testing.assert_allclose(table["se"], np.sqrt([1 / 16, 5 / 16, 5 / 16]))
    z = norm.ppf(0.975)
    np.testing.assert_allclose(table["upper"], table["estimate"] + z * table["se"])
    logarithmic = cs.NelsonAalen().fit(SMALL).table_
    half = z * table["se"] / table["estimate"]
    np.testing.assert_allclose(np.log(logarithmic["upper"] / logarithmic["lower"]), 2 * half)


def test_nelson_aalen_curves_are_the_exponentials_of_minus_the_hazard():
    fitted = cs.NelsonAalen().fit(SMALL, conf_type="plain")
    np.testing.assert_allclose(fitted.curves_.survival[0], np.exp([-1 / 4, -3 / 4, -3 / 4]))
    np.testing.assert_allclose(fitted.curves_.lower[0, 0], np.exp(-fitted.table_["upper"]))
    # exp(-3/4) = 0.47 is the first value below one half
    assert fitted.median().value == 12


def test_recurrent_events_have_a_mean_number_but_no_survival_curve():
    # one subject with events at 2 and 5, one without: H = 1/2 + 1/2
    y = cs.Outcome([2, 5, 6, 6], [1, 1, 0, 0], start=[0, 2, 5, 0], subject=[1, 1, 1, 2], recurrent=True)
    fitted = cs.NelsonAalen().fit(y)
    assert fitted.table_["n_risk"].tolist() == [2, 2, 2]
    np.testing.assert_allclose(fitted.table_["estimate"], [0.5, 1, 1])
    # influence of each subject: +- 1/4 per event, squared and added over the two subjects
    np.testing.assert_allclose(fitted.table_["se"] ** 2, [2 / 16, 2 / 4, 2 / 4])
    with pytest.raises(NotIdentifiedError, match="mean number"):
        _ = fitted.curves_
    with pytest.raises(NotIdentifiedError, match="mean number"):
        fitted.rmst(3)
    for estimator in (cs.KaplanMeier, cs.AalenJohansen):
        with pytest.raises(NotIdentifiedError, match="recurrent events. Use NelsonAalen"):
            estimator().fit(y)


def test_several_causes_are_one_for_kaplan_meier():
    y = cs.Outcome([1, 2, 3, 4], [1, 2, 0, 1], causes=("a", "b"))
    km = cs.KaplanMeier().fit(y)
    np.testing.assert_allclose(km.table_["estimate"], [3 / 4, 1 / 2, 1 / 2, 0])
    assert km.curves_.causes == ("any cause",)


def test_the_median_on_a_flat_step_at_one_half_is_its_midpoint():
    # S = 3/4, 1/2 on [4, 10), 1/4
    y = cs.Outcome([2, 4, 10, 12], [1, 1, 1, 0])
    km = cs.KaplanMeier().fit(y)
    assert km.median().value == 7
    assert km.curves_.median()[0] == 7
    assert km.quantile(0.25).value == 3  # flat at 3/4 on [2, 4)
    assert km.quantile(0.6).value == 10
    assert np.isnan(km.quantile(0.9).value)


def test_the_interval_of_the_median_inverts_the_bounds_of_the_curve():
    rng = np.random.default_rng(5)
    y = cs.Outcome(rng.exponential(10, 80), rng.integers(0, 2, 80))
    km = cs.KaplanMeier().fit(y, conf_type="log-log", level=0.9)
    median, table = km.median(), km.table_
    assert median.lower == table.loc[table["lower"] <= 0.5, "time"].min()
    assert median.upper == table.loc[table["upper"] <= 0.5, "time"].min()
    assert median.lower < median.value < median.upper
    assert np.isnan(median.se)
    assert (median.n, median.level) == (80, 0.9)


@pytest.mark.parametrize(
    ("conf_type", "scale", "slope"),
    [
        ("plain", lambda p: p, lambda p: 1),
        ("log", np.log, lambda p: 1 / p),
        ("log-log", lambda p: np.log(-np.log(p)), lambda p: 1 / (p * np.log(p))),
        ("logit", lambda p: np.log(p / (1 - p)), lambda p: 1 / (p * (1 - p))),
        ("arcsin", lambda p: np.arcsin(np.sqrt(p)), lambda p: 1 / (2 * np.sqrt(p * (1 - p)))),
    ],
)
def test_intervals_are_symmetric_on_their_scale(conf_type, scale, slope):
    rng = np.random.default_rng(1)
    y = cs.Outcome(rng.exponential(10, 300).round(1) + 0.1, rng.integers(0, 2, 300))
    t = cs.KaplanMeier().fit(y, conf_type=conf_type, level=0.9).table_
    # where no bound is cut at 0 or 1
    t = t[(t["upper"] < 1) & (t["lower"] > 0) & (t["estimate"] > 0.1)]
    assert len(t) > 50
    half = norm.ppf(0.95) * t["se"] * np.abs(slope(t["estimate"]))
    np.testing.assert_allclose(np.abs(scale(t["upper"]) - scale(t["estimate"])), half, rtol=1e-9)
    np.testing.assert_allclose(np.abs(scale(t["lower"]) - scale(t["estimate"])), half, rtol=1e-9)


def test_the_restricted_mean_is_the_area_with_greenwoods_variance():
    # S = 1 on [0, 6), 3/4 on [6, 12), 3/8 on [12, 18]; to 15: 6 + 4.5 + 1.125
    # right of 6: 5.625, right of 12: 1.125; Var = 5.625^2/12 + 1.125^2/2
    estimate = cs.KaplanMeier().fit(SMALL).rmst(15)
    assert estimate.value == pytest.approx(11.625)
    assert estimate.se == pytest.approx((5.625**2 / 12 + 1.125**2 / 2) ** 0.5)
    assert (estimate.n, estimate.n_events) == (4, 2)
    assert cs.KaplanMeier().fit(SMALL).rmst(5).value == 5
    assert cs.KaplanMeier().fit(SMALL).rmst(5).se == 0


def test_groups_have_a_curve_each_in_sorted_order():
    by = pd.Series(["b", "a", "b", "a"], name="segment")
    km = cs.KaplanMeier().fit(SMALL, by=by)
    assert km.curves_.index.tolist() == ["a", "b"]
    assert km.curves_.index.name == "segment"
    assert km.table_["group"].tolist() == ["a", "a", "b", "b"]
    alone = cs.KaplanMeier().fit(SMALL[[0, 2]])
    pd.testing.assert_frame_equal(
        km.table_.query("group == 'b'").drop(columns="group").reset_index(drop=True), alone.table_.drop(columns="group")
    )
    assert list(km.median()) == ["a", "b"]
    assert km.rmst(6)["b"].value == alone.rmst(6).value
    assert km.n_subjects_.tolist() == [2, 2]


def test_groups_keep_the_order_of_categories_and_combine_columns():
    by = pd.Categorical(["new", "old", "new", "old"], categories=["old", "new", "unused"])
    assert cs.KaplanMeier().fit(SMALL, by=by).groups_.tolist() == ["old", "new"]
    frame = pd.DataFrame({"term": [12, 12, 6, 6], "arm": ["x", "y", "x", "y"]})
    groups = cs.KaplanMeier().fit(SMALL, by=frame).groups_
    assert groups.tolist() == ["term=6, arm=x", "term=6, arm=y", "term=12, arm=x", "term=12, arm=y"]


def test_curves_of_groups_are_nan_after_their_own_last_time():
    km = cs.KaplanMeier().fit(cs.Outcome([2, 4, 3, 9], [1, 0, 0, 1]), by=[0, 0, 1, 1])
    assert km.curves_.times.tolist() == [2, 3, 4, 9]
    np.testing.assert_array_equal(km.curves_.survival, [[0.5, 0.5, 0.5, np.nan], [1, 1, 1, 0]])
    assert km.curves_.last.tolist() == [4, 9]


def test_min_at_risk_begins_at_the_first_age_with_enough_at_risk():
    # at risk after 0: 1, after 2: 2, after 3: 3 (the row that stops at 2.5 has left by then)
    y = cs.Outcome(stop=[2.5, 8, 9, 7], event=[1, 1, 0, 1], start=[0, 2, 3, 3])
    km = cs.KaplanMeier().fit(y, min_at_risk=3)
    assert km.curves_.origin.tolist() == [3]
    assert km.table_["time"].tolist() == [7, 8, 9]
    np.testing.assert_allclose(km.table_["estimate"], [2 / 3, 1 / 3, 1 / 3])
    # the area begins at the origin: 4 at height 1, then 1 at 2/3
    assert km.rmst(5).value == pytest.approx(4 + 2 / 3)
    assert "from 3" in km.rmst(5).method


def test_a_given_origin_makes_the_curve_conditional_on_reaching_it():
    rng = np.random.default_rng(2)
    y = cs.Outcome(rng.integers(1, 20, 200), rng.integers(0, 2, 200))
    whole, conditional = cs.KaplanMeier().fit(y), cs.KaplanMeier().fit(y, origin=6)
    at = np.arange(7, 18)
    np.testing.assert_allclose(
        conditional.curves_.at(at).survival, whole.curves_.at(at).survival / whole.curves_.at(6).survival
    )


def test_a_gap_under_observation_is_a_censoring_but_a_split_is_not():
    split = cs.Outcome([3, 6, 6], [0, 1, 0], start=[0, 3, 0], subject=[1, 1, 2])
    assert cs.KaplanMeier().fit(split).table_["time"].tolist() == [6]
    gap = cs.Outcome([3, 6, 6], [0, 1, 0], start=[0, 4, 0], subject=[1, 1, 2])
    assert cs.KaplanMeier().fit(gap).table_[["time", "n_censored"]].to_numpy().tolist() == [[3, 1], [6, 1]]


def test_censoring_comes_after_events_at_a_tie():
    # at 6: 4 at risk, one leaves, 1 of the other 3 is censored; at 18: the last
    model = cs.CensoringModel().fit(SMALL)
    np.testing.assert_allclose(model.probability([0, 6, 12, 18, 40]), [1, 2 / 3, 2 / 3, 0, 0])
    np.testing.assert_allclose(model.probability([[6, 18]], before=True), [[1, 2 / 3]])


def test_the_censoring_probability_is_unknown_after_a_last_event():
    model = cs.CensoringModel().fit(cs.Outcome([3, 5], [0, 1]))
    with pytest.warns(SupportWarning, match="past the last time with data"):
        assert np.isnan(model.probability([7])).all()
    np.testing.assert_allclose(cs.CensoringModel().fit(cs.Outcome([3, 5], [1, 1])).probability([1, 5]), 1)


def test_fractional_weights_do_not_leave_a_rest_when_everybody_has_left():
    rng = np.random.default_rng(3)
    weight = rng.uniform(0.1, 2, 50)
    start = np.where(np.arange(50) < 25, 0.0, 7.0)
    y = cs.Outcome(start + rng.integers(1, 6, 50), np.ones(50), start=start)
    table = cs.KaplanMeier().fit(y, sample_weight=weight).table_
    assert (table.loc[table["time"] >= 5, "estimate"] == 0).all()


def test_weights_of_another_unit_change_neither_the_curve_nor_its_robust_error():
    rng = np.random.default_rng(4)
    y, weight = cs.Outcome(rng.integers(1, 9, 60), rng.integers(0, 2, 60)), rng.uniform(0.5, 2, 60)
    one, other = (cs.KaplanMeier().fit(y, sample_weight=w).table_ for w in (weight, 1000 * weight))
    close(one[["estimate", "se", "lower", "upper"]], other[["estimate", "se", "lower", "upper"]])


def test_rows_of_weight_zero_are_left_out():
    close(cs.KaplanMeier().fit(SMALL, sample_weight=[1, 0, 1, 1]).table_, cs.KaplanMeier().fit(SMALL[[0, 2, 3]]).table_)


def test_structured_arrays_of_scikit_survival_are_read():
    y = np.array([(True, 6.0), (False, 6.0), (True, 12.0), (False, 18.0)], dtype=[("event", bool), ("time", float)])
    close(cs.KaplanMeier().fit(y).table_, cs.KaplanMeier().fit(SMALL).table_)
    assert cs.CensoringModel().fit(y).last_ == 18


# -- what cannot be answered -------------------------------------------------------------------------------------------


ESTIMATORS = (cs.KaplanMeier, cs.NelsonAalen, cs.AalenJohansen)


@pytest.mark.parametrize("estimator", ESTIMATORS)
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sample_weight": [1, -2, 1, 1]}, r"sample_weight has 1 negative value \(row 1; -2\)"),
        ({"sample_weight": [1, np.nan, 1, 1]}, r"sample_weight has 1 missing value \(row 1"),
        ({"sample_weight": [0, 0, 0, 0]}, "Every sample_weight is zero"),
        ({"sample_weight": [1, 1]}, r"sample_weight has shape \(2,\), the outcome has 4 rows"),
        ({"by": ["a", "b"]}, r"by has shape \(2,\), the outcome has 4 rows"),
        ({"by": ["a", None, "b", "b"]}, r"by has 1 missing value \(row 1\)"),
        ({"cluster": [1, 2, np.nan, 4]}, r"cluster has 1 missing value \(row 2\)"),
        ({"min_at_risk": 5}, r"never has 5 rows at risk \(of 4 rows"),
        ({"min_at_risk": 0}, "1 or more"),
        ({"origin": 30}, "at or after 30"),
        ({"level": 95}, "between 0 and 1"),
        ({"conf_type": "wilson"}, "conf_type='wilson' is not known"),
        ({"variance": "bootstrap"}, "variance='bootstrap' is not known"),
    ],
)
def test_bad_arguments_are_named_with_their_remedy(estimator, options, message):
    with pytest.raises(DataError, match=message):
        estimator().fit(SMALL, **options)


def test_a_group_that_never_has_enough_at_risk_is_named():
    with pytest.raises(DataError, match="by 'b' never has 2 rows at risk"):
        cs.KaplanMeier().fit(SMALL, by=["a", "a", "a", "b"], min_at_risk=2)
    with pytest.raises(DataError, match="by 'b' never has 1 row at risk"):
        cs.KaplanMeier().fit(SMALL, by=["a", "a", "a", "b"], sample_weight=[1, 1, 1, 0])


def test_variance_of_independent_rows_is_refused_with_clusters():
    with pytest.raises(DataError, match="use 'robust'"):
        cs.KaplanMeier().fit(SMALL, cluster=[1, 1, 2, 2], variance="greenwood")


@pytest.mark.filterwarnings("default")
def test_without_events_the_curve_stays_at_one_and_says_so():
    with pytest.warns(SmallSampleWarning, match="No events among 2 subjects in segment 'C'"):
        km = cs.KaplanMeier().fit(SMALL, by=pd.Series(["A", "C", "A", "C"], name="segment"))
    assert km.table_.query("group == 'C'")["estimate"].tolist() == [1, 1]
    with pytest.warns(SmallSampleWarning, match="No events among 3 subjects:"):
        alone = cs.KaplanMeier().fit(cs.Outcome([1, 2, 3], [0, 0, 0]))
    assert np.isnan(alone.median().value)
    assert alone.rmst(2).value == 2
    assert alone.curves_.survival.tolist() == [[1, 1, 1]]


@pytest.mark.filterwarnings("default")
def test_an_early_risk_set_that_empties_is_pointed_out_with_its_remedy():
    y = cs.Outcome(stop=[1, 5, 6, 7], event=[1, 1, 0, 1], start=[0, 2, 2, 2])
    with pytest.warns(SmallSampleWarning, match="min_at_risk"):
        assert cs.KaplanMeier().fit(y).table_["estimate"].tolist() == [0, 0, 0, 0]
    np.testing.assert_allclose(cs.KaplanMeier().fit(y, min_at_risk=2).table_["estimate"], [2 / 3, 2 / 3, 0])


def test_a_restricted_mean_beyond_the_data_is_nan_with_a_warning_that_names_the_group():
    km = cs.KaplanMeier().fit(cs.Outcome([2, 9, 3, 5], [1, 0, 0, 1]), by=["A", "A", "B", "B"])
    with pytest.warns(SupportWarning, match="past the last time with data in by 'A'"):
        means = km.rmst(10)
    assert np.isnan(means["A"].value)
    # everybody of B has left by 5: nothing is unknown later
    assert means["B"].value == 5
    with pytest.raises(DataError, match="positive number"):
        km.rmst(-1)
    with pytest.raises(DataError, match="between 0 and 1"):
        km.quantile(50)


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_an_unfitted_estimator_says_so(estimator):
    for ask in (lambda e: e.median(), lambda e: e.rmst(3), lambda e: e.curves_):
        with pytest.raises(DataError, match="not fitted"):
            ask(estimator())
    with pytest.raises(DataError, match="not fitted"):
        cs.CensoringModel().probability([1])


def test_refitting_replaces_the_curves():
    km = cs.KaplanMeier().fit(SMALL)
    assert len(km.curves_) == 1
    assert len(km.fit(SMALL, by=[1, 2, 1, 2]).curves_) == 2
