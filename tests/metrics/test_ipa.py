"""The index of prediction accuracy: against riskRegression, the exact jackknife, derivatives and by simulation."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import churnsurv as cs
from churnsurv.exceptions import NotIdentifiedError
from churnsurv.kernels.nonparametric import cumulative_incidence, kaplan_meier, risk_table
from churnsurv.metrics.ipa import incidence_influence
from tests.metrics.test_oracles import expected_of, input_of
from tests.metrics.test_paired import CAUSES, cohort, jackknife_error

ipa = cs.metrics.index_of_prediction_accuracy


@pytest.mark.parametrize(("risk", "model"), [("risk_model1", "full"), ("risk_model2", "nodes")])
def test_values_are_riskregressions(risk, model):
    expected, frame = expected_of("score_gbsg"), input_of("score_gbsg").query("set == 'test'")
    y = cs.Outcome(frame["time"], frame["event"])
    table = pd.DataFrame(expected["brier"]).set_index("model").loc[model]
    found = ipa(y, expected[risk], expected["times"])
    np.testing.assert_allclose(found["value"], table["IPA"], rtol=1e-8)
    scores = cs.metrics.brier_score(y, expected[risk], expected["times"])
    np.testing.assert_allclose(scores["ipa"], table["IPA"], rtol=1e-8)


@pytest.mark.parametrize("causes", [1, 2])
@pytest.mark.parametrize("integrated", [False, True])
def test_the_standard_error_is_the_exact_jackknifes(causes, integrated):
    y, risk, _ = cohort(0, causes=causes)
    cause = CAUSES[0] if causes > 1 else None
    times, risk = ([12, 24], risk) if integrated else (12, risk[:, 0])

    def of(rows):
        return ipa(y[rows], risk[rows], times, cause=cause, integrated=integrated).value

    found = ipa(y, risk, times, cause=cause, integrated=integrated)
    assert found.se == pytest.approx(jackknife_error(of, len(y)), rel=0.03)


def test_the_null_models_estimation_counts_where_the_censoring_is_given():
    # the censoring of other customers: the Aalen–Johansen estimate no longer minimises the weighted score
    y, risk, _ = cohort(3)
    other = cs.CensoringModel().fit(cs.Outcome(np.arange(2, 42), np.arange(40) % 3 > 0))

    def of(rows):
        return ipa(y[rows], risk[rows, 0], 12, censoring=other).value

    found = ipa(y, risk[:, 0], 12, censoring=other)
    assert found.se == pytest.approx(jackknife_error(of, len(y)), rel=0.02)
    assert "taken as known" in found.method


@pytest.mark.parametrize("t", [5.0, 12.0, 30.0])
def test_the_influence_on_aalen_johansen_is_its_derivative(t):
    y, _, _ = cohort(4, n=60, causes=2)
    weight = 1.0 + np.arange(len(y)) % 3
    none = np.zeros(len(y), dtype=bool)

    def estimate(weights):
        table = risk_table(y.entry, y.stop, y.event, weights, 2, none)
        incidence = cumulative_incidence(table, kaplan_meier(table).survival)[0]
        return incidence[np.searchsorted(table.times, t, side="right") - 1], table, incidence

    _, table, incidence = estimate(weight)
    found = incidence_influence(table, incidence, y.event, 1, weight, t)
    step = 1e-6
    for i in range(len(y)):
        change = step * (np.arange(len(y)) == i)
        slope = (estimate(weight + change)[0] - estimate(weight - change)[0]) / (2 * step)
        assert found[i] == pytest.approx(weight[i] * slope, abs=1e-9)


def test_the_null_model_itself_has_index_0():
    y, _, _ = cohort(5, causes=2)
    risk = [cs.AalenJohansen().fit(y).curves_.risk("default", t)[0] for t in (12, 24)]
    found = ipa(y, np.tile(risk, (len(y), 1)), [12, 24], cause="default")
    np.testing.assert_allclose(found[["value", "se"]], 0, atol=1e-12)


def test_integrated_is_the_ratio_of_the_averages():
    y, risk, _ = cohort(6)
    table = cs.metrics.brier_score(y, risk, [12, 24])
    found = ipa(y, risk, [12, 24], integrated=True)
    assert found.value == pytest.approx(1 - table["value"].sum() / table["null_value"].sum())


def test_whole_weights_repeat_customers():
    y, risk, _ = cohort(7)
    times = 1 + np.arange(len(y)) % 3
    rows = np.repeat(np.arange(len(y)), times)
    weighted = ipa(y, risk[:, 0], 12, sample_weight=times)
    repeated = ipa(cs.Outcome(y.stop[rows], y.event[rows]), risk[rows, 0], 12, cluster=rows)
    assert (weighted.value, weighted.se) == (pytest.approx(repeated.value), pytest.approx(repeated.se))


def test_nothing_to_improve_on_is_refused():
    with pytest.raises(NotIdentifiedError, match="never wrong"):
        ipa(cs.Outcome([2, 3, 5], [1, 1, 1]), [0.9, 0.8, 0.7], 5)
