"""Differences of the restricted mean time still a customer."""

from __future__ import annotations

import warnings
from typing import Any, cast

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtri

from churnsurv.effects.arms import read_two_arms
from churnsurv.exceptions import DataError, TooFewEventsError
from churnsurv.kernels.times import slack, steps_until
from churnsurv.messages import counted, first_of
from churnsurv.nonparametric import KaplanMeier
from churnsurv.outcome import Outcome
from churnsurv.results import Estimate
from churnsurv.rows import as_outcome, refuse_recurrent, row_labels


def rmst_difference(
    y: Outcome | NDArray[Any],
    arm: ArrayLike,
    *,
    horizon: float,
    level: float = 0.95,
    reference: Any = None,
    cluster: ArrayLike | None = None,
    min_at_risk: int = 1,
) -> Estimate:
    """Estimate how much longer customers of one arm stay, within a horizon.

    The difference of the areas under the arms' Kaplan–Meier curves up to `horizon` (Royston & Parmar 2013): expected
    customer-months gained per customer, with no assumption on the hazards. Leaving by any cause counts. With entry times
    both areas begin at the first age at which `min_at_risk` of each arm are at risk, given in ``method``, and are
    conditional on reaching it. Assumes that censoring and entry are independent of leaving, given the arm.

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
    min_at_risk : int
        See above.

    Raises
    ------
    DataError
        Not two arms, or an arm of one customer; arms missing or of another length; a horizon beyond an arm's support;
        a subject or cluster with rows in both arms.
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
    y = as_outcome(y)
    refuse_recurrent(y, "A restricted mean time")
    codes, labels = read_two_arms(y, arm, reference)
    _refuse_units_across_arms(y, cluster, codes)
    arms = pd.Series(pd.Categorical(labels[codes], categories=labels), name="arm")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        km = _from_common_origin(y, arms, cluster, min_at_risk, level)
        means = cast(dict[Any, Estimate], km.rmst(horizon))
    n_events = _events_within(km, horizon)
    for warning in caught:  # said here, so that they point to the caller's line
        warnings.warn(str(warning.message), warning.category, stacklevel=2)
    base, other = (means[label] for label in labels)
    value, se = other.value - base.value, float(np.hypot(base.se, other.se))
    half = float(ndtri((1 + level) / 2)) * se
    return Estimate(
        name=f"Difference of restricted mean time within {horizon:g}, {labels[1]} - {labels[0]}",
        value=value,
        se=se,
        lower=value - half,
        upper=value + half,
        level=level,
        n=base.n + other.n,
        n_events=n_events,
        method=other.method,
    )


def _from_common_origin(
    y: Outcome, arms: pd.Series, cluster: ArrayLike | None, min_at_risk: int, level: float
) -> KaplanMeier:
    """Fit both arms from the first age at which each has enough at risk."""
    origin = None
    while True:  # the origin rises through ages of entry until both arms begin at it
        km = KaplanMeier().fit(y, by=arms, cluster=cluster, min_at_risk=min_at_risk, origin=origin, level=level)
        if km.curves_.origin[0] == km.curves_.origin[1]:
            return km
        origin = float(km.curves_.origin.max())


def _events_within(km: KaplanMeier, horizon: float) -> int:
    """Count the events within the horizon; an arm beyond its support or without event is refused."""
    origin = float(km.curves_.origin[0])
    total = 0
    for arm, rows in km.table_.groupby("group", sort=False):
        last = rows.iloc[-1]
        times = rows["time"].to_numpy()
        if origin + horizon > last["time"] + slack(times) and last["estimate"] > 0:
            raise DataError(
                f"Horizon {horizon:g} is past the last time with data of arm {arm!r} ({last['time'] - origin:g} after the "
                f"origin {origin:g}): not estimable. Ask for at most {last['time'] - origin:g}."
            )
        events = int(rows["n_event"].iloc[: int(steps_until(times, np.array(origin + horizon)))].sum())
        if events == 0:
            raise TooFewEventsError(
                f"Arm {arm!r} has no event within {horizon:g}: the variance of its mean is not estimable. Ask for a longer "
                "horizon, or report the counts of the arms."
            )
        total += events
    return total


def _refuse_units_across_arms(y: Outcome, cluster: ArrayLike | None, codes: NDArray[np.int64]) -> None:
    units = pd.factorize(y.subject)[0] if cluster is None else row_labels(cluster, len(y), "cluster")[0]
    size = int(units.max()) + 1
    both = np.flatnonzero(
        np.bincount(units[codes == 0], minlength=size) * np.bincount(units[codes == 1], minlength=size)
    )
    if len(both):
        what = "subject" if cluster is None else "cluster"
        raise DataError(
            f"{counted(len(both), what)} with rows in both arms (rows {first_of(np.flatnonzero(units == both[0]))}): the "
            "arms are not independent, and time before a change of arm would count for neither. Give each "
            f"{what} the arm it was assigned at time zero."
        )
