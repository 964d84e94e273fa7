"""What a Fine–Gray model refuses, and how it says so; and its test of proportional hazards."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import churnsurv as cs
from churnsurv.exceptions import DataError, NoEventsError, NotIdentifiedError, TooFewEventsError
from tests.estimators.fine_gray_twins import CAUSES, data, expanded, influence, observation


def test_unknown_cause_is_refused_with_the_known_ones() -> None:
    x, y = data(1)
    with pytest.raises(DataError, match=r"'death' is unknown.*attrition"):
        cs.FineGray("death").fit(x, y)


def test_cause_without_event_and_too_few_events_are_refused() -> None:
    x, y = data(1)
    none = cs.Outcome(y.stop, np.where(y.event == 1, 0, y.event), causes=CAUSES)
    with pytest.raises(NoEventsError, match="attrition"):
        cs.FineGray("attrition").fit(x, none)
    one = np.zeros(len(y), dtype=int)
    one[3] = 1
    with pytest.raises(TooFewEventsError):
        cs.FineGray("attrition").fit(x, cs.Outcome(y.stop, one, causes=CAUSES))


@pytest.mark.parametrize(
    "option", [{"ties": "exact"}, {"tied_censoring": "first"}, {"variance": "naive"}, {"missing": "no"}]
)
def test_unknown_options_are_refused_with_the_known_ones(option: dict[str, str]) -> None:
    x, y = data(1)
    with pytest.raises(DataError, match="is not known: use one of"):
        cs.FineGray("attrition", **option).fit(x, y)


def test_recurrent_events_are_refused() -> None:
    x, y = data(1)
    with pytest.raises(NotIdentifiedError, match="recurrent"):
        cs.FineGray("attrition").fit(x, cs.Outcome(y.stop, y.event, causes=CAUSES, recurrent=True))


def test_gap_between_the_rows_of_a_subject_is_refused_by_name() -> None:
    y = cs.Outcome(
        [3, 9, 4, 6, 8], [0, 1, 2, 0, 1], start=[0, 5, 0, 0, 0], subject=["a", "a", "b", "c", "d"], causes=CAUSES
    )
    with pytest.raises(NotIdentifiedError, match="subject a: nothing between 3 and 5"):
        cs.FineGray("attrition").fit(pd.DataFrame({"x": [0.1, 0.4, 1.0, 0.3, 0.2]}), y)


def test_age_that_nobody_was_watched_through_is_refused_when_rows_would_be_weighted_across_it() -> None:
    # all at risk at 5 are censored there; the next customers enter at 6
    stop, event = [2, 3, 5, 8, 9, 10], [2, 1, 0, 1, 1, 0]
    start = [0, 0, 0, 6, 6, 7]
    x = pd.DataFrame({"x": [0.1, 0.5, 0.3, 0.9, 0.2, 0.4]})
    y = cs.Outcome(stop, event, start=start, causes=CAUSES)
    with pytest.raises(NotIdentifiedError, match="Nobody was watched through the age of 5"):
        cs.FineGray("attrition").fit(x, y)
    # without a competing exit before it nothing has to be weighted across the gap
    before = cs.Outcome(stop, [1, 1, 0, 1, 1, 0], start=start, causes=CAUSES)
    assert np.isfinite(cs.FineGray("attrition").fit(x, before).coef_["x"])


def test_censoring_group_that_ends_early_weighs_nothing_afterwards() -> None:
    # group 1 is closed at 6: its competing rows leave the risk sets with the rest of it
    x, y = data(14, 200)
    group = np.arange(len(y)) % 2
    stop, event = y.stop.copy(), y.event.copy()
    closed = (group == 1) & (stop > 6)
    stop[closed], event[closed] = 6, 0
    y = cs.Outcome(stop, event, causes=CAUSES)
    model = cs.FineGray("attrition", variance="known weights").fit(x, y, censoring_strata=group)
    wide, outcome, weight, source = expanded(x, y, "attrition", group=group)
    late = outcome.start > 7  # the twin's times are later by 1
    assert late.any()
    assert not np.any(late & (group[source] == 1))
    assert outcome.stop[outcome.event == 1].max() > 7
    twin = cs.CoxPH().fit(wide, outcome, sample_weight=weight)
    np.testing.assert_allclose(model.coef_, twin.coef_, rtol=1e-9)


def test_without_censoring_nothing_has_to_be_estimated_for_the_weights() -> None:
    x, y = data(15)
    y = cs.Outcome(y.stop, np.where(y.event == 0, 2, y.event), causes=CAUSES)
    full = cs.FineGray("attrition").fit(x, y).covariance_
    np.testing.assert_allclose(full, cs.FineGray("attrition", variance="known weights").fit(x, y).covariance_)


def test_single_cluster_is_refused() -> None:
    x, y = data(16)
    with pytest.raises(DataError, match="one cluster"):
        cs.FineGray("attrition").fit(x, y, cluster=np.zeros(len(y)))


def test_missing_value_in_a_row_to_predict_gives_nan_for_it() -> None:
    x, y = data(17)
    new = x.iloc[:3].copy()
    new.iloc[1, 0] = np.nan
    curves = cs.FineGray("attrition").fit(x, y).predict_curves(new, level=0.95)
    assert np.isnan(curves.probability[1]).all()
    assert np.isnan(curves.upper[1]).all()
    assert not np.isnan(curves.probability[[0, 2]]).any()


def _brute_score(x: np.ndarray, y: cs.Outcome, beta: np.ndarray, weight: np.ndarray, g) -> np.ndarray:
    """Give Σ g (x − mean) over the exits of cause 1 by Breslow's rule and the definition of the weights."""
    factor = observation(y, weight)
    total = np.zeros(x.shape[1])
    for t in np.unique(y.stop[y.event == 1]):
        w = np.where((y.entry < t) & (y.stop >= t), weight, 0.0)
        gone = (y.event == 2) & (y.stop < t)
        w[gone] = [weight[i] * factor(t, y.stop[i]) for i in np.flatnonzero(gone)]
        r = w * np.exp(x @ beta)
        died = (y.stop == t) & (y.event == 1)
        total += g(t) * (weight[died] @ x[died] - weight[died].sum() * (r @ x) / r.sum())
    return total


