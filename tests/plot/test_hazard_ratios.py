import io

import matplotlib as mpl
import pandas as pd
import pytest
from matplotlib.figure import Figure

from churnsurv import plot
from churnsurv.exceptions import DataError
from churnsurv.plot import theme

mpl.use("Agg")


@pytest.fixture
def table():
    return pd.DataFrame(
        {
            "group": ["Terms", "Terms", "Service"],
            "label": ["Rate incentive", "Balance", "Complaints"],
            "per": ["per +1 pp", "", ""],
            "hazard_ratio": [1.34, 1.05, 0.8],
            "hr_lower": [1.30, 0.98, 0.7],
            "hr_upper": [1.39, 1.12, 0.9],
            "p_value": [1e-9, 0.2, 0.004],
        }
    )


def drawn(table):
    ax = Figure().add_subplot()
    assert plot.forest(table, ax=ax) is ax
    return ax, [t.get_text() for t in ax.texts]


def test_the_numbers_stand_beside_the_intervals(table):
    _, texts = drawn(table)
    assert "1.34 (1.30 to 1.39)" in texts
    assert {"<0.001", "0.200", "0.004"} <= set(texts)


def test_rows_stand_below_the_name_of_their_group(table):
    _, texts = drawn(table)
    in_order = [t for t in texts if t in ("Terms", "Service", "Rate incentive, per +1 pp", "Balance", "Complaints")]
    assert in_order == ["Terms", "Rate incentive, per +1 pp", "Balance", "Service", "Complaints"]


def test_an_interval_that_includes_one_is_grey(table):
    ax, _ = drawn(table)
    intervals = [line for line in ax.lines if len(line.get_xdata()) == 2 and list(line.get_xdata()) != [1.0, 1.0]]
    colours = {tuple(round(float(v), 2) for v in line.get_xdata()): line.get_color() for line in intervals}
    assert colours[(0.98, 1.12)] == theme.NEUTRAL
    assert colours[(1.3, 1.39)] != theme.NEUTRAL


def test_ticks_have_decimal_points_and_include_one(table):
    ax, _ = drawn(table)
    labels = [ax.xaxis.get_major_formatter()(t) for t in ax.get_xticks()]
    assert "1" in labels
    assert not any("," in label for label in labels)


def test_an_infinite_interval_is_said_to_be_not_estimable(table):
    table.loc[1, ["hazard_ratio", "hr_upper"]] = float("inf")
    _, texts = drawn(table)
    assert "not estimable" in texts


def test_a_table_without_the_columns_needed_is_refused(table):
    with pytest.raises(DataError, match="hr_lower"):
        plot.forest(table.drop(columns="hr_lower"))
    with pytest.raises(DataError, match="no rows"):
        plot.forest(table.iloc[:0])


def test_the_heading_tells_the_level_of_the_table_and_none_that_is_not_known():
    from churnsurv.report import HazardRatioTable

    frame = pd.DataFrame(
        {"label": ["cost in $ and $_{"], "hazard_ratio": [1.3], "hr_lower": [1.1], "hr_upper": [1.5], "p_value": [0.01]}
    )
    ax = plot.forest(HazardRatioTable(frame, 0.975), ax=Figure().add_subplot())
    shown = [t.get_text() for t in ax.texts]
    assert "HR (97.5% CI)" in shown
    assert "cost in $ and $_{" in shown
    ax.get_figure().savefig(io.StringIO(), format="svg")
    plain = plot.forest(frame, ax=Figure().add_subplot())
    assert "HR (CI)" in [t.get_text() for t in plain.texts]


def test_a_reference_level_is_marked_at_one_and_named_so(table):
    rows = table.assign(is_reference=[False, True, False]).astype({"hr_lower": float})
    rows.loc[1, ["hazard_ratio", "hr_lower", "hr_upper", "p_value"]] = [1.0, float("nan"), float("nan"), float("nan")]
    ax = plot.forest(rows)
    assert "1 (reference)" in [text.get_text() for text in ax.texts]
    assert "not estimable" not in [text.get_text() for text in ax.texts]


def test_columns_of_a_spline_are_left_out(table):
    ax = plot.forest(table.assign(curve=[False, True, False]))
    assert not any("Balance" in text.get_text() for text in ax.texts)
