r"""Gray's (1988) statistic for equal hazards of the subdistribution of a cause in K arms.

In arm k, at its event times: :math:`Y_k` at risk, :math:`S_k` the Kaplan–Meier curve of leaving by any cause, :math:`F_k` the
cumulative incidence of the cause. With :math:`h_k = Y_k / S_k(t-)` and :math:`R_k = h_k (1 - F_k(t-))` — those at risk of the
subdistribution — the score of arm k is :math:`\sum (1 - F(t-))^\rho (d_k - R_k d / \sum R)`, F pooled with weights h. Its
variance is that of the integrals by the counting processes of the cause and of the others (Gray 1988, sec. 3), with the
correction for ties of cmprsk. Only the multiplicative intensity :math:`Y_k(t) \alpha_{jk}(t)` is used, which independent
delayed entry keeps (Andersen, Borgan, Gill and Keiding 1993, III.3): Y counts rows on (entry, stop] from a common origin.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from churnsurv.kernels.times import Floats, Ints


class Gray(NamedTuple):
    """Score and covariance of K arms, both summing to 0 over arms, and which arms' curves ended too early."""

    score: Floats  #: (K,)
    covariance: Floats  #: (K, K)
    emptied: Ints  #: arms whose Kaplan–Meier curve is 0 while rows are at risk later


def gray(entry: Floats, stop: Floats, event: Ints, arm: Ints, n_arms: int, *, rho: float = 0.0) -> Gray:
    """Compute the statistic in one stratum.

    Parameters
    ----------
    entry, stop : (n,) at risk on (entry, stop]
    event : (n,) 0 censored, 1 the cause, 2 another cause
    arm : (n,) 0…K−1
    n_arms : K
    rho : exponent of 1 − F

    Returns
    -------
    Gray; O(n log n + K³ M) with M the number of distinct event times
    """
    times = np.unique(stop[event > 0])
    at_risk = np.stack([_at_risk(entry[arm == k], stop[arm == k], times) for k in range(n_arms)], axis=1)
    ours, others = (
        np.stack([_counted(stop[(arm == k) & (event == code)], times) for k in range(n_arms)], axis=1)
        for code in (1, 2)
    )
    present = at_risk > 0
    n = np.where(present, at_risk, 1.0)
    survival = np.asarray(np.cumprod(1 - (ours + others) / n, axis=0), dtype=np.float64)
    before = _lagged(survival, 1.0)
    emptied = np.flatnonzero((present & (before <= 0)).any(axis=0))
    if len(emptied):
        return Gray(np.zeros(n_arms), np.zeros((n_arms, n_arms)), emptied)
    safe = np.where(present, before, 1.0)
    incidence = _lagged(np.cumsum(safe * ours / n, axis=0), 0.0)
    h = np.where(present, at_risk / safe, 0.0)
    r, total, d = h * (1 - incidence), h.sum(axis=1), ours.sum(axis=1)
    pooled = np.cumsum(d / total)
    pooled_before = _lagged(pooled, 0.0)
    left = np.maximum(1 - pooled_before, 0.0)
    weight = left**rho
    score = weight @ (ours - r * (d / np.maximum(r.sum(axis=1), 1e-300))[:, None])

    # a[t, i, k] = ∂(score of arm i) by the process of arm k at t; c its cumulated effect through F_k on later times
    a = weight[:, None, None] * (h[:, :, None] * np.eye(n_arms) - h[:, :, None] * h[:, None, :] / total[:, None, None])
    c = np.cumsum(a * (d / (total * np.where(left > 0, left, 1.0)))[:, None, None], axis=0)
    open_ = survival > 0
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(open_, (1 - pooled)[:, None] / survival, 0.0)
        # ties: the factors 1 − (d − 1)/(n − 1), of the cause with d pooled and n the arm's share of it
        tied = np.where(d[:, None] > 1, 1 - (d[:, None] - 1) / (total[:, None] * before - 1), 1.0)
        tied_others = np.where(others > 1, 1 - (others - 1) / (n - 1), 1.0)
        by_cause = np.maximum(tied, 0.0) * before * d[:, None] / (total[:, None] * n)
        by_others = tied_others * before**2 * others / n**2
    by_cause = np.where(present & (d[:, None] > 0), by_cause, 0.0)
    by_others = np.where(open_ & (others > 0), by_others, 0.0)
    # what one event of an arm at t changes: the score there, and through S and F of the arm its later steps, c(∞) − c(t)
    later = c[-1] - c
    of_cause = a + (1 - ratio)[:, None, :] * later
    of_others = ratio[:, None, :] * later
    covariance = np.einsum("tik,tjk,tk->ij", of_cause, of_cause, by_cause)
    covariance += np.einsum("tik,tjk,tk->ij", of_others, of_others, by_others)
    return Gray(score, covariance, emptied)


def _at_risk(entry: Floats, stop: Floats, times: Floats) -> Floats:
    entered = np.searchsorted(np.sort(entry), times, side="left")
    return (entered - np.searchsorted(np.sort(stop), times, side="left")).astype(np.float64)


def _counted(stop: Floats, times: Floats) -> Floats:
    return np.bincount(np.searchsorted(times, stop), minlength=len(times)).astype(np.float64)


def _lagged(values: Floats, first: float) -> Floats:
    return np.concatenate((np.full_like(values[:1], first), values[:-1]))
