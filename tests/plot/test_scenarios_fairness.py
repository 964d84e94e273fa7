"""The figures of scenarios and of fairness show what the results hold."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

import churnsurv as cs
from churnsurv.evaluation.scenario_engine import Run
from churnsurv.evaluation.scenario_totals import Totals
from churnsurv.exceptions import DataError


def scenarios(influence=True, horizon=4):
    def run(factor):
        value = factor * np.full((horizon, 4, 3), 5.0)
        return Run(Totals(value, value, np.cumsum(value, axis=0)), 0.1 * value[..., None] if influence else None)

    nothing = pd.DataFrame(columns=["scenario", "variable", "lowest", "highest", "share_outside"])
    return cs.evaluation.ScenarioResult(
        ("attrition", "default"), {"base": run(1), "up": run(2)}, pd.Timestamp("2026-06-30"), "month", 100, 90,
        ("x",), (), nothing, (), 0.95,
    )  # fmt: skip


def fair():
    rng = np.random.default_rng(1)
    risk, region = rng.uniform(0.1, 0.6, 900), rng.choice(["a", "b", "c"], 900).astype(object)
    region[:3] = "few"
    time = np.ceil(12 * rng.exponential(size=900) / -np.log1p(-risk))
    return cs.evaluation.fairness(cs.Outcome(np.minimum(time, 24), time <= 24), risk, region, 12, threshold=0.4)


def panels(n):
    return list(Figure().subplots(1, n, squeeze=False)[0])


def line_of(ax, name):
    return next(line for line in ax.get_lines() if line.get_label() == name)


def test_a_panel_per_cause_shows_each_scenario_and_its_last_interval():
    result = scenarios()
    axes = cs.plot.scenarios(result, axes=panels(2))
    table = result.to_frame(cumulative=True).query("quantity == 'loans' and cause == 'default' and scenario == 'up'")
    np.testing.assert_array_equal(line_of(axes[1], "up").get_ydata(), table["value"])
    bars = [tuple(line.get_ydata()) for line in axes[1].get_lines() if len(line.get_ydata()) == 2]
    assert (table["lower"].iloc[-1], table["upper"].iloc[-1]) in bars
    assert [text.get_text() for text in axes[-1].get_legend().get_texts()] == ["base", "up"]


def test_monthly_numbers_stocks_and_results_without_intervals_can_be_drawn():
    ax = cs.plot.scenarios(scenarios(False), causes=["open"], quantity="balance", cumulative=False, axes=panels(1))[0]
    assert ax.get_ylabel() == "Balance, in the month"
    assert not ax.collections


def test_what_is_not_in_the_result_is_refused():
    with pytest.raises(DataError, match="no 'loans' of 'renewed'"):
        cs.plot.scenarios(scenarios(), causes=["renewed"])
    with pytest.raises(DataError, match="panels"):
        cs.plot.scenarios(scenarios(), axes=panels(1))
    with pytest.raises(DataError, match="scenario"):
        cs.plot.scenarios(fair())
    with pytest.raises(DataError, match="fairness"):
        cs.plot.fairness(scenarios())
    with pytest.raises(DataError, match="no measure 'roc'"):
        cs.plot.fairness(fair(), measures=["roc"])
    with pytest.raises(DataError, match="panels"):
        cs.plot.fairness(fair(), axes=panels(1))


def test_a_dot_and_an_interval_per_group_and_nothing_of_hidden_ones():
    result = fair()
    axes = cs.plot.fairness(result, axes=panels(4))
    assert [label.get_text() for label in axes[0].get_yticklabels()] == ["All customers", "a", "b", "c", "few"]
    auc = result.table.query("measure == 'auc'").set_index("group")
    dots = {
        float(line.get_ydata()[0]): float(line.get_xdata()[0])
        for line in axes[0].get_lines()
        if len(line.get_ydata()) == 1
    }
    hidden = set(result.groups.query("suppressed != ''")["group"])
    groups = list(result.groups["group"])
    assert dots == {float(groups.index(g)): auc.loc[g, "value"] for g in groups if g not in hidden}
    assert [text.get_text() for text in axes[0].texts] == ["not shown"] * len(hidden)
