"""Differences and ratios of the probability of leaving within a horizon, and the number needed to treat."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from churnsurv.effects.contrasts import difference, ratio
from churnsurv.effects.two_arms import TwoArms, two_arms
from churnsurv.exceptions import SmallSampleWarning
from churnsurv.outcome import Outcome
from churnsurv.results import Estimate


def risk_difference(
    y: Outcome | NDArray[Any],
    arm: ArrayLike,
    *,
    horizon: float,
    cause: str | None = None,
    reference: Any = None,
    level: float = 0.95,
    cluster: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
    strata: ArrayLike | pd.DataFrame | None = None,
    min_at_risk: int = 1,
) -> Estimate:
    """Estimate how many more (of 1) leave within a horizon in one arm than in the other.

    The difference of 1 − Kaplan–Meier for leaving by any cause, of the Aalen–Johansen cumulative incidences for one cause among
    several (never 1 − Kaplan–Meier of that cause alone, which answers what would be if the others did not exist). Negative:
    fewer leave. Assumes that censoring and entry are independent of leaving, given the arm (and stratum); no assumption on the
    hazards. With entry times the horizon begins at the first age at which `min_at_risk` rows of each arm are at risk, given in
    ``method``, and the risks are conditional on reaching it.

    Parameters
    ----------
    y : Outcome or scikit-survival's structured array, of n rows
        On time since assignment for interventions.
    arm : (n,)
        Two arms.
    horizon : float
        Length of the period, in the unit of y's times.
    cause : str, optional
        Leaving by this cause; default by any.
    reference : label, optional
        The arm that is subtracted; default the first in sorted order.
    level : float
        Confidence level of the normal interval, symmetric around the difference.
    cluster : (n,), optional
        Rows of a cluster (the loans of one customer) are not independent. It may have rows in both arms: its influences are
        summed over both.
    sample_weight : (n,), optional
        Positive sampling or balancing weights, constant over a subject's rows as a rule; taken as known.
    strata : (n,) or frame of n rows, optional
        The risks are estimated within strata (fixed at time zero) and averaged with the strata's shares of both arms'
        customers at risk at the origin, taken as known: direct standardisation, for block-randomised or matched arms.
    min_at_risk : int
        See above; with strata, of each arm in each stratum.

    Returns
    -------
    Estimate
        Its variance is Greenwood's; the infinitesimal jackknife by subject (or `cluster`) with weights, clusters or competing
        causes.

    Raises
    ------
    DataError
        Not two arms, an arm (in a stratum) of one customer; arms, strata, clusters or weights missing, of another length or not
        positive; an unknown reference or cause; a horizon beyond an arm's support; a subject in both arms, an
        arm that lies in one cluster.
    TooFewEventsError
        An arm without event within the horizon.
    NotIdentifiedError
        Recurrent events.

    Warns
    -----
    SmallSampleWarning
        An early risk set empties while others enter later; fewer than 20 clusters in an arm.

    Examples
    --------
    >>> import churnsurv as cs
    >>> y = cs.Outcome(stop=[2, 4, 5, 8, 1, 2, 3, 6], event=[1, 1, 0, 1, 1, 1, 1, 1])
    >>> fewer = cs.effects.risk_difference(y, ["offer"] * 4 + ["none"] * 4, horizon=5)
    >>> round(fewer.value, 3), round(fewer.se, 3)
    (-0.25, 0.331)
    """
    arms = two_arms(y, arm, "A risk of leaving", reference, level, cluster, sample_weight, strata, min_at_risk)
    numbers = arms.risk(horizon, cause)
    method = arms.method(arms.estimator(cause), "normal interval", cause)
    return difference(arms, numbers, f"Difference of the {_risk(cause, horizon)}", method)


def risk_ratio(
    y: Outcome | NDArray[Any],
    arm: ArrayLike,
    *,
    horizon: float,
    cause: str | None = None,
    reference: Any = None,
    level: float = 0.95,
    cluster: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
    strata: ArrayLike | pd.DataFrame | None = None,
    min_at_risk: int = 1,
) -> Estimate:
    """Estimate the ratio of the probabilities of leaving within a horizon.

    As :func:`risk_difference`, the other arm divided by the reference; the interval is normal for the logarithm of the ratio.

    Parameters
    ----------
    y, arm, horizon, cause, reference, level, cluster, sample_weight, strata, min_at_risk
        As of :func:`risk_difference`; with strata the ratio is that of the standardised risks.

    Raises
    ------
    DataError, TooFewEventsError, NotIdentifiedError
        As of :func:`risk_difference`.

    Examples
    --------
    >>> import churnsurv as cs
    >>> y = cs.Outcome(stop=[2, 4, 5, 8, 1, 2, 3, 6], event=[1, 1, 0, 1, 1, 1, 1, 1])
    >>> round(cs.effects.risk_ratio(y, ["offer"] * 4 + ["none"] * 4, horizon=5).value, 3)
    0.667
    """
    arms = two_arms(y, arm, "A risk of leaving", reference, level, cluster, sample_weight, strata, min_at_risk)
    numbers = arms.risk(horizon, cause)
    method = arms.method(arms.estimator(cause), "interval normal on the log scale", cause)
    return ratio(arms, numbers, f"Ratio of the {_risk(cause, horizon)}", method)


def number_needed_to_treat(
    y: Outcome | NDArray[Any],
    arm: ArrayLike,
    *,
    horizon: float,
    cause: str | None = None,
    reference: Any = None,
    level: float = 0.95,
    cluster: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
    strata: ArrayLike | pd.DataFrame | None = None,
    min_at_risk: int = 1,
) -> Estimate:
    """Estimate how many customers must be in the other arm for one fewer to leave within the horizon.

    1 / (risk in the reference − risk in the other arm), see :func:`risk_difference`; negative: one *more* leaves for that many
    customers. The interval is the inverted interval of the difference. Where that includes 0, benefit and harm are both
    possible and the interval is everything outside two numbers, through infinity (Altman 1998): ``lower`` and ``upper`` are
    then −∞ and ∞, ``method`` states the two half-lines, and a warning says so.

    Parameters
    ----------
    y, arm, horizon, cause, reference, level, cluster, sample_weight, strata, min_at_risk
        As of :func:`risk_difference`.

    Returns
    -------
    Estimate
        ``se`` is NaN: the inverse of a difference has no useful one.

    Raises
    ------
    DataError, TooFewEventsError, NotIdentifiedError
        As of :func:`risk_difference`.

    Warns
    -----
    SmallSampleWarning
        The interval of the difference includes 0.

    Examples
    --------
    >>> import churnsurv as cs
    >>> y = cs.Outcome(stop=[2, 6, 7, 9, 11, 12, 1, 2, 2, 3, 4, 6], event=[1, 0, 1, 0, 1, 0, 1, 1, 1, 1, 1, 0])
    >>> nnt = cs.effects.number_needed_to_treat(y, ["offer"] * 6 + ["none"] * 6, horizon=5)
    >>> round(nnt.value, 2), round(nnt.lower, 2), round(nnt.upper, 2)
    (1.5, 0.92, 4.08)
    """
    arms = two_arms(y, arm, "A risk of leaving", reference, level, cluster, sample_weight, strata, min_at_risk)
    fewer = difference(arms, arms.risk(horizon, cause), "", "", scale=-1.0)
    lower, upper, words = _inverted(arms, fewer)
    return Estimate(
        name=f"Number needed to treat for one fewer of the {_risk(cause, horizon)}, {arms.labels[1]} vs {arms.labels[0]}",
        value=1 / fewer.value if fewer.value else np.inf,
        se=np.nan,
        lower=lower,
        upper=upper,
        level=fewer.level,
        n=fewer.n,
        n_events=fewer.n_events,
        method=arms.method(f"inverse of the {arms.estimator(cause)} difference", words, cause),
    )


def _inverted(arms: TwoArms, fewer: Estimate) -> tuple[float, float, str]:
    """Give the ends of the inverted interval and how to read it; the difference is positive for a benefit."""
    if fewer.lower > 0 or fewer.upper < 0:
        return 1 / fewer.upper, 1 / fewer.lower, "inverted normal interval of the difference"
    benefit = f"{1 / fewer.upper:.4g} or more to prevent one" if fewer.upper > 0 else ""
    harm = f"{-1 / fewer.lower:.4g} or more to cause one" if fewer.lower < 0 else ""
    ends = " or ".join(part for part in (benefit, harm) if part)
    warnings.warn(
        f"The interval of the difference of risks ({fewer.lower:.4g} to {fewer.upper:.4g} fewer in {arms.labels[1]!r}) "
        f"includes 0: the number needed to treat is {ends}, through infinity. Report the difference.",
        SmallSampleWarning,
        stacklevel=3,
    )
    return -np.inf, np.inf, f"the {fewer.level:.0%} interval is disjoint: {ends}"


def _risk(cause: str | None, horizon: float) -> str:
    return f"risk of leaving{f' by {cause}' if cause else ''} within {horizon:g}"
