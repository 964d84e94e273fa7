"""Cohorts followed from time 0, whose censored rows are made up for by the inverse probability of being uncensored.

With G the probability of not being censored yet, row i is known at t with weight

    W_i(t) = 1{T_i ≤ t, left by any cause}/G(T_i−) + 1{T_i > t}/G(t)

(Graf et al. 1999; Gerds and Schumacher 2006). Events come before censorings at a tie.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from churnsurv.curves import Curves
from churnsurv.exceptions import DataError
from churnsurv.kernels.nonparametric import interval
from churnsurv.kernels.times import count_before, count_up_to
from churnsurv.messages import counted, first_of, numeric_column
from churnsurv.metrics.inputs import (
    Judged,
    cluster_sums,
    events_until,
    finite_numbers,
    judged_rows,
    own_probability_uncensored,
    probability_uncensored,
    require_censoring_model,
    require_cohort,
    the_cause,
)
from churnsurv.nonparametric import CensoringModel
from churnsurv.outcome import Outcome
from churnsurv.results import Estimate
from churnsurv.rows import refuse_recurrent

Floats = NDArray[np.float64]


class CensoringTimes(NamedTuple):
    """Where the rows lie among the distinct times of censoring, and the hazard there."""

    times: Floats
    passed: NDArray[np.int64]  #: (n,) number of times < stop
    reached: NDArray[np.int64]  #: (n,) number of times ≤ stop
    at_risk: Floats  #: weight whose end is not before each time
    hazard: Floats
    uncensored: Floats  #: G before the first of the times and after each


class Cohort(NamedTuple):
    """What is scored: rows, cause, 1/G(T−) of the rows with an event, and 1/G(t) of the horizons."""

    judged: Judged
    cause: str
    at_event: Floats
    at_horizon: dict[float, float | Floats]  #: one number, or one per row where G differs between customers
    censoring: CensoringTimes | None  #: None where G is given, so that it is taken as known

    @property
    def y(self) -> Outcome:
        """Outcome of the rows."""
        return self.judged.y

    @property
    def weight(self) -> Floats:
        """Case weights of the rows, above 0."""
        return self.judged.weight


def scored_cohort(
    y: Outcome,
    horizons: Floats,
    cause: str | None,
    censoring: CensoringModel | None,
    sample_weight: ArrayLike | None,
    cluster: ArrayLike | None,
    metric: str,
) -> Cohort:
    """Read the rows of a metric, such as "the Brier score", with their weights 1/G by all horizons."""
    refuse_recurrent(y, metric[0].upper() + metric[1:])
    require_censoring_model(censoring)
    judged = judged_rows(y, sample_weight, cluster)
    require_cohort(judged, metric)
    given, y, cause = y, judged.y, the_cause(y, cause)
    for t in (horizons.min(), horizons.max()):  # what is refused at any of them is refused at one of these
        events_until(y, cause, float(t), "times")
    if censoring is None:
        return _with_kaplan_meier(judged, cause, horizons)
    censoring.require_rows_of(given)
    left = np.flatnonzero((y.event > 0) & (y.stop <= horizons.max()))
    at_event = np.zeros(len(y))
    among = np.arange(len(given))[judged.rows]
    at_event[left] = 1 / own_probability_uncensored(censoring, among[left], y.stop[left], before=True)
    at_horizon: dict[float, float | Floats] = {}
    for t in horizons.tolist():
        end = bool(t >= y.stop.max())
        # who is censored at the very end of follow-up is known to have stayed until then: weight 1/G(t−), as G(t) is 0
        stays = np.flatnonzero((y.stop > t) | (end & (y.stop == t) & (y.event == 0)))
        if not len(stays):
            continue
        if censoring.conditional:
            of_row = np.zeros(len(y))
            of_row[stays] = 1 / own_probability_uncensored(censoring, among[stays], np.full(len(stays), t), before=end)
            at_horizon[t] = of_row
        else:
            at_horizon[t] = float(1 / probability_uncensored(censoring, np.array([t]), before=end)[0])
    return Cohort(judged, cause, at_event, at_horizon, None)


def _with_kaplan_meier(judged: Judged, cause: str, horizons: Floats) -> Cohort:
    """Weight a cohort by its own Kaplan–Meier of censoring, as :class:`CensoringModel` fits it."""
    y, censoring = judged.y, _censoring_times(judged)
    left, last = (y.event > 0) & (y.stop <= horizons.max()), y.stop.max()
    at_event = np.where(left, 1 / np.where(left, censoring.uncensored[censoring.passed], 1.0), 0.0)
    stays_to_the_end = bool(np.any((y.stop == last) & (y.event == 0)))
    until = np.searchsorted(censoring.times, horizons, side="right")
    # who is censored at the very end of follow-up is known to have stayed until then: weight 1/G(t−), as G(t) is 0
    until[horizons >= last] = np.searchsorted(censoring.times, last, side="left")
    at_horizon: dict[float, float | Floats] = {
        t: float(1 / censoring.uncensored[k])
        for t, k in zip(horizons.tolist(), until.tolist(), strict=True)
        if t < last or stays_to_the_end
    }
    return Cohort(judged, cause, at_event, at_horizon, censoring)


def _censoring_times(judged: Judged) -> CensoringTimes:
    y, weight, censored = judged.y, judged.weight, judged.y.event == 0
    times = np.unique(y.stop[censored])
    passed, reached = count_before(times, y.stop), count_up_to(times, y.stop)
    size = len(times)
    at_risk, beyond = (
        np.bincount(position, weight, minlength=size + 1)[::-1].cumsum()[::-1][1:] for position in (reached, passed)
    )
    ended = np.bincount(passed[censored], weight[censored], minlength=size)
    hazard = np.divide(ended, at_risk, out=np.zeros(size), where=at_risk > 0)
    # events come before censorings: who leaves at a time is not at risk of being censored there
    remaining = 1 - np.divide(ended, beyond + ended, out=np.zeros(size), where=ended > 0)
    remaining[remaining < 1e-12] = 0.0
    return CensoringTimes(times, passed, reached, at_risk, hazard, np.concatenate(([1.0], np.cumprod(remaining))))


def read_horizons(times: float | ArrayLike) -> Floats:
    """Give the times asked for as an array."""
    asked = np.atleast_1d(np.asarray(times))
    if asked.ndim != 1 or not len(asked):
        raise DataError("times: give a number or a list of numbers.")
    return numeric_column(asked, "times")


def predicted_risk(
    curves_or_risk: Curves | ArrayLike, y: Outcome, cohort: Cohort, horizons: Floats, which: str = "prediction"
) -> Floats:
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
                f"The {which}s have shape {np.shape(curves_or_risk)}, expected ({len(y):,}, {len(horizons)}): one row "
                "per row of the outcome, one column per time."
            )
    if risk.dtype == np.float64 and risk.min() >= -1e-9 and risk.max() <= 1 + 1e-9:  # not so if one is missing
        return risk[rows]
    columns = [finite_numbers(risk[:, k], len(y), f"The {which} for {t:g}") for k, t in enumerate(horizons)]
    risk = np.column_stack(columns)
    outside = np.flatnonzero(np.any((risk < -1e-9) | (risk > 1 + 1e-9), axis=1))
    if len(outside):
        worst = risk[outside[0]]
        raise DataError(
            f"{counted(len(outside), 'row')} (row {first_of(outside)}) hold {which}s outside 0…1 ({first_of(worst)}). "
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
    among = index.isin(subject)
    if among.any() and not among.all() and pd.api.types.infer_dtype(index) == "string":
        # labels of another kind (of accounts beside customers, or numbers of rows) share none
        row = int(np.flatnonzero(~among)[0])
        raise DataError(
            f"The curves are of other rows than the outcome: {index[row]!r} (row {row}) is none of its subjects, though others "
            "are. Predict for X.loc[y.subject]."
        )
    if index.is_unique and among.all():
        row = int(np.flatnonzero(subject != index)[0])
        raise DataError(
            f"The curves' rows are the outcome's subjects in another order (row {row}: {index[row]!r} beside "
            f"{subject[row]!r}). Put both in the same order, e.g. predict for X.loc[y.subject]."
        )


def known_by(cohort: Cohort, t: float) -> tuple[NDArray[np.bool_], Floats]:
    """Tell who has ended by t, and give the weights W_i(t), (n,): 0 for who was censored before."""
    y = cohort.y
    by_then = (y.stop <= t) & ~((y.stop == t) & (y.event == 0) & (t >= y.stop.max()))
    return by_then, np.where(by_then, cohort.at_event, cohort.at_horizon.get(t, 0.0))


def censoring_influence(cohort: Cohort, part: Floats, t: float) -> Floats:
    """Give the influence of each row on a score at t through the Kaplan–Meier of censoring, (n,), 0 where G is given.

    For scores that :mod:`churnsurv.kernels.weighted_scores` has no pass for.

    part (n,): how much the score changes per relative change of the row's W_i(t). 1/Ĝ(s) moves by (1/G(s)) ∫_0^s dM(u)/Y(u)
    with M the martingales of censoring and Y the weight at risk, so a row moves the score by ∫_0^t L(u)/Y(u) dM(u), L(u)
    being the sum of the parts of rows beyond u. As in riskRegression (Gerds and Kattan 2021) Y counts who leaves at u,
    which ties change by less than their share.
    """
    y, weight, censoring = cohort.y, cohort.weight, cohort.censoring
    if censoring is None:
        return np.zeros(len(y))
    t = t if t < y.stop.max() else float(np.nextafter(t, 0.0))
    size = int(np.searchsorted(censoring.times, t, side="right"))
    passed, reached = np.minimum(censoring.passed, size), np.minimum(censoring.reached, size)
    censored = (y.event == 0) & (y.stop <= t)

    def from_right(position: NDArray[np.int64], values: Floats) -> Floats:
        return np.asarray(np.bincount(position, values, minlength=size + 1)[::-1].cumsum()[::-1][1:])

    beyond, at_risk, hazard = from_right(passed, part), censoring.at_risk[:size], censoring.hazard[:size]
    step = np.divide(beyond, at_risk, out=np.zeros(size), where=at_risk > 0)
    influence = -np.concatenate(([0.0], np.cumsum(hazard * step)))[reached]
    influence[censored] += step[passed[censored]]
    return np.asarray(weight * influence)


def sandwich_error(influence: Floats, judged: Judged) -> tuple[float, str]:
    """Give the standard error of a mean from the rows' influence on it, and the number of independent units in words."""
    sums, units = cluster_sums(influence, judged)
    return float(np.sqrt(len(sums) / (len(sums) - 1) * (sums @ sums))), units


def weighting_in_words(cohort: Cohort) -> str:
    """Say what the censored rows are made up for with."""
    known = "Kaplan–Meier of this outcome" if cohort.censoring is not None else "as given, taken as known"
    return f"weighted by the inverse probability of being uncensored ({known})"


def events_in(cohort: Cohort, horizon: float) -> int:
    """Count the rows with an event of the cause by the horizon."""
    return int(np.count_nonzero(events_until(cohort.y, cohort.cause, horizon, "times")))


def metric_estimate(
    name: str, value: float, se: float, level: float, cohort: Cohort, n_events: int, units: str
) -> Estimate:
    """Give a metric with its interval, cut to [0, 1]."""
    lower, upper = interval(np.array([value]), np.array([se]), level, "plain")
    return Estimate(
        name=name + (f" of {cohort.cause}" if len(cohort.y.causes) > 1 else ""),
        value=value,
        se=se,
        lower=float(lower[0]),
        upper=float(upper[0]),
        level=level,
        n=len(cohort.y),
        n_events=n_events,
        method=f"{weighting_in_words(cohort)}; influence function over {units}; predictions taken as given",
    )
