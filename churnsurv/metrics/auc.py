"""Discrimination at a horizon: the cumulative/dynamic area under the ROC curve, weighted for censoring.

On a cohort followed from time 0 the cases at t have left by the cause by t; the controls are those who stay beyond t and
those who left by another cause before (Blanche, Dartigues and Jacqmin-Gadda 2013; definition 2 of Zheng et al. 2012). With
the weights W_i(t) of :mod:`churnsurv.metrics.ipcw` and h_ij = 1{r_i > r_j} + ½ 1{r_i = r_j},

    AUC(t) = Σ_i Σ_j w_i W_i w_j W_j h_ij / (Σ_i w_i W_i Σ_j w_j W_j),   i over cases, j over controls:

the probability that a random case was given the higher risk than a random control.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from churnsurv.curves import Curves
from churnsurv.exceptions import NoEventsError, NotIdentifiedError
from churnsurv.kernels.weighted_scores import Sums, ranks
from churnsurv.messages import confidence_level
from churnsurv.metrics.inputs import finite_numbers
from churnsurv.metrics.ipcw import (
    Cohort,
    predicted_risk,
    read_horizons,
    scored_cohort,
)
from churnsurv.metrics.layout import Layout, estimates_of, one_horizon, score_cohort
from churnsurv.nonparametric import CensoringModel
from churnsurv.outcome import Outcome
from churnsurv.results import Estimate
from churnsurv.rows import as_outcome, meant_times

Floats = NDArray[np.float64]


def cumulative_dynamic_auc(
    y: Outcome | NDArray[Any],
    risk_or_curves: Curves | ArrayLike,
    times: float | ArrayLike,
    *,
    cause: str | None = None,
    censoring: CensoringModel | None = None,
    sample_weight: ArrayLike | None = None,
    cluster: ArrayLike | None = None,
    level: float = 0.95,
) -> Estimate | pd.DataFrame:
    """Estimate the probability that who leaves by a horizon was given the higher risk than who does not.

    0.5 is a coin toss, 1 perfect. Who leaves by another cause by the horizon is a control: they will not be lost to this
    cause. Assumes that censoring does not depend on the risk, or as `censoring` says.

    Parameters
    ----------
    y : Outcome or scikit-survival's structured array, n rows
        A landmark cohort: one row per loan, time counted from the moment of prediction.
    risk_or_curves : array (n,) or (n, T), or Curves of n rows
        A score, higher for who is expected to leave sooner (the same for all times, or one per time), or curves whose
        probabilities of having left by the cause within each time are compared.
    times : float, or T of them
        Horizons, on the scale of ``y.stop``.
    cause, censoring, sample_weight, cluster, level
        As of :func:`churnsurv.metrics.brier_score`.

    Returns
    -------
    Estimate for a single number, else a frame with one row per time
        ``time`` and the fields of Estimate. Standard errors come from the influence function (with the part due to
        estimating the censoring), the predictions taken as given; intervals are value ± z·se, cut to [0, 1].

    Raises
    ------
    NotIdentifiedError
        Rows begin after time 0; recurrent events; nobody could be under observation at a horizon; nobody is a control.
    NoEventsError
        No event of the cause by a horizon, or none known.
    DataError
        A horizon past the follow-up, or at which the curves were not evaluated; scores that are missing or of another
        length.

    References
    ----------
    Blanche, Dartigues, Jacqmin-Gadda (2013) Stat Med 32:5381. Hung, Chiang (2010) Can J Stat 38:8.

    Examples
    --------
    >>> import churnsurv as cs
    >>> y = cs.Outcome(stop=[3, 5, 8, 12], event=[1, 1, 0, 1])
    >>> cs.metrics.cumulative_dynamic_auc(y, [0.9, 0.2, 0.3, 0.1], 6).value
    0.75
    """
    level, y, asked = confidence_level(level), as_outcome(y), read_horizons(times)
    horizons = meant_times(asked, y)
    cohort = scored_cohort(y, horizons, cause, censoring, sample_weight, cluster, "the AUC")
    scores = scores_of(risk_or_curves, y, cohort, horizons)
    ascending = scores[:, np.argsort(horizons, kind="stable")] if scores.shape[1] > 1 else scores
    found = score_cohort(cohort, horizons, lambda layout: _ranks(cohort, layout, ascending, np.sort(horizons)))
    estimates = estimates_of("AUC", found, level, cohort, horizons)
    if np.ndim(times) == 0:
        return estimates[0]
    table = pd.concat([estimate.to_frame() for estimate in estimates], ignore_index=True)
    table.insert(0, "time", asked)
    return table


def scores_of(
    risk_or_curves: Curves | ArrayLike, y: Outcome, cohort: Cohort, horizons: Floats, which: str = "score"
) -> Floats:
    """Give the scores of the cohort's rows, (n, T), or (n, 1) where they are the same for all times."""
    if isinstance(risk_or_curves, Curves):
        return predicted_risk(risk_or_curves, y, cohort, horizons, which)
    given = np.asarray(risk_or_curves)
    if given.ndim == 2 and given.shape[1] == len(horizons) > 1:
        if given.dtype == np.float64 and len(given) == len(y) and np.isfinite(given).all():
            return given[cohort.judged.rows]
        columns = [finite_numbers(given[:, k], len(y), f"The {which} for {t:g}") for k, t in enumerate(horizons)]
        return np.column_stack(columns)[cohort.judged.rows]
    return finite_numbers(risk_or_curves if given.ndim < 2 else given, len(y), f"The {which}")[cohort.judged.rows, None]


