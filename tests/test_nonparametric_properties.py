"""Nonparametric curves against their definitions (slow twins), and identities that hold for any data."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import churnsurv as cs
from churnsurv.exceptions import DataError
from tests import nonparametric_twins as twin
from tests.nonparametric_twins import close, on_states

pytestmark = pytest.mark.filterwarnings("ignore::churnsurv.exceptions.SmallSampleWarning")


@st.composite
def rows(draw, entry=None, causes=2, min_size=3):
    """Columns start, stop, event, weight of a few rows with many ties."""
    n = draw(st.integers(min_size, 20))
    late = draw(st.booleans()) if entry is None else entry
    start = np.array(draw(st.lists(st.integers(0, 5), min_size=n, max_size=n))) if late else np.zeros(n, dtype=int)
    stop = start + np.array(draw(st.lists(st.integers(1, 6), min_size=n, max_size=n)))
    event = np.array(draw(st.lists(st.integers(0, causes), min_size=n, max_size=n)))
    weight = np.array(draw(st.lists(st.integers(1, 4), min_size=n, max_size=n)))
    return start.astype(float), stop.astype(float), event, weight.astype(float)


def outcome(start, stop, event, causes=("a", "b"), subject=None):
    return cs.Outcome(stop, event, start=start, causes=causes, subject=subject)


# -- slow twins --------------------------------------------------------------------------------------------------------


@settings(max_examples=25, deadline=None)
@given(rows())
def test_states_and_their_variances_are_those_of_the_definitions(columns):
    start, stop, event, weight = columns
    y = outcome(start, stop, event)
    table = cs.AalenJohansen().fit(y, sample_weight=weight).table_
    times = np.unique(stop)
    want = twin.states(start, stop, event, weight, 2, times)
    np.testing.assert_allclose(on_states(table, "estimate"), want, atol=1e-12)
    ij = twin.infinitesimal_jackknife(
        lambda w: twin.states(start, stop, event, w, 2, times), weight, np.arange(len(stop))
    )
    np.testing.assert_allclose(on_states(table, "se") ** 2, ij, atol=1e-8)


@settings(max_examples=25, deadline=None)
@given(rows(), st.data())
def test_robust_variances_by_cluster_are_those_of_the_definition(columns, data):
    start, stop, event, weight = columns
    cluster = np.array(data.draw(st.lists(st.integers(0, 3), min_size=len(stop), max_size=len(stop))))
    assume(len(np.unique(cluster)) > 1)
    y = outcome(start, stop, event)
    times = np.unique(stop)
    km = cs.KaplanMeier().fit(y, sample_weight=weight / 3, cluster=cluster)
    survival = twin.infinitesimal_jackknife(
        lambda w: twin.states(start, stop, event, w, 2, times)[0], weight / 3, cluster
    )
    defined = km.table_["estimate"].to_numpy() > 0
    np.testing.assert_allclose(km.table_["se"].to_numpy()[defined] ** 2, survival[defined], atol=1e-8)
    assert km.table_["se"].isna().tolist() == (~defined).tolist()
    na = cs.NelsonAalen().fit(y, sample_weight=weight, cluster=cluster).table_
    hazard = twin.infinitesimal_jackknife(
        lambda w: twin.cumulative_hazard(start, stop, event, w, times), weight, cluster
    )
    np.testing.assert_allclose(na["se"] ** 2, hazard, atol=1e-8)


@settings(max_examples=25, deadline=None)
@given(rows(), st.floats(0.3, 6))
def test_restricted_means_and_their_robust_variances_are_those_of_the_definition(columns, horizon):
    start, stop, event, weight = columns
    y, times, cluster = outcome(start, stop, event), np.unique(stop), np.arange(len(stop)) // 2
    origin = start.min()
    horizon = min(horizon, times[-1] - origin)

    def area(w):
        return twin.area(times, twin.states(start, stop, event, w, 2, times)[0], horizon, origin)

    for estimator in (cs.KaplanMeier(), cs.AalenJohansen()):
        got = estimator.fit(y, sample_weight=weight, cluster=cluster).rmst(horizon)
        assert got.value == pytest.approx(area(weight), abs=1e-12)
        assert got.se**2 == pytest.approx(twin.infinitesimal_jackknife(area, weight, cluster), abs=1e-7)


@settings(max_examples=25, deadline=None)
@given(rows())
def test_greenwoods_variance_is_its_formula(columns):
    start, stop, event, weight = columns
    times = np.unique(stop)
    table = cs.KaplanMeier().fit(outcome(start, stop, event), sample_weight=weight, variance="greenwood").table_
    defined = table["estimate"].to_numpy() > 0
    want = twin.greenwood(start, stop, event, weight, times)
    np.testing.assert_allclose(table["se"].to_numpy()[defined] ** 2, want[defined], atol=1e-12)


# -- identities --------------------------------------------------------------------------------------------------------


@settings(max_examples=25, deadline=None)
@given(rows(), st.randoms(use_true_random=False))
def test_the_order_of_rows_changes_nothing(columns, random):
    y, weight = outcome(*columns[:3]), columns[3]
    order = np.array(random.sample(range(len(y)), len(y)))
    by = np.arange(len(y)) % 2
    for estimator in (cs.KaplanMeier, cs.NelsonAalen, cs.AalenJohansen):
        one = estimator().fit(y, sample_weight=weight / 7, by=by)
        other = estimator().fit(y[order], sample_weight=weight[order] / 7, by=by[order])
        close(one.table_, other.table_)


@settings(max_examples=25, deadline=None)
@given(rows(), st.data())
def test_splitting_rows_changes_nothing(columns, data):
    start, stop, event, weight = columns
    cuts = start + (stop - start) * np.array(data.draw(st.lists(st.sampled_from([0.25, 0.5]), min_size=len(stop),
                                                                max_size=len(stop))))  # fmt: skip
    ids = np.arange(len(stop))
    whole = outcome(start, stop, event, subject=ids)
    parts = outcome(
        np.concatenate((start, cuts)),
        np.concatenate((cuts, stop)),
        np.concatenate((0 * event, event)),
        subject=np.tile(ids, 2),
    )
    for estimator, options in (
        (cs.KaplanMeier, {}),
        (cs.KaplanMeier, {"variance": "robust", "min_at_risk": 2}),
        (cs.NelsonAalen, {"variance": "robust"}),
        (cs.AalenJohansen, {}),
        (cs.AalenJohansen, {"variance": "aalen"}),
    ):
        try:
            one = estimator().fit(whole, sample_weight=weight, **options)
        except DataError:  # fewer than two at risk at any time
            continue
        other = estimator().fit(parts, sample_weight=np.tile(weight, 2), **options)
        close(one.table_, other.table_)
        assert one.n_subjects_.tolist() == other.n_subjects_.tolist()
        assert one.curves_.origin.tolist() == other.curves_.origin.tolist()
    close(*(cs.CensoringModel().fit(y).table_ for y in (whole, parts)))


@settings(max_examples=25, deadline=None)
@given(rows())
def test_whole_weights_are_replicated_rows(columns):
    start, stop, event, weight = columns
    copies = np.repeat(np.arange(len(stop)), weight.astype(int))
    y = outcome(start, stop, event)
    replicated = outcome(start[copies], stop[copies], event[copies])
    for estimator, options in (
        (cs.KaplanMeier, {}),
        (cs.NelsonAalen, {}),
        (cs.AalenJohansen, {"variance": "aalen"}),
        (cs.AalenJohansen, {"variance": "greenwood"}),
    ):
        close(estimator().fit(y, sample_weight=weight, **options).table_, estimator().fit(replicated, **options).table_)


@settings(max_examples=25, deadline=None)
@given(rows(entry=False, causes=1))
def test_without_censoring_the_curves_are_proportions(columns):
    _, stop, event, _ = columns
    n = len(stop)
    causes = 1 + event  # everybody leaves, by cause 1 or 2
    km = cs.KaplanMeier().fit(cs.Outcome(stop, np.ones(n)))
    stay = np.array([(stop > t).mean() for t in km.table_["time"]])
    np.testing.assert_allclose(km.table_["estimate"], stay, atol=1e-12)
    defined = stay > 0
    binomial = np.sqrt(stay * (1 - stay) / n)
    np.testing.assert_allclose(km.table_["se"][defined], binomial[defined], atol=1e-12)
    mean = km.rmst(stop.max())
    assert mean.value == pytest.approx(stop.mean())
    assert mean.se == pytest.approx(stop.std() / n**0.5)
    for variance in ("robust", "greenwood"):
        table = cs.AalenJohansen().fit(cs.Outcome(stop, causes, causes=("a", "b")), variance=variance).table_
        for cause, name in ((1, "a"), (2, "b")):
            part = table[table["state"] == name]
            share = np.array([np.mean((stop <= t) & (causes == cause)) for t in part["time"]])
            np.testing.assert_allclose(part["estimate"], share, atol=1e-12)
            # the delta method has no variance for what the last risk set decides
            last = part["time"] < stop.max() if variance == "greenwood" else np.ones(len(part), dtype=bool)
            np.testing.assert_allclose(part["se"][last], np.sqrt(share * (1 - share) / n)[last], atol=1e-7)


@settings(max_examples=25, deadline=None)
@given(rows(entry=False, causes=1))
def test_with_one_cause_aalen_johansen_is_one_minus_kaplan_meier(columns):
    y = cs.Outcome(*columns[1:3])
    km, aj = cs.KaplanMeier().fit(y), cs.AalenJohansen().fit(y)
    estimate, se = on_states(aj.table_, "estimate"), on_states(aj.table_, "se")
    np.testing.assert_allclose(estimate, np.stack((km.table_["estimate"], 1 - km.table_["estimate"])), atol=1e-12)
    # without entry, weights and clusters the infinitesimal jackknife is Greenwood's formula
    defined = km.table_["estimate"].to_numpy() > 0
    np.testing.assert_allclose(se[:, defined], np.tile(km.table_["se"][defined], (2, 1)), atol=1e-8)


@settings(max_examples=25, deadline=None)
@given(rows())
def test_states_sum_to_one_and_bounds_hold_the_estimate(columns):
    y = outcome(*columns[:3])
    for conf_type in ("log", "log-log", "plain", "logit", "arcsin"):
        curves = cs.AalenJohansen().fit(y, conf_type=conf_type).curves_
        np.testing.assert_allclose(curves.probability.sum(axis=1), 1, atol=1e-12)
        known = ~np.isnan(curves.lower)
        assert np.all(curves.lower[known] <= curves.probability[known] + 1e-12)
        assert np.all(curves.upper[known] >= curves.probability[known] - 1e-12)
        assert np.all((curves.lower[known] >= 0) & (curves.upper[known] <= 1))
