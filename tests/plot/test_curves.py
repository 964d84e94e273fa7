import io

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

import churnsurv as cs
from churnsurv.exceptions import DataError
from churnsurv.plot import theme

mpl.use("Agg")


@pytest.fixture
def ax():
    return Figure().add_subplot()


@pytest.fixture
def late_entry():
    # at risk at 1: A, B; at 3: B, C, D (C entered at 1, D at 2); at 4: C, D
    return cs.Outcome(stop=[1, 3, 4, 6], event=[1, 1, 0, 2], start=[0, 0, 1, 2], causes=("attrition", "default"))


def texts(ax):
    return [t.get_text() for t in ax.texts]


def test_the_survival_curve_is_that_of_the_estimate(ax):
    km = cs.KaplanMeier().fit(cs.Outcome(stop=[1, 2, 3, 4], event=[1, 0, 1, 0]))
    assert cs.plot.survival(km, ax=ax) is ax
    x, y = ax.lines[0].get_data()
    np.testing.assert_allclose(x, [0, 1, 2, 3, 4])
    np.testing.assert_allclose(y, [1, 0.75, 0.75, 0.375, 0.375])


def test_counts_are_at_risk_at_the_tick_and_exits_before_it_with_entry_times(ax, late_entry):
    km = cs.KaplanMeier().fit(late_entry)
    cs.plot.survival(km, ax=ax, times=[1, 3, 4])
    shown = texts(ax)
    assert shown[shown.index("At risk") + 1 :][:3] == ["2", "3", "2"]
    assert shown[shown.index("Censored") + 1 :][:3] == ["0", "0", "0"]
    assert shown[shown.index("Left") + 1 :][:3] == ["0", "1", "2"]


def test_counts_carry_thousands_separators(ax):
    n = 2_500
    km = cs.KaplanMeier().fit(cs.Outcome(stop=np.repeat([1, 2], n), event=np.repeat([1, 0], n)))
    cs.plot.survival(km, ax=ax, times=[0, 1, 2])
    assert "5,000" in texts(ax)


def test_groups_are_named_at_their_curves_by_the_given_labels(ax):
    y = cs.Outcome(stop=[1, 2, 3, 4, 5, 6], event=[1, 1, 0, 1, 1, 0])
    km = cs.KaplanMeier().fit(y, by=["a", "a", "a", "b", "b", "b"])
    cs.plot.survival(km, ax=ax, labels={"a": "Offer", "b": "No offer"})
    assert {"Offer", "No offer"} <= set(texts(ax))


def test_cumulative_incidence_draws_one_line_per_cause(ax, late_entry):
    aj = cs.AalenJohansen().fit(late_entry)
    cs.plot.cumulative_incidence(aj, ax=ax)
    assert [line.get_label() for line in ax.lines] == ["attrition", "default"]
    np.testing.assert_allclose(ax.lines[0].get_ydata()[-1], aj.curves_.cumulative_incidence("attrition")[0, -1])


def test_counts_below_one_cause_are_those_of_the_cause(ax, late_entry):
    aj = cs.AalenJohansen().fit(late_entry)
    cs.plot.cumulative_incidence(aj, cause="default", ax=ax, times=[1, 6])
    shown = texts(ax)
    assert shown[shown.index("Default") + 1 :][:2] == ["0", "0"]


def test_stacked_areas_end_at_the_probability_of_having_left(ax, late_entry):
    aj = cs.AalenJohansen().fit(late_entry)
    cs.plot.cumulative_incidence(aj, ax=ax, stacked=True)
    top = max(path.vertices[:, 1].max() for area in ax.collections for path in area.get_paths())
    assert top == pytest.approx(1 - aj.curves_.survival[0, -1])
    assert "still a customer" in texts(ax)


def test_several_groups_without_a_cause_are_refused(late_entry):
    aj = cs.AalenJohansen().fit(late_entry, by=["a", "a", "b", "b"])
    with pytest.raises(DataError, match="name the cause"):
        cs.plot.cumulative_incidence(aj)


def test_an_estimate_that_is_not_fitted_is_refused():
    with pytest.raises(DataError, match="not fitted"):
        cs.plot.survival(cs.KaplanMeier())


def test_nothing_is_counted_before_the_age_at_which_a_curve_begins(ax, late_entry):
    km = cs.KaplanMeier().fit(late_entry, min_at_risk=3)
    cs.plot.survival(km, ax=ax, times=[0, 3, 4])
    shown = texts(ax)
    origin = km.curves_.origin[0]
    assert origin > 0
    assert shown[shown.index("At risk") + 1 :][:2] == ["3", "2"]


@pytest.mark.parametrize(("top", "expected"), [(0.5, "0%"), (0.07, "0%"), (0.02, "0.0%")])
def test_percent_ticks_have_the_decimals_they_need(ax, top, expected):
    ax.set_ylim(0, top)
    theme.percent_axis(ax)
    labels = [ax.yaxis.get_major_formatter()(t) for t in ax.get_yticks()]
    assert labels[0] == expected
    assert len(set(labels)) == len(labels)
    assert not any("," in label for label in labels)


def test_labels_are_moved_apart_and_keep_their_order():
    placed = theme.apart([0.5, 0.51, 0.1], 0.1, 0, 1)
    assert placed[2] == pytest.approx(0.1)
    assert placed[1] - placed[0] == pytest.approx(0.1)
    assert np.mean(placed[:2]) == pytest.approx(0.505)


def test_the_callers_matplotlib_settings_come_back(ax):
    before = mpl.rcParams["axes.spines.top"]
    cs.plot.survival(cs.KaplanMeier().fit(cs.Outcome(stop=[1, 2], event=[1, 0])), ax=ax)
    assert mpl.rcParams["axes.spines.top"] == before


def test_dollars_in_names_stay_text(ax, late_entry):
    aj = cs.AalenJohansen().fit(late_entry, by=["$a_{$", "$a_{$", "b$", "b$"])
    cs.plot.cumulative_incidence(aj, cause="attrition", ax=ax, xlabel="cost $x$ and $_{")
    ax.get_figure().savefig(io.StringIO(), format="svg")
    assert {"$a_{$", "b$"} <= set(texts(ax))


def test_small_counts_can_be_hidden(ax, late_entry):
    km = cs.KaplanMeier().fit(late_entry)
    cs.plot.survival(km, ax=ax, times=[1, 3, 4], smallest=3)
    shown = texts(ax)
    assert shown[shown.index("At risk") + 1 :][:3] == ["<3", "3", "<3"]
    assert shown[shown.index("Left") + 1 :][:3] == ["0", "<3", "<3"]


def test_the_last_step_lies_within_the_axes(ax, late_entry):
    km = cs.KaplanMeier().fit(late_entry)
    assert cs.plot.survival(km, ax=ax).get_xlim()[1] > 6
    x, y = ax.lines[0].get_data()
    assert x[-1] == ax.get_xlim()[1]
    assert y[-1] == y[-2] < y[-3]


def test_the_time_axis_names_no_unit_that_is_not_known(ax, late_entry):
    assert cs.plot.survival(cs.KaplanMeier().fit(late_entry), ax=ax).get_xlabel() == "Time"


def test_a_missing_rate_leaves_a_gap_and_the_name_at_the_last_known(ax):
    quarters = pd.period_range("2025Q1", periods=3, freq="Q")
    table = pd.DataFrame({f"default {c}": [0.01, 0.02, np.nan] for c in ("rate", "lower", "upper")}, index=quarters)
    cs.plot.rates(table, ["default"], ax=ax)
    assert "default" in texts(ax)
    assert np.isfinite(ax.get_ylim()).all()
