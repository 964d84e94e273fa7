"""Agreement with scikit-survival: where its metrics say the same, and exactly in what they part.

They part in four conventions:

- G at an event's own time: scikit-survival weights who leaves at T by 1/G(T), after the censorings of that time; here and in R
  by 1/G(T−), as who leaves at T needed to be uncensored only until just before. The same where no censoring is at the time of
  an event; on monthly data not. With a censoring model whose G(T−) is its G(T), its numbers come out.
- `tau`: it counts events before tau, here and in R those at tau too.
- Scores within 1e-8 of each other are ties to it, here only equal ones.
- One cause, no entry, no case weights, no standard error there: nothing to compare.
"""

from __future__ import annotations

import numpy as np
import pytest

import churnsurv as cs

theirs = pytest.importorskip("sksurv.metrics", reason="scikit-survival is not installed")
TIMES = [7.5, 15.5, 24.5]


def portfolio(seed, n=250):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=n)
    leaves, censored = rng.exponential(30 * np.exp(-0.7 * x)), rng.uniform(3, 60, n)
    risk = 1 - np.exp(-np.outer(np.exp(0.7 * x), TIMES) / 30)
    return np.minimum(leaves, censored), leaves <= censored, np.round(x, 1), risk


@pytest.fixture(params=["continuous", "even and odd months"])
def untied(request):
    """Give data without an event and a censoring at one time: continuous, or events in even months only."""
    stop, event, x, risk = portfolio(3)
    if request.param != "continuous":
        stop = 2 * np.ceil(stop / 2) + np.where(event, 0, 1)
    return cs.Outcome(stop, event), x, risk


@pytest.fixture
def monthly():
    stop, event, x, risk = portfolio(4)
    return cs.Outcome(np.ceil(stop), event), x, risk


def with_their_g(y):
    """Give a censoring model whose G(t−) and G(t) are scikit-survival's G(t): both ends come a little before their month."""
    return cs.CensoringModel().fit(cs.Outcome(y.stop - np.where(y.event > 0, 0.02, 0.01), y.event))


def everything(y, x, risk, censoring=None):
    """Give Uno's C without and with tau, AUC, Brier and integrated Brier score."""
    metrics, given = cs.metrics, {"censoring": censoring}
    return [
        metrics.concordance_index(y, x, weighting="n/G2", **given).value,
        metrics.concordance_index(y, x, weighting="n/G2", tau=24.5, **given).value,
        *metrics.cumulative_dynamic_auc(y, x, TIMES, **given)["value"],
        *metrics.cumulative_dynamic_auc(y, risk, TIMES, **given)["value"],
        *metrics.brier_score(y, risk, TIMES, **given)["value"],
        metrics.integrated_brier_score(y, risk, TIMES, **given).value,
    ]


def their_everything(y, x, risk):
    array = y.to_sksurv()
    return [
        theirs.concordance_index_ipcw(array, array, x)[0],
        theirs.concordance_index_ipcw(array, array, x, tau=24.5)[0],
        *theirs.cumulative_dynamic_auc(array, array, x, TIMES)[0],
        *theirs.cumulative_dynamic_auc(array, array, risk, TIMES)[0],
        *theirs.brier_score(array, array, 1 - risk, TIMES)[1],
        theirs.integrated_brier_score(array, array, 1 - risk, TIMES),
    ]


def test_all_weighted_metrics_agree_where_no_censoring_is_at_the_time_of_an_event(untied):
    np.testing.assert_allclose(everything(*untied), their_everything(*untied), rtol=1e-10)


def test_on_monthly_data_the_difference_is_g_at_the_event_and_nothing_else(monthly):
    y, _, _ = monthly
    expected = their_everything(*monthly)
    np.testing.assert_allclose(everything(*monthly, censoring=with_their_g(y)), expected, rtol=1e-10)
    apart = np.abs(np.array(everything(*monthly)) / expected - 1)
    assert np.all(apart > 1e-6)


@pytest.mark.parametrize("rounded", [False, True])
def test_harrells_c_agrees_with_ties_of_scores_and_of_events_and_censorings(monthly, rounded):
    y, x, _ = monthly
    stop, event, _, _ = portfolio(4)
    y = y if rounded else cs.Outcome(stop, event)
    expected = theirs.concordance_index_censored(event, y.stop, x)[0]
    assert cs.metrics.concordance_index(y, x).value == pytest.approx(expected, abs=1e-13)


def test_an_event_at_tau_counts_here_and_not_there(monthly):
    y, x, _ = monthly
    array, own = y.to_sksurv(), with_their_g(y)

    def ours(tau):
        return cs.metrics.concordance_index(y, x, weighting="n/G2", tau=tau, censoring=own).value

    assert 24.0 in y.stop[y.event == 1]
    at_tau = theirs.concordance_index_ipcw(array, array, x, tau=24.0)[0]
    assert at_tau == pytest.approx(ours(23.5), abs=1e-12)
    assert abs(at_tau - ours(24.0)) > 1e-6


def test_scores_within_their_tolerance_are_ties_there_and_not_here(monthly):
    y, x, _ = monthly
    close = x + 1e-12 * np.arange(len(x))
    expected = theirs.concordance_index_censored(y.event == 1, y.stop, close)[0]
    assert expected == pytest.approx(cs.metrics.concordance_index(y, x).value, abs=1e-13)
    apart = theirs.concordance_index_censored(y.event == 1, y.stop, close, tied_tol=0)[0]
    assert apart == pytest.approx(cs.metrics.concordance_index(y, close).value, abs=1e-13)
