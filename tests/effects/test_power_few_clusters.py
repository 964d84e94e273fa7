"""The planned test of clusters keeps its level with few of them; what cannot be planned is refused."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import t as student

import churnsurv as cs
from churnsurv import plot
from churnsurv.effects import TrialScenario, group_sequential, power_curve, sample_size_by_simulation, simulated_power
from churnsurv.exceptions import DataError, SmallSampleWarning

BRANCHES = TrialScenario({"attrition": 0.05}, {}, follow_up=12, cluster_size=30, cluster_sd=0.4)
PLAIN = TrialScenario({"attrition": 0.05}, {"attrition": 0.5}, follow_up=12)


def level_at(branches, repetitions):
    return simulated_power(BRANCHES, 30 * branches, repetitions=repetitions, random_state=1).value


@pytest.mark.filterwarnings("ignore::churnsurv.exceptions.SmallSampleWarning")
def test_the_level_is_kept_with_eight_branches():
    # 3 Monte-Carlo errors of 250 repetitions at 5 %; a normal test with the plain sandwich rejects 11 to 16 %
    assert level_at(8, 250) < 0.05 + 3 * np.sqrt(0.05 * 0.95 / 250)


@pytest.mark.slow
@pytest.mark.parametrize("branches", [8, 12, 20])
@pytest.mark.filterwarnings("ignore::churnsurv.exceptions.SmallSampleWarning")
def test_the_level_is_kept_with_few_branches(branches):
    # 3 Monte-Carlo errors of 1,000 repetitions, and a point for a corrected sandwich being an approximation
    assert abs(level_at(branches, 1_000) - 0.05) < 3 * np.sqrt(0.05 * 0.95 / 1_000) + 0.01


def test_the_test_is_walds_with_a_larger_variance_and_students_t():
    scenario = TrialScenario(
        {"attrition": 0.05}, {"attrition": 0.6}, follow_up=12, cluster_size=30, cluster_sd=0.4, share_treated=0.4
    )
    trial = scenario.draw(600, random_state=3)
    treated = pd.DataFrame({"treated": (trial.arm == "treated") * 1.0})
    row = cs.CoxPH().fit(treated, trial.y, cluster=trial.cluster).summary().iloc[0]
    # 8 of 20 clusters are treated
    p_value = 2 * student.sf(abs(row["coef"]) / row["se"] * np.sqrt(7 / 8), 18)
    for alpha, rejected in ((p_value * 0.999, 0.0), (p_value * 1.001, 1.0)):
        found = simulated_power(_Fixed(scenario, trial), 600, alpha=alpha, repetitions=1)
        assert found.value == rejected


class _Fixed(TrialScenario):
    """A scenario that always draws one trial."""

    def __init__(self, scenario, trial):
        super().__init__(**{name: getattr(scenario, name) for name in FIELDS})
        object.__setattr__(self, "trial", trial)

    def draw(self, n, *, random_state=None):
        return self.trial


FIELDS = ("hazards", "hazard_ratios", "follow_up", "accrual", "dropout", "share_treated", "cluster_size", "cluster_sd")


def test_few_clusters_are_pointed_out_and_one_in_an_arm_is_refused():
    with pytest.warns(SmallSampleWarning, match="put 3 clusters into an arm: with fewer than 5"):
        simulated_power(BRANCHES, 180, repetitions=2, random_state=1)
    with pytest.raises(DataError, match="put 1 cluster into an arm: no variance"):
        simulated_power(BRANCHES, 60, repetitions=2, random_state=1)
    by_customer = simulated_power(BRANCHES, 60, test=lambda trial: 1.0, repetitions=2, random_state=1)
    assert by_customer.value == 0


@pytest.mark.filterwarnings("ignore::churnsurv.exceptions.SmallSampleWarning")
def test_the_search_for_a_size_keeps_two_clusters_in_each_arm():
    strong = TrialScenario({"attrition": 0.1}, {"attrition": 0.3}, follow_up=12, cluster_size=100)
    found = sample_size_by_simulation(strong, power=0.2, repetitions=40, random_state=1)
    assert found.n == 400
    assert found.power.value > 0.2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"hazards": {"attrition": "x"}}, "hazard of 'attrition' is 'x': give a number"),
        ({"hazards": 0.1}, "hazards=0.1: give a number per cause"),
        ({"hazard_ratios": None}, "hazard_ratios=None: give a number per cause"),
        ({"hazard_ratios": {"attrition": {"x": 1.0}}}, "'x' is no month"),
        ({"hazard_ratios": {"attrition": {1.5: 0.5}}}, "1.5 is no month"),
    ],
)
def test_scenarios_of_odd_types_are_refused(options, message):
    with pytest.raises(DataError, match=message):
        TrialScenario(**({"hazards": {"attrition": 0.02}, "hazard_ratios": {}, "follow_up": 12} | options))


@pytest.mark.parametrize("n", [0, -1, "a", 2.5])
def test_trials_are_drawn_of_a_number_of_customers(n):
    with pytest.raises(DataError, match="whole number of customers"):
        PLAIN.draw(n)
    with pytest.raises(DataError, match="random_state=-1"):
        PLAIN.draw(10, random_state=-1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"repetitions": 0}, "repetitions=0"),
        ({"random_state": "a"}, "random_state='a'"),
        ({"random_state": -1}, "random_state=-1"),
        ({"n_jobs": "a"}, "n_jobs='a'"),
        ({"test": "x"}, "test='x' is no function"),
        ({"test": lambda trial: "a"}, "p-value that test= gives='a'"),
        ({"alpha": 5}, "alpha"),
    ],
)
def test_simulations_that_cannot_be_are_refused(options, message):
    with pytest.raises(DataError, match=message):
        simulated_power(PLAIN, 100, **{"repetitions": 2, **options})
    with pytest.raises(DataError, match=message):
        sample_size_by_simulation(PLAIN, **{"repetitions": 2, **options})


def test_sizes_and_scenarios_that_are_none_are_refused():
    for first in ("a", -5):
        with pytest.raises(DataError, match="first="):
            sample_size_by_simulation(PLAIN, first=first, repetitions=2)
    for power in (80, "a"):
        with pytest.raises(DataError, match="power="):
            sample_size_by_simulation(PLAIN, power=power, repetitions=2)
    for sizes in (100, [], "100"):
        with pytest.raises(DataError, match="sizes="):
            power_curve(PLAIN, sizes, repetitions=2)
    with pytest.raises(DataError, match="scenario is a dict: give a TrialScenario"):
        simulated_power({"attrition": 0.1}, 100)
    with pytest.raises(DataError, match="scenario is a dict: give a TrialScenario"):
        sample_size_by_simulation({"attrition": 0.1})
    by_none = simulated_power(PLAIN, 100, test=lambda trial: float("nan"), repetitions=2)
    assert by_none.value == 0


@pytest.mark.parametrize("looks", ["abc", None, ["a", 1], [[0.5], [0.5, 1]]])
def test_looks_that_are_no_numbers_are_refused(looks):
    with pytest.raises(DataError, match="information=.* give the share of the events at each look"):
        group_sequential(looks)


def test_figures_name_what_they_draw():
    with pytest.raises(DataError, match=r"table is a list: pass the result of churnsurv\.effects\.power_curve"):
        plot.power_curve([1, 2])
    with pytest.raises(DataError, match=r"effects is a DataFrame: pass the result of .*effect_by_subgroup"):
        plot.subgroup_forest(pd.DataFrame({"value": [1.0]}))
