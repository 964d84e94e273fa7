"""Out-of-bag curves later and accuracy: against the kept curves, the metrics on them, and held-out rows."""

import warnings

import numpy as np
import pandas as pd
import pytest

import churnsurv as cs
from churnsurv.estimators.forest_bags import training_bags
from churnsurv.exceptions import DataError, NotIdentifiedError, SmallSampleWarning
from tests.estimators.test_forest_truth import two_causes

CAUSES = ("attrition", "default")


@pytest.fixture(scope="module")
def data():
    X, y, _ = two_causes(300, 5)
    return X, y


@pytest.fixture(scope="module")
def forest(data):
    return cs.RandomSurvivalForest(60, min_samples_leaf=5, oob=True, random_state=0).fit(*data)


def mortality(forest, curves, cause):
    """Expected events of the cause if all the training sample had the row's hazard, from the steps of its curve."""
    k = forest.causes_.index(cause)
    total = np.zeros(len(curves))
    for i in range(len(curves)):
        staying, before = 1.0, 0.0
        for j in range(len(curves.times)):
            now = curves.probability[i, 1 + k, j]
            total[i] += forest.portfolio_at_risk_[j] * (now - before) / staying
            staying, before = curves.probability[i, 0, j], now
    return total


def test_mortality_is_the_expected_number_of_events_under_the_hazard_of_the_row(forest, data):
    curves = forest.predict_curves(data[0][:20])
    assert curves.survival.min() > 0
    for cause in CAUSES:
        np.testing.assert_allclose(
            forest.predict(data[0][:20], cause=cause), mortality(forest, curves, cause), rtol=1e-9
        )


def test_curves_made_later_are_those_of_the_fit(forest, data, tmp_path):
    X, y = data
    again = cs.load(cs.save(forest, tmp_path / "forest"))
    assert not hasattr(again, "oob_curves_")
    np.testing.assert_array_equal(again.out_of_bag_curves(X, y), forest.oob_curves_)
    times = [6, 12, 24]
    few = again.out_of_bag_curves(X, y, times)
    np.testing.assert_array_equal(few, forest.oob_curves_.at(times))
    assert not few.steps


def test_accuracy_is_that_of_the_out_of_bag_answers(forest, data):
    X, y = data
    for cause in CAUSES:
        risk = mortality(forest, forest.oob_curves_, cause)
        expected = cs.metrics.concordance_index(y, risk, cause=cause)
        assert forest.oob_concordance_[cause].value == pytest.approx(expected.value, abs=1e-12)
        assert forest.oob_concordance_[cause].se == pytest.approx(np.sqrt(2) * expected.se, abs=1e-12)
    times = [6.0, 12.0, 24.0, 30.0]
    scores = forest.oob_score(X, y, times=times, level=0.9)
    assert scores.absent == {}
    for cause in CAUSES:
        assert scores.concordance[cause].value == forest.oob_concordance_[cause].value
        expected = cs.metrics.integrated_brier_score(y, forest.oob_curves_, times, cause=cause, level=0.9)
        assert scores.brier[cause].value == pytest.approx(expected.value, abs=1e-12)
        assert scores.brier[cause].lower == pytest.approx(expected.lower, abs=1e-12)
    frame = scores.to_frame()
    assert list(frame["measure"]) == ["concordance"] * 2 + ["brier"] * 2
    assert list(frame["cause"]) == [*CAUSES, *CAUSES]


def one_column(values, hazard_ratio, seed):
    rng = np.random.default_rng(seed)
    k = np.asarray(values(rng), dtype=float)
    stop = np.minimum(np.ceil(rng.exponential(20, len(k)) * hazard_ratio**-k), 36)
    return pd.DataFrame({"k": k}), cs.Outcome(stop, stop < 36)


