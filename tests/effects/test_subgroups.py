"""Effects in subgroups: by hand, what is not estimated and why, interaction tests, their figure."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from scipy.stats import chi2

import churnsurv as cs
from churnsurv.effects import effect_by_subgroup
from churnsurv.effects.multiplicity import adjusted_p_values
from churnsurv.exceptions import DataError
from tests.effects import simulate_effects
from tests.effects.test_effects import trial

Y, ARM = trial(11, 600)
RNG = np.random.default_rng(11)
GROUPS = pd.DataFrame(
    {"region": RNG.choice(["north", "south", "west"], 600), "product": RNG.choice(["car", "home"], 600)}
)
OPTIONS = {"horizon": 9, "cause": "attrition"}


def test_each_subgroup_has_the_estimate_of_its_rows():
    found = effect_by_subgroup(Y, ARM, GROUPS, **OPTIONS)
    assert found.table["subgroup"].tolist() == ["north", "south", "west", "car", "home"]
    for row in found.table.itertuples():
        mine = (GROUPS[row.variable] == row.subgroup).to_numpy()
        alone = cs.effects.risk_difference(Y[mine], ARM[mine], **OPTIONS)
        assert (row.value, row.se, row.n, row.n_events) == (alone.value, alone.se, alone.n, alone.n_events)
    assert found.overall.value == cs.effects.risk_difference(Y, ARM, **OPTIONS).value
    assert "Holm over 2 variable(s)" in found.method


@pytest.mark.parametrize("effect", ["risk_difference", "risk_ratio", "rmst_ratio", "hazard_ratio"])
def test_the_interaction_test_is_cochrans_on_the_scale_of_the_interval(effect):
    options = {} if effect == "hazard_ratio" else {"horizon": 9}
    found = effect_by_subgroup(Y, ARM, GROUPS["region"], effect=effect, **options)
    parts = found.table
    theta, se = parts["value"], parts["se"]
    if effect.endswith("ratio"):
        # the interval is symmetric for the logarithm
        theta, se = np.log(parts["value"]), np.log(parts["upper"] / parts["lower"]) / (2 * 1.959963984540054)
    mean = (theta / se**2).sum() / (1 / se**2).sum()
    test = found.interaction.iloc[0]
    assert test["statistic"] == pytest.approx((((theta - mean) / se) ** 2).sum())
    assert (test["df"], test["p_value"]) == (2, pytest.approx(chi2.sf(test["statistic"], 2)))
    assert test["p_holm"] == test["p_value"]


def test_p_values_of_several_variables_are_adjusted_by_holm():
    # sorted 0.01, 0.03, 0.04: times 3, 2, 1, and never falling
    assert adjusted_p_values([0.04, np.nan, 0.01, 0.03], "holm") == pytest.approx(
        [0.06, np.nan, 0.03, 0.06], nan_ok=True
    )
    assert adjusted_p_values([0.7, 0.9], "holm").tolist() == [1.0, 1.0]


def test_a_small_subgroup_is_listed_with_its_numbers_and_not_estimated():
    channel = np.where(np.arange(600) < 9, "broker", "branch")
    found = effect_by_subgroup(Y, ARM, pd.Series(channel, name="channel"), **OPTIONS)
    small = found.table.set_index("subgroup").loc["broker"]
    assert small["n"] == 9
    assert np.isnan(small["value"])
    assert small["note"].startswith("not estimated: too few events (")
    test = found.interaction.iloc[0]
    assert np.isnan(test["p_value"])
    assert test["note"] == "not tested: fewer than two subgroups could be estimated"


def test_a_subgroup_that_the_effect_refuses_says_why():
    early = np.where(np.arange(600) % 4 == 0, "new", "old")
    stop = np.where(early == "new", np.minimum(Y.stop, 7), Y.stop)
    cut = cs.Outcome(stop, np.where(stop < Y.stop, 0, Y.event), causes=Y.causes)
    found = effect_by_subgroup(cut, ARM, early, horizon=9)
    assert "past the last time with data" in found.table.set_index("subgroup").loc["new", "note"]


def test_options_of_rows_go_with_their_rows():
    weight = np.random.default_rng(0).uniform(0.5, 2, 600)
    found = effect_by_subgroup(Y, ARM, GROUPS["product"], sample_weight=weight, **OPTIONS)
    car = (GROUPS["product"] == "car").to_numpy()
    alone = cs.effects.risk_difference(Y[car], ARM[car], sample_weight=weight[car], **OPTIONS)
    assert found.table["value"].iloc[0] == alone.value


def test_clusters_in_several_subgroups_leave_the_test_out():
    found = effect_by_subgroup(Y, ARM, GROUPS["product"], cluster=_customers(), **OPTIONS)
    assert found.interaction["note"].tolist() == ["not tested: clusters lie in several subgroups"]
    assert np.isfinite(found.table["se"]).all()


def _customers():
    """Customers of two loans in the same arm."""
    customer = np.empty(600, dtype=int)
    for name, offset in (("none", 0), ("offer", 1000)):
        rows = np.flatnonzero(name == ARM)
        customer[rows] = offset + np.arange(len(rows)) // 2
    return customer


@pytest.mark.parametrize(
    ("subgroups", "options", "message"),
    [
        (GROUPS.iloc[:5], {}, "region has shape"),
        (["a"] * 5, {}, "subgroups has shape"),
        ([None] + ["a"] * 599, {}, "subgroups has 1 missing value"),
        (np.arange(600), {}, "'subgroup' has 600 values .*pd.cut"),
        (pd.DataFrame(index=range(600)), {}, "no column"),
        (GROUPS, {"effect": "odds_ratio"}, "effect='odds_ratio' is not known"),
        (GROUPS, {"reference": "x"}, "reference='x' is no arm"),
    ],
)
def test_bad_subgroups_are_named(subgroups, options, message):
    with pytest.raises(DataError, match=message):
        effect_by_subgroup(Y, ARM, subgroups, **OPTIONS, **options)


def test_a_subgroup_that_changes_within_a_subject_is_refused():
    y = cs.Outcome([2, 5, 4, 6, 7, 3], [0, 1, 1, 1, 0, 1], start=[0, 2, 0, 0, 0, 0], subject=[1, 1, 2, 3, 4, 5])
    with pytest.raises(DataError, match="'subgroup' changes within 1 subject"):
        effect_by_subgroup(y, list("aaaabb"), list("xyxyxy"), horizon=4, min_events=1)


# ---- the figure ----


def drawn(found, **options):
    ax = Figure(figsize=(8, 4)).add_subplot()
    assert cs.plot.subgroup_forest(found, ax=ax, **options) is ax
    return ax, [t.get_text() for t in ax.texts]


def test_the_figure_lists_subgroups_below_their_variable_with_its_test():
    found = effect_by_subgroup(Y, ARM, GROUPS, **OPTIONS)
    ax, texts = drawn(found, scale=100, left_hint="fewer leave")
    names = ("All customers", "region", "north", "south", "west", "product", "car", "home")
    assert [t for t in texts if t in names] == list(names)
    first = found.table.iloc[0]
    shown = f"{100 * first['value']:.1f} ({100 * first['lower']:.1f} to {100 * first['upper']:.1f})".replace(
        "-", "\u2212"
    )
    assert shown in texts
    assert f"{found.interaction['p_holm'].iloc[0]:.3f}" in texts
    assert "\u2190 fewer leave" in texts
    assert ax.get_xscale() == "linear"


def test_the_figure_of_ratios_is_logarithmic_and_says_what_was_not_estimated():
    channel = np.where(np.arange(600) < 9, "broker", "branch")
    ax, texts = drawn(effect_by_subgroup(Y, ARM, channel, effect="hazard_ratio"))
    assert ax.get_xscale() == "log"
    assert "not estimated" in texts
    assert "not tested" in texts


@pytest.mark.slow
def test_the_interaction_test_keeps_its_level():
    row = simulate_effects.interaction_level()
    assert abs(row["estimate"] - 0.05) < 3 * row["monte_carlo_error"]