@pytest.mark.parametrize("entry", [True, False])
def test_proportional_hazards_test_is_the_score_with_its_jackknife_variance(entry: bool) -> None:
    x, y = data(18, 60, entry=entry)
    values = x.to_numpy()

    def score(w: np.ndarray) -> np.ndarray:
        beta = cs.FineGray("attrition", ties="breslow").fit(x, y, sample_weight=w).coef_.to_numpy()
        return _brute_score(values, y, beta, w, lambda t: t)

    model = cs.FineGray("attrition", ties="breslow").fit(x, y)
    found = model.proportional_hazards_test(x, y, transform="identity")
    one = np.ones(len(y))
    u, psi = score(one), influence(x, y, score, one)
    variance = psi.T @ psi
    np.testing.assert_allclose(found["statistic"][["a", "b"]], u**2 / np.diag(variance), rtol=1e-4)
    assert found.loc["GLOBAL", "statistic"] == pytest.approx(u @ np.linalg.solve(variance, u), rel=1e-4)
    assert found["df"].tolist() == [1, 1, 2]


def test_transforms_of_time_are_those_of_the_cox_test_and_unknown_ones_are_refused() -> None:
    x, y = data(19, 150)
    model = cs.FineGray("attrition").fit(x, y)
    results = {t: model.proportional_hazards_test(x, y, transform=t) for t in ("km", "identity", "rank", "log")}
    assert all((r["p_value"] >= 0).all() and (r["p_value"] <= 1).all() for r in results.values())
    # the transforms rise alike, so their tests are close without being the same
    assert np.ptp([r.loc["a", "statistic"] for r in results.values()]) > 1e-6
    with pytest.raises(DataError, match="transform='sqrt' is not known"):
        model.proportional_hazards_test(x, y, transform="sqrt")
    shifted = cs.FineGray("attrition").fit(x * 1000 + 5, y)
    np.testing.assert_allclose(
        shifted.proportional_hazards_test(x * 1000 + 5, y)["statistic"], results["km"]["statistic"], rtol=1e-6
    )
