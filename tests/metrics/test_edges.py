"""Metrics at the edges: recurrent events, rows of weight zero, fractional times, curves known at some times only."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import churnsurv as cs
from churnsurv.exceptions import DataError, NoEventsError, NotIdentifiedError

brier_score, integrated_brier_score = cs.metrics.brier_score, cs.metrics.integrated_brier_score
concordance_index = cs.metrics.concordance_index

THREE = 0.1 + 0.2  # 0.30000000000000004
Y = cs.Outcome([2, 3, 5, 7], [1, 0, 1, 0])
RISK = np.array([0.5, 0.4, 0.3, 0.2])
RECURRENT = cs.Outcome([2, 5, 6, 4], [1, 1, 0, 1], subject=[1, 2, 3, 4], recurrent=True)


@pytest.mark.parametrize(
    "judge",
    [
        lambda y: concordance_index(y, RISK),
        lambda y: brier_score(y, RISK, 4),
        lambda y: integrated_brier_score(y, np.column_stack((RISK, RISK)), [4, 5]),
    ],
    ids=["concordance", "brier", "integrated brier"],
)
def test_recurrent_events_are_refused_with_the_remedy(judge):
    with pytest.raises(NotIdentifiedError, match="recurrent events.*first event"):
        judge(RECURRENT)


class TestWeightZero:
    # the last two rows do not count: one is followed longest, one enters late, both are of a customer of their own
    y = cs.Outcome([2, 3, 5, 7, 20, 18], [1, 0, 1, 0, 0, 1], start=[0, 0, 0, 0, 0, 4], subject=list("abcdef"))
    weight = np.array([1.0, 2, 1, 1, 0, 0])
    risk = np.array([0.5, 0.3, 0.2, 0.4, 0.1, 0.6])
    alone = cs.Outcome([2, 3, 5, 7], [1, 0, 1, 0], start=[0, 0, 0, 0], subject=list("abcd"))

    @pytest.mark.parametrize("weighting", ["n", "n/G2", "S", "S/G", "I"])
    @pytest.mark.parametrize("cluster", [None, [7, 7, 8, 9, 5, 6]])
    def test_the_concordance_is_that_of_the_other_rows(self, weighting, cluster):
        kept = None if cluster is None else cluster[:4]
        found = concordance_index(self.y, self.risk, weighting=weighting, sample_weight=self.weight, cluster=cluster)
        expected = concordance_index(
            self.alone, self.risk[:4], weighting=weighting, sample_weight=self.weight[:4], cluster=kept
        )
        assert found == expected

    def test_the_brier_score_is_that_of_the_other_rows(self):
        for cluster, kept in ((None, None), ([7, 7, 8, 9, 5, 6], [7, 7, 8, 9])):
            found = brier_score(self.y, self.risk, 5, sample_weight=self.weight, cluster=cluster)
            assert found == brier_score(self.alone, self.risk[:4], 5, sample_weight=self.weight[:4], cluster=kept)

    def test_the_follow_up_is_that_of_the_other_rows(self):
        with pytest.raises(DataError, match=r"times=12 is past the last observed time \(7\)"):
            brier_score(self.y, self.risk, 12, sample_weight=self.weight)
        with pytest.raises(DataError, match=r"tau=12 is past the last observed time \(7\)"):
            concordance_index(self.y, self.risk, tau=12, sample_weight=self.weight)

    def test_events_are_those_of_the_other_rows(self):
        with pytest.raises(NoEventsError, match="among 2 rows"):
            concordance_index(self.y, self.risk, sample_weight=[0, 1, 0, 1, 0, 0])
        with pytest.raises(NoEventsError, match="by 4; the first is at 5"):
            brier_score(self.y, self.risk, 4, sample_weight=[0, 1, 1, 1, 0, 0])

    def test_a_row_that_enters_late_is_named_by_its_place_among_all(self):
        with pytest.raises(NotIdentifiedError, match=r"1 row \(row 5\) begin after time 0"):
            brier_score(self.y, self.risk, 5, sample_weight=[0, 1, 1, 1, 0, 1])

    def test_curves_of_the_other_rows_are_read(self):
        y = cs.Outcome([2, 3, 5, 7], [1, 0, 1, 0])
        probability = np.array([[0.5, 0.3, 0.4, 0.2]]).T[:, None, :] * np.ones((4, 2, 1))
        probability[:, 0] = 1 - probability[:, 1]
        curves = cs.Curves(
            times=np.array([5.0]),
            probability=probability,
            origin=np.zeros(4),
            last=np.array([9.0, 9, 9, 4]),  # the last row's curve ends too early, but does not count
            causes=("event",),
            index=pd.RangeIndex(4),
        )
        found = brier_score(y, curves, 5, sample_weight=[1, 1, 1, 0])
        assert found == brier_score(y[[0, 1, 2]], probability[:3, 1, 0], 5)


class TestFractionalTimes:
    y = cs.Outcome([0.1, 0.2, THREE, 0.4, 0.5], [1, 0, 1, 0, 1])
    risk = np.array([0.8, 0.9, 0.3, 0.4, 0.1])

    def test_an_event_within_rounding_of_the_horizon_has_happened_by_it(self):
        exact, rounded = (brier_score(self.y, self.risk, h) for h in (THREE, 0.3))
        assert rounded == exact
        assert rounded.n_events == 2

    def test_the_times_of_the_table_are_those_asked_for(self):
        risk = np.column_stack((self.risk, self.risk))
        table = brier_score(self.y, risk, [0.3, 0.4])
        assert table["time"].tolist() == [0.3, 0.4]
        assert table["value"].tolist() == brier_score(self.y, risk, [THREE, 0.4])["value"].tolist()
        exact, rounded = (integrated_brier_score(self.y, risk, [h, 0.4]) for h in (THREE, 0.3))
        assert rounded == exact

    def test_a_censoring_model_of_others_is_read_up_to_rounding(self):
        # censored at 0.3 there, event at 0.1 + 0.2 here: the event comes before the censoring
        model = cs.CensoringModel().fit(cs.Outcome([0.3, 0.6], [0, 0]))
        found = brier_score(cs.Outcome([THREE, 0.4, 0.5], [1, 0, 0]), [0.5, 0.5, 0.5], THREE, censoring=model)
        assert found.value == pytest.approx((0.25 + 2 * 0.25 / 0.5) / 3)

    def test_a_tau_within_rounding_of_an_event_includes_it(self):
        exact, rounded = (concordance_index(self.y, self.risk, tau=h) for h in (THREE, 0.3))
        assert rounded == exact
        assert rounded.n_events == 2

    def test_a_horizon_that_is_the_last_time_up_to_rounding_is_within_the_follow_up(self):
        y = cs.Outcome([0.1, 0.3, 0.3], [1, 0, 1])
        assert brier_score(y, [0.8, 0.3, 0.6], THREE).n_events == 2
        assert concordance_index(y, [2, 3, 1], tau=THREE).n_events == 2


class TestCurvesAtSomeTimes:
    y = cs.Outcome([3, 5, 8, 12], [1, 1, 0, 1])

    def curves(self, times, origin):
        n = len(self.y)
        risk = np.linspace(0.1, 0.6, n * len(times)).reshape(n, len(times))
        return cs.Curves(
            times=np.asarray(times, dtype=float),
            probability=np.stack((1 - risk, risk), axis=1),
            origin=np.broadcast_to(np.asarray(origin, dtype=float), n).copy(),
            last=np.full(n, 60.0),
            causes=("event",),
            index=pd.RangeIndex(n),
            steps=False,
        )

    def test_a_horizon_between_the_times_is_refused(self):
        curves = self.curves([2, 10], 0)
        with pytest.raises(DataError, match="evaluated at 2, 10 only; 5 is not among them"):
            brier_score(self.y, curves, 5)
        with pytest.raises(DataError, match="5 is not among them"):
            integrated_brier_score(self.y, curves, [5, 10])
        assert brier_score(self.y, curves, 10) == brier_score(self.y, curves.cumulative_incidence()[:, 1], 10)

    def test_the_horizon_counts_from_each_rows_origin(self):
        origin = np.array([10.0, 10, 20, 30])
        curves = self.curves([15, 25, 35], origin)
        risk = curves.cumulative_incidence()[np.arange(4), [0, 0, 1, 2]]
        assert brier_score(self.y, curves, 5) == brier_score(self.y, risk, 5)
        with pytest.raises(DataError, match="16 is not among them"):
            brier_score(self.y, curves, 6)

    def test_curves_of_a_model_at_the_wrong_times_are_refused(self):
        x = pd.DataFrame({"x": [1.0, 0, 1, 0, 1, 0]})
        model = cs.CoxPH(ties="breslow").fit(x, cs.Outcome([3, 5, 8, 12, 4, 9], [1, 1, 0, 1, 1, 1]))
        with pytest.raises(DataError, match="5 is not among them"):
            brier_score(self.y, model.predict_curves(x[:4], times=[2, 10]), 5)
        assert brier_score(self.y, model.predict_curves(x[:4], times=[2, 5]), 5) == brier_score(
            self.y, model.predict_curves(x[:4]), 5
        )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"level": "a"}, "level='a' is no confidence level"),
        ({"level": None}, "level=None is no confidence level"),
        ({"tau": "a"}, "tau='a' is not a finite number"),
        ({"tau": np.nan}, "tau=nan is not a finite number"),
    ],
)
def test_options_of_the_concordance_of_the_wrong_kind_are_named(options, message):
    with pytest.raises(DataError, match=message):
        concordance_index(Y, RISK, **options)


@pytest.mark.parametrize(
    ("times", "level", "message"),
    [
        ("a", 0.95, "'times' is .*not numeric"),
        (None, 0.95, "'times' is .*not numeric"),
        (np.nan, 0.95, "times=nan: give a positive finite number"),
        (-3, 0.95, "times=-3: give a positive finite number"),
        ([[3]], 0.95, "give a number or a list"),
        (3, "a", "level='a' is no confidence level"),
        (3, None, "level=None is no confidence level"),
    ],
)
def test_options_of_the_brier_score_of_the_wrong_kind_are_named(times, level, message):
    with pytest.raises(DataError, match=message):
        brier_score(Y, RISK, times, level=level)
