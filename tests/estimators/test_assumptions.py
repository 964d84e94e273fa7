import numpy as np
import pandas as pd
import pytest

import churnsurv as cs
from churnsurv.estimators.assumptions import compare_tie_rules, departure_from_line, ratio_ranges
from churnsurv.exceptions import DataError


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(2)
    n = 600
    X = pd.DataFrame(
        {"rate": 3 * rng.normal(size=n), "vip": rng.integers(0, 2, n), "region": rng.choice(["n", "s"], n)}
    )
    time = np.ceil(rng.exponential(12 * np.exp(-0.1 * X["rate"])))
    return X, cs.Outcome(np.minimum(time, 30), (time < 30).astype(int))


def test_the_range_is_that_of_the_smooth_over_time(rows):
    X, y = rows
    model = cs.CoxPH().fit(X, y, strata="region", cluster=np.arange(600) // 2)
    ranges = ratio_ranges(model, X, y, cluster=np.arange(600) // 2)
    first, last = np.quantile(y.stop[y.event > 0], [0.1, 0.9], method="nearest")
    for term in model.coef_.index:
        smooth = cs.hazard_ratio_over_time(model, X, y, term, cluster=np.arange(600) // 2)
        within = (
            smooth[(smooth["time"] >= first) & (smooth["time"] <= last)]["hazard_ratio"] ** ranges.loc[term, "unit"]
        )
        assert ranges.loc[term, "lowest"] == pytest.approx(within.min(), rel=1e-9)
        assert ranges.loc[term, "highest"] == pytest.approx(within.max(), rel=1e-9)
        assert ranges.loc[term, "early"] == pytest.approx(within.iloc[0], rel=1e-9)
        assert ranges.loc[term, "late"] == pytest.approx(within.iloc[-1], rel=1e-9)


def test_numeric_columns_count_by_their_standard_deviation(rows):
    X, y = rows
    ranges = ratio_ranges(cs.CoxPH("rate + vip").fit(X, y), X, y)
    scaled = X.assign(rate=100 * X["rate"])
    again = ratio_ranges(cs.CoxPH("rate + vip").fit(scaled, y), scaled, y)
    columns = ["ratio", "early", "late", "lowest", "highest", "range"]
    np.testing.assert_allclose(again[columns], ranges[columns], rtol=1e-6)
    assert ranges.loc["vip", "unit"] == 1.0


def test_an_effect_that_fades_has_a_wider_range_than_a_constant_one():
    rng = np.random.default_rng(1)
    n = 4000
    x = rng.integers(0, 2, n)
    # hazard 0.1 exp(1.5 x) up to 5, 0.1 after
    u, before = rng.exponential(size=n), 0.1 * np.exp(1.5 * x)
    time = np.where(u < 5 * before, u / before, 5 + (u - 5 * before) / 0.1)
    X = pd.DataFrame({"fading": x, "constant": rng.integers(0, 2, n)})
    y = cs.Outcome(np.minimum(time, 20), (time < 20).astype(int))
    ranges = ratio_ranges(cs.CoxPH().fit(X, y), X, y)
    assert ranges.loc["fading", "range"] > 3
    assert ranges.loc["constant", "range"] < 1.5
    assert ranges.loc["fading", "early"] > ranges.loc["fading", "late"]


def test_ties_are_counted_within_strata_and_both_rules_fitted(rows):
    X, y = rows
    model = cs.CoxPH().fit(X, y, strata="region")
    ties = compare_tie_rules(model, X, y)
    exits = pd.DataFrame({"region": X["region"], "time": y.stop})[y.event > 0]
    assert ties.share == pytest.approx((exits.groupby(["region", "time"])["time"].transform("size") > 1).mean())
    breslow = cs.CoxPH(ties="breslow").fit(X, y, strata="region")
    np.testing.assert_allclose(ties.rules["breslow"], breslow.coef_)
    np.testing.assert_allclose(ties.rules["efron"], model.coef_)
    np.testing.assert_allclose(compare_tie_rules(breslow, X, y).rules["efron"], model.coef_)


def test_without_ties_the_rules_agree():
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"rate": rng.normal(size=50)})
    y = cs.Outcome(rng.permutation(50) + 1, np.ones(50, dtype=int))
    ties = compare_tie_rules(cs.CoxPH().fit(X, y), X, y)
    assert ties.share == 0
    assert abs(ties.rules["shift"]).max() < 1e-6


def test_a_bend_is_measured_as_the_largest_factor_to_the_line():
    value = np.linspace(-1, 1, 41)
    shape = pd.DataFrame({"value": value, "log_hazard": 0.5 * value**2})
    middle = value[2:-2]
    line = np.polyval(np.polyfit(middle, 0.5 * middle**2, 1), middle)
    assert departure_from_line(shape) == pytest.approx(np.exp(np.abs(0.5 * middle**2 - line).max()))
    assert departure_from_line(shape.assign(log_hazard=3 * value + 1)) == pytest.approx(1)


def test_other_rows_than_those_of_the_fit_are_refused(rows):
    X, y = rows
    model = cs.CoxPH("rate").fit(X, y)
    for check in (ratio_ranges, compare_tie_rules):
        with pytest.raises(DataError, match="do not maximise the likelihood"):
            check(model, X[:300], y[np.arange(300)])
