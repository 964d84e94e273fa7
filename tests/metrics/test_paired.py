"""Differences of metrics of two predictions of the same rows: against riskRegression, the jackknife and by properties."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

import churnsurv as cs
from churnsurv.exceptions import DataError, SmallSampleWarning
from tests.metrics.test_oracles import expected_of, input_of

metrics = cs.metrics
CAUSES = ("attrition", "default")


def cohort(seed: int, n: int = 200, causes: int = 1, entry: bool = False) -> tuple[cs.Outcome, np.ndarray, np.ndarray]:
    """Give an outcome by month, and two risks (n, 2) at months 12 and 24."""
    rng = np.random.default_rng(seed)
    a, b = rng.normal(size=(2, n))
    leaves, censored = rng.exponential(25 * np.exp(-a - 0.3 * b)), rng.exponential(40, n)
    start = np.floor(rng.uniform(0, 4, n)) if entry else np.zeros(n)
    stop = start + np.ceil(np.minimum(leaves, censored)).clip(max=30)
    event = (leaves <= censored) * rng.integers(1, causes + 1, n)
    y = cs.Outcome(stop, event, start if entry else None, causes=CAUSES[:causes] if causes > 1 else ("event",))
    first, second = (1 - np.exp(-np.outer(np.exp(x) / 25, [12, 24])) for x in (a + 0.3 * b, 0.7 * a - 0.2 * b))
    return y, first, second


@pytest.fixture(scope="module")
def gbsg():
    expected, frame = expected_of("score_gbsg"), input_of("score_gbsg")
    test = frame[frame["set"] == "test"]
    risks = [np.array(expected[f"risk_model{k}"]) for k in (1, 2)]
    return expected, cs.Outcome(test["time"], test["event"]), *risks


class TestOracles:
    def test_differences_of_auc_are_riskregressions(self, gbsg):
        expected, y, full, nodes = gbsg
        wanted = expected["auc_contrasts"]
        found = metrics.auc_difference(y, nodes, full, expected["times"])
        for column, name in (("value", "delta.AUC"), ("se", "se"), ("lower", "lower"), ("upper", "upper")):
            np.testing.assert_allclose(found[column], wanted[name], rtol=1e-8)
        np.testing.assert_allclose(found["p_value"], wanted["p"], rtol=1e-6)

    def test_differences_of_brier_scores_are_riskregressions(self, gbsg):
        expected, y, full, nodes = gbsg
        table = pd.DataFrame(expected["brier_contrasts"])
        curve = cs.KaplanMeier().fit(y).curves_
        null = np.tile([curve.risk(None, t)[0] for t in expected["times"]], (len(y), 1))
        predictions = {"full": full, "nodes": nodes, "Null model": null}
        for (model, reference), wanted in table.groupby(["model", "reference"]):
            found = metrics.brier_difference(y, predictions[model], predictions[reference], expected["times"])
            for column, name in (("value", "delta.Brier"), ("se", "se"), ("lower", "lower"), ("upper", "upper")):
                np.testing.assert_allclose(found[column], wanted[name], rtol=1e-8)
            np.testing.assert_allclose(found["p_value"], wanted["p"], rtol=1e-6)

    @pytest.mark.parametrize(
        ("name", "options"), [("concordance_test", {}), ("uno_test_tau5", {"weighting": "n/G2", "tau": 5})]
    )
    def test_against_a_score_that_knows_nothing_a_concordance_is_rs_less_a_half(self, gbsg, name, options):
        expected, y, full, _ = gbsg
        found = metrics.concordance_difference(y, full[:, -1], np.zeros(len(y)), **options)
        assert found.value == pytest.approx(expected[name]["concordance"] - 0.5, rel=1e-8)
        assert found.se == pytest.approx(expected[name]["se"], rel=1e-8)


def jackknife_error(of_rows, n: int) -> float:
    """Give the standard error of a statistic by leaving out each row, as a function of the rows kept."""
    rows = np.arange(n)
    left_out = np.array([of_rows(rows[rows != i]) for i in rows])
    return float(np.sqrt((n - 1) / n * np.sum((left_out - left_out.mean()) ** 2)))


class TestAgainstTheExactJackknife:
    """Leaving out each customer in turn estimates the same variance; of first order in 1/n alike."""

    @pytest.mark.parametrize("causes", [1, 2])
    @pytest.mark.parametrize("name", ["concordance", "uno", "auc", "brier", "integrated"])
    def test_standard_errors(self, name, causes):
        y, first, second = cohort(0, causes=causes)
        cause = CAUSES[0] if causes > 1 else None
        call = {
            "concordance": lambda y, a, b: metrics.concordance_difference(y, a[:, 0], b[:, 0], cause=cause),
            "uno": lambda y, a, b: metrics.concordance_difference(
                y, a[:, 0], b[:, 0], cause=cause, tau=20, weighting="n/G2"
            ),
            "auc": lambda y, a, b: metrics.auc_difference(y, a[:, 0], b[:, 0], 12, cause=cause),
            "brier": lambda y, a, b: metrics.brier_difference(y, a[:, 0], b[:, 0], 12, cause=cause),
            "integrated": lambda y, a, b: metrics.integrated_brier_difference(y, a, b, [12, 24], cause=cause),
        }[name]
        expected = jackknife_error(lambda rows: call(y[rows], first[rows], second[rows]).value, len(y))
        # both jackknives differ in the next order of 1/n; the weights of Uno's event times are taken as known, as in R
        assert call(y, first, second).se == pytest.approx(expected, rel=0.06 if name == "uno" else 0.03)


class TestDifference:
    def test_values_are_the_differences_of_the_metrics(self):
        y, first, second = cohort(1, causes=2)
        of = {"cause": "default"}
        table = metrics.brier_difference(y, first, second, [12, 24], **of)
        one, two = (metrics.brier_score(y, risk, [12, 24], **of)["value"] for risk in (first, second))
        np.testing.assert_allclose(table["value"], one - two, atol=1e-15)
        table = metrics.auc_difference(y, first, second, [12, 24], **of)
        one, two = (metrics.cumulative_dynamic_auc(y, risk, [12, 24], **of)["value"] for risk in (first, second))
        np.testing.assert_allclose(table["value"], one - two, atol=1e-15)
        found = metrics.integrated_brier_difference(y, first, second, [12, 24], **of).value
        one, two = (metrics.integrated_brier_score(y, risk, [12, 24], **of).value for risk in (first, second))
        assert found == pytest.approx(one - two, abs=1e-15)

    def test_concordance_with_entry_strata_weights_and_clusters_is_the_difference(self):
        y, first, second = cohort(2, causes=2, entry=True)
        rng = np.random.default_rng(2)
        options = {
            "cause": "attrition",
            "strata": rng.integers(0, 2, len(y)),
            "sample_weight": rng.integers(0, 3, len(y)),
            "cluster": rng.integers(0, 60, len(y)),
        }
        found = metrics.concordance_difference(y, first[:, 0], second[:, 0], **options)
        one, two = (metrics.concordance_index(y, risk[:, 0], **options).value for risk in (first, second))
        assert found.value == pytest.approx(one - two, abs=1e-15)
        assert "entry-adjusted" in found.method
        assert "clusters" in found.method

    def test_one_number_and_a_list_give_the_same(self):
        y, first, second = cohort(3)
        for difference in (metrics.auc_difference, metrics.brier_difference):
            table = difference(y, first, second, [12, 24])
            assert list(table["time"]) == [12, 24]
            for k, t in enumerate((12, 24)):
                one = difference(y, first[:, k], second[:, k], t).to_frame()
                pd.testing.assert_frame_equal(one, table.drop(columns="time").iloc[[k]].reset_index(drop=True))

    def test_the_test_is_walds(self):
        y, first, second = cohort(4)
        found = metrics.auc_difference(y, first[:, 0], second[:, 0], 12)
        test = found.test()
        assert isinstance(found, cs.Estimate)
        assert test.statistic == found.value / found.se
        assert test.p_value == pytest.approx(2 * norm.sf(abs(test.statistic)), rel=1e-12)
        np.testing.assert_allclose([found.lower, found.upper], found.value + norm.ppf([0.025, 0.975]) * found.se)
        assert "p-value" in repr(found)

    @pytest.mark.parametrize("causes", [1, 2])
    def test_identical_predictions_differ_by_nothing_and_it_is_said(self, causes):
        y, first, _ = cohort(5, causes=causes)
        cause = CAUSES[0] if causes > 1 else None
        same = [
            metrics.concordance_difference(y, first[:, 0], np.log(first[:, 0]), cause=cause),
            metrics.concordance_difference(y, first[:, 0], first[:, 0], cause=cause, weighting="n/G2", tau=20),
            metrics.auc_difference(y, first[:, 0], 5 * first[:, 0], 12, cause=cause),
            metrics.brier_difference(y, first[:, 0], first[:, 0], 12, cause=cause),
            metrics.integrated_brier_difference(y, first, first, [12, 24], cause=cause),
        ]
        for found in same:
            assert (found.value, found.se, found.statistic, found.p_value) == (0, 0, 0, 1)
            assert (found.lower, found.upper) == (0, 0)
            assert "the two predictions are the same to this metric" in found.method

    def test_exchanged_predictions_change_the_sign_alone(self):
        y, first, second = cohort(6, entry=True)
        a = metrics.concordance_difference(y, first[:, 0], second[:, 0])
        b = metrics.concordance_difference(y, second[:, 0], first[:, 0])
        np.testing.assert_allclose(
            [a.value, a.se, a.lower, a.p_value], [-b.value, b.se, -b.upper, b.p_value], rtol=1e-12
        )

    def test_row_order_changes_nothing(self):
        y, first, second = cohort(7)
        order = np.random.default_rng(0).permutation(len(y))
        a = metrics.auc_difference(y, first, second, [12, 24])
        b = metrics.auc_difference(y[order], first[order], second[order], [12, 24])
        pd.testing.assert_frame_equal(a, b, rtol=1e-10)

    def test_whole_weights_repeat_customers(self):
        y, first, second = cohort(8)
        times = 1 + np.arange(len(y)) % 3
        rows = np.repeat(np.arange(len(y)), times)
        repeated = cs.Outcome(y.stop[rows], y.event[rows])
        for difference, risk in (
            (metrics.brier_difference, (first[:, 0], second[:, 0])),
            (metrics.auc_difference, (first[:, 0], second[:, 0])),
        ):
            weighted = difference(y, *risk, 12, sample_weight=times)
            found = difference(repeated, *(r[rows] for r in risk), 12, cluster=rows)
            assert (weighted.value, weighted.se) == (pytest.approx(found.value), pytest.approx(found.se))

    def test_every_row_twice_within_clusters_changes_nothing(self):
        y, first, second = cohort(9)
        rows = np.repeat(np.arange(len(y)), 2)
        once = metrics.brier_difference(y, first[:, 0], second[:, 0], 12)
        twice = metrics.brier_difference(
            cs.Outcome(y.stop[rows], y.event[rows]), first[rows, 0], second[rows, 0], 12, cluster=rows
        )
        assert (twice.value, twice.se) == (pytest.approx(once.value), pytest.approx(once.se))

    def test_pairing_is_sharper_than_two_intervals(self):
        y, first, _ = cohort(10)
        alike = first * np.random.default_rng(0).uniform(0.97, 1.0, first.shape)
        found = metrics.auc_difference(y, first[:, 0], alike[:, 0], 12)
        assert found.se < metrics.cumulative_dynamic_auc(y, first[:, 0], 12).se / 3

    def test_perfect_against_reversed_has_no_interval(self):
        y = cs.Outcome([1, 2, 3, 4], [1, 1, 1, 1])
        with pytest.warns(SmallSampleWarning, match="without any variation"):
            found = metrics.concordance_difference(y, [4, 3, 2, 1], [1, 2, 3, 4])
        assert found.value == 1
        assert np.isnan([found.se, found.lower, found.upper, found.p_value]).all()

    def test_the_other_prediction_is_checked_too(self):
        y, first, _ = cohort(11)
        with pytest.raises(DataError, match="other has shape"):
            metrics.concordance_difference(y, first[:, 0], first[:-1, 0])
        with pytest.raises(DataError, match="shape"):
            metrics.brier_difference(y, first[:, 0], first[:-1, 0], 12)