def test_customers_alike_in_all_features_tie_out_of_bag():
    X, y = one_column(lambda rng: np.ones(300), 1, 0)
    forest = cs.RandomSurvivalForest(50, oob=True, random_state=0).fit(X, y)
    assert forest.oob_concordance_["event"].value == 0.5
    X, y = one_column(lambda rng: rng.integers(0, 2, 300), 2, 1)
    forest = cs.RandomSurvivalForest(50, oob=True, random_state=0).fit(X, y)
    found = forest.oob_concordance_["event"]
    assert "rows alike in all features tie" in found.method
    # as one score per value, here a higher hazard at 1, is judged: the pairs within a value do not count
    expected = cs.metrics.concordance_index(y, X["k"])
    assert found.value == pytest.approx(expected.value, abs=1e-12)
    assert found.se == pytest.approx(np.sqrt(2) * expected.se, rel=0.01)
    tuned = cs.tune_forest(X, y, forest=forest, search={"max_depth": [None]}, random_state=0, progress=False)
    assert tuned.table["score"][0] == pytest.approx(expected.value, abs=1e-12)
    importance = forest.permutation_importance(X, y, random_state=0)
    assert importance.baseline.value == found.value
    # permuted, the column tells nothing
    assert importance.value[0] == pytest.approx(found.value - 0.5, abs=0.02)


def test_few_customers_of_a_kind_do_not_know_their_own_outcomes():
    # eight samples of 300, nothing to learn: the standard error of the mean is 0.007
    found = []
    for seed in range(8):
        rng = np.random.default_rng(seed)
        X = pd.DataFrame({"g": rng.integers(0, 10, 300), "h": rng.integers(0, 6, 300)})
        _, y = one_column(lambda rng: np.zeros(300), 1, seed)
        forest = cs.RandomSurvivalForest(40, random_state=seed).fit(X, y)
        found.append(forest.oob_score(X, y).concordance["event"].value)
    assert 0.45 < np.mean(found) < 0.52


@pytest.mark.slow
def test_intervals_of_the_concordance_hold_one_half_where_nothing_is_to_be_learnt():
    # B = 200: 95 % − 3 Monte-Carlo standard errors of 1.5 points; every sample grows its own forest
    hits = []
    for seed in range(200):
        rng = np.random.default_rng([17, seed])
        X, y = pd.DataFrame(rng.normal(size=(300, 3))), cs.Outcome(rng.integers(1, 37, 300), rng.random(300) < 0.6)
        found = cs.RandomSurvivalForest(60, random_state=seed).fit(X, y).oob_score(X, y).concordance["event"]
        hits.append(found.lower <= 0.5 <= found.upper)
    assert np.mean(hits) >= 0.905, np.mean(hits)


def test_the_fit_keeps_what_oob_score_gives_later_and_after_loading(forest, data, tmp_path):
    scores = forest.oob_score(*data)
    again = cs.load(cs.save(forest, tmp_path / "forest"))
    assert again.oob_concordance_ == forest.oob_concordance_ == scores.concordance
    assert again.oob_brier_ == forest.oob_brier_ == scores.brier
    assert again.oob_absent_ == {}
    # by the last horizon a tenth of the rows is followed
    name = scores.brier["attrition"].name
    end = float(name.split(" to ")[1].split(" of ")[0])
    assert (data[1].stop > end).mean() >= 0.1
    again.set_params(oob=False).fit(*data)
    assert not hasattr(again, "oob_concordance_")
    assert not hasattr(again, "oob_brier_")


def test_the_order_of_rows_changes_no_accuracy(forest, data):
    X, y = data
    order = np.random.default_rng(0).permutation(len(y))
    moved = forest.oob_score(X.iloc[order], y[order])
    for cause in CAUSES:
        assert moved.concordance[cause].value == pytest.approx(forest.oob_concordance_[cause].value, abs=1e-12)
        assert moved.brier[cause].value == pytest.approx(forest.oob_brier_[cause].value, abs=1e-12)


def test_with_delayed_entry_the_concordance_is_entry_adjusted_and_the_brier_score_absent_with_the_reason():
    X, y, _ = two_causes(300, 6, late=True)
    forest = cs.RandomSurvivalForest(40, oob=True, random_state=0).fit(X, y)
    assert "entry-adjusted" in forest.oob_concordance_["default"].method
    assert forest.oob_brier_ == {}
    assert set(forest.oob_absent_) == {"brier of attrition", "brier of default"}
    assert "begin after time 0" in forest.oob_absent_["brier of default"]


