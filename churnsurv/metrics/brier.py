"""Accuracy of predicted probabilities: the Brier score, weighted by the inverse probability of being uncensored.

On a cohort followed from time 0, with F̂_i(t) the predicted probability that customer i leaves by the cause by t,

    BS(t) = (1/N) Σ_i w_i W_i(t) (1{T_i ≤ t, cause} − F̂_i(t))²,   N = Σ w_i,
    W_i(t) = 1{T_i ≤ t, left by any cause}/G(T_i−) + 1{T_i > t}/G(t),

estimates the expected squared error without censoring, G being the probability of not being censored yet (Graf et al.
1999; Gerds and Schumacher 2006; with competing causes Schoop et al. 2011). Events come before censorings at a tie.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from churnsurv.curves import Curves
from churnsurv.exceptions import DataError
from churnsurv.kernels.weighted_scores import Sums, squared_errors
from churnsurv.messages import confidence_level, first_of
from churnsurv.metrics.inputs import null_risk
from churnsurv.metrics.ipcw import (
    Cohort,
    events_in,
    metric_estimate,
    predicted_risk,
    read_horizons,
    sandwich_error,
    scored_cohort,
)
from churnsurv.metrics.layout import Layout, estimates_of, one_horizon, score_cohort
from churnsurv.nonparametric import CensoringModel
from churnsurv.outcome import Outcome
from churnsurv.results import Estimate
from churnsurv.rows import as_outcome, meant_times

Floats = NDArray[np.float64]


def brier_score(
    y: Outcome | NDArray[Any],
    curves_or_risk: Curves | ArrayLike,
    times: float | ArrayLike,
    *,
    cause: str | None = None,
    censoring: CensoringModel | None = None,
    sample_weight: ArrayLike | None = None,
    cluster: ArrayLike | None = None,
    level: float = 0.95,
) -> Estimate | pd.DataFrame:
    """Estimate the expected squared error of predicted probabilities of leaving (0 is perfect, lower is better).

    Parameters
    ----------
    y : Outcome or scikit-survival's structured array, n rows
        A landmark cohort: one row per loan, time counted from the moment of prediction.
    curves_or_risk : Curves of n rows, or array (n,) for one time, (n, T) for T times
        Predictions: the probability of having **left** by the cause within each time (not of staying). Curves are read
        from their rows' origins, so curves on loan age may be judged on a cohort that counts from the landmark.
    times : float, or T of them
        Horizons, on the scale of ``y.stop``.
    cause : str, optional
        Cause to be measured; needed when there are several.
    censoring : CensoringModel, optional
        G, taken as known in the standard error; default: Kaplan–Meier of the given y, whose estimation is part of it. One with
        strata or a model gives each row its own weights, 1/G(T−|x) and 1/G(t|x): fitted on these rows, or made theirs by
        ``censoring.at(X)``.
    sample_weight : (n,), optional
        Case weights; 0 leaves a row out.
    cluster : (n,) labels, optional
        Independent units of the variance, e.g. customers; default: the rows.
    level : float
        Confidence level of the interval.

    Returns
    -------
    Estimate for a single number, else a frame with one row per time
        ``time``, the fields of Estimate, and ``null_value``: the score of predicting for everybody the Aalen–Johansen
        estimate of the given y, and ``ipa``: 1 − value / null_value (with an interval:
        :func:`churnsurv.metrics.index_of_prediction_accuracy`).
        Standard errors come from the influence function, the predictions taken as given;
        intervals are value ± z·se, cut to [0, 1].

    Raises
    ------
    NotIdentifiedError
        Rows begin after time 0 (delayed entry, split spells); recurrent events; nobody could be under observation at a
        horizon.
    NoEventsError
        No event of the cause by a horizon.
    DataError
        A horizon past the follow-up, or at which the curves were not evaluated; predictions that are missing, outside
        0…1, of other rows or another length.

    References
    ----------
    Graf, Schmoor, Sauerbrei, Schumacher (1999) Stat Med 18:2529. Gerds, Schumacher (2006) Biom J 48:1029.
    Schoop, Beyersmann, Schumacher, Binder (2011) Biom J 53:88.

    Examples
    --------
    >>> import churnsurv as cs
    >>> y = cs.Outcome(stop=[3, 5, 8, 12], event=[1, 1, 0, 1])
    >>> round(cs.metrics.brier_score(y, [0.9, 0.7, 0.2, 0.1], 6).value, 4)
    0.0375
    """
    level, y, asked = confidence_level(level), as_outcome(y), read_horizons(times)
    horizons = meant_times(asked, y)
    cohort = scored_cohort(y, horizons, cause, censoring, sample_weight, cluster, "the Brier score")
    risk = predicted_risk(curves_or_risk, y, cohort, horizons)
    scores = score_cohort(cohort, horizons, lambda layout: _errors(layout, risk, np.argsort(horizons, kind="stable")))
    estimates = estimates_of("Brier score", scores, level, cohort, horizons)
    if np.ndim(times) == 0:
        return estimates[0]
    null, (known, left) = null_risk(cohort.y, cohort.weight, cohort.cause, horizons), scores.totals
    null_values = left * (1 - null) ** 2 + (known - left) * null**2
    table = pd.concat([estimate.to_frame() for estimate in estimates], ignore_index=True)
    table.insert(0, "time", asked)
    at = list(table.columns).index("level")
    table.insert(at, "null_value", null_values)
    table.insert(at + 1, "ipa", 1 - table["value"] / np.where(table["null_value"] > 0, table["null_value"], np.nan))
    return table


def integrated_brier_score(
    y: Outcome | NDArray[Any],
    curves_or_risk: Curves | ArrayLike,
    times: ArrayLike,
    *,
    cause: str | None = None,
    censoring: CensoringModel | None = None,
    sample_weight: ArrayLike | None = None,
    cluster: ArrayLike | None = None,
    level: float = 0.95,
) -> Estimate:
    """Estimate the Brier score averaged over time, ∫ BS(t) dt / (t_T − t_1), by the trapezoid rule on `times`.

    Parameters, errors and the variance are those of :func:`brier_score`; `times` are two or more, increasing. Choose
    them as fine as the predictions step: the answer is an average over the span of the times given.

    Examples
    --------
    >>> import churnsurv as cs
    >>> y = cs.Outcome(stop=[3, 5, 8, 12], event=[1, 1, 0, 1])
    >>> risk = [[0.5, 0.9], [0.3, 0.7], [0.1, 0.2], [0.0, 0.1]]
    >>> round(cs.metrics.integrated_brier_score(y, risk, [4, 6]).value, 4)
    0.0625
    """
    level, y = confidence_level(level), as_outcome(y)
    horizons = meant_times(read_horizons(times), y)
    cohort = scored_cohort(y, horizons, cause, censoring, sample_weight, cluster, "the Brier score")
    share = time_shares(horizons)
    risk = predicted_risk(curves_or_risk, y, cohort, horizons)
    value, influence = integrated_at(cohort, risk, horizons, share)
    name = f"Integrated Brier score, {horizons[0]:g} to {horizons[-1]:g}"
    se, units = sandwich_error(influence, cohort.judged)
    return metric_estimate(name, value, se, level, cohort, events_in(cohort, float(horizons[-1])), units)


def time_shares(horizons: Floats) -> Floats:
    """Give the weights of the trapezoid rule for the average over the span of two or more increasing times."""
    if len(horizons) < 2 or np.any(np.diff(horizons) <= 0):
        raise DataError(
            f"times={first_of([f'{t:g}' for t in horizons])}: give two or more increasing times to average over."
        )
    widths = np.diff(horizons)
    return np.asarray((np.append(widths, 0.0) + np.append(0.0, widths)) / (2 * widths.sum()))


class Score(NamedTuple):
    """A score, and what each row moves it by."""

    value: float
    influence: Floats  #: of each row, its weight included, (n,)


def _errors(layout: Layout, risk: Floats, order: NDArray[np.int64] | None = None) -> Sums:
    """Give the squared errors of predictions (n, K), whose columns `order` brings to the layout's horizons."""
    if order is not None and np.any(np.diff(order) != 1):
        risk = risk[:, order]
    return squared_errors(layout.rows, layout.at_horizon, risk, layout.censorings, layout.n_units)


def score_at(cohort: Cohort, risk: Floats, t: float) -> Score:
    """Score predictions at one horizon. O(n + number of censoring times)."""
    return Score(*one_horizon(cohort, t, lambda layout: _errors(layout, np.ascontiguousarray(risk)[:, None])))


def integrated_at(cohort: Cohort, risk: Floats, horizons: Floats, share: Floats) -> Score:
    """Average the scores of predictions (n, T) over the horizons, weighted by `share`."""
    value, influence = 0.0, np.zeros(len(cohort.y))
    for t, weight, predicted in zip(horizons.tolist(), share, risk.T, strict=True):
        score = score_at(cohort, predicted, t)
        value += float(weight) * score.value
        influence += weight * score.influence
    return Score(value, influence)
