"""Concordance: by hand, against its definition, its identities, and its errors."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import churnsurv as cs
from churnsurv.exceptions import DataError, NoEventsError, NotIdentifiedError, SmallSampleWarning
from tests.metrics import slow

concordance_index = cs.metrics.concordance_index


@st.composite
def follow_ups(draw, late=False, causes=1, min_size=3, max_size=25):
    """Draw a small outcome with many ties, a score with ties, and weights."""
    n = draw(st.integers(min_size, max_size))

    def column(values):
        return np.array(draw(st.lists(values, min_size=n, max_size=n)))

    start = column(st.integers(0, 5)) if late else None
    stop = (0 if start is None else start) + column(st.integers(1, 8))
    event = column(st.integers(0, causes))
    y = cs.Outcome(stop, event, start=start, causes=tuple("abc"[:causes]))
    return y, column(st.integers(-3, 3)).astype(float), column(st.integers(1, 4)).astype(float)


def pairs_exist(y, cause=1, strata=None):
    return bool(slow.pair_table(y.entry, y.stop, y.event == cause, np.zeros(len(y)), strata))


@pytest.fixture
def cohort():
    rng = np.random.default_rng(5)
    n = 400
    x = rng.normal(size=n)
    leaves, censored = rng.exponential(20 * np.exp(-0.7 * x)), rng.uniform(5, 40, n)
    return cs.Outcome(np.minimum(leaves, censored), leaves <= censored), x


class TestByHand:
    def test_four_customers_one_of_five_pairs_is_discordant(self):
        # events at 3 (score .9), 5 (.2), 12 (.1); censored at 8 (.5). Pairs of the event at 3: .9 beats .2, .5, .1;
        # of the event at 5: .2 loses to .5, beats .1; the event at 12 has nobody after it. 4 of 5.
        y = cs.Outcome([3, 5, 8, 12], [1, 1, 0, 1])
        estimate = concordance_index(y, [0.9, 0.2, 0.5, 0.1])
        assert estimate.value == 0.8
        assert (estimate.n, estimate.n_events, estimate.name) == (4, 3, "Harrell's C")

    def test_a_tied_score_counts_one_half(self):
        y = cs.Outcome([1, 2, 3], [1, 0, 0])
        assert concordance_index(y, [2, 2, 1]).value == 0.75

    def test_censored_in_the_month_of_an_event_is_later_than_the_event(self):
        y = cs.Outcome([4, 4, 9], [1, 0, 0])
        assert concordance_index(y, [1, 2, 0]).value == 0.5  # loses to the censored one, beats the last

    def test_two_events_in_one_month_are_no_pair(self):
        y = cs.Outcome([4, 4, 9], [1, 1, 0])
        assert concordance_index(y, [5, 0, 1]).value == 0.5  # (5 beats 1) and (0 loses to 1), 5 against 0 is no pair

    def test_who_has_not_entered_yet_is_no_comparison(self):
        # at 4 only the rows entered before 4 are there: the third enters at 4 and is not
        y = cs.Outcome([4, 9, 9], [1, 0, 0], start=[0, 2, 4])
        with pytest.warns(SmallSampleWarning, match="all concordant"):
            assert concordance_index(y, [1.0, 0.5, 7.0]).value == 1.0

    def test_unos_weights_by_hand(self):
        # times 1 event, 2 censored, 3 event, 4 censored. G(1-) = 1, G(3-) = 1 - 1/3 = 2/3, so weights 1 and 9/4.
        # scores 2 3 1 0: event at 1 loses to 3, beats 1, 0; event at 3 beats 0: (2 + 9/4) / (3 + 9/4)
        y = cs.Outcome([1, 2, 3, 4], [1, 0, 1, 0])
        estimate = concordance_index(y, [2, 3, 1, 0], weighting="n/G2")
        assert estimate.value == pytest.approx((2 + 9 / 4) / (3 + 9 / 4), abs=1e-15)
        assert estimate.name == "Uno's C"

    def test_competing_causes_are_censored_at_their_time(self):
        # the other cause at 2 leaves the risk set of the event at 3, and is compared with the event at 1
        y = cs.Outcome([1, 2, 3, 4], [1, 2, 1, 0], causes=("attrition", "default"))
        assert concordance_index(y, [2, 3, 1, 0], cause="attrition").value == 0.75
        assert "cause-specific" in concordance_index(y, [2, 3, 1, 0], cause="attrition").method

    def test_tau_counts_events_up_to_and_at_it(self):
        y = cs.Outcome([1, 2, 3, 4], [1, 1, 1, 0])
        score = [1, 2, 0, 3]  # signs of the event at 1: - + -, at 2: + -, at 3: -
        assert concordance_index(y, score, tau=2).value == pytest.approx(2 / 5)
        assert concordance_index(y, score).value == pytest.approx(2 / 6)
        assert concordance_index(y, score, tau=2).n_events == 2


class TestDefinition:
    @settings(max_examples=60, deadline=None)
    @given(follow_ups(late=True), st.booleans())
    def test_agrees_with_all_pairs_written_out(self, drawn, stratified):
        y, score, weight = drawn
        strata = np.arange(len(y)) % 2 if stratified else None
        assume(pairs_exist(y, strata=strata))
        pairs = slow.pair_table(y.entry, y.stop, y.event == 1, score, strata)
        signs = {sign for *_, sign in pairs}
        assume(signs not in ({1.0}, {-1.0}))  # no interval there
        estimate = concordance_index(y, score, sample_weight=weight, strata=strata)
        assert estimate.value == pytest.approx(slow.concordance(pairs, weight), abs=1e-12)
        se = slow.jackknife_se(lambda w: slow.concordance(pairs, w), weight)
        assert estimate.se == pytest.approx(se, abs=1e-7)

    @settings(max_examples=40, deadline=None)
    @given(follow_ups(causes=2))
    def test_a_cause_among_others_is_that_cause_with_the_others_censored(self, drawn):
        y, score, _ = drawn
        assume(pairs_exist(y))
        pairs = slow.pair_table(y.entry, y.stop, y.event == 1, score)
        assume({sign for *_, sign in pairs} not in ({1.0}, {-1.0}))
        expected = concordance_index(y.only("a"), score)
        found = concordance_index(y, score, cause="a")
        assert (found.value, found.se) == (expected.value, expected.se)

    @pytest.mark.parametrize("weighting", ["n/G2", "S", "S/G", "I"])
    def test_weighted_pairs_agree_with_the_formula(self, weighting):
        rng = np.random.default_rng(11)
        n = 60
        stop, event, score = rng.integers(1, 12, n), rng.integers(0, 3, n), rng.integers(0, 6, n).astype(float)
        weight = rng.integers(1, 4, n).astype(float)

        def just_before(t):
            survival = 1.0
            for u in np.unique(stop[(event > 0) & (stop < t)]):
                survival *= 1 - weight[(stop == u) & (event > 0)].sum() / weight[stop >= u].sum()
            return survival

        at_risk = np.array([weight[stop >= t].sum() for t in stop])
        survived = np.array([just_before(t) for t in stop])
        g = np.array([slow.uncensored(stop, event, t, before=True, weight=weight) for t in stop])
        by_time = {"n/G2": 1 / g**2, "S": survived / at_risk, "S/G": survived / at_risk / g, "I": 1 / at_risk}[
            weighting
        ]
        pairs = slow.pair_table(np.full(n, -1), stop, event == 1, score)
        y = cs.Outcome(stop, event, causes=("a", "b"))
        found = concordance_index(y, score, cause="a", weighting=weighting, sample_weight=weight)
        assert found.value == pytest.approx(slow.concordance(pairs, weight, by_time), abs=1e-12)
        se = slow.jackknife_se(lambda w: slow.concordance(pairs, w, by_time), weight)
        assert found.se == pytest.approx(se, rel=1e-6)

    def test_the_variance_sums_influence_by_cluster(self, cohort):
        y, x = cohort
        y, x = y[:80], x[:80]
        customer = np.repeat(np.arange(40), 2)
        pairs = slow.pair_table(y.entry, y.stop, y.event == 1, x)
        expected = slow.jackknife_se(lambda w: slow.concordance(pairs, w), np.ones(80), customer)
        assert concordance_index(y, x, cluster=customer).se == pytest.approx(expected, rel=1e-6)


class TestIdentities:
    def test_a_constant_score_is_exactly_one_half(self):
        rng = np.random.default_rng(2)
        y = cs.Outcome(rng.integers(1, 30, 200), rng.integers(0, 2, 200))
        for weighting in ("n", "n/G2", "S", "S/G", "I"):
            estimate = concordance_index(y, np.full(200, 0.3), weighting=weighting, sample_weight=rng.random(200))
            assert estimate.value == 0.5
            assert estimate.se == pytest.approx(0, abs=1e-12)

    @settings(max_examples=60, deadline=None)
    @given(follow_ups(late=True))
    def test_reversing_the_score_gives_the_complement(self, drawn):
        y, score, weight = drawn
        assume(pairs_exist(y))
        pairs = slow.pair_table(y.entry, y.stop, y.event == 1, score)
        assume({sign for *_, sign in pairs} not in ({1.0}, {-1.0}))
        up, down = (concordance_index(y, s, sample_weight=weight) for s in (score, -score))
        assert up.value + down.value == pytest.approx(1, abs=1e-14)
        assert up.lower + down.upper == pytest.approx(1, abs=1e-12)
        assert up.se == pytest.approx(down.se, abs=1e-12)

    def test_a_monotone_transform_of_the_score_changes_nothing(self, cohort):
        y, x = cohort
        plain, transformed = concordance_index(y, x), concordance_index(y, np.exp(2 * x) - 7)
        assert (plain.value, plain.se) == (transformed.value, transformed.se)

    def test_row_order_changes_nothing(self, cohort):
        y, x = cohort
        order = np.random.default_rng(0).permutation(len(y))
        for weighting in ("n", "n/G2"):
            a, b = (
                concordance_index(y, x, weighting=weighting),
                concordance_index(y[order], x[order], weighting=weighting),
            )
            assert (b.value, b.se) == (pytest.approx(a.value, abs=1e-13), pytest.approx(a.se, abs=1e-13))

    def test_without_censoring_all_weightings_but_one_per_event_are_harrells(self, cohort):
        y, x = cohort
        y = cs.Outcome(np.ceil(y.stop), np.ones(len(y)))
        harrell = concordance_index(y, x).value
        for weighting in ("n/G2", "S", "S/G"):
            assert concordance_index(y, x, weighting=weighting).value == pytest.approx(harrell, abs=1e-12)

    @settings(max_examples=40, deadline=None)
    @given(follow_ups(late=True), st.integers(1, 6))
    def test_splitting_spells_changes_nothing(self, drawn, cut):
        y, score, weight = drawn
        assume(pairs_exist(y))
        pairs = slow.pair_table(y.entry, y.stop, y.event == 1, score)
        assume({sign for *_, sign in pairs} not in ({1.0}, {-1.0}))
        across = (y.start < cut) & (y.stop > cut)
        subject = np.arange(len(y))
        split = cs.Outcome(
            np.concatenate((np.where(across, cut, y.stop), y.stop[across])),
            np.concatenate((np.where(across, 0, y.event), y.event[across])),
            start=np.concatenate((y.start, np.full(across.sum(), cut))),
            subject=np.concatenate((subject, subject[across])),
        )
        whole = concordance_index(y, score, sample_weight=weight)
        parts = concordance_index(
            split, np.concatenate((score, score[across])), sample_weight=np.concatenate((weight, weight[across]))
        )
        assert parts.value == pytest.approx(whole.value, abs=1e-13)
        assert parts.se == pytest.approx(whole.se, abs=1e-12)
        assert parts.n == whole.n

    def test_unos_c_of_split_spells_is_that_of_whole_ones(self, cohort):
        y, x = cohort
        cut = 10.0
        across = y.stop > cut
        split = cs.Outcome(
            np.concatenate((np.minimum(y.stop, cut), y.stop[across])),
            np.concatenate((np.where(across, 0, y.event), y.event[across])),
            start=np.concatenate((np.zeros(len(y)), np.full(across.sum(), cut))),
            subject=np.concatenate((np.arange(len(y)), np.flatnonzero(across))),
        )
        whole = concordance_index(y, x, weighting="n/G2")
        parts = concordance_index(split, np.concatenate((x, x[across])), weighting="n/G2")
        assert (parts.value, parts.se) == (pytest.approx(whole.value, abs=1e-12), pytest.approx(whole.se, abs=1e-12))

    def test_equal_weights_change_nothing_and_whole_weights_repeat_customers(self, cohort):
        y, x = cohort
        plain, scaled = concordance_index(y, x), concordance_index(y, x, sample_weight=np.full(len(y), 2.5))
        assert (scaled.value, scaled.se) == (pytest.approx(plain.value, abs=1e-13), pytest.approx(plain.se, abs=1e-13))

    def test_rows_of_weight_zero_are_not_there(self, cohort):
        y, x = cohort
        weight = (np.arange(len(y)) % 3 > 0).astype(float)
        kept = weight > 0
        for weighting in ("n", "n/G2", "S"):
            found = concordance_index(y, x, sample_weight=weight, weighting=weighting)
            expected = concordance_index(y[kept], x[kept], weighting=weighting)
            assert (found.value, found.se) == (pytest.approx(expected.value), pytest.approx(expected.se))

    def test_strata_with_labels_or_a_frame_of_them_are_the_same(self, cohort):
        y, x = cohort
        a, b = np.arange(len(y)) % 2, np.arange(len(y)) % 3
        frame = pd.DataFrame({"a": a, "b": b}, index=np.arange(len(y)) + 7)
        found, expected = concordance_index(y, x, strata=frame), concordance_index(y, x, strata=3 * a + b)
        assert (found.value, found.se) == (expected.value, expected.se)

    def test_a_structured_array_of_scikit_survival_is_read(self, cohort):
        y, x = cohort
        assert concordance_index(y.to_sksurv(), x) == concordance_index(y, x)

    def test_a_given_censoring_model_takes_the_place_of_kaplan_meier(self, cohort):
        y, x = cohort
        own = cs.CensoringModel().fit(y)
        assert concordance_index(y, x, weighting="n/G2", censoring=own) == concordance_index(y, x, weighting="n/G2")
        nobody_censored = cs.CensoringModel().fit(cs.Outcome(y.stop, np.ones(len(y))))
        found = concordance_index(y, x, weighting="n/G2", censoring=nobody_censored)
        assert found.value == pytest.approx(concordance_index(y, x).value, abs=1e-14)

    def test_the_interval_is_made_on_the_logit_scale(self, cohort):
        y, x = cohort
        estimate = concordance_index(y, x, level=0.9)
        logit = np.log(estimate.value / (1 - estimate.value))
        half = 1.6448536269514722 * estimate.se / (estimate.value * (1 - estimate.value))
        assert estimate.upper == pytest.approx(1 / (1 + np.exp(-logit - half)))
        assert estimate.lower == pytest.approx(1 / (1 + np.exp(-logit + half)))


class TestBadInput:
    y = cs.Outcome([2, 3, 5, 7], [1, 0, 1, 0])

    def test_missing_and_infinite_scores_are_counted_and_located(self):
        with pytest.raises(DataError, match=r"risk has 2 missing values \(row 1, 3\).*leave these rows out"):
            concordance_index(self.y, [1, np.nan, 2, np.nan])
        with pytest.raises(DataError, match=r"risk has 1 infinite value \(row 0\)"):
            concordance_index(self.y, [np.inf, 1, 2, 3])

    def test_a_score_of_another_length_is_refused(self):
        with pytest.raises(DataError, match=r"risk has shape \(3,\), the outcome has 4 rows"):
            concordance_index(self.y, [1, 2, 3])

    def test_a_column_as_score_is_read(self):
        frame = pd.DataFrame({"score": [4.0, 1.0, 2.0, 3.0]}, index=[9, 8, 7, 6])
        assert concordance_index(self.y, frame).value == concordance_index(self.y, frame["score"].to_numpy()).value

    def test_text_as_score_is_refused(self):
        with pytest.raises(DataError, match="not numeric"):
            concordance_index(self.y, ["high", "low", "low", "low"])

    def test_an_unknown_weighting_lists_the_known_ones(self):
        with pytest.raises(DataError, match=r"weighting='uno' is not known.*'n/G2'"):
            concordance_index(self.y, [1, 2, 3, 4], weighting="uno")

    def test_everybody_censored_is_no_events(self):
        with pytest.raises(NoEventsError, match="all are censored"):
            concordance_index(cs.Outcome([1, 2], [0, 0]), [1, 2])

    def test_no_event_of_the_cause_names_the_causes_seen(self):
        y = cs.Outcome([1, 2], [1, 0], causes=("attrition", "default"))
        with pytest.raises(NoEventsError, match=r"'default'.*'attrition'"):
            concordance_index(y, [1, 2], cause="default")

    def test_several_causes_must_be_named(self):
        y = cs.Outcome([1, 2], [1, 2], causes=("attrition", "default"))
        with pytest.raises(DataError, match="cause='attrition'"):
            concordance_index(y, [1, 2])
        with pytest.raises(DataError, match="unknown"):
            concordance_index(y, [1, 2], cause="churn")

    def test_tau_before_the_first_event_or_past_the_follow_up_is_refused(self):
        with pytest.raises(NoEventsError, match="by 1; the first is at 2"):
            concordance_index(self.y, [1, 2, 3, 4], tau=1)
        with pytest.raises(DataError, match=r"tau=9 is past the last observed time \(7\)"):
            concordance_index(self.y, [1, 2, 3, 4], tau=9)
        with pytest.raises(DataError, match="tau=0: give a positive finite number"):
            concordance_index(self.y, [1, 2, 3, 4], tau=0)

    def test_no_comparable_pair_is_not_identified(self):
        with pytest.raises(NotIdentifiedError, match="No two rows can be compared"):
            concordance_index(cs.Outcome([1, 2], [0, 1]), [1, 2])

    def test_strata_of_one_row_each_leave_no_pair(self):
        with pytest.raises(NotIdentifiedError, match="of the same stratum"):
            concordance_index(self.y, [1, 2, 3, 4], strata=[1, 2, 3, 4])

    def test_a_single_cluster_has_no_variance(self):
        with pytest.raises(DataError, match="one cluster"):
            concordance_index(self.y, [4, 2, 3, 1], cluster=[1, 1, 1, 1])

    def test_weights_by_the_censoring_with_delayed_entry_are_not_identified(self):
        y = cs.Outcome([4, 9, 9], [1, 0, 0], start=[0, 2, 3])
        with pytest.raises(NotIdentifiedError, match="landmark"):
            concordance_index(y, [1, 2, 3], weighting="n/G2")

    def test_a_censoring_model_that_leaves_nobody_is_refused(self):
        short = cs.CensoringModel().fit(cs.Outcome([1, 1], [0, 0]))
        with pytest.raises(NotIdentifiedError, match="at 2"):
            concordance_index(self.y, [1, 2, 3, 4], weighting="n/G2", censoring=short)

    @pytest.mark.parametrize("bad", [[-1, 1, 1, 1], [np.nan, 1, 1, 1], [0, 0, 0, 0], [1, 1]])
    def test_bad_weights_are_refused(self, bad):
        with pytest.raises(DataError, match="sample_weight"):
            concordance_index(self.y, [4, 2, 3, 1], sample_weight=bad)

    def test_missing_strata_and_clusters_are_refused(self):
        with pytest.raises(DataError, match="strata"):
            concordance_index(self.y, [4, 2, 3, 1], strata=["a", None, "b", "b"])
        with pytest.raises(DataError, match="cluster"):
            concordance_index(self.y, [4, 2, 3, 1], cluster=["a", "b"])

    def test_a_level_outside_zero_to_one_is_refused(self):
        with pytest.raises(DataError, match="level"):
            concordance_index(self.y, [4, 2, 3, 1], level=95)

    def test_a_perfect_score_has_no_interval_and_says_so(self):
        with pytest.warns(SmallSampleWarning, match="all concordant"):
            estimate = concordance_index(self.y, [4, 3, 2, 1])
        assert estimate.value == 1
        assert np.isnan(estimate.lower)
        assert np.isnan(estimate.upper)
