"""Clusters with rows in both arms (a customer's loans drawn one by one) and arms that lie in one cluster."""

import numpy as np
import pandas as pd
import pytest

import churnsurv as cs
from churnsurv import effects
from churnsurv.effects.named import EFFECTS, normal_scale
from churnsurv.exceptions import DataError
from tests.effects.test_effects import trial

OPTIONS = {name: {} if name.endswith("hazard_ratio") else {"horizon": 8} for name in EFFECTS}
OPTIONS["subdistribution_hazard_ratio"] = {"cause": "attrition"}
pytestmark = pytest.mark.filterwarnings("ignore::churnsurv.exceptions.SmallSampleWarning")


def loans(seed, n=160, customers=40):
    """Loans of customers that are in both arms, with times alike within a customer."""
    y, arm = trial(seed, n)
    customer = np.arange(n) % customers
    slow = np.random.default_rng(seed).uniform(0.5, 2, customers)[customer]
    return cs.Outcome(np.ceil(y.stop * slow), y.event, causes=y.causes), arm, customer


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("name", sorted(EFFECTS))
def test_the_variance_is_that_of_influences_summed_over_both_arms(name, late):
    # the twin: an influence is the derivative of the estimate by the weight of a cluster (the infinitesimal jackknife)
    y, arm, customer = loans(3)
    if late:
        y = cs.Outcome(y.stop, y.event, np.floor(y.stop * (np.arange(len(y)) % 4 == 0) * 0.4), causes=y.causes)
    options = OPTIONS[name] | ({"balance": np.ones(len(y))} if name == "retained_balance" else {})
    if late and name != "subdistribution_hazard_ratio" and "horizon" in options:
        options |= {"min_at_risk": 5}
    found = EFFECTS[name](y, arm, cluster=customer, **options)
    scaled, step, squares = normal_scale(name, found), 1e-4, 0.0
    for one in np.unique(customer):
        ends = [
            normal_scale(name, EFFECTS[name](y, arm, sample_weight=1.0 + sign * step * (customer == one), **options))[0]
            for sign in (-1, 1)
        ]
        squares += ((ends[1] - ends[0]) / (2 * step)) ** 2
    assert scaled[1] == pytest.approx(np.sqrt(squares), rel=1e-4)


def test_a_tipping_point_and_delta_adjusted_risks_sum_them_too():
    y, arm, customer = loans(4)
    usual = effects.risk_difference(y, arm, horizon=8, cluster=customer)
    shifted = effects.delta_adjusted(y, arm, horizon=8, delta={}, cluster=customer)
    assert (shifted.value, shifted.se) == (pytest.approx(usual.value), pytest.approx(usual.se))
    assert shifted.se != pytest.approx(effects.delta_adjusted(y, arm, horizon=8, delta={}).se, rel=1e-3)


def test_strata_and_subgroups_and_margins_take_such_clusters():
    y, arm, customer = loans(5)
    region = np.where(customer % 2, "north", "south")
    assert effects.risk_difference(y, arm, horizon=8, cluster=customer, strata=region).se > 0
    found = effects.effect_by_subgroup(y, arm, pd.DataFrame({"region": region}), horizon=8, cluster=customer)
    assert found.table["se"].gt(0).all()
    assert found.interaction["p_value"].between(0, 1).all()
    assert 0 < effects.noninferiority_test(y, arm, margin=1.5, cause="attrition", cluster=customer).p_value < 1


@pytest.mark.parametrize("name", [*sorted(EFFECTS), "noninferiority_test", "number_needed_to_treat"])
def test_an_arm_in_one_cluster_is_refused(name):
    y, arm, customer = loans(6)
    options = OPTIONS.get(name, {"margin": 1.5, "cause": "attrition"} if "test" in name else {"horizon": 8})
    options |= {"balance": np.ones(len(y))} if name == "retained_balance" else {}
    for cluster, message in ((arm, "'none' lies in one cluster|'none', 'offer' lies"), (customer % 2, "Two clusters")):
        with pytest.raises(DataError, match=message):
            getattr(effects, name)(y, arm, cluster=cluster, **options)


def test_medians_need_clusters_within_arms():
    y, arm, customer = loans(7)
    with pytest.raises(DataError, match="37 clusters with rows in both arms"):
        effects.median_difference(y, arm, cluster=customer)
