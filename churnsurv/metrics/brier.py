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
from churnsurv.kernels.nonparametric import interval
from churnsurv.messages import confidence_level, counted, first_of, numeric_column
from churnsurv.metrics.inputs import (
    Judged,
    cluster_sums,
    events_until,
    finite_numbers,
    judged_rows,
    null_risk,
    probability_uncensored,
    require_cohort,
    the_cause,
)
from churnsurv.nonparametric import CensoringModel
from churnsurv.outcome import Outcome
from churnsurv.results import Estimate
from churnsurv.rows import as_outcome, meant_times, refuse_recurrent

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
        G, taken as known; default: Kaplan–Meier of the given y, whose estimation is part of the standard error.
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
        estimate of the given y. Standard errors come from the influence function, the predictions taken as given;
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
    level, y, asked = confidence_level(level), as_outcome(y), _horizons(times)
    horizons = meant_times(asked, y)
    cohort = scored_cohort(y, horizons, cause, censoring, sample_weight, cluster)
    risk = _predicted_risk(curves_or_risk, y, cohort, horizons)
    estimates, null_values = [], []
    for t, predicted, null in zip(
        horizons, risk.T, null_risk(cohort.y, cohort.weight, cohort.cause, horizons), strict=True
    ):
        score = score_at(cohort, predicted, float(t))
        estimates.append(_estimate(f"Brier score at {t:g}", score, level, cohort, float(t)))
        null_values.append(float(np.average(_losses(cohort, float(null), float(t)), weights=cohort.weight)))
    if np.ndim(times) == 0:
        return estimates[0]
    table = pd.concat([estimate.to_frame() for estimate in estimates], ignore_index=True)
    table.insert(0, "time", asked)
    table.insert(list(table.columns).index("level"), "null_value", null_values)
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
    horizons = meant_times(_horizons(times), y)
    cohort = scored_cohort(y, horizons, cause, censoring, sample_weight, cluster)
    if len(horizons) < 2 or np.any(np.diff(horizons) <= 0):
        raise DataError(
            f"times={first_of([f'{t:g}' for t in horizons])}: give two or more increasing times to average over."
        )
    risk = _predicted_risk(curves_or_risk, y, cohort, horizons)
    widths = np.diff(horizons)
    share = (np.append(widths, 0.0) + np.append(0.0, widths)) / (2 * widths.sum())
    value, influence = 0.0, np.zeros(len(cohort.y))
    for t, weight, predicted in zip(horizons, share, risk.T, strict=True):
        score = score_at(cohort, predicted, float(t))
        value += float(weight) * score.value
        influence += weight * score.influence
    name = f"Integrated Brier score, {horizons[0]:g} to {horizons[-1]:g}"
    return _estimate(name, _Score(value, influence), level, cohort, float(horizons[-1]))


class _CensoringTimes(NamedTuple):
    """Where the rows lie among the distinct times of censoring."""

    times: Floats
    passed: NDArray[np.int64]  #: (n,) number of times < stop
    reached: NDArray[np.int64]  #: (n,) number of times ≤ stop


class _Cohort(NamedTuple):
    """What is scored: rows, cause, 1/G(T−) of the rows with an event, and 1/G(t) of the horizons."""

    judged: Judged
    cause: str
    at_event: Floats
    at_horizon: dict[float, float]
    censoring: _CensoringTimes | None  #: None where G is given, so that it is taken as known

    @property
    def y(self) -> Outcome:
        """Outcome of the rows."""
        return self.judged.y

    @property
    def weight(self) -> Floats:
        """Case weights of the rows, above 0."""
        return self.judged.weight


class _Score(NamedTuple):
    value: float
    influence: Floats  #: of each row, its weight included, (n,)


