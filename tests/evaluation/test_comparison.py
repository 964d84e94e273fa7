import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator

import churnsurv as cs
from churnsurv.data import CustomerKFold
from churnsurv.exceptions import DataError, NotIdentifiedError
from tests.evaluation.samples import competing, entering_late, single


class RecordingFolds(BaseEstimator):
    """A null model that notes on which rows it was fitted."""

    seen = []

    def fit(self, X, y):
        self.model_ = cs.NullModel().fit(X, y)
        self.seen.append(tuple(X.index))
        return self

    def predict(self, X, *, cause=None):
        return self.model_.predict(X, cause=cause)

    def predict_curves(self, X, times=None):
        return self.model_.predict_curves(X, times)


def test_all_models_are_fitted_on_the_same_folds():
    X, y, groups = competing(200)
    RecordingFolds.seen.clear()
    models = {"one": RecordingFolds(), "other": RecordingFolds()}
    cs.evaluation.compare(models, X, y, groups=groups, cv=3, cause="attrition")
    expected = [tuple(X.index[train]) for train, _ in CustomerKFold(3, random_state=0).split(X, y, groups)]
    assert RecordingFolds.seen == [rows for rows in expected for _ in range(2)]


def test_each_model_is_estimated_as_alone():
    X, y, groups = competing(300)
    options = {"groups": groups, "horizons": [12], "cause": "attrition", "metrics": ["concordance", "brier"]}
    both = cs.evaluation.compare({"cox": cs.CauseSpecificCox(), "a": cs.CauseSpecificCox("a")}, X, y, **options)
    alone = cs.evaluation.cross_validate(cs.CauseSpecificCox("a"), X, y, **options)
    of_a = both.table[both.table["model"] == "a"].reset_index(drop=True)
    pd.testing.assert_frame_equal(of_a.drop(columns="model"), alone.table.drop(columns="model"))


def test_a_difference_has_the_variance_of_the_pairs():
    """Per fold, by hand, from leaving each customer out of the held-out rows (a jackknife), then pooled."""
    X, y, groups = competing(240, seed=2)
    models = {"cox": cs.CauseSpecificCox(), "b": cs.CauseSpecificCox("b")}
    found = cs.evaluation.compare(
        models, X, y, groups=groups, cv=2, null=False, cause="attrition", metrics=["concordance"]
    )
    values, variance, weights = [], 0.0, []
    parts = list(CustomerKFold(2, random_state=0).split(X, y, groups))
    for train, test in parts:
        scores = [m.fit(X.iloc[train], y[train]).predict(X.iloc[test], cause="attrition") for m in models.values()]

        def differ(rows, scores=scores, test=test):
            one, other = (
                cs.metrics.concordance_index(y[test[rows]], score[rows], cause="attrition").value for score in scores
            )
            return other - one

        everything = np.arange(len(test))
        values.append(differ(everything))
        left_out = np.array([differ(everything[groups[test] != g]) for g in np.unique(groups[test])])
        weights.append(np.sum(y.event[test] == 1))
        variance += weights[-1] ** 2 * np.sum((left_out - left_out.mean()) ** 2) * (len(left_out) - 1) / len(left_out)
    row = found.differences.iloc[0]
    np.testing.assert_allclose(row["difference"], np.average(values, weights=weights), rtol=1e-12)
    np.testing.assert_allclose(row["se"], np.sqrt(variance) / np.sum(weights), rtol=0.03)


def test_differences_are_those_of_the_metrics_fold_by_fold():
    X, y, groups = competing(300)
    models = {"cox": cs.CauseSpecificCox(), "b": cs.CauseSpecificCox("b")}
    found = cs.evaluation.compare(
        models, X, y, groups=groups, cv=3, null=False, cause="attrition", horizons=[6, 12],
        metrics=["concordance", "auc", "brier", "integrated_brier"],
    )  # fmt: skip
    folds = {name: [] for name in ("concordance", "auc", "brier", "integrated_brier")}
    for train, test in CustomerKFold(3, random_state=0).split(X, y, groups):
        fits = [models[name].fit(X.iloc[train], y[train]) for name in ("b", "cox")]
        options = {"cause": "attrition", "cluster": groups[test]}
        scores = [fit.predict(X.iloc[test], cause="attrition") for fit in fits]
        curves = [fit.predict_curves(X.iloc[test], [6, 12]) for fit in fits]
        n, n_events = len(test), (y.event[test] == 1).sum()
        early = ((y.event[test] == 1) & (y.stop[test] <= 12)).sum()
        folds["concordance"].append((cs.metrics.concordance_difference(y[test], *scores, **options), n_events))
        folds["auc"].append((cs.metrics.auc_difference(y[test], *curves, 12, **options), early))
        folds["brier"].append((cs.metrics.brier_difference(y[test], *curves, 12, **options), n))
        folds["integrated_brier"].append(
            (cs.metrics.integrated_brier_difference(y[test], *curves, [6, 12], **options), n)
        )
    table = found.differences[found.differences["horizon"] != 6].set_index("metric")
    for name, given in folds.items():
        weight = np.array([w for _, w in given]) / sum(w for _, w in given)
        values, errors = (np.array([getattr(each, field) for each, _ in given]) for field in ("value", "se"))
        np.testing.assert_allclose(table.loc[name, "difference"], weight @ values, rtol=1e-9)
        # G/(G - 1) is of all customers, not of each fold's
        np.testing.assert_allclose(table.loc[name, "se"], np.sqrt(weight**2 @ errors**2), rtol=0.01)


