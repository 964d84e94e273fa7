"""Figures of monitoring show what the tables hold."""

import matplotlib

matplotlib.use("Agg")

import numpy as np
import pandas as pd
import pytest

from churnsurv import plot
from churnsurv.exceptions import DataError


@pytest.fixture
def chart():
    periods = pd.period_range("2024Q1", periods=6, freq="Q")
    watched = np.arange(6) >= 3
    return pd.DataFrame(
        {
            "cause": "attrition",
            "period": periods,
            "observed": [10, 12, 9, 11, 30, 14],
            "expected": 11.0,
            "lower": np.where(watched, 3.0, np.nan),
            "upper": np.where(watched, 22.0, np.nan),
            "alarm": [False, False, False, False, True, True],
            "alarm_by": ["", "", "", "", "both", "ewma"],
            "baseline": ~watched,
        }
    )


@pytest.fixture
def rolled():
    rows = {"vintage": ["all", "2022", "2023"], "cause": "default", "horizon": 6, "predicted": [0.1, 0.12, 0.08]}
    numbers = {"observed": [0.1, 0.2, 0.0], "lower": [0.05, 0.1, 0.0], "upper": [0.15, 0.3, 0.4]}
    return pd.DataFrame(rows | numbers | {"small": [False, False, True]})


def test_a_characteristic_with_an_alarm_is_a_filled_sign_beyond_its_threshold():
    table = pd.DataFrame({"name": ["a", "b"], "value": [0.02, 0.4], "threshold": [0.05, 0.05], "alarm": [False, True]})
    ax = plot.stability(table)
    lines = {line.get_label(): line for line in ax.lines}
    assert lines["alarm"].get_xdata().tolist() == [0.4]
    assert lines["no alarm"].get_xdata().tolist() == [0.02]
    assert lines["alarm"].get_markerfacecolor() != lines["no alarm"].get_markerfacecolor()
    assert lines["alarm threshold"].get_xdata().tolist() == [0.05, 0.05]
    assert plot.stability(table, most=1).get_yticklabels()[0].get_text() == "b"


def test_an_index_of_zero_stands_on_the_floor():
    table = pd.DataFrame({"name": ["a"], "value": [0.0], "threshold": [np.nan], "alarm": [False]})
    assert plot.stability(table).get_xlim()[0] > 0


def test_alarms_of_a_chart_are_marked_by_what_raised_them(chart):
    ax = plot.control_chart(chart)
    lines = {line.get_label(): line for line in ax.lines}
    assert lines["alarm: both"].get_xdata().tolist() == [4]
    assert lines["alarm: moving average"].get_xdata().tolist() == [5]
    assert lines["observed"].get_ydata().tolist() == chart["observed"].tolist()
    assert ax.get_xticklabels()[-1].get_text() == "2025 Q2"


def test_a_chart_of_months_names_them(chart):
    chart["period"] = pd.period_range("2024-01", periods=6, freq="M")
    ax = plot.control_chart(chart)
    assert ax.get_xticklabels()[0].get_text() == "2024-01"
    assert ax.get_ylabel() == "Exits per month: attrition"


def test_vintages_stand_in_order_with_all_at_the_end(rolled):
    ax = plot.roll_forward(rolled)
    assert [label.get_text() for label in ax.get_xticklabels()] == ["2022", "2023", "all"]
    assert {text.get_text() for text in ax.get_legend().get_texts()} == {
        "observed, with interval",
        "predicted",
        "observed (few expected)",
    }


def test_tables_that_are_not_of_monitoring_are_refused(chart, rolled):
    with pytest.raises(DataError, match="no column 'threshold'"):
        plot.stability(chart.assign(name="a", value=1.0))
    with pytest.raises(DataError, match="no rows"):
        plot.control_chart(chart.iloc[:0])
    with pytest.raises(DataError, match="name the one to draw"):
        plot.control_chart(pd.concat([chart, chart.assign(cause="default")]))
    with pytest.raises(DataError, match="no cause 'fraud'"):
        plot.control_chart(chart, "fraud")
    with pytest.raises(DataError, match="horizon=9"):
        plot.roll_forward(rolled, horizon=9)
