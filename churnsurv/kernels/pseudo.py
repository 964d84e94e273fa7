"""Jackknife pseudo-values of a cumulative incidence at a horizon, in linear time.

The pseudo-value of customer i is n F(t) − (n − 1) F_{−i}(t), with F_{−i} the Aalen–Johansen estimate without the customer
(Andersen, Klein and Rosthøj 2003). Up to the time s at which i is last under observation only the number at risk differs,
after it nothing does, so that with prefix and suffix products

    S_{−i}(s) = A(s−) (1 − (d(s) − δ_i)/(Y(s) − 1)),                A(s−) = Π_{u < s} (1 − d(u)/(Y(u) − 1)),
    F_{−i}(t) = B(s−) + A(s−) (d_k(s) − δ_ik)/(Y(s) − 1) + S_{−i}(s) R(s),
    R(s) = Σ_{s < v ≤ t} Π_{s < u < v} (1 − d(u)/Y(u)) d_k(v)/Y(v),  B(s−) = Σ_{u < s} A(u−) d_k(u)/(Y(u) − 1).

All are followed from time 0. A customer of weight w stands for w alike, of whom one is left out.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def pseudo_values(stop: Floats, event: Ints, weight: Floats, cause: int, horizon: float) -> Floats:
    """Give the pseudo-values (n,) of the probability of leaving by the cause (1…K) by the horizon. O(n log n)."""
    times, at = np.unique(stop, return_inverse=True)
    size = len(times)
    left = np.bincount(at[event > 0], weight[event > 0], minlength=size)
    by_cause = np.bincount(at[event == cause], weight[event == cause], minlength=size)
    at_risk = np.bincount(at, weight, minlength=size)[::-1].cumsum()[::-1]
    within = times <= horizon
    left, by_cause = np.where(within, left, 0.0), np.where(within, by_cause, 0.0)

    staying = 1.0 - left / at_risk
    after = np.zeros(size)  # R at each time
    for j in range(size - 2, -1, -1):
        after[j] = by_cause[j + 1] / at_risk[j + 1] + staying[j + 1] * after[j + 1]
    whole = by_cause[0] / at_risk[0] + staying[0] * after[0]

    # without one customer nobody may be left at risk: nothing moves then
    fewer = np.where(at_risk > 1.0 + 1e-9, at_risk - 1.0, np.inf)
    before = np.concatenate(([1.0], np.cumprod(np.clip(1.0 - left / fewer, 0.0, 1.0))))[:-1]
    passed = np.concatenate(([0.0], np.cumsum(before * by_cause / fewer)))[:-1]
    own = ((event > 0) & within[at]).astype(np.float64)
    own_cause = ((event == cause) & within[at]).astype(np.float64)
    still = before[at] * (1.0 - (left[at] - own) / fewer[at])
    without = passed[at] + before[at] * (by_cause[at] - own_cause) / fewer[at] + still * after[at]
    total = weight.sum()
    return np.asarray(total * whole - (total - 1.0) * without)
