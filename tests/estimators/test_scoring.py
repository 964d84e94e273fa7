"""Scorers and the forest's score in scikit-learn's searches, cross-validations, pipelines and routing of weights."""

import copy
import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
import sklearn
from joblib import parallel_config
from sklearn.base import clone
from sklearn.compose import make_column_transformer
from sklearn.model_selection import GridSearchCV, KFold, cross_val_score, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.utils import estimator_checks

import churnsurv as cs
from churnsurv.exceptions import DataError, NotIdentifiedError

CAUSES = ("attrition", "default")
N = 240


@pytest.fixture(scope="module")
def X():
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {"rate": rng.normal(size=N), "score": rng.normal(size=N), "segment": rng.choice(["retail", "sme"], N)}
    )


@pytest.fixture(scope="module")
def y(X):
    rng = np.random.default_rng(1)
    month = np.ceil(rng.exponential(15 * np.exp(-0.8 * X["rate"])))
    cause = np.where(rng.uniform(size=N) < 0.7, 1, 2)
    return cs.Outcome(np.minimum(month, 30), np.where(month <= 30, cause, 0), causes=CAUSES)


@pytest.fixture(scope="module")
def numbers(X):
    return X[["rate", "score"]]


@pytest.fixture(scope="module")
def one(y):
    return cs.Outcome(y.stop, y.event > 0)


@pytest.fixture
def routing():
    with sklearn.config_context(enable_metadata_routing=True):
        yield


def forest(**parameters):
    return cs.RandomSurvivalForest(10, random_state=0, **parameters)


@pytest.mark.parametrize("name", ["auc", "uno", "ipa"])
def test_scores_are_the_metrics_of_the_same_predictions(name, numbers, y):
    model = cs.CauseSpecificCox().fit(numbers, y)
    score = cs.scorer(name, cause="attrition", horizon=12)(model, numbers, y)
    curves, risk = model.predict_curves(numbers, [12]), model.predict(numbers, cause="attrition")
    expected = {
        "auc": lambda: cs.metrics.cumulative_dynamic_auc(y, curves, 12, cause="attrition"),
        "uno": lambda: cs.metrics.concordance_index(y, risk, tau=12, weighting="n/G2", cause="attrition"),
        "ipa": lambda: cs.metrics.index_of_prediction_accuracy(y, curves, 12, cause="attrition"),
    }[name]()
    assert score == pytest.approx(expected.value, rel=1e-12)
    scores = cross_val_score(model, numbers, y, scoring=cs.scorer(name, cause="attrition", horizon=12), cv=3)
    assert np.isfinite(scores).all()
    late = cs.Outcome(y.stop + 3, y.event, start=np.full(N, 2.0), causes=CAUSES)
    with pytest.raises(NotIdentifiedError):
        cs.scorer(name, cause="attrition", horizon=12)(model, numbers, late)


@pytest.mark.parametrize("name", ["auc", "ipa"])
def test_scores_by_a_time_need_it(name):
    with pytest.raises(DataError, match=f"{name} judges probabilities"):
        cs.scorer(name)


MODELS = {
    "forest": forest(),
    "cause-specific": cs.CauseSpecificCox(),
    "fine-gray": cs.FineGray("attrition"),
    "pipeline": make_pipeline(StandardScaler(), forest()),
}
SCORERS = {
    "concordance": cs.scorer("concordance", cause="attrition"),
    "concordance until a year": cs.scorer("concordance", cause="attrition", horizon=12),
    "brier": cs.scorer("brier", cause="attrition", horizon=12),
    "integrated_brier": cs.scorer("integrated_brier", cause="attrition", times=[6, 12, 18]),
}


def metric(name, model, X, y):
    """What the score is of, from the metrics themselves."""
    if name.startswith("concordance"):
        several = isinstance(model, cs.RandomSurvivalForest | cs.CauseSpecificCox)
        risk = model.predict(X, cause="attrition") if several else model.predict(X)
        tau = 12 if name.endswith("year") else None
        return cs.metrics.concordance_index(y, risk, cause="attrition", tau=tau).value
    times = [6, 12, 18] if name == "integrated_brier" else [12]
    risk = np.column_stack([model.predict_curves(X, times).risk("attrition", t) for t in times])
    if name == "brier":
        return -cs.metrics.brier_score(y, risk[:, 0], 12, cause="attrition").value
    return -cs.metrics.integrated_brier_score(y, risk, times, cause="attrition").value