def test_weights_and_rows_without_an_answer_count_as_in_the_metrics(data):
    X, y = data
    weight = np.where(np.arange(len(y)) < 20, 0, 1 + np.arange(len(y)) % 3)
    with pytest.warns(SmallSampleWarning, match="Every tree drew the subject"):
        forest = cs.RandomSurvivalForest(6, min_samples_leaf=40, oob=True, random_state=0).fit(
            X, y, sample_weight=weight
        )
    answered = np.isfinite(forest.oob_curves_.survival[:, 0])
    assert 0.5 < answered.mean() < 1
    bags = training_bags(forest, X, y, weight)
    _, risk = forest._answers(bags.numbers, np.empty(0), None, bags.drawn, bags.unit)
    expected = cs.metrics.concordance_index(
        y[answered], risk[answered, 0], cause="attrition", sample_weight=weight[answered]
    )
    assert forest.oob_concordance_["attrition"].value == pytest.approx(expected.value, abs=1e-9)
    assert forest.oob_concordance_["attrition"].n == (answered & (weight > 0)).sum()
    with pytest.warns(SmallSampleWarning):
        assert forest.oob_score(X, y, sample_weight=weight).concordance == forest.oob_concordance_


def test_what_cannot_be_judged_is_absent_and_the_fit_goes_on(data):
    X, y = data
    never = cs.Outcome(y.stop, np.minimum(y.event, 1), causes=CAUSES)
    forest = cs.RandomSurvivalForest(40, oob=True, random_state=0).fit(X, never)
    assert set(forest.oob_concordance_) == set(forest.oob_brier_) == {"attrition"}
    assert "No event of 'default'" in forest.oob_absent_["concordance of default"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        all_drawn = cs.RandomSurvivalForest(1, oob=True, random_state=0).fit(X[:1], cs.Outcome([3.0], [1]))
    assert all_drawn.oob_absent_ == {"all": "No row is out of the bag of any tree: grow more trees."}


def test_requests_that_make_no_sense_are_refused(forest, data):
    X, y = data
    with pytest.raises(DataError, match="past the last observed time"):
        forest.oob_score(X, y, times=[12, 500])
    with pytest.raises(DataError, match="level"):
        forest.oob_score(X, y, level=95)
    with pytest.raises(DataError, match="not the rows the forest was fitted on"):
        forest.oob_score(X[1:], y[1:])
    with pytest.raises(DataError, match="not the rows the forest was fitted on"):
        forest.out_of_bag_curves(X[1:], y[1:], [12])
    with pytest.raises(NotIdentifiedError, match="bootstrap=False"):
        cs.RandomSurvivalForest(2, bootstrap=False).fit(X, y).oob_score(X, y)
    single = forest.oob_score(X, y, times=[12])
    assert "two event times" in single.absent["brier of attrition"]


def test_out_of_bag_curves_at_few_times_need_little_memory(forest, data, monkeypatch):
    monkeypatch.setattr("churnsurv.curves.SIZE_UNASKED", 8 * 300 * 3 * 5)
    with pytest.raises(DataError, match="Pass times="):
        forest.out_of_bag_curves(*data)
    assert forest.out_of_bag_curves(*data, [6, 12]).probability.shape == (300, 3, 2)


def test_panels_are_judged_by_subject():
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"a": rng.normal(size=200), "b": rng.normal(size=200)})
    stop = np.ceil(rng.exponential(20 / np.exp(X["a"].to_numpy()))).clip(2, 30)
    middle = np.floor(stop / 2)
    y = cs.Outcome(
        np.append(middle, stop), np.append(np.zeros(200, int), np.ones(200, int)),
        start=np.append(np.zeros(200), middle), subject=np.tile(np.arange(200), 2),
    )  # fmt: skip
    both = pd.concat([X, X], ignore_index=True)
    forest = cs.RandomSurvivalForest(40, oob=True, random_state=0).fit(both, y)
    assert forest.oob_concordance_["event"].n == 200
    whole = cs.RandomSurvivalForest(40, oob=True, random_state=0).fit(X, cs.Outcome(stop, np.ones(200, int)))
    assert forest.oob_concordance_["event"].value == pytest.approx(whole.oob_concordance_["event"].value, abs=1e-9)
