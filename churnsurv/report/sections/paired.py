"""Is a model's Brier score above that of the same risk for everybody? Paired, since both are of the same loans."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from churnsurv.nonparametric import CensoringModel
from churnsurv.outcome import Outcome

Floats = NDArray[np.float64]


def brier_difference(
    y: Outcome, risk: Floats, null: float, cause: str, horizon: float, cluster: NDArray[np.object_], level: float
) -> tuple[float, float, float]:
    """Give Brier score of `risk` minus that of `null` for every loan, with its interval.

    The interval is Wald's with the variance between clusters (customers) of the loans' weighted differences of squared
    errors. The weights 1/G are taken as known; the null risk minimises its own score, so that its estimation adds nothing
    of first order.
    """
    censoring = CensoringModel().fit(y)
    ended = (y.event > 0) & (y.stop <= horizon)
    weight = np.zeros(len(y))
    weight[ended] = 1 / censoring.probability(y.stop[ended], before=True)
    # as in brier_score: at the very end of follow-up the censored are known to have stayed until then
    at_end = bool(horizon >= y.stop.max())
    open_still = ((y.event == 0) & (y.stop >= horizon)) if at_end else y.stop > horizon
    weight[open_still] = 1 / censoring.probability(np.array([horizon]), before=at_end)[0]
    left = (ended & (y.event == y.cause_code(cause))).astype(float)
    loss = weight * ((left - risk) ** 2 - (left - null) ** 2)
    value = float(loss.mean())
    of_cluster = np.unique(cluster, return_inverse=True)[1]
    sums = np.bincount(of_cluster, loss - value)
    n = len(sums)
    se = float(np.sqrt(np.sum(sums**2) * n / max(n - 1, 1))) / len(y)
    half = float(ndtri(0.5 + level / 2)) * se
    return value, value - half, value + half
