import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

import churnsurv as cs
from churnsurv.exceptions import DataError
from tests.evaluation.samples import competing


@pytest.fixture(autouse=True)
def _close():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def result():
    X, y, groups = competing(300)
    models = {"cox": cs.CauseSpecificCox(), "b": cs.CauseSpecificCox("b"), "fine-gray": cs.FineGray("default")}
    return cs.evaluation.compare(models, X, y, groups=groups, cv=2, horizons=[12], metrics=["concordance", "brier"])


@pytest.fixture(scope="module")
def dated(result):
    """The same estimates as if the folds were dates."""
    from dataclasses import replace

    dates = result.folds["fold"].map({1: pd.Timestamp("2025-03-31"), 2: pd.Timestamp("2025-09-30")})
    return replace(result, folds=result.folds.assign(fold=dates))


def points(ax):
    return [line.get_xdata()[0] for line in ax.get_lines() if line.get_marker() == "o"]


def test_points_and_intervals_are_those_of_the_table(result):
    ax = cs.plot.comparison(result, "brier", cause="attrition")
    rows = result.table[(result.table["metric"] == "brier") & (result.table["cause"] == "attrition")]
    known = rows[rows["value"].notna()]
    np.testing.assert_allclose(points(ax), known["value"])
    bars = [line.get_xdata() for line in ax.get_lines() if len(line.get_xdata()) == 2 and line.get_linestyle() == "-"]
    np.testing.assert_allclose(bars, known[["lower", "upper"]])
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["cox", "b", "fine-gray", "null"]
    assert "not available" in [text.get_text() for text in ax.texts]
    assert "lower is better" in ax.get_xlabel()


def test_differences_leave_the_reference_out(result):
    ax = cs.plot.comparison(result, "concordance", cause="attrition", differences=True, labels={"b": "one column"})
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["one column", "fine-gray", "null"]
    rows = result.differences[
        (result.differences["metric"] == "concordance") & (result.differences["cause"] == "attrition")
    ]
    np.testing.assert_allclose(points(ax), rows["difference"].dropna())
    assert "difference from cox" in ax.get_xlabel()


def test_lines_over_time_are_those_of_the_dates(dated):
    ax = cs.plot.rolling_origin(dated, "brier", cause="attrition")
    lines = [line for line in ax.get_lines() if line.get_marker() == "o"]
    assert len(lines) == 3
    rows = dated.folds[(dated.folds["metric"] == "brier") & (dated.folds["cause"] == "attrition")]
    np.testing.assert_allclose(lines[0].get_ydata(), rows.loc[rows["model"] == "cox", "value"])
    assert [text.get_text() for text in ax.texts] == ["cox", "b", "null"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"metric": "auc"}, "is none of"),
        ({"metric": "brier"}, "pass cause="),
        ({"metric": "brier", "cause": "sold"}, "is none of"),
        ({"metric": "brier", "cause": "attrition", "horizon": 6.0}, "is none of"),
    ],
)
def test_what_is_to_be_drawn_must_be_named(result, options, words):
    with pytest.raises(DataError, match=words):
        cs.plot.comparison(result, **options)


def test_other_things_are_refused(result):
    with pytest.raises(DataError, match="DataFrame"):
        cs.plot.comparison(result.table)
    with pytest.raises(DataError, match="no dates"):
        cs.plot.rolling_origin(result, "brier", cause="attrition")
    X, y, groups = competing(100)
    one = cs.evaluation.cross_validate(cs.CoxPH(cause="attrition"), X, y, groups=groups, cv=2)
    with pytest.raises(DataError, match="two models"):
        cs.plot.comparison(one, differences=True)
