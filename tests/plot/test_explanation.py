"""Figures of importances and partial dependence show the numbers of their results."""

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

import churnsurv as cs
from churnsurv import plot
from churnsurv.exceptions import DataError

mpl.use("Agg")


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"rate": rng.normal(size=150), "segment": rng.choice(["a $5", "b"], 150)})
    months = np.ceil(rng.exponential(20 * np.exp(-X["rate"])))
    return X, cs.Outcome(np.minimum(months, 36), months <= 36)


@pytest.fixture(scope="module")
def forest(data):
    return cs.RandomSurvivalForest(20, random_state=0).fit(*data)


def test_importances_stand_in_their_order_with_their_intervals(forest, data):
    result = forest.permutation_importance(*data, random_state=0)
    ax = Figure().add_subplot()
    assert plot.importance(result, ax=ax, labels={"rate": "Rate incentive"}) is ax
    assert [t.get_text() for t in ax.get_yticklabels()] == ["Rate incentive", "segment"]
    intervals = [line.get_xdata() for line in ax.lines if len(line.get_xdata()) == 2 and line.get_lw() == 1.6]
    np.testing.assert_allclose(intervals, np.column_stack([result.lower, result.upper]))
    low, high = sorted(ax.get_ylim())
    assert ax.get_ylim() == (high, low)
    assert ax.get_xlabel() == "Fall of Harrell's C when permuted"


def test_no_importance_is_refused():
    with pytest.raises(DataError, match="'importance'"):
        plot.importance(pd.DataFrame({"value": [1.0]}), ax=Figure().add_subplot())
    with pytest.raises(DataError, match="no rows"):
        plot.importance(pd.DataFrame(columns=["importance", "lower", "upper"]), ax=Figure().add_subplot())


def test_the_line_is_the_average_and_the_part_without_support_is_dashed(forest, data):
    result = cs.partial_dependence(forest, data[0], "rate", horizon=12, grid=[-9, -1, 0, 1, 9], ice=7)
    ax = Figure().add_subplot()
    assert plot.partial_dependence(result, ax=ax, xlabel="Rate incentive") is ax
    *single, whole, inside = ax.lines
    assert len(single) == len(result.individual)
    np.testing.assert_array_equal(whole.get_ydata(), result.average)
    np.testing.assert_array_equal(inside.get_xdata(), [-1, 0, 1])
    assert whole.is_dashed()
    assert not inside.is_dashed()
    assert ax.get_xlabel() == "Rate incentive"
    assert "not uncertainty" in ax.get_title(loc="right")
    assert ax.get_yticklabels()[0].get_text().endswith("%")


def test_levels_are_dots_with_the_share_of_customers(forest, data):
    result = cs.partial_dependence(forest, data[0], "segment", horizon=12, ice=True)
    ax = plot.partial_dependence(result, ax=Figure().add_subplot())
    dots = [line.get_ydata()[0] for line in ax.lines if line.get_marker() == "o"]
    np.testing.assert_array_equal(dots, result.average)
    assert ax.get_xticklabels()[0].get_text().startswith("a $5\n")


def test_the_interval_of_a_model_is_named_as_such(data):
    result = cs.partial_dependence(cs.CoxPH().fit(*data), data[0], "rate", horizon=12)
    ax = plot.partial_dependence(result, ax=Figure().add_subplot())
    assert ax.get_title(loc="right") == "band: 95% interval of the average"


def test_another_result_is_refused():
    with pytest.raises(DataError, match="Pass the result"):
        plot.partial_dependence(pd.DataFrame(), ax=Figure().add_subplot())