@pytest.mark.parametrize("name", SCORERS)
@pytest.mark.parametrize("model", ["forest", "cause-specific", "fine-gray"])
def test_scores_are_the_metrics_of_what_the_model_predicts(model, name, numbers, y):
    train, test = np.arange(160), np.arange(160, N)
    fitted = clone(MODELS[model]).fit(numbers.iloc[train], y[train])
    expected = metric(name, fitted, numbers.iloc[test], y[test])
    assert SCORERS[name](fitted, numbers.iloc[test], y[test]) == pytest.approx(expected, abs=1e-14)


@pytest.mark.parametrize("model", MODELS)
def test_every_model_is_cross_validated_by_customer(model, numbers, y):
    customer = np.arange(N) // 2
    found = cross_validate(
        MODELS[model], numbers, y, groups=customer, cv=cs.data.CustomerKFold(3, random_state=0), scoring=SCORERS,
        error_score="raise",
    )  # fmt: skip
    for name in SCORERS:
        scores = found[f"test_{name}"]
        assert np.isfinite(scores).all()
        # better than chance, and than probabilities of one half
        assert scores.mean() > (0.55 if name.startswith("concordance") else -0.25)


def test_folds_are_scored_as_by_hand(numbers, y):
    folds = KFold(3, shuffle=True, random_state=0)
    scores = cross_val_score(forest(), numbers, y, cv=folds, scoring=SCORERS["brier"])
    by_hand = []
    for train, test in folds.split(numbers):
        fitted = forest().fit(numbers.iloc[train], y[train])
        by_hand.append(metric("brier", fitted, numbers.iloc[test], y[test]))
    np.testing.assert_allclose(scores, by_hand, rtol=1e-13)


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_a_grid_search_over_a_pipeline_finds_what_its_scores_say(n_jobs, X, y):
    columns = make_column_transformer((OneHotEncoder(sparse_output=False), ["segment"]), remainder="passthrough")
    pipeline = make_pipeline(columns.set_output(transform="pandas"), forest())
    grid = {"randomsurvivalforest__min_samples_leaf": [5, 40], "randomsurvivalforest__max_features": ["sqrt", None]}
    search = GridSearchCV(pipeline, grid, scoring=SCORERS["integrated_brier"], cv=3, n_jobs=n_jobs)
    with parallel_config(backend="threading"):
        search.fit(X, y)
    scores = search.cv_results_["mean_test_score"]
    assert np.isfinite(scores).all()
    assert len(set(scores)) > 1
    assert search.best_score_ == scores.max()
    # a search is judged by its best model
    assert search.score(X, y) == SCORERS["integrated_brier"](search.best_estimator_, X, y)
    assert SCORERS["concordance"](search, X, y) == SCORERS["concordance"](search.best_estimator_, X, y)
    curves, again = (cs.predict_curves(model, X, [6]) for model in (search, search.best_estimator_))
    np.testing.assert_array_equal(curves.probability, again.probability)


def test_a_pipeline_with_a_formula_is_scored(X, y):
    pipeline = make_pipeline(cs.data.DesignEncoder("rate + segment"), forest())
    scores = cross_val_score(pipeline, X, y, scoring=SCORERS["concordance"], cv=3, error_score="raise")
    assert scores.mean() > 0.55


def test_the_forests_own_score_is_harrells_concordance(numbers, one, y):
    fitted = forest().fit(numbers, one)
    weight = np.arange(N) % 3 + 1.0
    for given in (None, weight):
        expected = cs.metrics.concordance_index(one, fitted.predict(numbers), sample_weight=given).value
        assert fitted.score(numbers, one, sample_weight=given) == expected
    assert fitted.score(numbers, one.to_sksurv()) == fitted.score(numbers, one)
    assert cross_val_score(forest(), numbers, one, cv=3).mean() > 0.55
    several = forest().fit(numbers, y)
    assert several.score(numbers, y, cause="default") == metric_of_default(several, numbers, y)
    with pytest.raises(DataError, match=r"scoring=cs.scorer\('concordance', cause='attrition'\)"):
        several.score(numbers, y)


def metric_of_default(model, X, y):
    return cs.metrics.concordance_index(y, model.predict(X, cause="default"), cause="default").value


def test_rows_that_enter_late_are_scored_in_their_risk_sets_and_by_no_brier_score(numbers, one):
    late = cs.Outcome(one.stop + 3, one.event, start=np.arange(N) % 4)
    fitted = forest().fit(numbers, late)
    assert fitted.score(numbers, late) == cs.metrics.concordance_index(late, fitted.predict(numbers)).value
    with pytest.raises(NotIdentifiedError, match="landmark cohort"):
        cs.scorer("brier", horizon=12)(fitted, numbers, late)


