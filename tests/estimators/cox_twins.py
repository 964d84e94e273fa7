"""Residuals and information of Cox's model by their definitions: for every event time, every row, every tied death."""

import numpy as np


def by_definition(beta, x, start, stop, event, weight, stratum, ties, g=None):
    """Give martingale (n,), score for x g(t) (n, p), Schoenfeld {row: (p,)} and Σ g V, Σ g² V (p, p), in O(n) per death.

    Of d tied deaths the k-th is compared with a risk set in which each of them counts 1 − k/d (Efron) or 1 (Breslow), and
    has the mean weight of the d; `g` maps (stratum, time) to a number, 1 without.
    """
    n, p = x.shape
    r = np.exp(x @ beta)
    martingale, score, schoenfeld = event.astype(float), np.zeros((n, p)), {}
    first, second = np.zeros((p, p)), np.zeros((p, p))
    counted = event & (weight > 0)
    for s, t in sorted(set(zip(stratum[counted], stop[counted], strict=True))):
        at_risk = (stratum == s) & (start < t) & (stop >= t) & (weight > 0)
        dead = at_risk & event & (stop == t)
        d, mean_weight = dead.sum(), weight[dead].mean()
        factor = 1.0 if g is None else g(s, t)
        centre = np.zeros(p)
        for k in range(d):
            share = at_risk * np.where(dead, 1 - k / d if ties == "efron" else 1.0, 1.0)
            mass = weight * r * share
            mean = mass @ x / mass.sum()
            hazard = r * share * mean_weight / mass.sum()
            martingale -= hazard
            score += factor * (dead / d - hazard)[:, None] * (x - mean)
            spread = mean_weight * np.einsum("i,ij,ik->jk", mass, x - mean, x - mean) / mass.sum()
            first, second = first + factor * spread, second + factor**2 * spread
            centre += mean / d
        schoenfeld |= {i: x[i] - centre for i in np.flatnonzero(dead)}
    unused = weight == 0
    martingale[unused], score[unused] = np.nan, np.nan
    return martingale, score, schoenfeld, first, second
