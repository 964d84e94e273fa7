import numpy as np
import pandas as pd
import pytest

import churnsurv as cs
from churnsurv.estimators.forest_bags import training_bags
from churnsurv.exceptions import DataError, NotIdentifiedError


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(3)
    X = pd.DataFrame({"a": rng.normal(size=120), "b": rng.integers(0, 4, 120)})
    return X, cs.Outcome(rng.integers(1, 20, 120), rng.integers(0, 3, 120), causes=("attrition", "default"))


def test_the_training_rows_given_again_tell_which_trees_drew_them(data, tmp_path):
    X, y = data
    forest = cs.RandomSurvivalForest(20, oob=True, random_state=1).fit(X, y)
    bags = training_bags(cs.load(cs.save(forest, tmp_path / "forest")), X[["b", "a"]], y)
    out = bags.drawn[:, bags.unit] == 0
    assert 0.25 < out.mean() < 0.5
    pd.testing.assert_frame_equal(bags.frame[["a", "b"]], X)
    probability, _ = forest._answers(bags.numbers, forest.event_times_, None, bags.drawn, bags.unit)
    np.testing.assert_array_equal(probability, forest.oob_curves_.probability)


def test_rows_that_are_not_those_of_the_fit_are_refused(data):
    X, y = data
    forest = cs.RandomSurvivalForest(5, random_state=1).fit(X, y)
    other = X.assign(a=X["a"].to_numpy()[::-1])
    for rows, outcome, weight in ((other, y, None), (X.iloc[:-1], y[:-1], None), (X, y, np.arange(1, 121))):
        with pytest.raises(DataError, match="not the rows the forest was fitted on"):
            training_bags(forest, rows, outcome, weight)


def test_the_same_codes_under_other_names_of_causes_are_refused(data):
    X, y = data
    forest = cs.RandomSurvivalForest(5, random_state=1).fit(X, y)
    swapped = cs.Outcome(y.stop, y.event, causes=("default", "attrition"))
    for ask in (forest.oob_score, forest.out_of_bag_curves):
        with pytest.raises(DataError, match=r"the outcome has the causes \['default', 'attrition'\]"):
            ask(X, swapped)


def test_without_bootstrap_nothing_is_out_of_bag(data):
    with pytest.raises(NotIdentifiedError, match="bootstrap=False"):
        training_bags(cs.RandomSurvivalForest(2, bootstrap=False).fit(*data), *data)
