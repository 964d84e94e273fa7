"""Differences of the time by which a share of the customers has left."""

from __future__ import annotations

import warnings
from typing import Any, cast

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from churnsurv.effects.arms import (
    positive_weights,
    read_two_arms,
    refuse_clusters_across_arms,
    refuse_subjects_across_arms,
    warn_of_few_clusters,
)
from churnsurv.exceptions import DataError
from churnsurv.messages import confidence_level
from churnsurv.nonparametric import KaplanMeier
from churnsurv.outcome import Outcome
from churnsurv.results import Estimate
from churnsurv.rows import as_outcome, refuse_recurrent


def median_difference(
    y: Outcome | NDArray[Any],
    arm: ArrayLike,
    *,
    share: float = 0.5,
    reference: Any = None,
    level: float = 0.95,
    cluster: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
    min_at_risk: int = 1,
) -> Estimate:
    """Estimate how much later half of the customers of one arm have left (or another `share`).

    The difference of the Kaplan–Meier quantiles of leaving by any cause. Its interval recovers the variances from the arms' own
    intervals (l, u) by Brookmeyer & Crowley (1982) on the log(−log) scale, which need no density: with q the quantiles,
    lower = d − √((q₁ − l₁)² + (u₀ − q₀)²) and upper = d + √((u₁ − q₁)² + (q₀ − l₀)²) (Zou & Donner 2008). It is not symmetric,
    and infinite on the side on which an arm's own interval is. With times in whole months it is conservative.
    With entry times both curves begin at the first age at which `min_at_risk` of each arm are at risk.

    Parameters
    ----------
    y, arm, reference, level, cluster, sample_weight, min_at_risk
        As of :func:`risk_difference`, but clusters lie within arms. There is no stratified version: quantiles of strata do
        not average to one of all.
    share : float
        Share that has left; 0.5 for medians.

    Returns
    -------
    Estimate
        ``se`` is NaN: the interval does without.

    Raises
    ------
    DataError
        As of :func:`risk_difference`; an arm in which fewer than the share have left by its last time.
    NotIdentifiedError
        Recurrent events.

    Examples
    --------
    >>> import churnsurv as cs
    >>> y = cs.Outcome(stop=[2, 4, 5, 8, 9, 1, 2, 3, 6, 7], event=[1, 1, 0, 1, 1, 1, 1, 1, 1, 1])
    >>> cs.effects.median_difference(y, ["offer"] * 5 + ["none"] * 5).value
    5.0
    """
    y = as_outcome(y)
    refuse_recurrent(y, "A median time")
    codes, labels = read_two_arms(y, arm, reference)
    refuse_subjects_across_arms(y, codes)
    refuse_clusters_across_arms(cluster, codes)
    warn_of_few_clusters(cluster, codes, labels, stacklevel=3)
    weight = positive_weights(sample_weight, len(y))
    level = confidence_level(level)
    arms = pd.Series(pd.Categorical(labels[codes], categories=labels), name="arm")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        km = _from_common_origin(y, arms, cluster, weight, min_at_risk, level)
        both = cast(dict[Any, Estimate], km.quantile(share))
    for warning in caught:  # said here, so that they point to the caller's line
        warnings.warn(str(warning.message), warning.category, stacklevel=2)
    base, other = (both[label] for label in labels)
    for label, quantile in zip(labels, (base, other), strict=True):
        if np.isnan(quantile.value):
            left = 1 - float(km.table_.loc[km.table_["group"] == label, "estimate"].iloc[-1])
            raise DataError(
                f"Only {left:.1%} of arm {label!r} have left by its last time, not {share:.0%}: the quantile is not "
                f"estimable. Ask for a smaller share, or for the risk at a horizon."
            )
    value = other.value - base.value
    # an end that is not reached lies beyond the data
    below = np.hypot(_gap(other.value, other.lower), _gap(base.upper, base.value))
    above = np.hypot(_gap(other.upper, other.value), _gap(base.value, base.lower))
    what = "median time to leaving" if share == 0.5 else f"time by which {share:.0%} have left"
    return Estimate(
        name=f"Difference of the {what}, {labels[1]} - {labels[0]}",
        value=value,
        se=np.nan,
        lower=value - float(below),
        upper=value + float(above),
        level=level,
        n=base.n + other.n,
        n_events=base.n_events + other.n_events,
        method=f"{other.method}; intervals of both arms combined (Zou and Donner)",
    )


def _gap(later: float, earlier: float) -> float:
    return float(np.inf) if np.isnan(later - earlier) else later - earlier


def _from_common_origin(
    y: Outcome,
    arms: pd.Series,
    cluster: ArrayLike | None,
    weight: NDArray[np.float64] | None,
    min_at_risk: int,
    level: float,
) -> KaplanMeier:
    """Fit both arms from the first age at which each has enough at risk."""
    origin = None
    while True:  # the origin rises through ages of entry until both arms begin at it
        km = KaplanMeier().fit(
            y,
            by=arms,
            cluster=cluster,
            sample_weight=weight,
            min_at_risk=min_at_risk,
            origin=origin,
            level=level,
            conf_type="log-log",
            variance=None if weight is None else "robust",
        )
        if km.curves_.origin[0] == km.curves_.origin[1]:
            return km
        origin = float(km.curves_.origin.max())
