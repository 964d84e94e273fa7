"""Figures of diagnostics show the numbers of their tables."""

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from churnsurv import plot
from churnsurv.exceptions import DataError

mpl.use("Agg")


def smooth(across, spread=1.0):
    x = np.linspace(1, 60, 30)
    log = spread * np.linspace(0.8, -0.2, 30)
    ratios = {"hazard_ratio": np.exp(log), "hr_lower": np.exp(log - 0.2), "hr_upper": np.exp(log + 0.2)}
    return pd.DataFrame({across: x, **ratios})


@pytest.mark.parametrize(
    ("function", "across"), [(plot.hazard_ratio_over_time, "time"), (plot.functional_form, "value")]
)
def test_the_line_is_that_of_the_table_and_the_axes_are_the_caller_s(function, across):
    ax, table = Figure().add_subplot(), smooth(across)
    assert function(table, ax=ax) is ax
    np.testing.assert_array_equal(ax.lines[0].get_ydata(), table["hazard_ratio"])
    np.testing.assert_array_equal(ax.lines[0].get_xdata(), table[across])
    assert ax.get_yscale() == "log"


@pytest.mark.parametrize("spread", [0.05, 1.0, 4.0, 12.0])
def test_the_whole_line_is_within_the_axis_which_has_some_ticks(spread):
    ax, table = Figure().add_subplot(), smooth("time", spread)
    plot.hazard_ratio_over_time(table, constant=1.3, ax=ax)
    low, high = ax.get_ylim()
    assert low < table["hazard_ratio"].min()
    assert table["hazard_ratio"].max() < high
    assert 2 <= len(ax.get_yticks()) <= 7
    assert [t.get_text() for t in ax.texts] == ["model: 1.30"]


def test_another_table_is_refused():
    with pytest.raises(DataError, match="'time'"):
        plot.hazard_ratio_over_time(smooth("value"), ax=Figure().add_subplot())
