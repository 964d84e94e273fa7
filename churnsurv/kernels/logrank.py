r"""Weighted log-rank statistics of K arms, with delayed entry and strata, in linear time after sorting.

At each (stratum, event time), with n at risk, :math:`n_k` of them in arm k, d events and :math:`d_k` of them in arm k, a test
sums :math:`w(t) (d_k - n_k d / n)`. Its variance is the hypergeometric one of Mantel (1966), or, for weighted rows and
clusters, the sum of squared influences of Lin and Wei (1989). Weights of time: Fleming and Harrington (1991), ch. 7; Gehan
(1965); Tarone and Ware (1977); Peto and Peto (1972). Joint covariance of several weights: Lee (2007).
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


class Counts(NamedTuple):
    """Those at risk and events at the M cells, the (stratum, event time) in this order; and where rows are at risk."""

    stratum: Ints  #: (M,)
    at_risk: Floats  #: (K, M)
    events: Floats  #: (K, M)
    previous: Ints  #: (n,) last cell at or before the entry of each row, −1 … M − 1
    last: Ints  #: (n,) the same of its stop: the row is at risk in the cells previous < c ≤ last


def arm_counts(
    entry: Floats, stop: Floats, event: Ints, arm: Ints, stratum: Ints, n_arms: int, row_weight: Floats | None = None
) -> Counts:
    """Count those at risk and the events of each arm; see :func:`log_rank`. O(n log n + K M)."""
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
        left, weight = mine & (event > 0), None if row_weight is None else row_weight[mine]
        change = np.bincount(previous[mine] + 1, weight, size + 1) - np.bincount(last[mine] + 1, weight, size + 1)
        events[k] = np.bincount(last[left], None if row_weight is None else row_weight[left], size)
        # sums of fractions leave rounding where nobody is at risk
        at_risk[k] = np.maximum(np.cumsum(change[:size]), events[k])
    if row_weight is not None:
        at_risk[at_risk < 1e-12 * float(row_weight.sum())] = 0.0
        at_risk = np.maximum(at_risk, events)
    return Counts(cells // width, at_risk, events, previous, last)


def fleming_harrington(counts: Counts, rho: float, gamma: float) -> Floats:
    """Give S(t−)^rho (1 − S(t−))^gamma, S the Kaplan–Meier curve of all arms of the stratum together; (M,)."""
    if rho == gamma == 0:
        return np.ones(len(counts.stratum))
    survival = _running_product(1 - counts.events.sum(axis=0) / counts.at_risk.sum(axis=0), counts.stratum)
    return np.asarray(survival[0] ** rho * (1 - survival[0]) ** gamma)


def named_weights(counts: Counts, name: str) -> Floats:
    """Give n ("gehan"), √n ("tarone-ware") or the product of 1 − d/(n + 1) up to and with t ("peto-peto"); (M,)."""
    n, d = counts.at_risk.sum(axis=0), counts.events.sum(axis=0)
    if name == "peto-peto":
        return _running_product(1 - d / (n + 1), counts.stratum)[1]
    return np.asarray(n if name == "gehan" else np.sqrt(n))


def _running_product(factors: Floats, stratum: Ints) -> tuple[Floats, Floats]:
    """Give the products of the factors before each cell and with it, anew in each stratum."""
    factors = np.maximum(factors, 0.0)
    before, after = np.empty_like(factors), np.empty_like(factors)
    for block in np.split(np.arange(len(factors)), np.flatnonzero(np.diff(stratum)) + 1):
        after[block] = np.cumprod(factors[block])
        before[block] = np.concatenate(([1.0], after[block][:-1]))
    return before, after


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
    """Sum over strata and distinct event times w(t) (d_k − n_k d/n) and its covariance, w of Fleming and Harrington.

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
    counts = arm_counts(entry, stop, event, arm, stratum, n_arms)
    return of_counts(counts, fleming_harrington(counts, rho, gamma))


def of_counts(counts: Counts, weight: Floats) -> LogRank:
    """Give the statistic with weights (M,) of the cells, and the hypergeometric covariance."""
    n, d = counts.at_risk.sum(axis=0), counts.events.sum(axis=0)
    share = counts.at_risk / n
    mantel = weight**2 * _mantel(n, d)
    return LogRank(
        observed=counts.events @ weight,
        expected=share @ (weight * d),
        covariance=np.diag(share @ mantel) - (share * mantel) @ share.T,
    )


def _mantel(n: Floats, d: Floats) -> Floats:
    return np.asarray(d * (n - d) / np.maximum(n - 1, 1))


def two_arm_scores(counts: Counts, weights: Floats) -> tuple[Floats, Floats]:
    """Give the statistics of arm 1 for weights (W, M), (W,), and their joint covariance (W, W), from the same counts."""
    n, d = counts.at_risk.sum(axis=0), counts.events.sum(axis=0)
    share = counts.at_risk[1] / n
    variance = _mantel(n, d) * share * (1 - share)
    return weights @ (counts.events[1] - share * d), (weights * variance) @ weights.T


def cluster_influences(
    counts: Counts, event: Ints, arm: Ints, row_weight: Floats, cluster: Ints, n_clusters: int, weight: Floats
) -> Floats:
    r"""Give what each cluster adds to the statistic of each arm, (G, K); the sum over clusters is observed − expected.

    Of row i with weight :math:`v_i`, :math:`p_k = n_k / n` and :math:`d\Lambda = d / n` of the weighted counts:

    .. math:: u_{ik} = v_i \{e_i w (1_{ik} - p_k) - \int_{at risk} w (1_{ik} - p_k) d\Lambda\}

    Under equal hazards these have mean zero; their squares, summed by cluster, estimate the covariance (Lin and Wei 1989).
    """
    n, d = counts.at_risk.sum(axis=0), counts.events.sum(axis=0)
    share, step = counts.at_risk / n, weight * d / n
    left = event > 0
    total = _over_rows(step, counts)
    out = np.empty((n_clusters, len(share)))
    for k, p in enumerate(share):
        mine = (arm == k).astype(np.float64)
        u = _over_rows(p * step, counts) - mine * total
        at = counts.last[left]
        u[left] += weight[at] * (mine[left] - p[at])
        out[:, k] = np.bincount(cluster, row_weight * u, n_clusters)
    return out


def _over_rows(steps: Floats, counts: Counts) -> Floats:
    """Sum steps (M,) over the cells in which each row is at risk; (n,)."""
    running = np.concatenate(([0.0], np.cumsum(steps)))
    return np.asarray(running[counts.last + 1] - running[counts.previous + 1])


def quadratic_form(difference: Floats, covariance: Floats) -> tuple[float, int]:
    """Give d' V⁻ d and the rank of V, V⁻ being the generalised inverse: arms that are never compared drop out."""
    inverse, rank = pinvh(covariance, rtol=1e-10, return_rank=True)
    return float(difference @ inverse @ difference), int(rank)