def _ranks(cohort: Cohort, layout: Layout, scores: Floats, horizons: Floats) -> Sums:
    """Give the AUC of the scores, (n, 1) or one column per horizon of the layout."""
    columns = np.ascontiguousarray(scores.T)
    waiting, groups, parts = np.arange(len(horizons)), [], []
    while len(waiting):
        first = columns[waiting[0] if len(columns) > 1 else 0]
        order = np.argsort(first)
        score = first[order]
        # risks of proportional hazards are in one order at all horizons, which are then passed together
        alike = waiting if len(columns) == 1 else _ordered_alike(columns, waiting, order, score)
        at = layout.ordered(order).at(alike)
        groups.append(alike)
        parts.append(ranks(at.rows, at.at_horizon, score, at.censorings, at.n_units))
        waiting = np.setdiff1d(waiting, alike)
    back = np.argsort(np.concatenate(groups))
    sums = Sums(*(np.concatenate(fields, axis=-1)[..., back] for fields in zip(*parts, strict=True)))
    return _refused(cohort, sums, horizons)


def _ordered_alike(
    columns: Floats, waiting: NDArray[np.int64], order: NDArray[np.int64], score: Floats
) -> NDArray[np.int64]:
    """Give the columns that ascend, with the same ties, in the order of the first of those waiting."""
    ties = score[1:] == score[:-1]

    def is_alike(column: Floats) -> bool:
        ordered = column[order]
        return bool(np.all(ordered[1:] >= ordered[:-1]) and np.array_equal(ordered[1:] == ordered[:-1], ties))

    return np.array([waiting[0], *(k for k in waiting[1:] if is_alike(columns[k]))])


def _refused(cohort: Cohort, sums: Sums, horizons: Floats) -> Sums:
    """Give the sums, or refuse a horizon without cases or controls."""
    for t, cases, controls in zip(horizons.tolist(), *sums.totals.tolist(), strict=True):
        if cases <= 0:
            raise NoEventsError(f"No event of {cohort.cause!r} by {t:g} among the rows.")
        if controls <= 0:
            raise NotIdentifiedError(
                f"Nobody is known to stay beyond {t:g} or to leave by another cause: there is nobody to compare with. Ask "
                "for an earlier horizon."
            )
    return sums


def auc_at(cohort: Cohort, score: Floats, t: float) -> tuple[float, Floats]:
    """Give the AUC at t and each row's influence on it, (n,)."""
    return one_horizon(cohort, t, lambda layout: _ranks(cohort, layout, score[:, None], np.array([t])))
