"""Brier scores: by hand, against the definition, their identities, and their errors."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import churnsurv as cs
from churnsurv.exceptions import DataError, NoEventsError, NotIdentifiedError
from tests.metrics import slow

brier_score, integrated_brier_score = cs.metrics.brier_score, cs.metrics.integrated_brier_score
CAUSES = ("attrition", "default")


@st.composite
def cohorts(draw):
    """Draw a small cohort with ties, two causes, predictions and weights."""
    n = draw(st.integers(3, 20))

    def column(values):
        return np.array(draw(st.lists(values, min_size=n, max_size=n)))

    y = cs.Outcome(column(st.integers(1, 8)), column(st.integers(0, 2)), causes=CAUSES)
    return y, column(st.integers(0, 10)) / 10, column(st.integers(1, 4)).astype(float)


@pytest.fixture
def cohort():
    rng = np.random.default_rng(8)
    n = 300
    x = rng.normal(size=n)
    leaves, censored = rng.exponential(30 * np.exp(-0.7 * x)), rng.uniform(5, 60, n)
    y = cs.Outcome(np.ceil(np.minimum(leaves, censored)), leaves <= censored)
    return y, 1 - np.exp(-np.outer(np.exp(0.7 * x), [12, 24, 36]) / 30)


def constant_curves(risk, times, index=None, origin=0.0):
    """Give curves of one cause that reach `risk` (n, T) at `times` after the origin."""
    risk = np.asarray(risk, dtype=float)
    n = len(risk)
    return cs.Curves(
        times=np.asarray(times, dtype=float) + origin,
        probability=np.stack([1 - risk, risk], axis=1),
        origin=np.full(n, origin),
        last=np.full(n, 100.0 + origin),
        causes=("event",),
        index=pd.RangeIndex(n) if index is None else pd.Index(index),
    )


class TestByHand:
    def test_four_customers(self):
        # stop 3 event, 5 event, 8 censored, 12 event; nobody is censored by 6, so all weights are 1:
        # (1 - .9)^2 + (1 - .7)^2 + .2^2 + .1^2 = .15, over 4
        y = cs.Outcome([3, 5, 8, 12], [1, 1, 0, 1])
        estimate = brier_score(y, [0.9, 0.7, 0.2, 0.1], 6)
        assert estimate.value == pytest.approx(0.15 / 4)
        assert (estimate.n, estimate.n_events, estimate.name) == (4, 2, "Brier score at 6")

    def test_events_are_weighted_just_before_their_time_and_survivors_at_the_horizon(self):
        # event and censoring at 2 (the event comes first), event at 4, two stay to 6; horizon 5.
        # G(2-) = 1, G(2) = 1 - 1/4 (the leaver cannot be censored), G(4-) = G(5) = 3/4
        y = cs.Outcome([2, 2, 4, 6, 6], [1, 0, 1, 0, 0])
        risk = np.array([0.5, 0.9, 0.6, 0.2, 0.4])
        expected = (0.5**2 + (0.4**2 + 0.2**2 + 0.4**2) / 0.75) / 5
        assert brier_score(y, risk, 5).value == pytest.approx(expected, abs=1e-15)

    def test_who_left_by_another_cause_is_known_not_to_leave_by_this_one(self):
        y = cs.Outcome([2, 3, 9], [1, 2, 0], causes=CAUSES)
        risk = np.array([0.8, 0.3, 0.1])
        assert brier_score(y, risk, 5, cause="attrition").value == pytest.approx((0.2**2 + 0.3**2 + 0.1**2) / 3)
        assert brier_score(y, risk, 5, cause="default").value == pytest.approx((0.8**2 + 0.7**2 + 0.1**2) / 3)

    def test_the_integral_is_the_trapezoid_over_the_times_given(self):
        y = cs.Outcome([3, 5, 8, 12], [1, 1, 0, 1])
        risk = np.array([[0.5, 0.9, 0.9], [0.3, 0.7, 0.8], [0.1, 0.2, 0.2], [0.0, 0.1, 0.2]])
        at = brier_score(y, risk, [4, 6, 7])["value"].to_numpy()
        expected = ((at[0] + at[1]) / 2 * 2 + (at[1] + at[2]) / 2 * 1) / 3
        assert integrated_brier_score(y, risk, [4, 6, 7]).value == pytest.approx(expected, abs=1e-15)


class TestDefinition:
    @settings(max_examples=60, deadline=None)
    @given(cohorts(), st.integers(1, 8), st.sampled_from(CAUSES))
    def test_agrees_with_the_sum_written_out(self, drawn, horizon, cause):
        y, risk, weight = drawn
        code = y.cause_code(cause)
        assume(horizon <= y.stop.max() and np.any((y.event == code) & (y.stop <= horizon)))
        found = brier_score(y, risk, horizon, cause=cause, sample_weight=weight)
        expected = slow.brier(y.stop, y.event, risk, horizon, code, weight)
        assert found.value == pytest.approx(expected, abs=1e-12)

    def test_survivors_at_the_end_of_follow_up_count_as_having_stayed(self):
        # everybody open is censored at 12, the horizon: without earlier censoring the score is the mean squared error
        time = np.ceil(np.random.default_rng(0).exponential(30, 500))
        y = cs.Outcome(np.minimum(time, 12), (time <= 12).astype(int))
        found = brier_score(y, np.full(500, 0.3), 12)
        loss = ((time <= 12) - 0.3) ** 2
        assert found.value == pytest.approx(loss.mean(), rel=1e-12)
        assert found.se == pytest.approx(loss.std(ddof=1) / np.sqrt(500), rel=1e-9)

    def test_the_null_model_predicts_the_cumulative_incidence_for_everybody(self):
        rng = np.random.default_rng(4)
        y = cs.Outcome(rng.integers(1, 15, 200), rng.integers(0, 3, 200), causes=CAUSES)
        incidence = cs.AalenJohansen().fit(y).curves_.risk("default", 7)[0]
        found = brier_score(y, np.full((200, 1), 0.3), [7], cause="default")
        assert found.loc[0, "null_value"] == pytest.approx(slow.brier(y.stop, y.event, np.full(200, incidence), 7, 2))

    def test_the_standard_errors_are_those_of_leaving_customers_out(self, cohort):
        y, risk = cohort
        n = 100
        y, risk = y[:n], risk[:n]
        left_out = np.array(
            [
                [slow.brier(np.delete(y.stop, i), np.delete(y.event, i), np.delete(risk[:, k], i), t) for i in range(n)]
                for k, t in enumerate((12, 24, 36))
            ]
        )
        integral = np.array([0.25, 0.5, 0.25]) @ left_out
        jackknife = np.sqrt((n - 1) / n * np.sum((left_out - left_out.mean(axis=1, keepdims=True)) ** 2, axis=1))
        np.testing.assert_allclose(brier_score(y, risk, [12, 24, 36])["se"], jackknife, rtol=0.02)
        assert integrated_brier_score(y, risk, [12, 24, 36]).se == pytest.approx(
            np.sqrt((n - 1) / n * np.sum((integral - integral.mean()) ** 2)), rel=0.02
        )


class TestIdentities:
    @settings(max_examples=40, deadline=None)
    @given(cohorts(), st.integers(1, 8))
    def test_without_censoring_it_is_the_mean_squared_error(self, drawn, horizon):
        y, risk, weight = drawn
        y = cs.Outcome(y.stop, np.ones(len(y)))
        assume(y.stop.min() <= horizon <= y.stop.max())
        squared = ((y.stop <= horizon) - risk) ** 2
        found = brier_score(y, risk, horizon)
        assert found.value == pytest.approx(squared.mean(), abs=1e-14)
        assert found.se == pytest.approx(squared.std(ddof=1) / np.sqrt(len(y)), abs=1e-14)
        weighted = brier_score(y, risk, horizon, sample_weight=weight)
        assert weighted.value == pytest.approx(np.average(squared, weights=weight), abs=1e-14)

    def test_row_order_changes_nothing(self, cohort):
        y, risk = cohort
        order = np.random.default_rng(1).permutation(len(y))
        a, b = brier_score(y, risk, [12, 24, 36]), brier_score(y[order], risk[order], [12, 24, 36])
        pd.testing.assert_frame_equal(a, b, rtol=1e-12)

    def test_whole_weights_repeat_customers(self, cohort):
        y, risk = cohort
        times = 1 + np.arange(len(y)) % 3
        rows = np.repeat(np.arange(len(y)), times)
        weighted = brier_score(y, risk[:, 0], 12, sample_weight=times)
        repeated = brier_score(cs.Outcome(y.stop[rows], y.event[rows]), risk[rows, 0], 12, cluster=rows)
        assert weighted.value == pytest.approx(repeated.value, abs=1e-14)
        assert weighted.se == pytest.approx(repeated.se, abs=1e-14)

    def test_equal_weights_change_nothing_and_weight_zero_is_not_there(self, cohort):
        y, risk = cohort
        assert brier_score(y, risk[:, 0], 12, sample_weight=np.full(len(y), 3.0)).se == pytest.approx(
            brier_score(y, risk[:, 0], 12).se, abs=1e-15
        )
        weight = (np.arange(len(y)) % 4 > 0).astype(float)
        kept = weight > 0
        found, expected = (
            brier_score(y, risk, [12, 24, 36], sample_weight=weight),
            brier_score(y[kept], risk[kept], [12, 24, 36]),
        )
        np.testing.assert_allclose(found[["value", "null_value"]], expected[["value", "null_value"]], rtol=1e-12)

    def test_one_number_gives_an_estimate_and_a_list_a_table_with_the_same_numbers(self, cohort):
        y, risk = cohort
        table = brier_score(y, risk, [12, 24, 36])
        assert list(table["time"]) == [12, 24, 36]
        for k, t in enumerate((12, 24, 36)):
            one = brier_score(y, risk[:, k], t)
            assert table.loc[k, "value"] == one.value
            assert table.loc[k, "se"] == one.se
            assert table.loc[k, "n_events"] == one.n_events
        assert np.all(table["value"] < table["null_value"])

    def test_an_integral_over_two_times_of_equal_predictions_lies_between_them(self, cohort):
        y, risk = cohort
        ends = brier_score(y, risk[:, :2], [12, 24])["value"]
        assert integrated_brier_score(y, risk[:, :2], [12, 24]).value == pytest.approx(ends.mean())

    def test_curves_and_their_numbers_score_the_same(self, cohort):
        y, risk = cohort
        by_number = brier_score(y, risk, [12, 24, 36])
        pd.testing.assert_frame_equal(brier_score(y, constant_curves(risk, [12, 24, 36]), [12, 24, 36]), by_number)

    def test_curves_on_loan_age_are_read_from_the_age_at_the_landmark(self, cohort):
        y, risk = cohort
        aged = constant_curves(risk, [12, 24, 36], origin=17.0)
        expected = integrated_brier_score(y, risk, [12, 24, 36])
        assert integrated_brier_score(y, aged, [12, 24, 36]) == expected

    def test_a_given_censoring_model_is_used_and_taken_as_known(self, cohort):
        y, risk = cohort
        own, given = (brier_score(y, risk[:, 1], 24, censoring=c) for c in (None, cs.CensoringModel().fit(y)))
        assert given.value == own.value
        assert given.se != own.se
        assert "taken as known" in given.method
        assert "Kaplan–Meier of this outcome" in own.method

    def test_a_structured_array_of_scikit_survival_is_read(self, cohort):
        y, risk = cohort
        assert brier_score(y.to_sksurv(), risk[:, 0], 12) == brier_score(y, risk[:, 0], 12)

    def test_clusters_are_summed_before_squaring(self, cohort):
        y, risk = cohort
        # every customer twice: as clusters of two nothing changes but the size of a row
        rows = np.repeat(np.arange(len(y)), 2)
        once = brier_score(y, risk[:, 0], 12)
        twice = brier_score(cs.Outcome(y.stop[rows], y.event[rows]), risk[rows, 0], 12, cluster=rows)
        assert (twice.value, twice.se) == (pytest.approx(once.value), pytest.approx(once.se))


class TestBadInput:
    y = cs.Outcome([2, 3, 5, 7], [1, 0, 1, 0])
    risk = (0.5, 0.4, 0.3, 0.2)

    def test_delayed_entry_needs_a_landmark_cohort(self):
        y = cs.Outcome([4, 9, 9], [1, 0, 0], start=[0, 2, 0])
        with pytest.raises(NotIdentifiedError, match=r"1 row \(row 1\) begin after time 0.*landmark"):
            brier_score(y, [0.1, 0.2, 0.3], 5)

    def test_split_spells_need_one_row_per_loan(self):
        y = cs.Outcome([4, 9], [0, 1], start=[0, 4], subject=["a", "a"])
        with pytest.raises(NotIdentifiedError, match="one row per loan"):
            integrated_brier_score(y, [[0.1, 0.2], [0.2, 0.3]], [4, 5])

    def test_a_horizon_past_the_follow_up_is_refused(self):
        with pytest.raises(DataError, match=r"times=8 is past the last observed time \(7\)"):
            brier_score(self.y, self.risk, 8)

    def test_no_event_by_the_horizon_is_refused(self):
        with pytest.raises(NoEventsError, match="by 1; the first is at 2"):
            brier_score(self.y, self.risk, 1)

    def test_everybody_censored_is_no_events(self):
        with pytest.raises(NoEventsError, match="all are censored"):
            brier_score(cs.Outcome([2, 3], [0, 0]), [0.1, 0.2], 2)

    def test_several_causes_must_be_named(self):
        y = cs.Outcome([2, 3, 5, 7], [1, 2, 1, 0], causes=CAUSES)
        with pytest.raises(DataError, match="cause='attrition'"):
            brier_score(y, self.risk, 3)

    def test_missing_predictions_are_located(self):
        with pytest.raises(DataError, match=r"The prediction for 3 has 1 missing value \(row 2\)"):
            brier_score(self.y, [0.5, 0.4, np.nan, 0.2], 3)

    def test_predictions_of_another_shape_are_refused(self):
        with pytest.raises(DataError, match=r"shape \(3,\), expected \(4, 1\)"):
            brier_score(self.y, [0.1, 0.2, 0.3], 3)
        with pytest.raises(DataError, match=r"shape \(4,\), expected \(4, 2\)"):
            brier_score(self.y, self.risk, [3, 5])

    def test_scores_that_are_no_probabilities_are_refused(self):
        with pytest.raises(DataError, match=r"1 row \(row 1\) hold predictions outside 0…1 \(1.4\)"):
            brier_score(self.y, [0.5, 1.4, 0.3, 0.2], 3)

    def test_curves_of_another_length_are_refused(self):
        with pytest.raises(DataError, match="The curves have 3 rows, the outcome has 4"):
            brier_score(self.y, constant_curves(np.full((3, 1), 0.2), [3]), 3)

    def test_curves_of_the_same_subjects_in_another_order_are_refused(self):
        y = cs.Outcome([2, 3, 5, 7], [1, 0, 1, 0], subject=["L1", "L2", "L3", "L4"])
        curves = constant_curves(np.full((4, 1), 0.2), [3], index=["L1", "L3", "L2", "L4"])
        with pytest.raises(DataError, match=r"another order \(row 1: 'L3' beside 'L2'\)"):
            brier_score(y, curves, 3)
        same = constant_curves(np.full((4, 1), 0.2), [3], index=["L1", "L2", "L3", "L4"])
        assert brier_score(y, same, 3).value > 0

    def test_curves_that_end_before_the_horizon_are_refused(self):
        curves = cs.KaplanMeier().fit(cs.Outcome([1, 2, 4], [1, 1, 0])).curves_
        y = cs.Outcome([2, 7], [1, 0])
        with pytest.raises(DataError, match="past the last time known"):
            brier_score(y, curves[[0, 0]], 5)

    def test_curves_without_the_cause_are_refused(self):
        y = cs.Outcome([2, 3, 5, 7], [1, 2, 1, 0], causes=CAUSES)
        with pytest.raises(DataError, match="'default' is unknown"):
            brier_score(y, constant_curves(np.full((4, 1), 0.2), [3]), 3, cause="default")

    def test_an_integral_needs_increasing_times(self):
        for times in ([3], [5, 3], [3, 3]):
            with pytest.raises(DataError, match="two or more increasing"):
                integrated_brier_score(self.y, np.full((4, len(times)), 0.2), times)

    def test_one_customer_has_no_variance(self):
        with pytest.raises(DataError, match="one subject"):
            brier_score(cs.Outcome([2], [1]), [0.4], 2)

    def test_a_censoring_model_that_leaves_nobody_is_refused(self):
        for other in (cs.Outcome([1, 1], [0, 0]), cs.Outcome([1, 1], [0, 1])):
            with pytest.raises(NotIdentifiedError, match="censoring model"):
                brier_score(self.y, self.risk, 3, censoring=cs.CensoringModel().fit(other))

    @pytest.mark.parametrize("bad", [[-1, 1, 1, 1], [1, 1]])
    def test_bad_weights_are_refused(self, bad):
        with pytest.raises(DataError, match="sample_weight"):
            brier_score(self.y, self.risk, 3, sample_weight=bad)
