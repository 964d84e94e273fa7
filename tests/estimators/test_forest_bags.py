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


def coarse(n=150):
    """Subjects of two rows each with a coarse covariate that changes, so that many tie in their last row; with weights."""
    rng = np.random.default_rng(1)
    subject, start, stop = np.repeat(np.arange(n), 2), np.zeros(2 * n, int), np.repeat(rng.integers(1, 4, n), 2)
    start[1::2] = stop[1::2]
    stop[1::2] += rng.integers(1, 4, n)
    event = np.zeros(2 * n, int)
    event[1::2] = rng.integers(0, 2, n)
    return pd.DataFrame(
        {"a": rng.integers(0, 3, 2 * n), "g": rng.choice(list("xy"), 2 * n), "w": np.repeat(rng.integers(1, 4, n), 2),
         "start": start, "stop": stop, "event": event, "subject": subject}
    )  # fmt: skip


def fitted(rows, weight, forest=None):
    y = cs.Outcome(rows["stop"], rows["event"], start=rows["start"], subject=rows["subject"])
    given = {} if weight is None else {"sample_weight": rows["w"].to_numpy() * weight}
    if forest is not None:
        return forest.oob_score(rows[["a", "g"]], y, **given)
    return cs.RandomSurvivalForest(20, random_state=0).fit(rows[["a", "g"]], y, **given)


@pytest.mark.parametrize("weight", [None, 1, 0.37])
@pytest.mark.parametrize("kind", ["spells", "one row each"])
def test_the_order_of_rows_changes_nothing_where_customers_tie(weight, kind):
    rows = coarse()
    if kind == "one row each":
        rows = rows[1::2].assign(start=0)
    moved = rows.sample(frac=1, random_state=3).reset_index(drop=True)
    moved["subject"] = np.random.default_rng(0).permutation(rows["subject"].max() + 1)[moved["subject"]]
    forest, again = fitted(rows, weight), fitted(moved, weight)
    assert again.digest_ == forest.digest_
    for name, array in forest.trees_.items():
        np.testing.assert_array_equal(again.trees_[name], array)
    assert (
        fitted(moved, weight, forest).concordance
        == again.oob_score(
            moved[["a", "g"]],
            cs.Outcome(moved["stop"], moved["event"], start=moved["start"], subject=moved["subject"]),
            **({} if weight is None else {"sample_weight": moved["w"] * weight}),
        ).concordance
    )


@pytest.mark.parametrize("weight", [None, 1])
def test_a_spell_in_two_rows_changes_nothing_where_customers_tie(weight):
    rows = coarse()
    late = (rows["stop"] > 4) & (rows["start"] < 4)
    halves = pd.concat([rows[~late], rows[late].assign(stop=4, event=0), rows[late].assign(start=4)], ignore_index=True)
    new = rows[["a", "g"]].drop_duplicates()
    np.testing.assert_allclose(fitted(halves, weight).predict(new), fitted(rows, weight).predict(new), rtol=1e-9)