# ---- weights ----


def test_weights_reach_fit_and_score_where_they_are_asked_for(routing, numbers, one):
    weight = np.where(numbers["rate"] > 0, 3.0, 1.0)
    folds = KFold(3, shuffle=True, random_state=0)
    by_hand = {True: [], False: []}
    for train, test in folds.split(numbers):
        fitted = forest().fit(numbers.iloc[train], one[train], sample_weight=weight[train])
        for weighted, scores in by_hand.items():
            given = weight[test] if weighted else None
            scores.append(cs.scorer("brier", horizon=12)(fitted, numbers.iloc[test], one[test], sample_weight=given))
    model = forest().set_fit_request(sample_weight=True)
    for weighted, expected in by_hand.items():
        scorer = cs.scorer("brier", horizon=12).set_score_request(sample_weight=weighted)
        scores = cross_val_score(model, numbers, one, cv=folds, scoring=scorer, params={"sample_weight": weight})
        np.testing.assert_allclose(scores, expected, rtol=1e-13)
    assert not np.allclose(by_hand[True], by_hand[False])


def test_weights_go_through_searches_and_pipelines_to_the_forest(routing, numbers, one):
    weight = np.where(numbers["rate"] > 0, 3.0, 1.0)
    inner = forest().set_fit_request(sample_weight=True).set_score_request(sample_weight=True)
    pipeline = make_pipeline(StandardScaler().set_fit_request(sample_weight=False), inner)
    grid = {"randomsurvivalforest__min_samples_leaf": [5]}
    folds = KFold(3, shuffle=True, random_state=0)
    search = GridSearchCV(pipeline, grid, cv=folds).fit(numbers, one, sample_weight=weight)
    expected = []
    for train, test in folds.split(numbers):
        fitted = forest(min_samples_leaf=5).fit(numbers.iloc[train], one[train], sample_weight=weight[train])
        expected.append(fitted.score(numbers.iloc[test], one[test], sample_weight=weight[test]))
    assert search.best_score_ == pytest.approx(np.mean(expected), abs=1e-3)  # the scaler rounds
    again = forest(min_samples_leaf=5).fit(numbers, one, sample_weight=weight)
    np.testing.assert_allclose(search.predict(numbers), again.predict(numbers), rtol=1e-12)


def test_weights_that_nobody_asked_for_are_an_error_of_scikit_learn(routing, numbers, one):
    with pytest.raises(sklearn.exceptions.UnsetMetadataPassedError, match="sample_weight"):
        cross_val_score(
            forest(), numbers, one, scoring=cs.scorer("concordance"), params={"sample_weight": np.ones(N)}, cv=3
        )


def test_weights_of_a_search_without_routing_do_not_break_it(numbers, one):
    scoring = {"c": cs.scorer("concordance"), "b": cs.scorer("brier", horizon=12)}
    search = GridSearchCV(forest(), {"min_samples_leaf": [5, 30]}, scoring=scoring, refit="c", cv=3)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        search.fit(numbers, one, sample_weight=np.where(numbers["rate"] > 0, 2.0, 1.0))
    assert np.isfinite(search.cv_results_["mean_test_b"]).all()


# ---- conventions ----


@pytest.mark.parametrize("name", SCORERS)
def test_scorers_are_cloned_copied_pickled_and_changed(name, numbers, y):
    scorer, model = SCORERS[name], forest().fit(numbers, y)
    value = scorer(model, numbers, y)
    for copied in (clone(scorer), copy.deepcopy(scorer), pickle.loads(pickle.dumps(scorer))):
        assert copied is not scorer
        assert copied.get_params() == scorer.get_params()
        assert copied(model, numbers, y) == value
    assert clone(scorer).set_params(cause="default")(model, numbers, y) != value
    assert scorer.cause == "attrition"
    assert name.split()[0] in repr(scorer)


@pytest.mark.parametrize(
    "check",
    [
        "check_no_attributes_set_in_init",
        "check_parameters_default_constructible",
        "check_get_params_invariance",
        "check_set_params",
        "check_mixin_order",
        "check_estimator_repr",
        "check_estimator_cloneable",
        "check_valid_tag_types",
    ],
)
def test_the_forest_passes_scikit_learns_checks_that_need_no_labels(check):
    # the checks that fit hand over labels or numbers where a survival model takes an outcome
    getattr(estimator_checks, check)("RandomSurvivalForest", cs.RandomSurvivalForest(5))