def scored_cohort(
    y: Outcome,
    horizons: Floats,
    cause: str | None,
    censoring: CensoringModel | None,
    sample_weight: ArrayLike | None,
    cluster: ArrayLike | None,
) -> _Cohort:
    """Check what is to be scored, and weigh it by the inverse probability of being uncensored."""
    refuse_recurrent(y, "The Brier score")
    judged = judged_rows(y, sample_weight, cluster)
    require_cohort(judged, "the Brier score")
    y, cause = judged.y, the_cause(y, cause)
    for t in horizons:
        events_until(y, cause, float(t), "times")
    model = CensoringModel().fit(y, sample_weight=judged.weight) if censoring is None else censoring
    left = (y.event > 0) & (y.stop <= horizons.max())
    at_event = np.zeros(len(y))
    at_event[left] = 1 / probability_uncensored(model, y.stop[left], before=True)
    # who is censored at the very end of follow-up is known to have stayed until then: weight 1/G(t−), as G(t) is 0
    at_horizon = {
        t: float(1 / probability_uncensored(model, np.array([t]), before=bool(t >= y.stop.max()))[0])
        for t in horizons.tolist()
        if t < y.stop.max() or np.any((y.stop == t) & (y.event == 0))
    }
    return _Cohort(judged, cause, at_event, at_horizon, _censoring_times(y) if censoring is None else None)


def _censoring_times(y: Outcome) -> _CensoringTimes:
    times = np.unique(y.stop[y.event == 0])
    passed, reached = (np.searchsorted(times, y.stop, side=side) for side in ("left", "right"))
    return _CensoringTimes(times, passed, reached)


def _horizons(times: float | ArrayLike) -> Floats:
    asked = np.atleast_1d(np.asarray(times))
    if asked.ndim != 1 or not len(asked):
        raise DataError("times: give a number or a list of numbers.")
    return numeric_column(asked, "times")


def _predicted_risk(curves_or_risk: Curves | ArrayLike, y: Outcome, cohort: _Cohort, horizons: Floats) -> Floats:
    """Give the predicted probabilities of having left by the cause, for the rows of the cohort among those of y."""
    rows = cohort.judged.rows
    if isinstance(curves_or_risk, Curves):
        _require_same_rows(curves_or_risk, y)
        single = len(curves_or_risk.causes) == 1 == len(y.causes)
        named = None if single else cohort.cause
        curves, risk = curves_or_risk[rows], np.zeros((len(y), len(horizons)))
        risk[rows] = np.column_stack([curves.risk(named, float(t), strict=True) for t in horizons])
    else:
        risk = np.asarray(curves_or_risk)
        risk = risk[:, None] if risk.ndim == 1 and len(horizons) == 1 else risk
        if risk.shape != (len(y), len(horizons)):
            raise DataError(
                f"The predictions have shape {np.shape(curves_or_risk)}, expected ({len(y):,}, {len(horizons)}): one row "
                "per row of the outcome, one column per time."
            )
    columns = [finite_numbers(risk[:, k], len(y), f"The prediction for {t:g}") for k, t in enumerate(horizons)]
    risk = np.column_stack(columns)
    outside = np.flatnonzero(np.any((risk < -1e-9) | (risk > 1 + 1e-9), axis=1))
    if len(outside):
        worst = risk[outside[0]]
        raise DataError(
            f"{counted(len(outside), 'row')} (row {first_of(outside)}) hold predictions outside 0…1 ({first_of(worst)}). "
            "Give the probability of having left by each time, not a score or a linear predictor."
        )
    return risk[rows]


def _require_same_rows(curves: Curves, y: Outcome) -> None:
    """Refuse curves of another number of rows, or of the same labels in another order."""
    if len(curves) != len(y):
        raise DataError(
            f"The curves have {counted(len(curves), 'row')}, the outcome has {len(y):,}; they must match row for row."
        )
    subject, index = pd.Index(y.subject), curves.index
    if subject.equals(index) or subject.equals(pd.RangeIndex(len(y))):  # the latter: subjects were not named
        return
    if index.is_unique and len(index.difference(subject)) == 0:
        row = int(np.flatnonzero(subject != index)[0])
        raise DataError(
            f"The curves' rows are the outcome's subjects in another order (row {row}: {index[row]!r} beside "
            f"{subject[row]!r}). Put both in the same order, e.g. predict for X.loc[y.subject]."
        )


