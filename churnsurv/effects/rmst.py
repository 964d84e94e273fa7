"""Differences and ratios of the restricted mean time still a customer, and of the time lost to each cause."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pandas as pd
from numpy.typing import ArrayLike, NDArray

from churnsurv.effects.contrasts import difference, ratio
from churnsurv.effects.two_arms import ArmNumbers, two_arms
from churnsurv.outcome import Outcome
from churnsurv.results import Estimate


def rmst_difference(
    y: Outcome | NDArray[Any],
    arm: ArrayLike,
    *,
    horizon: float,
    level: float = 0.95,
    reference: Any = None,
    cluster: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
    strata: ArrayLike | pd.DataFrame | None = None,
    min_at_risk: int = 1,
) -> Estimate:
    """Estimate how much longer customers of one arm stay, within a horizon.

    The difference of the areas under the arms' Kaplan–Meier curves up to `horizon` (Royston & Parmar 2013): expected
    customer-months gained per customer, with no assumption on the hazards. Leaving by any cause counts. With entry times
    both areas begin at the first age at which `min_at_risk` of each arm are at risk, given in ``method``, and are
    conditional on reaching it. Assumes that censoring and entry are independent of leaving, given the arm (and stratum).

    Parameters
    ----------
    y : Outcome or scikit-survival's structured array, of n rows
        On time since assignment for interventions.
    arm : (n,)
        Two arms.
    horizon : float
        Length of the period, in the unit of y's times.
    level : float
        Confidence level of the normal interval.
    reference : label, optional
        The arm that is subtracted; default the first in sorted order.
    cluster : (n,), optional
        Rows of a cluster (the loans of one customer) are not independent: infinitesimal-jackknife variance by cluster,
        else Greenwood's. Clusters must lie within arms.
    sample_weight, strata
        As of :func:`risk_difference`; with weights the variance is the infinitesimal jackknife.
    min_at_risk : int
        See above.

    Raises
    ------
    DataError
        Not two arms, or an arm of one customer; arms missing or of another length; a horizon beyond an arm's support;
        a subject or cluster with rows in both arms; weights that are not positive.
    NotIdentifiedError
        Recurrent events.
    TooFewEventsError
        An arm without event within the horizon: its variance is not estimable.

    Examples
    --------
    >>> import churnsurv as cs
    >>> y = cs.Outcome(stop=[2, 4, 5, 8, 1, 2, 3, 6], event=[1, 1, 0, 1, 1, 1, 1, 1])
    >>> gain = cs.effects.rmst_difference(y, ["offer"] * 4 + ["none"] * 4, horizon=6)
    >>> round(gain.value, 3), round(gain.se, 3)
    (1.5, 1.25)
    """
    arms = two_arms(y, arm, "A restricted mean time", reference, level, cluster, sample_weight, strata, min_at_risk)
    means = _means(arms.time_lost(horizon, None), horizon)
    method = arms.method("Kaplan-Meier; area under the curve", "normal interval", None)
    return difference(arms, means, f"Difference of restricted mean time within {horizon:g}", method)


def rmst_ratio(
    y: Outcome | NDArray[Any],
    arm: ArrayLike,
    *,
    horizon: float,
    level: float = 0.95,
    reference: Any = None,
    cluster: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
    strata: ArrayLike | pd.DataFrame | None = None,
    min_at_risk: int = 1,
) -> Estimate:
    """Estimate the ratio of the restricted mean times still a customer.

    As :func:`rmst_difference`, the other arm divided by the reference; the interval is normal for the logarithm of the ratio.

    Parameters
    ----------
    y, arm, horizon, level, reference, cluster, sample_weight, strata, min_at_risk
        As of :func:`rmst_difference`; with strata the ratio is that of the standardised means.

    Raises
    ------
    DataError, NotIdentifiedError, TooFewEventsError
        As of :func:`rmst_difference`.

    Examples
    --------
    >>> import churnsurv as cs
    >>> y = cs.Outcome(stop=[2, 4, 5, 8, 1, 2, 3, 6], event=[1, 1, 0, 1, 1, 1, 1, 1])
    >>> cs.effects.rmst_ratio(y, ["offer"] * 4 + ["none"] * 4, horizon=6).value
    1.5
    """
    arms = two_arms(y, arm, "A restricted mean time", reference, level, cluster, sample_weight, strata, min_at_risk)
    means = _means(arms.time_lost(horizon, None), horizon)
    method = arms.method("Kaplan-Meier; area under the curve", "interval normal on the log scale", None)
    return ratio(arms, means, f"Ratio of restricted mean time within {horizon:g}", method)


def rmtl_difference(
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
    """Estimate how much more time is lost (to one cause) in one arm, within a horizon.

    The difference of the areas under the arms' cumulative incidences (Andersen 2013): the expected part of the horizon for
    which a customer is gone by the cause. Summed over causes it is minus :func:`rmst_difference`.

    Parameters
    ----------
    y, arm, horizon, cause, reference, level, cluster, sample_weight, strata, min_at_risk
        As of :func:`risk_difference`.

    Raises
    ------
    DataError, NotIdentifiedError, TooFewEventsError
        As of :func:`risk_difference`.

    Examples
    --------
    >>> import churnsurv as cs
    >>> y = cs.Outcome([2, 4, 5, 8, 1, 2, 3, 6], [1, 2, 0, 1, 1, 1, 2, 1], causes=("attrition", "default"))
    >>> cs.effects.rmtl_difference(y, ["offer"] * 4 + ["none"] * 4, horizon=6, cause="attrition").value
    -1.25
    """
    arms = two_arms(
        y, arm, "A restricted mean time lost", reference, level, cluster, sample_weight, strata, min_at_risk
    )
    lost = arms.time_lost(horizon, cause)
    method = arms.method(f"{arms.estimator(cause)}; area under the cumulative incidence", "normal interval", cause)
    return difference(arms, lost, f"Difference of {_lost(cause, horizon)}", method)


def rmtl_ratio(
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
    """Estimate the ratio of the times lost (to one cause) within a horizon.

    As :func:`rmtl_difference`, the other arm divided by the reference; the interval is normal for the logarithm of the ratio.

    Parameters
    ----------
    y, arm, horizon, cause, reference, level, cluster, sample_weight, strata, min_at_risk
        As of :func:`risk_difference`; with strata the ratio is that of the standardised times.

    Raises
    ------
    DataError, NotIdentifiedError, TooFewEventsError
        As of :func:`risk_difference`.

    Examples
    --------
    >>> import churnsurv as cs
    >>> y = cs.Outcome([2, 4, 5, 8, 1, 2, 3, 6], [1, 2, 0, 1, 1, 1, 2, 1], causes=("attrition", "default"))
    >>> round(cs.effects.rmtl_ratio(y, ["offer"] * 4 + ["none"] * 4, horizon=6, cause="attrition").value, 3)
    0.444
    """
    arms = two_arms(
        y, arm, "A restricted mean time lost", reference, level, cluster, sample_weight, strata, min_at_risk
    )
    lost = arms.time_lost(horizon, cause)
    interval = "interval normal on the log scale"
    method = arms.method(f"{arms.estimator(cause)}; area under the cumulative incidence", interval, cause)
    return ratio(arms, lost, f"Ratio of {_lost(cause, horizon)}", method)


def _means(lost: ArmNumbers, horizon: float) -> ArmNumbers:
    return replace(lost, value=horizon - lost.value)


def _lost(cause: str | None, horizon: float) -> str:
    return f"restricted mean time lost{f' to {cause}' if cause else ''} within {horizon:g}"