def test_a_fit_changes_neither_parameters_nor_data(numbers, one):
    model, before = forest(min_samples_leaf=7), numbers.copy()
    parameters = model.get_params()
    assert model.fit(numbers, one) is model
    assert model.get_params() == parameters
    pd.testing.assert_frame_equal(numbers, before)
    with pytest.raises(sklearn.exceptions.NotFittedError):
        clone(model).score(numbers, one)
    fresh = clone(model).set_params(min_samples_leaf=30)
    assert fresh.fit(numbers, one).trees_["leaf_begin"][-1] < model.trees_["leaf_begin"][-1]


def test_copies_of_a_fitted_forest_answer_the_same(numbers, one):
    fitted = forest().fit(numbers, one)
    for copied in (copy.deepcopy(fitted), pickle.loads(pickle.dumps(fitted))):
        assert copied.score(numbers, one) == fitted.score(numbers, one)


# ---- what is refused ----


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"name": "accuracy"}, "'accuracy' is not known; choose one of"),
        ({"name": "brier"}, "pass horizon="),
        ({"name": "brier", "horizon": -1}, "positive number"),
        ({"name": "brier", "horizon": "year"}, "not a finite number"),
        ({"name": "brier", "horizon": 3, "times": [1, 2]}, "takes no times"),
        ({"name": "concordance", "times": [1, 2]}, "takes no times"),
        ({"name": "integrated_brier"}, "two or more, increasing"),
        ({"name": "integrated_brier", "times": [3]}, "two or more, increasing"),
        ({"name": "integrated_brier", "times": [3, 2]}, "two or more, increasing"),
        ({"name": "integrated_brier", "times": [3, np.nan]}, "two or more, increasing"),
        ({"name": "integrated_brier", "horizon": 3}, "times="),
    ],
)
def test_parameters_that_make_no_score_are_refused(parameters, words):
    with pytest.raises(DataError, match=words):
        cs.scorer(**parameters)


def test_what_cannot_be_judged_is_refused(numbers, y, one):
    fitted = forest().fit(numbers, y)
    with pytest.raises(DataError, match="name the one to be measured"):
        cs.scorer("concordance")(fitted, numbers, y)
    with pytest.raises(DataError, match="'renewed'"):
        cs.scorer("concordance", cause="renewed")(fitted, numbers, y)
    gaps = numbers.assign(rate=numbers["rate"].where(np.arange(N) != 7))
    with pytest.raises(DataError, match="row 7"):
        cs.scorer("concordance", cause="default")(cs.CauseSpecificCox().fit(numbers, y), gaps, y)
    with pytest.raises(NotIdentifiedError, match="alone does not identify"):
        SCORERS["brier"](cs.CoxPH(cause="attrition").fit(numbers, y), numbers, y)
    for model in (cs.CoxPH(cause="attrition"), cs.FineGray("attrition")):
        with pytest.raises(DataError, match="of the cause 'attrition', the score of 'default'"):
            cs.scorer("concordance", cause="default")(model.fit(numbers, y), numbers, y)
    sksurv = pytest.importorskip("sksurv.linear_model")
    peer = sksurv.CoxPHSurvivalAnalysis().fit(numbers, one.to_sksurv())
    assert cs.scorer("concordance")(peer, numbers, one) > 0.5
    with pytest.raises(DataError, match="predicts no probabilities over time"):
        cs.scorer("brier", horizon=5)(peer, numbers, one)


def test_rows_without_a_prediction_are_refused_with_the_column_that_lacks_a_value():
    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.normal(size=(80, 2)), columns=["a", "b"])
    y = cs.Outcome(rng.integers(1, 20, 80), rng.integers(0, 2, 80))
    forest = cs.RandomSurvivalForest(5, random_state=0).fit(X, y)
    holes = X.assign(b=X["b"].where(X.index != 7))
    for ask in (forest.score, lambda X, y: cs.scorer("brier", horizon=6)(forest, X, y)):
        with pytest.raises(DataError, match=r"1 row \(row 7\) without a prediction .* missing in 'b'"):
            ask(holes, y)


def test_a_brier_score_of_rows_that_enter_late_is_not_identified():
    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.normal(size=(80, 2)), columns=["a", "b"])
    start = rng.integers(0, 5, 80)
    y = cs.Outcome(start + rng.integers(1, 20, 80), rng.integers(0, 2, 80), start=start)
    forest = cs.RandomSurvivalForest(5, random_state=0).fit(X, y)
    for score in (cs.scorer("brier", horizon=6), cs.scorer("integrated_brier", times=[3, 6])):
        with pytest.raises(NotIdentifiedError, match="begin after time 0"):
            score(forest, X, y)
