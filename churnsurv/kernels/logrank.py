"""Weighted log-rank statistics of K arms, with delayed entry and strata, in linear time after sorting.

Equation numbers: Fleming & Harrington (1991), ch. 7; the variance is the hypergeometric one of Mantel (1966).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.linalg import pinvh

from churnsurv.kernels.times import Floats, Ints


class LogRank(NamedTuple):
    """Events less their expectation, and what makes a test of it."""

    observed: Floats  #: (K,) weighted events
    expected: Floats  #: (K,) weighted expectation when the hazards of the arms are equal within strata
    covariance: Floats  #: (K, K) of observed − expected; its rows sum to 0


def log_rank(
    entry: Floats,
    stop: Floats,
    event: Ints,
    arm: Ints,
    stratum: Ints,
    n_arms: int,
    *,
    rho: float = 0.0,
    gamma: float = 0.0,
) -> LogRank:
    """Sum over strata and distinct event times w(t) (d_k − n_k d/n) and its covariance.

    The weight is w = S(t−)^rho (1 − S(t−))^gamma, S the Kaplan–Meier curve of all arms of the stratum together.

    Parameters
    ----------
    entry, stop : (n,) at risk on (entry, stop]
    event : (n,) 0 or 1
    arm : (n,) 0…K−1
    stratum : (n,) 0…
    n_arms : K

    Returns
    -------
    LogRank; O(n log n + K² M) with M the number of (stratum, event time) cells; no order of rows required
    """
    times = np.unique(stop[event > 0])
    width = len(times) + 1
    # a cell is a (stratum, event time); positions -1 … M-1 in the sorted cells, of the last cell ≤ each entry and stop
    exit_cell = stratum * width + np.searchsorted(times, stop, side="right")
    entry_cell = stratum * width + np.searchsorted(times, entry, side="right")
    cells = np.unique(exit_cell[event > 0])
    last, previous = (np.searchsorted(cells, c, side="right") - 1 for c in (exit_cell, entry_cell))
    size = len(cells)

    at_risk, events = np.empty((n_arms, size)), np.empty((n_arms, size))
    for k in range(n_arms):
        mine = arm == k
        change = np.bincount(previous[mine] + 1, minlength=size + 1) - np.bincount(last[mine] + 1, minlength=size + 1)
        at_risk[k] = np.cumsum(change[:size])
        events[k] = np.bincount(last[mine & (event > 0)], minlength=size)
    n, d = at_risk.sum(axis=0), events.sum(axis=0)
    weight = _weights(1 - d / n, cells // width, rho, gamma) if rho or gamma else np.ones(size)
    share = at_risk / n
    mantel = weight**2 * d * (n - d) / np.maximum(n - 1, 1)
    return LogRank(
        observed=events @ weight,
        expected=share @ (weight * d),
        covariance=np.diag(share @ mantel) - (share * mantel) @ share.T,
    )


def _weights(factors: Floats, stratum: Ints, rho: float, gamma: float) -> Floats:
    """Fleming–Harrington weights from the left-continuous Kaplan–Meier curve, anew in each stratum."""
    survival = np.empty_like(factors)
    for block in np.split(np.arange(len(factors)), np.flatnonzero(np.diff(stratum)) + 1):
        survival[block] = np.concatenate(([1.0], np.cumprod(factors[block])[:-1]))
    return np.asarray(survival**rho * (1 - survival) ** gamma)


def quadratic_form(difference: Floats, covariance: Floats) -> tuple[float, int]:
    """Give d' V⁻ d and the rank of V, V⁻ being the generalised inverse: arms that are never compared drop out."""
    inverse, rank = pinvh(covariance, rtol=1e-10, return_rank=True)
    return float(difference @ inverse @ difference), int(rank)
