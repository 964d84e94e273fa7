"""What if those who were lost from sight left more often: delta-adjusted censoring and its tipping point."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import brentq

from churnsurv.effects.contrasts import difference
from churnsurv.effects.two_arms import ANY_CAUSE, ArmNumbers, TwoArms, two_arms
from churnsurv.exceptions import DataError
from churnsurv.kernels import hazard_functions as kernel
from churnsurv.messages import counted, first_of, one_number
from churnsurv.outcome import Outcome
from churnsurv.results import Estimate
from churnsurv.rows import as_outcome, refuse_recurrent


def delta_adjusted(
    y: Outcome | NDArray[Any],
    arm: ArrayLike,
    *,
    horizon: float,
    delta: Mapping[Any, float],
    informative: ArrayLike | None = None,
    cause: str | None = None,
    reference: Any = None,
    level: float = 0.95,
    cluster: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
    min_at_risk: int = 1,
) -> Estimate:
    """Estimate the difference of risks if the hazard of those censored were delta times that of those watched.

    The usual estimate takes the censored to leave as often as the others of their arm (delta 1). Here the hazard (of the cause)
    is multiplied by its arm's delta from the censoring on. The risk is that of three states, watched, censored and
    left, whose transition hazards are estimated without a model: a weighting form of delta-adjusted imputation
    (Zhao, Herring, Zhou, Ali & Koch 2014; Lipkovich, Ratitch & O'Kelly 2016) with no random draws. With competing causes the
    others go on as before. Delayed entry is accounted for, as independent of leaving.

    Parameters
    ----------
    y, arm, horizon, cause, reference, level, cluster, sample_weight, min_at_risk
        As of :func:`risk_difference`.
    delta : mapping
        Arm → factor, 0 or more; arms not named have 1.
    informative : (n,) of bool, optional
        Rows whose censoring is at issue, such as drop-out; the others' (end of the data, maturity) stays uninformative.
        Default: every row that ends a subject's observation without event.

    Returns
    -------
    Estimate
        Variance by the infinitesimal jackknife by subject or cluster, delta being known.

    Raises
    ------
    DataError
        As of :func:`risk_difference`; a delta that is negative or of no arm; `informative` of rows with an event.
    TooFewEventsError, NotIdentifiedError
        As of :func:`risk_difference`.

    Examples
    --------
    >>> import churnsurv as cs
    >>> y = cs.Outcome(stop=[2, 4, 5, 8, 1, 2, 3, 6], event=[1, 0, 1, 1, 1, 1, 0, 1])
    >>> arm = ["offer"] * 4 + ["none"] * 4
    >>> worse = cs.effects.delta_adjusted(y, arm, horizon=5, delta={"offer": 2})
    >>> usual = cs.effects.risk_difference(y, arm, horizon=5)
    >>> worse.value > usual.value
    True
    """
    y = as_outcome(y)
    arms = _with_censoring(y, arm, informative, cause, reference, level, cluster, sample_weight, min_at_risk)
    return _shifted(arms, _factors(delta, arms.labels), horizon, cause)


@dataclass(frozen=True)
class TippingPoint:
    """Where a conclusion turns.

    Attributes
    ----------
    delta : float
        Factor on the hazard after censoring at which the interval reaches 0; 1 when it includes 0 without any, ∞ when no factor
        up to the largest tried brings it there.
    arm : object
        The arm whose censored customers are given the factor.
    estimate : Estimate
        The difference of risks at `delta` (at the largest factor tried when it is ∞).
    method : str
        What was searched.
    """

    delta: float
    arm: Any
    estimate: Estimate
    method: str


def tipping_point(
    y: Outcome | NDArray[Any],
    arm: ArrayLike,
    *,
    horizon: float,
    most: float = 20.0,
    informative: ArrayLike | None = None,
    cause: str | None = None,
    reference: Any = None,
    level: float = 0.95,
    cluster: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
    min_at_risk: int = 1,
) -> TippingPoint:
    """Find how much more often the censored would have to leave for the difference of risks to be no longer established.

    Those censored in the arm that looks better are given a factor delta ≥ 1 (see :func:`delta_adjusted`), raised until the
    interval of the difference reaches 0. Judge whether such a factor is plausible.

    Parameters
    ----------
    y, arm, horizon, informative, cause, reference, level, cluster, sample_weight, min_at_risk
        As of :func:`delta_adjusted`.
    most : float
        Largest factor tried.

    Raises
    ------
    DataError, TooFewEventsError, NotIdentifiedError
        As of :func:`delta_adjusted`; `most` not above 1.

    Examples
    --------
    >>> import numpy as np, churnsurv as cs
    >>> rng = np.random.default_rng(2)
    >>> arm, drop = np.repeat([0, 1], 300), rng.exponential(20, 600)
    >>> leave = rng.exponential(np.where(arm == 1, 40, 15))
    >>> y = cs.Outcome(np.minimum(leave, drop), leave <= drop)
    >>> cs.effects.tipping_point(y, arm, horizon=12).delta > 1
    True
    """
    y = as_outcome(y)
    most = one_number(most, "most")
    if most <= 1:
        raise DataError(f"most={most:g}: give the largest factor to try, above 1.")
    arms = _with_censoring(y, arm, informative, cause, reference, level, cluster, sample_weight, min_at_risk)

    def at(factor: float, better: int) -> Estimate:
        factors = np.ones(2)
        factors[better] = factor
        return _shifted(arms, factors, horizon, cause)

    usual = at(1.0, 0)
    better = 1 if usual.value < 0 else 0
    label = arms.labels[better]

    def beyond(factor: float) -> float:
        """Give how far the interval is from 0: positive while it excludes it."""
        found = at(factor, better)
        return -found.upper if better == 1 else found.lower

    method = f"delta on the hazard after censoring in arm {label!r}, raised from 1 until the interval reaches 0 (to {most:g})"
    if beyond(1.0) <= 0:
        return TippingPoint(1.0, label, usual, method)
    if beyond(most) > 0:
        return TippingPoint(np.inf, label, at(most, better), method)
    tip = float(brentq(beyond, 1.0, most, xtol=1e-6))
    return TippingPoint(tip, label, at(tip, better), method)


def _factors(delta: Mapping[Any, float], labels: pd.Index) -> NDArray[np.float64]:
    factors = np.ones(2)
    if not isinstance(delta, Mapping):
        raise DataError(f"delta={delta!r}: give a factor per arm, such as {{{labels[1]!r}: 1.5}}.")
    for label, value in delta.items():
        if label not in labels:
            raise DataError(
                f"delta is given for {label!r}, which is no arm; the arms are {labels[0]!r} and {labels[1]!r}."
            )
        factor = one_number(value, f"delta[{label!r}]")
        if factor < 0:
            raise DataError(f"delta[{label!r}]={factor:g}: a factor on a hazard is 0 or more.")
        factors[labels.get_loc(label)] = factor
    return factors


def _with_censoring(
    y: Outcome,
    arm: ArrayLike,
    informative: ArrayLike | None,
    cause: str | None,
    reference: Any,
    level: float,
    cluster: ArrayLike | None,
    sample_weight: ArrayLike | None,
    min_at_risk: int,
) -> TwoArms:
    """Give the two arms with the censoring at issue as the last of the kinds of event."""
    refuse_recurrent(y, "A delta-adjusted risk")
    if cause is not None:
        y.cause_code(cause)
    event = (y.event > 0).astype(np.int64) if cause is None else y.event
    kinds = (ANY_CAUSE,) if cause is None else y.causes
    lost = _last_rows(y) & (y.event == 0)
    if informative is not None:
        asked = np.asarray(informative)
        if asked.shape != (len(y),) or asked.dtype.kind not in "bui" or not np.isin(asked, (0, 1)).all():
            raise DataError(f"informative has shape {asked.shape} and dtype {asked.dtype}; give True or False per row.")
        wrong = np.flatnonzero(asked.astype(bool) & ~lost)
        if len(wrong):
            raise DataError(
                f"informative marks {counted(len(wrong), 'row')} (row {first_of(wrong)}) that do not end a subject's "
                "observation without event: nobody is lost there."
            )
        lost = asked.astype(bool)
    coded = np.where(lost, len(kinds) + 1, event)
    start = None if y.from_origin else y.start
    marked = Outcome(y.stop, coded, start, y.subject, (*kinds, "lost from sight"))
    return two_arms(
        marked, arm, "", reference, level, cluster, sample_weight, None, min_at_risk, n_leaving=len(kinds), stacklevel=5
    )


def _last_rows(y: Outcome) -> NDArray[np.bool_]:
    last = pd.Series(y.stop).groupby(pd.factorize(y.subject)[0]).transform("max")
    return np.asarray(y.stop == last.to_numpy())


def _shifted(arms: TwoArms, factors: NDArray[np.float64], horizon: float, cause: str | None) -> Estimate:
    """Give the difference of risks with these factors."""
    own = cause or ANY_CAUSE
    usual = arms.risk(horizon, own)  # its checks, counts of customers and events
    value, influence = np.zeros(2), np.zeros((2, 1 + max(int(cell.rows.cluster.max()) for cell in arms.cells)))
    for cell in arms.cells:
        end = cell.rows.origin + one_number(horizon, "horizon")
        factor = float(factors[cell.arm])
        rows = replace(cell.rows, event=cell.marked)
        table = rows.risk_table(len(arms.causes) + 1)
        value[cell.arm], slopes = kernel.shifted_risk(table, arms.causes.index(own), factor, end)
        of_rows = kernel.shifted_influence(table, slopes, rows.event, rows.weight)
        influence[cell.arm] = np.bincount(cell.rows.cluster, of_rows, influence.shape[1])
    joint = influence @ influence.T
    told = ", ".join(f"{label}: {factor:g}" for label, factor in zip(arms.labels, factors, strict=True))
    words = [
        "hazard after censoring times delta",
        told,
        "normal interval",
        "infinitesimal-jackknife variance",
        *arms.words,
    ]
    numbers = ArmNumbers(value, np.diag(joint), float(joint[0, 1]), usual.n, usual.n_events)
    what = f"Difference of the delta-adjusted risk of leaving{f' by {cause}' if cause else ''} within {horizon:g}"
    return difference(arms, numbers, what, "; ".join(words))
