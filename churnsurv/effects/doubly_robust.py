"""Doubly robust effects: right if the model of leaving or the model of the assignment is."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.base import clone

from churnsurv.effects.assigned import Assigned, checked_horizon, events_of_arms, refuse_late_entry
from churnsurv.effects.propensity import propensity_of
from churnsurv.effects.propensity_fit import Candidates, read_candidates
from churnsurv.effects.resampling import normal_interval
from churnsurv.effects.standardised import Effect, check_standardised
from churnsurv.effects.standardised_rows import Standardised, last_step, read_standardised
from churnsurv.effects.weights import refuse_impossible
from churnsurv.kernels.times import slack, step_area, step_values
from churnsurv.messages import confidence_level
from churnsurv.outcome import Outcome
from churnsurv.results import Estimate
from churnsurv.rows import refuse_one_cluster

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

#: entries of a block of leave-one-out curves
BLOCK = 2_000_000


def doubly_robust_effect(
    model: Any,
    X: pd.DataFrame | ArrayLike,
    y: Outcome | NDArray[Any],
    arm: str,
    *,
    effect: Effect = "risk_difference",
    horizon: float,
    cause: str | None = None,
    reference: Any = None,
    treated: Any = None,
    formula: str | None = None,
    classifier: Any | None = None,
    folds: int | None = None,
    cluster: ArrayLike | None = None,
    level: float = 0.95,
    random_state: int | None = 0,
) -> Estimate:
    r"""Estimate the average effect of an arm by augmented inverse-probability weights.

    The mean in arm a is that of :math:`m_a(x) + 1(A = a)(\theta - m_a(x))/p_a(x)`: predictions of a model of leaving,
    corrected by the weighted residuals of those in the arm (Robins, Rotnitzky and Zhao 1994). As not everybody is followed to
    the horizon, θ are pseudo-values: n times the Kaplan–Meier or Aalen–Johansen estimate of the arm less n − 1 times that
    without the customer (Andersen, Klein and Rosthøj 2003; Wang 2018). It is the effect of :func:`weighted_effect` and
    :func:`standardised_effect` if one of the two models is right; censoring must have nothing to do with leaving, given the
    arm.

    Parameters
    ----------
    model, X, y, arm, effect, horizon, cause, reference, treated, cluster, level
        As of :func:`standardised_effect`: `model` is the survival model of leaving (in :func:`weighted_effect`, which has none,
        the `model` is what `classifier` is here).
    formula, classifier, folds
        Of the propensity given the other columns of X, as `formula`, `model` and `folds` of :func:`propensity`: `classifier`
        is the model of the arm. With more than one fold the model of leaving is cross-fitted too, in the same folds.
    random_state : int, optional
        Seed of the folds.

    Returns
    -------
    Estimate
        The variance is that of the mean of influence functions (by customer), with both models taken as known: right in large
        samples where both are right. ``se`` of a ratio is its own, by the delta method.

    Raises
    ------
    DataError, TooFewEventsError, NotIdentifiedError
        As of :func:`weighted_effect` and :func:`standardised_effect`.

    Warns
    -----
    PositivityWarning
        Customers to whom an arm came with a probability below 1 %.

    Examples
    --------
    >>> import churnsurv as cs, numpy as np, pandas as pd
    >>> rng = np.random.default_rng(1)
    >>> strain = rng.normal(size=400)
    >>> deferral = rng.random(400) < 1 / (1 + np.exp(-strain))
    >>> months = rng.exponential(20 * np.exp(-0.8 * strain + 0.4 * deferral))
    >>> y = cs.Outcome(np.minimum(months, 24), months <= 24)
    >>> X = pd.DataFrame({"strain": strain, "deferral": deferral.astype(int)})
    >>> effect = cs.effects.doubly_robust_effect(cs.CoxPH(), X, y, "deferral", horizon=12)
    >>> bool(effect.lower < effect.value < 0)
    True
    """
    level = confidence_level(level)
    asked = read_standardised(model, X, y, arm, cause, "ate", reference, treated, cluster)
    check_standardised(effect, asked)
    assigned = asked.assigned
    refuse_late_entry(assigned, "A doubly robust effect")
    everyone = np.ones(len(assigned.y), dtype=bool)
    end = checked_horizon(assigned, horizon, everyone)
    event = assigned.y.event > 0 if asked.cause is None else assigned.y.event == assigned.y.cause_code(asked.cause)
    n_events = events_of_arms(assigned, event, end, everyone, asked.cause)
    people = asked.X.iloc[assigned.first].reset_index(drop=True)
    candidates = read_candidates(
        people.drop(columns=arm), assigned.arms, formula, classifier, folds, random_state, "classifier"
    )
    ps = propensity_of(candidates, assigned.arms.code, assigned.arms.labels, int(assigned.arms.unit.max()) + 1)
    refuse_impossible(ps.probability, ps.code, ps.arms, "ate", assigned.target, None)
    ps.warn_of_rare("ate", assigned.target, None, stacklevel=3)
    summands = _predictions(asked, people, candidates, effect, end)  # (2, m)
    for row, k in enumerate((0, assigned.target)):
        inside = assigned.arms.code == k
        residual = _pseudo_values(assigned, inside, asked.cause, effect, end) - summands[row, inside]
        summands[row, inside] += residual / ps.probability[inside, k]
    value, se = _contrast(summands, assigned.arms.unit, effect)
    lower, upper = normal_interval(value, se, level, effect == "risk_ratio")
    one, other = assigned.pair
    of = f" of {asked.cause}" if asked.cause else ""
    sign = " / " if effect == "risk_ratio" else " - "
    words = (
        effect.replace("_", " ").replace("rmst", "restricted mean time").replace("rmtl", "restricted mean time lost")
    )
    return Estimate(
        name=f"Doubly robust {words}{of} within {horizon:g}, {one}{sign}{other}",
        value=value,
        se=se * value if effect == "risk_ratio" else se,
        lower=lower,
        upper=upper,
        level=level,
        n=assigned.n_compared,
        n_events=n_events,
        method=(
            f"augmented inverse-probability weights on pseudo-values; {type(last_step(model)).__name__}; propensity by "
            f"{ps.method}; normal interval of influence functions by customer"
        ),
    )


def _predictions(
    asked: Standardised, people: pd.DataFrame, candidates: Candidates, effect: Effect, end: float
) -> Floats:
    """Predict every customer in the reference and in the arm, (2, m), in folds by a model of the others."""
    assigned = asked.assigned
    predicted = np.empty((2, len(people)))
    for fold in range(candidates.n_folds):
        mine = np.flatnonzero(candidates.fold == fold)
        others = np.flatnonzero(((candidates.fold != fold) | (candidates.n_folds == 1))[assigned.subject])
        model = clone(asked.model).fit(asked.X.iloc[others].reset_index(drop=True), assigned.y[others])
        for row, label in enumerate(reversed(assigned.pair)):
            for part, times, risk in asked.risks(model, people.iloc[mine], label):
                predicted[row, mine[part]] = _functional(times, risk, effect, assigned.origin, end)
    return predicted


def _pseudo_values(
    assigned: Assigned, inside: NDArray[np.bool_], cause: str | None, effect: Effect, end: float
) -> Floats:
    """Give nθ − (n − 1)θ₋ᵢ for the n customers of an arm, all watched from one time on."""
    y = assigned.y
    order = np.lexsort((y.stop, assigned.subject))
    last = order[np.flatnonzero(np.diff(assigned.subject[order], append=-1))][inside]
    stop, left = y.stop[last], y.event[last]
    times = np.unique(stop[(left > 0) & (stop <= end + slack(np.unique(stop)))])
    n = len(stop)
    of_cause = left > 0 if cause is None else left == y.cause_code(cause)
    at_risk = (stop[:, None] >= times).sum(axis=0)
    any_exit, mine = (np.array([np.sum(kind & (stop == t)) for t in times]) for kind in (left > 0, of_cause))

    def estimate(risk_set: Any, exits: Any, of_the_cause: Any) -> Floats:
        with np.errstate(divide="ignore", invalid="ignore"):
            stay = np.cumprod(np.where(risk_set > 0, 1 - exits / risk_set, 1.0), axis=-1)
            before = np.concatenate((np.ones((*stay.shape[:-1], 1)), stay[..., :-1]), axis=-1)
            risk = np.cumsum(np.where(risk_set > 0, before * of_the_cause / risk_set, 0.0), axis=-1)
        return _functional(times, risk, effect, assigned.origin, end)

    whole = estimate(at_risk, any_exit, mine)
    without = np.empty(n)
    size = max(BLOCK // max(len(times), 1), 1)
    for begin in range(0, n, size):
        rows = slice(begin, begin + size)
        there, now = stop[rows, None] >= times, stop[rows, None] == times
        without[rows] = estimate(
            at_risk - there, any_exit - (now & (left[rows, None] > 0)), mine - (now & of_cause[rows, None])
        )
    return np.asarray(n * whole - (n - 1) * without)


def _functional(times: Floats, risk: Floats, effect: Effect, begin: float, end: float) -> Floats:
    """Give the risk at the horizon, the area under it, or the area above it; `risk` (..., T) gives (...)."""
    if effect in ("risk_difference", "risk_ratio"):
        return np.asarray(step_values(times, risk, np.array([end]), before=0.0)[..., 0])
    lost = step_area(times, risk, begin, end, 0.0)
    return end - begin - lost if effect == "rmst_difference" else lost


def _contrast(summands: Floats, unit: Ints, effect: Effect) -> tuple[float, float]:
    """Give the contrast of the means and its standard error, from sums of influences by customer."""
    refuse_one_cluster(unit)
    mean = summands.mean(axis=1)
    influence = summands - mean[:, None]
    if effect == "risk_ratio":
        value, part = mean[1] / mean[0], influence[1] / mean[1] - influence[0] / mean[0]
    else:
        value, part = mean[1] - mean[0], influence[1] - influence[0]
    sums = np.bincount(unit, weights=part)
    n_units = len(sums)
    return float(value), float(np.sqrt(np.sum(sums**2) * n_units / (n_units - 1)) / summands.shape[1])
