"""Fairness: each group's figures are those of its rows alone; small groups cannot be seen, nor computed."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import churnsurv as cs
from churnsurv.exceptions import DataError, NotIdentifiedError
from churnsurv.small_counts import hidden_rows, is_small


def data(seed=0, n=1500, share=(0.5, 0.3, 0.2), shift=0.0):
    rng = np.random.default_rng(seed)
    risk = rng.uniform(0.05, 0.5, n)
    region = rng.choice(["north", "south", "west"], n, p=share)
    hazard = -np.log1p(-risk) / 12 * np.exp(shift * (region == "west"))
    time, censored = rng.exponential(1 / hazard), rng.uniform(4, 30, n)
    default = rng.exponential(200, n)
    first = np.minimum(time, default)
    event = np.where(first > censored, 0, np.where(time < default, 1, 2))
    y = cs.Outcome(np.ceil(np.minimum(first, censored)), event, causes=("attrition", "default"))
    return y, risk, region


OPTIONS = {"cause": "attrition", "threshold": 0.3}


def of(result, group, measure):
    return result.table.set_index(["group", "measure"]).loc[(group, measure)]


def test_figures_of_a_group_are_those_of_its_rows_alone():
    y, risk, region = data()
    result = cs.evaluation.fairness(y, risk, region, 12, **OPTIONS)
    mine = region == "south"
    for measure, expected in {
        "concordance": cs.metrics.concordance_index(y[mine], risk[mine], cause="attrition", tau=12),
        "auc": cs.metrics.cumulative_dynamic_auc(y[mine], risk[mine], 12, cause="attrition"),
        "brier": cs.metrics.brier_score(y[mine], risk[mine], 12, cause="attrition"),
    }.items():
        row = of(result, "south", measure)
        assert (row["value"], row["se"], row["lower"]) == (expected.value, expected.se, expected.lower)
    aj = cs.AalenJohansen().fit(y[mine]).curves_.risk("attrition", 12)[0]
    assert of(result, "south", "observed")["value"] == pytest.approx(aj)
    calibration = cs.metrics.calibration(y[mine], risk[mine], 12, cause="attrition").observed_expected
    row = of(result, "south", "observed_expected")
    for field in ("value", "se", "lower", "upper"):
        assert row[field] == pytest.approx(getattr(calibration, field), rel=1e-9)


def test_without_censoring_calibration_error_is_a_mean_of_residuals():
    y, risk, region = data()
    whole = cs.Outcome(y.stop, np.where(y.event == 0, 2, y.event), causes=y.causes)
    result = cs.evaluation.fairness(whole, risk, region, 12, cause="attrition")
    mine = region == "west"
    residual = ((whole.event == 1) & (whole.stop <= 12))[mine] - risk[mine]
    row = of(result, "west", "calibration_error")
    assert row["value"] == pytest.approx(residual.mean())
    assert row["se"] == pytest.approx(residual.std(ddof=1) / np.sqrt(mine.sum()))
    ratio = of(result, "west", "observed_expected")
    scaled = residual + risk[mine] * (1 - ratio["value"])
    assert ratio["se"] == pytest.approx(scaled.std(ddof=1) / np.sqrt(mine.sum()) / risk[mine].mean())


def test_a_group_followed_for_too_short_says_so():
    y, risk, region = data()
    short = region == "west"
    stop, event = np.where(short, np.minimum(y.stop, 9), y.stop), np.where(short & (y.stop > 9), 0, y.event)
    result = cs.evaluation.fairness(cs.Outcome(stop, event, causes=y.causes), risk, region, 12, cause="attrition")
    assert np.isnan(of(result, "west", "observed_expected")["value"])
    assert any(note.startswith("west") and "past the last" in note for note in result.notes)


def test_html_holds_the_figures_and_escapes_labels_and_notes():
    y, risk, region = data()
    html = cs.evaluation.fairness(y, risk, np.where(region == "west", "<b>", region), 12, **OPTIONS)._repr_html_()
    assert "&lt;b&gt;" in html
    assert "<b>" not in html
    assert all(words in html for words in ("no verdict", "observed_expected"))


def test_error_rates_without_censoring_are_shares_with_wilsons_interval():
    y, risk, region = data()
    event = np.where(y.event == 0, 2, y.event)
    whole = cs.Outcome(y.stop, event, causes=y.causes)
    result = cs.evaluation.fairness(whole, risk, region, 12, **OPTIONS)
    mine = region == "west"
    left = mine & (event == 1) & (y.stop <= 12)
    n, p = left.sum(), (risk[left] >= 0.3).mean()
    assert of(result, "west", "true_positive_rate")["value"] == pytest.approx(p)
    stays = mine & ~((event == 1) & (y.stop <= 12))
    assert of(result, "west", "false_positive_rate")["value"] == pytest.approx((risk[stays] >= 0.3).mean())
    z = 1.959963984540054
    middle, half = (p + z**2 / 2 / n) / (1 + z**2 / n), z / (1 + z**2 / n) * np.sqrt(p * (1 - p) / n + z**2 / 4 / n**2)
    row = of(result, "west", "true_positive_rate")
    # the variance over all rows of the group has n/(n − 1) of these, not of the cases
    assert row["lower"] == pytest.approx(middle - half, rel=0.01)
    assert row["upper"] == pytest.approx(middle + half, rel=0.01)


def test_expected_events_of_curves_are_those_of_their_hazards():
    y, risk, region = data()
    X = pd.DataFrame({"logit": np.log(risk / (1 - risk)), "west": (region == "west") * 1.0})
    model = cs.CauseSpecificCox().fit(X, y)
    result = cs.evaluation.fairness(y, model.predict_curves(X), region, 12, cause="attrition")
    cut = np.minimum(y.stop, 12)
    expected = model.models_["attrition"].expected_events(X, cut)["estimate"].to_numpy()
    observed = (y.event == 1) & (y.stop <= 12)
    for group in ("north", "west"):
        mine = region == group
        ratio = observed[mine].sum() / expected[mine].sum()
        assert of(result, group, "observed_expected_events")["value"] == pytest.approx(ratio, rel=1e-9)
    # with an indicator of the group, the Cox model's expectation within all of the follow-up is met in each group
    full = cs.evaluation.fairness(
        y, model.predict_curves(X), region == "west", float(y.stop.max() - 1), cause="attrition"
    )
    assert of(full, True, "observed_expected_events")["value"] == pytest.approx(1, abs=0.02)


def test_differences_have_the_variance_of_two_samples_and_p_values_are_adjusted_together():
    y, risk, region = data()
    result = cs.evaluation.fairness(y, risk, region, 12, reference="north", **OPTIONS)
    row = result.differences.set_index(["group", "measure"]).loc[("west", "auc")]
    west, north = of(result, "west", "auc"), of(result, "north", "auc")
    assert row["value"] == west["value"] - north["value"]
    assert row["se"] == pytest.approx(np.hypot(west["se"], north["se"]))
    assert set(result.differences["group"]) == {"south", "west"}
    smallest = result.differences["p_value"].min()
    assert result.differences["p_adjusted"].min() == pytest.approx(min(1, smallest * len(result.differences)))


def test_a_rate_of_one_is_no_sure_difference():
    from churnsurv.evaluation.group_measures import Measured, difference

    everybody, some = Measured(1.0, 0.0, 0.6, 1.0), Measured(0.6, 0.05, 0.5, 0.7)
    value, se, lower, upper, p = difference(everybody, some, 0.95)
    assert value == pytest.approx(0.4)
    assert np.isnan([se, lower, upper, p]).all()


def test_a_group_that_leaves_more_than_predicted_is_flagged():
    y, risk, region = data(seed=1, n=4000, shift=1.0)
    result = cs.evaluation.fairness(y, risk, region, 12, **OPTIONS)
    flags = result.flags[result.flags["group"] == "west"]
    assert {"observed_expected", "calibration_error"} <= set(flags["measure"])
    assert "no verdict" in repr(result)


def test_offer_rates_and_their_ratio():
    y, risk, region = data()
    offered = (region == "west") & (np.arange(len(y)) % 2 == 0) | (region != "west")
    offered &= np.arange(len(y)) % 5 != 0
    result = cs.evaluation.fairness(y, risk, region, 12, cause="attrition", offered=offered)
    west, rest = offered[region == "west"], offered[region != "west"]
    ratio = result.ratios.set_index("group").loc["west"]
    assert ratio["value"] == pytest.approx(west.mean() / rest.mean())
    half = 1.959963984540054 * np.sqrt((1 - west.mean()) / west.sum() + (1 - rest.mean()) / rest.sum())
    assert np.log(ratio["upper"] / ratio["value"]) == pytest.approx(half, rel=0.01)
    assert ("west", "offer_ratio") in set(zip(result.flags["group"], result.flags["measure"], strict=True))
    assert "auc" in set(result.table["measure"])
    assert "true_positive_rate" not in set(result.table["measure"])


def test_missing_is_a_group_of_its_own():
    y, risk, region = data()
    group = pd.Series(region).where(np.arange(len(y)) % 4 > 0)
    result = cs.evaluation.fairness(y, risk, group, 12, **OPTIONS)
    assert result.groups["group"].tolist() == ["all", "north", "south", "west", "(missing)"]
    assert result.groups["n"].iloc[1:].sum() == len(y)


def test_a_small_group_is_hidden_and_cannot_be_computed_from_the_others():
    y, risk, region = data()
    region = region.astype(object)
    region[:3] = "islands"
    result = cs.evaluation.fairness(y, risk, region, 12, **OPTIONS)
    hidden = result.groups.set_index("group")
    assert hidden["suppressed"].to_dict() == {
        "all": "", "islands": "small", "north": "", "south": "", "west": "complementary"
    }  # fmt: skip
    assert hidden.loc[["islands", "west"], ["n", "n_events", "n_offered"]].isna().all(axis=None)
    for frame in (result.table, result.differences, result.ratios, result.flags):
        assert not {"islands", "west"} & set(frame["group"])
    assert "not shown" in repr(result)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.tuples(*[st.integers(0, 40)] * 2), min_size=2, max_size=8), st.integers(2, 10)
)  # fmt: skip
def test_what_is_hidden_is_never_one_row_nor_a_small_sum(rows, smallest):
    counts = np.array([(a + b, a, b) for a, b in rows])
    small, others = hidden_rows(counts, smallest)
    hidden = [*small, *others]
    for i, row in enumerate(counts):
        assert i in hidden or (row[0] >= smallest and not any(is_small(c, smallest) for c in row))
    if small and len(hidden) < len(counts):
        assert len(hidden) > 1
        assert not any(is_small(c, smallest) for c in counts[hidden].sum(axis=0))


def test_order_of_rows_does_not_matter():
    y, risk, region = data()
    order = np.random.default_rng(0).permutation(len(y))
    a = cs.evaluation.fairness(y, risk, region, 12, **OPTIONS)
    b = cs.evaluation.fairness(y[order], risk[order], region[order], 12, **OPTIONS)
    pd.testing.assert_frame_equal(a.table, b.table, rtol=1e-9)


def test_customers_with_several_loans_widen_the_intervals():
    y, risk, region = data(n=600)
    twice = np.repeat(np.arange(len(y)), 2)
    doubled = cs.Outcome(y.stop[twice], y.event[twice], causes=y.causes)
    plain = cs.evaluation.fairness(y, risk, region, 12, **OPTIONS)
    clustered = cs.evaluation.fairness(doubled, risk[twice], region[twice], 12, cluster=twice, **OPTIONS)
    for measure in ("auc", "brier", "observed", "offer_rate", "true_positive_rate"):
        assert of(clustered, "west", measure)["se"] == pytest.approx(of(plain, "west", measure)["se"], rel=0.02)


def test_a_group_without_events_has_its_offers_and_says_what_is_lacking():
    y, risk, region = data()
    quiet = cs.Outcome(y.stop, np.where(region == "west", 0, y.event), causes=y.causes)
    result = cs.evaluation.fairness(quiet, risk, region, 12, **OPTIONS)
    assert np.isnan(of(result, "west", "auc")["value"])
    assert of(result, "west", "observed")["value"] == 0
    assert of(result, "west", "offer_rate")["value"] > 0
    assert any(note.startswith("west: concordance") for note in result.notes)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"groups": ["a"] * 300}, "one label only"),
        ({"groups": ["a"] * 299 + ["b"]}, "too small"),
        ({"groups": ["a", "b"]}, "groups has shape"),
        ({"groups": ["all", "b"] * 150}, "stands for something else"),
        ({"reference": "east"}, "no group"),
        ({"threshold": 1.2}, "between 0 and 1"),
        ({"offered": np.full(300, 2)}, "0 or 1"),
        ({"offered": np.full(300, np.nan)}, "missing"),
        ({"horizon": 900}, "past the last"),
        ({"smallest_cell": -1}, "whole number"),
        ({"ratio_threshold": 1.5}, "ratio_threshold"),
        ({"adjust": "none"}, "adjust"),
        ({"risk": np.full(300, np.nan)}, "missing"),
        ({"risk": np.full(300, 3.0)}, "outside 0"),
    ],
)
def test_bad_input_is_refused_with_the_remedy(change, match):
    y, risk, region = data(n=300)
    given = {"groups": region, "horizon": 12, "risk": risk} | OPTIONS | change
    with pytest.raises(DataError, match=match):
        cs.evaluation.fairness(y, given.pop("risk"), given.pop("groups"), given.pop("horizon"), **given)


def test_late_entry_is_refused():
    y, risk, region = data(n=300)
    late = cs.Outcome(y.stop + 1, y.event, start=np.ones(300), causes=y.causes)
    with pytest.raises(NotIdentifiedError, match="landmark cohort"):
        cs.evaluation.fairness(late, risk, region, 12, **OPTIONS)