def test_a_model_does_not_differ_from_itself():
    X, y = single(150)
    models = {"one": cs.CoxPH(), "again": cs.CoxPH()}
    found = cs.evaluation.compare(models, X, y, horizons=[12], metrics=["concordance", "auc", "brier"])
    same = found.differences[found.differences["model"] == "again"]
    assert (same["difference"] == 0).all()
    assert (same["p_value"] == 1).all()


def test_the_null_model_is_always_there_and_knows_nothing():
    X, y = single(300)
    found = cs.evaluation.compare({"cox": cs.CoxPH()}, X, y, horizons=[12])
    assert found.table["model"].unique().tolist() == ["cox", "null"]
    for metric in ("concordance", "auc"):
        assert found.estimate(metric, model="null").value == pytest.approx(0.5, abs=1e-12)
    assert found.estimate("ipa", model="null").value == pytest.approx(0, abs=0.05)
    assert found.estimate("ipa", model="cox").lower > 0
    gap = found.differences.set_index("metric")
    assert gap.loc["brier", "difference"] > 0 > gap.loc["concordance", "difference"]
    assert gap.loc["brier", "better"] == "lower"
    # neither more nor less of them is better
    assert set(found.differences["metric"]) == {"concordance", "auc", "brier", "ipa"}


def test_what_a_model_does_not_offer_says_why():
    X, y, groups = competing(300)
    models = {
        "all causes": cs.CauseSpecificCox(),
        "one cause": cs.CoxPH(cause="attrition"),
        "subdistribution": cs.FineGray("attrition"),
        "forest": cs.RandomSurvivalForest(10, random_state=0),
        "broken": cs.CauseSpecificCox("nope"),
    }
    found = cs.evaluation.compare(models, X, y, groups=groups, horizons=[12], metrics=["concordance", "brier"])
    table = found.table.set_index(["model", "metric", "cause"])
    offered = table["value"].notna()
    assert offered.loc["all causes"].all()
    assert offered.loc["forest"].all()
    assert offered.loc["null"].all()
    assert offered.loc["subdistribution"].tolist() == [True, False, True, False]
    assert offered.loc["one cause"].tolist() == [True, False, False, False]
    assert not offered.loc["broken"].any()
    assert "alone" in table.loc[("subdistribution", "brier", "default"), "reason"]
    assert "other causes" in table.loc[("one cause", "brier", "attrition"), "reason"]
    assert table.loc[("broken", "brier", "default"), "reason"].startswith("Fold 1 of 5: DataError")
    assert (table.loc[offered, "reason"] == "").all()
    assert "not available" in found.to_frame(wide=True).loc[("broken", "default")].tolist()


def test_the_reference_must_not_fail():
    X, y = single(100)
    with pytest.raises(DataError, match="Fold 1 of 5, broken"):
        cs.evaluation.compare({"cox": cs.CoxPH(), "broken": cs.CoxPH("nope")}, X, y, reference="broken")


def test_p_values_are_adjusted_for_all_differences_of_the_table():
    X, y = single(200)
    found = cs.evaluation.compare({"cox": cs.CoxPH(), "b": cs.CoxPH("b")}, X, y, metrics=["concordance"])
    raw, adjusted = found.differences["p_value"], found.differences["p_holm"]
    smallest = raw.idxmin()
    assert adjusted[smallest] == pytest.approx(min(1.0, raw.notna().sum() * raw[smallest]))


def test_late_entry_is_compared_by_concordance():
    X, y = entering_late(200)
    models = {"cox": cs.CoxPH(), "forest": cs.RandomSurvivalForest(5, random_state=0)}
    found = cs.evaluation.compare(models, X, y, cv=2)
    assert found.table["value"].notna().all()
    with pytest.raises(NotIdentifiedError):
        cs.evaluation.compare(models, X, y, horizons=[12], metrics=["brier"])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"models": {}}, "mapping"),
        ({"models": [cs.CoxPH()]}, "mapping"),
        ({"reference": "lasso"}, "none of the models"),
        ({"models": {"null": cs.CoxPH()}}, "rename"),
        ({"fit_params": {"lasso": {}}}, "none of the models"),
    ],
)
def test_bad_arguments_are_refused_in_words(options, words):
    X, y = single(60)
    with pytest.raises(DataError, match=words):
        cs.evaluation.compare(**({"models": {"cox": cs.CoxPH()}, "X": X, "y": y} | options))


def test_the_wide_table_is_text_to_paste():
    X, y = single(200)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = cs.evaluation.compare(
            {"cox": cs.CoxPH(), "b": cs.CoxPH("b")}, X, y, horizons=[12], metrics=["auc", "brier"]
        )
    wide = found.to_frame(wide=True)
    assert wide.index.tolist() == ["cox", "b", "null"]
    assert wide.columns.tolist() == ["AUC at 12", "AUC at 12 − cox", "Brier score at 12", "Brier score at 12 − cox"]
    assert wide.loc["cox", "AUC at 12 − cox"] == ""
    assert " to " in wide.loc["b", "AUC at 12"]
    assert "p" in wide.loc["b", "AUC at 12 − cox"]
    assert "difference from cox" in repr(found)