def _losses(cohort: _Cohort, risk: Floats | float, t: float) -> Floats:
    """Give W_i(t) (1{T_i ≤ t, cause} − F̂_i(t))², (n,)."""
    y = cohort.y
    by_then = (y.stop <= t) & ~((y.stop == t) & (y.event == 0) & (t >= y.stop.max()))
    known = np.where(by_then, cohort.at_event, cohort.at_horizon.get(t, 0.0))
    return np.asarray(known * ((by_then & (y.event == y.cause_code(cohort.cause))) - risk) ** 2)


def score_at(cohort: _Cohort, risk: Floats, t: float) -> _Score:
    """Score predictions at one horizon. O(n + number of censoring times)."""
    share = cohort.weight / cohort.weight.sum()
    losses = _losses(cohort, risk, t)
    value = float(share @ losses)
    influence = share * (losses - value)
    if cohort.censoring is not None:
        before = t if t < cohort.y.stop.max() else float(np.nextafter(t, 0.0))
        influence += cohort.weight * _censoring_influence(cohort, cohort.censoring, share * losses, before)
    return _Score(value, influence)


def _censoring_influence(cohort: _Cohort, censoring: _CensoringTimes, weighted_loss: Floats, t: float) -> Floats:
    """Give the influence of each row on BS(t) through the Kaplan–Meier of censoring, (n,).

    1/Ĝ(s) moves by (1/G(s)) ∫_0^s dM(u)/Y(u) with M the martingales of censoring and Y the weight at risk, so a row moves
    the score by ∫_0^t L(u)/Y(u) dM(u), L(u) being the part of the score from rows beyond u. As in riskRegression (Gerds
    and Kattan 2021) Y counts who leaves at u, which ties change by less than their share.
    """
    y, weight = cohort.y, cohort.weight
    size = int(np.searchsorted(censoring.times, t, side="right"))
    passed, reached = np.minimum(censoring.passed, size), np.minimum(censoring.reached, size)
    censored = (y.event == 0) & (y.stop <= t)

    def from_right(position: NDArray[np.int64], values: Floats) -> Floats:
        return np.asarray(np.bincount(position, values, minlength=size + 1)[::-1].cumsum()[::-1][1:])

    at_risk, beyond = from_right(reached, weight), from_right(passed, weighted_loss)
    ended = np.bincount(passed[censored], weight[censored], minlength=size)
    step = np.divide(beyond, at_risk, out=np.zeros(size), where=at_risk > 0)
    hazard = np.divide(ended, at_risk, out=np.zeros(size), where=at_risk > 0)
    influence = -np.concatenate(([0.0], np.cumsum(hazard * step)))[reached]
    influence[censored] += step[passed[censored]]
    return influence


def _estimate(name: str, score: _Score, level: float, cohort: _Cohort, horizon: float) -> Estimate:
    sums, units = cluster_sums(score.influence, cohort.judged)
    se = float(np.sqrt(len(sums) / (len(sums) - 1) * (sums @ sums)))
    lower, upper = interval(np.array([score.value]), np.array([se]), level, "plain")
    known = "Kaplan–Meier of this outcome" if cohort.censoring is not None else "as given, taken as known"
    return Estimate(
        name=name + (f" of {cohort.cause}" if len(cohort.y.causes) > 1 else ""),
        value=score.value,
        se=se,
        lower=float(lower[0]),
        upper=float(upper[0]),
        level=level,
        n=len(cohort.y),
        n_events=int(np.count_nonzero(events_until(cohort.y, cohort.cause, horizon, "times"))),
        method=f"weighted by the inverse probability of being uncensored ({known}); influence function over {units}; "
        "predictions taken as given",
    )
