"""R's ranger on the veteran data (oracle case rsf_veteran): ranges over seeds, since no two forests agree in digits.

Each block of the case is held to what its README says: out-of-bag concordance within 0.02 of ranger's mean, mean out-of-bag
survival within 0.02, Karnofsky score the most important column. The standard deviations over seeds are ranger's own Monte
Carlo error at 1,000 trees and no property of the data. The importances differ by definition (ranger permutes within each tree
and averages the trees' falls; here the forest's concordance falls), so that only their order is compared.
"""

import numpy as np
import pytest

import churnsurv as cs
from churnsurv.estimators.forest_bags import training_bags
from tests.oracle_cases import input_of, read

RULES = {"logrank": "best", "extratrees": "random"}
TIMES = np.array([30.0, 90.0, 180.0])
SEEDS = range(3)


@pytest.fixture(scope="module")
def expected():
    return read("rsf_veteran")["expected"]


@pytest.fixture(scope="module")
def veteran():
    data = input_of("rsf_veteran")
    return data.drop(columns=["time", "event"]), cs.Outcome(data["time"], data["event"])


def concordance(y, mortality):
    return cs.metrics.concordance_index(y, mortality[:, 0]).value


def most_important(forest, bags, y, concordance_before):
    """Permute each column out of bag, and give the one whose loss costs most."""
    falls = []
    for column in range(len(forest.columns_)):
        numbers = bags.numbers.copy()
        numbers[:, column] = np.random.default_rng(0).permutation(numbers[:, column])
        _, mortality = forest._answers(numbers, np.empty(0), None, bags.drawn, bags.unit)
        falls.append(concordance_before - concordance(y, mortality))
    return forest.columns_[int(np.argmax(falls))]


@pytest.fixture(scope="module", params=RULES)
def found(request, veteran):
    """Give the rule, and of each seed the out-of-bag concordance, mean survival and most important column."""
    X, y = veteran
    made = []
    for seed in SEEDS:
        forest = cs.RandomSurvivalForest(
            300, min_samples_leaf=5, max_features=3, splitter=RULES[request.param], random_state=seed
        ).fit(X, y)
        bags = training_bags(forest, X, y)
        probability, mortality = forest._answers(bags.numbers, TIMES, None, bags.drawn, bags.unit)
        value = concordance(y, mortality)
        made.append((value, probability[:, 0].mean(axis=0), most_important(forest, bags, y, value)))
    return request.param, made


def test_out_of_bag_concordance_is_rangers(found, expected):
    rule, made = found
    mean = np.mean([value for value, _, _ in made])
    for name in ("oob_c", "harrell_oob"):
        assert mean == pytest.approx(expected[rule][name]["mean"], abs=0.02)
    if rule == "logrank":
        low, high = expected["accept"]["oob_c_range"]
        assert low < mean < high


def test_mean_out_of_bag_survival_is_rangers_and_kaplan_meiers(found, expected):
    rule, made = found
    survival = np.mean([means for _, means, _ in made], axis=0)
    block, tolerance = expected[rule]["mean_oob_survival_at"], expected["accept"]["mean_survival_tol"]
    assert block["times"] == TIMES.tolist()
    np.testing.assert_allclose(survival, expected["km_at_times"], atol=tolerance)
    # at 180 days ranger's exp(−mean hazard) lies 0.04 above Kaplan–Meier: leaves in which nobody is at risk any more
    # count as hazard 0 there
    np.testing.assert_allclose(survival[:2], block["mean"][:2], atol=tolerance)
    assert block["mean"][2] > expected["km_at_times"][2] + tolerance


def test_the_karnofsky_score_is_the_most_important_column_in_every_forest(found, expected):
    rule, made = found
    assert np.mean([column == "karno" for _, _, column in made]) == expected[rule]["share_karno_most_important"]


def test_the_figures_beside_the_forests_are_exact(veteran, expected):
    X, y = veteran
    cox = cs.CoxPH().fit(X, y)
    apparent = cs.metrics.concordance_index(y, cox.predict(X)).value
    assert apparent == pytest.approx(expected["cox_apparent_c"], rel=1e-8)
    curve = cs.KaplanMeier().fit(y).curves_.at(TIMES).survival[0]
    np.testing.assert_allclose(curve, expected["km_at_times"], rtol=1e-8)
    # the range that the case accepts is its mean, give or take 0.02
    mean = expected["logrank"]["oob_c"]["mean"]
    np.testing.assert_allclose(expected["accept"]["oob_c_range"], [mean - 0.02, mean + 0.02], rtol=1e-8)
