"""Slow, plainly written twins of the kernels behind the tests of arms."""

import numpy as np


def cells(stop, event, stratum):
    """The (stratum, event time) pairs in order."""
    return [(s, t) for s in np.unique(stratum) for t in np.unique(stop[(event > 0) & (stratum == s)])]


def influences(start, stop, event, arm, stratum, weight, n_arms, rho=0.0, gamma=0.0):
    """What each row adds to each arm's weighted statistic, by its definition, one event time after the other."""
    u = np.zeros((len(stop), n_arms))
    survival = dict.fromkeys(np.unique(stratum), 1.0)
    for s, t in cells(stop, event, stratum):
        at_risk = (stratum == s) & (start < t) & (t <= stop)
        left = at_risk & (stop == t) & (event > 0)
        n, d = weight[at_risk].sum(), weight[left].sum()
        w = survival[s] ** rho * (1 - survival[s]) ** gamma
        for k in range(n_arms):
            p = weight[at_risk & (arm == k)].sum() / n
            for i in np.flatnonzero(at_risk):
                u[i, k] += weight[i] * w * ((arm[i] == k) - p) * (left[i] - d / n)
        survival[s] *= 1 - d / n
    return u


def gray(start, stop, state, arm, n_arms, rho):
    """Score and covariance of Gray's test in one stratum, as the Fortran of cmprsk runs through the times."""
    survival, incidence, pooled = np.ones(n_arms), np.zeros(n_arms), 0.0
    score, c = np.zeros(n_arms), np.zeros((n_arms, n_arms))
    v, v2, v3 = np.zeros((n_arms, n_arms)), np.zeros((n_arms, n_arms)), np.zeros(n_arms)
    for t in np.unique(stop[state > 0]):
        at_risk = np.array([np.sum((start < t) & (t <= stop) & (arm == k)) for k in range(n_arms)])
        ours, others = (
            np.array([np.sum((stop == t) & (state == j) & (arm == k)) for k in range(n_arms)]) for j in (1, 2)
        )
        some = np.flatnonzero(at_risk)
        h = np.zeros(n_arms)
        h[some] = at_risk[some] / survival[some]
        r, total, d = h * (1 - incidence), h.sum(), ours.sum()
        after, next_incidence = survival.copy(), incidence.copy()
        after[some] *= 1 - (ours + others)[some] / at_risk[some]
        next_incidence[some] += survival[some] * ours[some] / at_risk[some]
        next_pooled = pooled + d / total
        w = (1 - pooled) ** rho
        score += w * (ours - d * r / r.sum())
        a = w * (np.diag(h) - np.outer(h, h) / total)
        c = c + a * d / (total * (1 - pooled))
        for k in some:
            if d > 0:
                t4 = 1 - (1 - next_pooled) / after[k] if after[k] > 0 else 1.0
                t5 = 1 - (d - 1) / (total * survival[k] - 1) if d > 1 else 1.0
                t3 = max(t5, 0) * survival[k] * d / (total * at_risk[k])
                column = a[:, k] - t4 * c[:, k]
                v += np.outer(column, column) * t3
                v2[:, k] += column * t4 * t3
                v3[k] += t4**2 * t3
            if others[k] > 0 and after[k] > 0:
                t4 = (1 - next_pooled) / after[k]
                t5 = 1 - (others[k] - 1) / (at_risk[k] - 1) if others[k] > 1 else 1.0
                t3 = t5 * survival[k] ** 2 * others[k] / at_risk[k] ** 2
                column = t4 * c[:, k]
                v += np.outer(column, column) * t3
                v2[:, k] -= column * t4 * t3
                v3[k] += t4**2 * t3
        survival, incidence, pooled = after, next_incidence, next_pooled
    return score, v + c @ np.diag(v3) @ c.T + c @ v2.T + v2 @ c.T
