"""Mistakes that users make with evaluations: each is an error that says what to do, none an answer."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import churnsurv as cs
from churnsurv.exceptions import DataError

evaluation = cs.evaluation
N = 120


def cohort() -> tuple[pd.DataFrame, cs.Outcome, np.ndarray]:
    rng = np.random.default_rng(0)
    risk = rng.uniform(0.1, 0.6, N)
    left = np.ceil(12 * rng.exponential(-1 / np.log1p(-risk)))
    censored = rng.integers(6, 25, N)
    return pd.DataFrame({"x": np.log(risk)}), cs.Outcome(np.minimum(left, censored), left <= censored), risk


X, Y, RISK = cohort()


def failing(y: object, risk: object, **options: object) -> float:
    raise ZeroDivisionError("division by zero")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"cv": "x"}, "cv='x'"),
        ({"cv": [(1, 2)]}, "Fold 1 is no pair of positions"),
        ({"cv": [(np.arange(60), np.array(["a"]))]}, "Fold 1 is no pair of positions"),
        ({"horizons": [[6, 12]]}, "a list of numbers"),
        ({"horizons": True}, "a list of numbers"),
        ({"cause": 3}, "cause=3"),
        ({"cause": []}, "at least one"),
        ({"cause": ["event", "event"]}, "each once"),
        ({"fit_params": 3}, "fit_params=3"),
        ({"fit_params": {"nope": 1}}, "unexpected keyword argument 'nope'"),
        ({"dates": ["x"] * N}, "no date"),
        ({"dates": ["03/02/2024"] * N}, "no date"),
        ({"dates": "2024-02-03"}, "dates has shape"),
        ({"n_jobs": 0}, "n_jobs=0"),
        ({"n_jobs": "all"}, "n_jobs='all'"),
        ({"metrics": failing}, "'failing' failed.*division by zero"),
        ({"metrics": lambda y, risk, **options: "high"}, "gave 'high'"),
    ],
)
def test_options_of_cross_validation(options, words):
    given = {"cv": 2, "horizons": [12], "metrics": ["concordance"]} | options
    with pytest.raises(DataError, match=words):
        evaluation.cross_validate(cs.CoxPH(), X, Y, **given)


@pytest.mark.parametrize("model", ["cox", cs.CoxPH, 3, cs.KaplanMeier()])
def test_what_is_no_model(model):
    for call in (evaluation.cross_validate, evaluation.optimism):
        with pytest.raises(DataError):
            call(model, X, Y)
    with pytest.raises(DataError, match="predict_curves"):
        cs.Recalibrated(model).fit(X, Y)


def test_options_of_comparisons():
    with pytest.raises(DataError, match="arguments of its fit"):
        evaluation.compare({"a": cs.CoxPH()}, X, Y, fit_params={"a": 3})
    with pytest.raises(DataError, match="none of the models"):
        evaluation.compare({"a": cs.CoxPH()}, X, Y, reference=[1])


@pytest.mark.parametrize(
    ("other", "words"),
    [({"horizon": 6}, "horizon 12, the current cohort is judged for 6"), ({"cause": "b"}, "of the cause a, .* for b")],
)
def test_a_development_of_another_horizon_or_cause_is_no_reference(other, words):
    rng = np.random.default_rng(1)
    y = cs.Outcome(Y.stop, np.where(Y.event, rng.integers(1, 3, N), 0), causes=("a", "b"))
    asked = {"horizon": 12, "cause": "a"}
    for measure in ("concordance", "auc", "brier"):
        development = evaluation.performance(y, RISK, **asked, measures=measure)
        assert len(evaluation.performance_drift(y, RISK, development=development, **asked).table) == 1
        with pytest.raises(DataError, match=words):
            evaluation.performance_drift(y, RISK, development=development, **asked | other)
    # what the user states as a target has no such name
    target = {"auc": cs.Estimate("Target", 0.7, 0.0, 0.7, 0.7, 0.95, 0, 0, "agreed")}
    assert len(evaluation.performance_drift(y, RISK, development=target, **asked).table) == 1


@pytest.mark.parametrize(
    ("values", "words"), [(np.ones((N, 2)), "one value per row"), (Y.to_sksurv(), "one value per row")]
)
def test_tables_are_no_characteristic(values, words):
    with pytest.raises(DataError, match=words):
        evaluation.population_stability(RISK, values)


def test_a_frame_of_one_column_is_a_characteristic():
    plain = evaluation.population_stability(RISK, RISK[::-1])
    assert evaluation.population_stability(pd.DataFrame({"risk": RISK}), RISK[::-1]).value == plain.value


@pytest.mark.parametrize("seed", ["x", -1, 1.5, None])
def test_seeds_of_alarms(seed):
    with pytest.raises(DataError, match="seed="):
        evaluation.population_stability(RISK, RISK, seed=seed)
    with pytest.raises(DataError, match="seed="):
        chart(seed=seed)


def chart(**options):
    rng = np.random.default_rng(2)
    period = pd.period_range("2024-01", periods=12, freq="M")[rng.integers(0, 12, N)].to_timestamp()
    y = cs.Outcome(np.ones(N), (rng.random(N) < 0.3).astype(int))
    return evaluation.control_chart(y, **({"period": period, "baseline": "2024-08-31"} | options))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"period": ["03/02/2024"] * N}, "no date"),
        ({"period": np.ones((N, 2))}, "period has shape"),
        ({"weight": None}, "weight=None"),
        ({"expected": {"event": np.zeros(N)}}, "Nothing is expected"),
    ],
)
def test_options_of_charts(options, words):
    with pytest.raises(DataError, match=words):
        chart(**options)


def test_groups_of_two_columns_are_refused_and_a_frame_of_one_is_read():
    groups = pd.DataFrame({"region": np.where(np.arange(N) % 2, "north", "south")})
    found = evaluation.fairness(Y, RISK, groups, 12)
    pd.testing.assert_frame_equal(found.table, evaluation.fairness(Y, RISK, groups["region"], 12).table)
    with pytest.raises(DataError, match="one label per row"):
        evaluation.fairness(Y, RISK, pd.concat([groups, groups], axis=1), 12)


@pytest.mark.parametrize("censoring", ["km", 3])
def test_what_is_no_model_of_censoring(censoring):
    for measure in (cs.metrics.brier_score, cs.metrics.cumulative_dynamic_auc):
        with pytest.raises(DataError, match="no CensoringModel"):
            measure(Y, RISK, 12, censoring=censoring)
    with pytest.raises(DataError, match="no CensoringModel"):
        cs.metrics.concordance_index(Y, RISK, censoring=censoring)
    with pytest.raises(DataError, match="weighting=None"):
        cs.metrics.concordance_index(Y, RISK, weighting=None)


def test_a_misspelt_cause_of_a_recalibrated_model():
    model = cs.Recalibrated(cs.CoxPH().fit(X, Y)).fit(X, Y)
    with pytest.raises(DataError, match="'evnt' is unknown"):
        model.predict(X, cause="evnt")
    with pytest.raises(DataError):
        model.predict_curves(X, [12], start="x")


@pytest.mark.parametrize("options", [{"max_iter": "x"}, {"max_iter": 1.5}, {"tol": None}, {"formula": 3}])
def test_options_of_monthly_hazards(options):
    with pytest.raises(DataError, match=f"{next(iter(options))}="):
        cs.DiscreteHazard(**options).fit(X, Y)
