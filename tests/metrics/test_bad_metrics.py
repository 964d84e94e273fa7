"""What all metrics say to bad input, and what they give where the input is odd but right."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

import churnsurv as cs
from churnsurv.exceptions import DataError, NoEventsError, NotIdentifiedError, TooFewEventsError
from tests.metrics.test_brier import constant_curves

m = cs.metrics
N = 80
_rng = np.random.default_rng(0)
_leaves, _censored = np.ceil(_rng.exponential(20, N)), np.ceil(_rng.exponential(30, N)).clip(max=36)
#: the last time of follow-up is 36, and row 0 leaves early
Y = cs.Outcome(np.minimum(_leaves, _censored), _leaves <= _censored)
P = np.clip(0.1 + 5 / (5 + Y.stop) + _rng.uniform(-0.1, 0.1, N), 0.05, 0.95)


def _pairs(p: Any) -> Any:
    """Give the same risk at two times, where it is a column; curves hold both."""
    if isinstance(p, cs.Curves):
        return p
    column = p.to_numpy() if isinstance(p, pd.DataFrame | pd.Series) else np.asarray(p)
    return np.column_stack((column, column))


def _other(y: cs.Outcome) -> np.ndarray:
    return np.full(len(y), 0.4)


Judge = Callable[..., Any]
#: of predictions by a horizon
JUDGES: dict[str, Judge] = {
    "concordance": lambda y, p, t=12, **o: m.concordance_index(y, p, tau=t, **o),
    "uno": lambda y, p, t=12, **o: m.concordance_index(y, p, weighting="n/G2", tau=t, **o),
    "auc": lambda y, p, t=12, **o: m.cumulative_dynamic_auc(y, p, t, **o),
    "brier": lambda y, p, t=12, **o: m.brier_score(y, p, t, **o),
    "integrated brier": lambda y, p, t=12, **o: m.integrated_brier_score(y, _pairs(p), [t, t + 1], **o),
    "ipa": lambda y, p, t=12, **o: m.index_of_prediction_accuracy(y, p, t, **o),
    "integrated ipa": lambda y, p, t=12, **o: m.index_of_prediction_accuracy(
        y, _pairs(p), [t, t + 1], integrated=True, **o
    ),
    "calibration": lambda y, p, t=12, **o: m.calibration(y, p, t, **o).observed_expected,
    "concordance difference": lambda y, p, t=12, **o: m.concordance_difference(y, p, _other(y), tau=t, **o),
    "auc difference": lambda y, p, t=12, **o: m.auc_difference(y, p, _other(y), t, **o),
    "brier difference": lambda y, p, t=12, **o: m.brier_difference(y, p, _other(y), t, **o),
    "integrated difference": lambda y, p, t=12, **o: m.integrated_brier_difference(
        y, _pairs(p), _pairs(_other(y)), [t, t + 1], **o
    ),
}
OF_SCORES = ("concordance", "uno", "concordance difference")
OF_CURVES = [name for name in JUDGES if name not in OF_SCORES]
all_metrics = pytest.mark.parametrize("judge", JUDGES.values(), ids=JUDGES)
metrics_of_curves = pytest.mark.parametrize("judge", [JUDGES[name] for name in OF_CURVES], ids=OF_CURVES)


def curves(risk: Any, index: Any = None) -> cs.Curves:
    column = np.asarray(risk)
    return constant_curves(np.column_stack((column, column)), [12, 13], index=index)


class TestHorizons:
    @all_metrics
    def test_beyond_the_follow_up_is_not_estimable(self, judge):
        with pytest.raises(DataError, match=r"is past the last observed time \(36\).*earlier horizon"):
            judge(Y, P, 99)

    @all_metrics
    def test_before_the_first_event_there_is_nothing_to_judge(self, judge):
        late = Y.stop > 8
        with pytest.raises(NoEventsError, match=r"by 5; the first is at 9. Ask for a later horizon"):
            judge(Y[late], P[late], 5)

    @all_metrics
    @pytest.mark.parametrize("t", [0, -3])
    def test_none_is_zero_or_less(self, judge, t):
        with pytest.raises(DataError, match="positive finite number"):
            judge(Y, P, t)

    @all_metrics
    def test_a_missing_one_is_refused(self, judge):
        with pytest.raises(DataError, match="finite number"):
            judge(Y, P, np.nan)

    def test_text_is_refused(self):
        for judge in (m.cumulative_dynamic_auc, m.brier_score, m.index_of_prediction_accuracy):
            with pytest.raises(DataError, match="'times' is object, not numeric"):
                judge(Y, P, "12")
        with pytest.raises(DataError, match="tau='12' is not a finite number"):
            m.concordance_index(Y, P, tau="12")


class TestOutcomes:
    @all_metrics
    def test_all_censored_is_no_events(self, judge):
        with pytest.raises(NoEventsError, match="all are censored"):
            judge(cs.Outcome(Y.stop, np.zeros(N)), P)

    def test_all_censored_is_no_events_for_whole_curves_and_nothing_observed_for_counts(self):
        y = cs.Outcome(Y.stop, np.zeros(N))
        whole = cs.KaplanMeier().fit(Y).curves_[np.zeros(N, dtype=int)]
        with pytest.raises(NoEventsError, match="Nobody leaves among 80 rows"):
            m.d_calibration(y, whole)
        assert m.observed_expected(y, P)["observed"].tolist() == [0]

    @all_metrics
    def test_one_row_is_too_little(self, judge):
        with pytest.raises((DataError, NoEventsError, NotIdentifiedError)) as error:
            judge(cs.Outcome([20], [1]), [0.4], 12)
        assert len(str(error.value)) > 40
        with pytest.raises((DataError, NotIdentifiedError, TooFewEventsError)):
            judge(cs.Outcome([12, 12.5], [1, 0])[[0]], [0.4], 12)

    @all_metrics
    def test_clusters_of_one_are_the_rows(self, judge):
        found, expected = judge(Y, P, cluster=np.arange(N)), judge(Y, P)
        assert found.value == expected.value
        # the Aalen–Johansen error of observed/expected is Greenwood's without clusters, robust with
        assert found.se == pytest.approx(expected.se, rel=0.1 if found.name.startswith("Observed") else 1e-12)

    @all_metrics
    def test_one_cluster_has_no_variance(self, judge):
        with pytest.raises(DataError, match="of one cluster|belong to one cluster"):
            judge(Y, P, cluster=np.zeros(N))

    def test_groups_of_one_are_counted_with_wide_intervals(self):
        table = m.observed_expected(Y[[0, 1, 2]], [0.5, 0.5, 0.5], by=["a", "b", "b"])
        assert table["n"].tolist() == [3, 1, 2]
        assert (table["upper"] - table["lower"]).iloc[1] > 3

    def test_strata_of_one_have_no_pairs(self):
        with pytest.raises(NotIdentifiedError, match="of the same stratum"):
            m.concordance_index(Y, P, strata=np.arange(N))

    def test_everybody_gone_leaves_nobody_to_compare_with(self):
        y = cs.Outcome(np.arange(1, N + 1), np.ones(N))
        with pytest.raises(NotIdentifiedError, match="nobody to compare with"):
            m.cumulative_dynamic_auc(y, P, N)
        with pytest.raises(NotIdentifiedError, match="nothing to improve on"):
            m.index_of_prediction_accuracy(y, P, N)


class TestPredictions:
    @all_metrics
    @pytest.mark.parametrize(("bad", "kind"), [(np.nan, "missing"), (np.inf, "infinite"), (-np.inf, "infinite")])
    def test_missing_and_infinite_ones_are_located(self, judge, bad, kind):
        p = P.copy()
        p[3] = bad
        with pytest.raises(DataError, match=rf"1 {kind} value \(row 3\). A row without a prediction cannot be judged"):
            judge(Y, p)

    @pytest.mark.parametrize("name", ["auc difference", "brier difference", "integrated difference"])
    def test_of_two_it_is_said_which(self, name):
        with pytest.raises(DataError, match="first (score|prediction)"):
            JUDGES[name](Y, np.where(np.arange(N) == 3, np.nan, P))
        missing = np.where(np.arange(N) == 3, np.nan, P)
        with pytest.raises(DataError, match="other prediction for 12"):
            m.brier_difference(Y, P, missing, 12)
        with pytest.raises(DataError, match="other score"):
            m.auc_difference(Y, P, missing, 12)

    @all_metrics
    @pytest.mark.parametrize("kind", ["short", "wide", "number", "none"])
    def test_another_shape_is_named_with_the_expected_one(self, judge, kind):
        p = {"short": P[:-2], "wide": np.column_stack((P, P, P)), "number": 0.3, "none": None}[kind]
        with pytest.raises(DataError, match=r"shape \(.*(expected \(80|80 rows)"):
            judge(Y, p)

    @all_metrics
    @pytest.mark.parametrize(
        "given",
        [
            P.astype(object),
            list(P),
            pd.Series(P, dtype="Float64"),
            pd.Series(P, index=np.arange(N)[::-1]),
            P.astype("f4"),
        ],
        ids=["object", "list", "Float64", "series by position", "float32"],
    )
    def test_numbers_of_all_types_are_read(self, judge, given):
        assert judge(Y, given).value == pytest.approx(judge(Y, P).value, rel=1e-5)

    @all_metrics
    @pytest.mark.parametrize("dtype", ["Float64", object])
    def test_missing_values_of_other_types_are_missing(self, judge, dtype):
        p = pd.Series([None, *P[1:]], dtype=dtype)
        with pytest.raises(DataError, match=r"1 missing value \(row 0\)"):
            judge(Y, p)

    @all_metrics
    @pytest.mark.parametrize(
        "given", [P.astype(str), np.full(N, "high"), P + 1j], ids=["numbers as text", "text", "complex"]
    )
    def test_what_is_no_number_is_refused(self, judge, given):
        with pytest.raises(DataError, match="not numeric"):
            judge(Y, given)

    @pytest.mark.parametrize(
        "name", [n for n in JUDGES if "brier" in n or "ipa" in n or n in ("calibration", "integrated difference")]
    )
    def test_scores_where_probabilities_are_needed_are_refused(self, name):
        with pytest.raises(DataError, match="outside 0…1"):
            JUDGES[name](Y, 3 * P)

    def test_whole_numbers_and_truth_values_are_scores(self):
        high = P > 0.5
        for given in (
            high,
            high.astype(int),
            pd.Series(high.astype(int), dtype="Int64"),
            pd.Series(high, dtype="boolean"),
        ):
            assert m.concordance_index(Y, given).value == m.concordance_index(Y, high.astype(float)).value
            assert m.brier_score(Y, given, 12).value == m.brier_score(Y, high.astype(float), 12).value

    def test_predictions_of_0_and_1_that_are_wrong_have_a_finite_intercept(self):
        rng = np.random.default_rng(1)
        for _ in range(4):
            intercept = m.calibration(Y, rng.random(N) > 0.5, 12).intercept
            # who is told 1 (read as 1 − 1e-6) leaves less often
            assert -6 < intercept.value < 0
            assert intercept.se < 2


class TestConstantRisk:
    """Valid: who tells everybody the same orders nobody."""

    constant = np.full(N, 0.3)

    def test_discrimination_is_a_coin_toss(self):
        for name in ("concordance", "uno", "auc"):
            found = JUDGES[name](Y, self.constant)
            assert (found.value, found.se) == (pytest.approx(0.5, abs=1e-12), pytest.approx(0, abs=1e-12))

    def test_accuracy_is_measured(self):
        assert JUDGES["brier"](Y, self.constant).se > 0
        assert JUDGES["ipa"](Y, self.constant).value < 0  # the null model has the right constant

    def test_of_calibration_the_slope_is_not_identified(self):
        found = m.calibration(Y, self.constant, 12)
        assert np.isnan(found.slope.value)
        assert "not identified" in found.slope.method
        assert np.isfinite([found.intercept.value, found.observed_expected.value, found.ici.value]).all()

    def test_two_constants_do_not_differ_in_discrimination(self):
        for name in ("concordance difference", "auc difference"):
            found = JUDGES[name](Y, self.constant)
            assert (found.value, found.se, found.p_value) == (0, 0, 1)


class TestCurves:
    labels = pd.Index([f"L{i}" for i in range(N)])

    @metrics_of_curves
    def test_of_another_number_of_rows(self, judge):
        with pytest.raises(DataError, match="The curves have 79 rows, the outcome has 80; they must match row for row"):
            judge(Y, curves(P[:-1]))

    @metrics_of_curves
    def test_of_the_same_subjects_in_another_order(self, judge):
        y = cs.Outcome(Y.stop, Y.event, subject=self.labels)
        with pytest.raises(DataError, match=r"in another order \(row 0: 'L79' beside 'L0'\)"):
            judge(y, curves(P, self.labels[::-1]))

    @metrics_of_curves
    def test_of_other_subjects(self, judge):
        y = cs.Outcome(Y.stop, Y.event, subject=self.labels)
        with pytest.raises(DataError, match=r"other rows than the outcome: 'M79' \(row 79\) is none of its subjects"):
            judge(y, curves(P, self.labels.where(np.arange(N) < N - 1, "M79")))

    @metrics_of_curves
    def test_labels_of_another_kind_are_taken_by_position(self, judge):
        y = cs.Outcome(Y.stop, Y.event, subject=self.labels)
        for index in (pd.RangeIndex(N), pd.Index([f"account {i}" for i in range(N)])):
            assert judge(y, curves(P, index)).value == judge(Y, P).value

    @pytest.mark.parametrize("name", OF_SCORES)
    def test_a_concordance_takes_one_number_per_row(self, name):
        with pytest.raises(DataError, match=r"risk holds curves.*curves.risk\(cause, horizon\)"):
            JUDGES[name](Y, curves(P))

    def test_known_at_some_times_only_have_no_d_calibration(self):
        with pytest.raises(DataError, match="evaluated at some times only"):
            m.d_calibration(Y, replace(curves(P), steps=False))


def test_probabilities_of_staying_are_judged_as_what_they_are_given_for():
    """It cannot be known; but all measures then say that the predictions are worse than none."""
    stay = 1 - P
    assert m.concordance_index(Y, stay).value == pytest.approx(1 - m.concordance_index(Y, P).value)
    assert m.cumulative_dynamic_auc(Y, stay, 12).value == pytest.approx(1 - m.cumulative_dynamic_auc(Y, P, 12).value)
    found = m.index_of_prediction_accuracy(Y, stay, 12)
    assert found.upper < 0 < m.index_of_prediction_accuracy(Y, P, 12).value
    assert m.calibration(Y, stay, 12).slope.upper < 0


@all_metrics
def test_weights_and_clusters_of_nullable_types_are_read(judge):
    weight = pd.Series(1 + np.arange(N) % 2, dtype="Int64")
    cluster = pd.Series([f"c{i // 2}" for i in range(N)], dtype="string")
    found = judge(Y, P, sample_weight=weight, cluster=cluster)
    expected = judge(Y, P, sample_weight=1.0 + np.arange(N) % 2, cluster=np.arange(N) // 2)
    assert (found.value, found.se) == (pytest.approx(expected.value), pytest.approx(expected.se))
    with pytest.raises(DataError, match=r"sample_weight has 1 missing value \(row 2\)"):
        judge(Y, P, sample_weight=weight.where(weight.index != 2))
