"""Nonparametric estimators by their definitions, one time and one row after the other: slow and obviously correct."""

import numpy as np


def states(entry, stop, event, weight, n_causes, at):
    """Aalen-Johansen at the times `at`: (1 + K, T); state 0 is Kaplan-Meier."""
    survival, left = 1.0, np.zeros(n_causes)
    out = np.zeros((1 + n_causes, len(at)))
    out[0] = 1.0
    for t in np.unique(stop[event > 0]):
        at_risk = weight[(entry < t) & (t <= stop)].sum()
        by_cause = np.array([weight[(stop == t) & (event == k + 1)].sum() for k in range(n_causes)])
        left = left + survival * by_cause / at_risk
        survival *= 1 - by_cause.sum() / at_risk
        out[:, at >= t] = np.array([survival, *left])[:, None]
    return out


def cumulative_hazard(entry, stop, event, weight, at):
    """Nelson-Aalen at the times `at`."""
    out = np.zeros(len(at))
    for t in np.unique(stop[event > 0]):
        at_risk = weight[(entry < t) & (t <= stop)].sum()
        out[at >= t] += weight[(stop == t) & (event > 0)].sum() / at_risk
    return out


def infinitesimal_jackknife(estimate, weight, cluster, step=1e-5):
    """Variance: the squared derivatives of `estimate(weight)` by each cluster's weight, summed; by central differences."""
    total = 0.0
    for c in np.unique(cluster):
        shift = np.where(cluster == c, weight * step, 0.0)
        total = total + ((estimate(weight + shift) - estimate(weight - shift)) / (2 * step)) ** 2
    return total


def greenwood(entry, stop, event, weight, at):
    """Greenwood's variance of the Kaplan-Meier curve."""
    survival, total, out = 1.0, 0.0, np.zeros(len(at))
    for t in np.unique(stop[event > 0]):
        n = weight[(entry < t) & (t <= stop)].sum()
        d = weight[(stop == t) & (event > 0)].sum()
        survival *= 1 - d / n
        total += d / (n * (n - d)) if n > d else 0.0
        out[at >= t] = survival**2 * total
    return out


def area(times, survival, horizon, origin=0.0):
    """Area under a right-continuous step curve that is 1 at first, by adding rectangles."""
    knots = [origin, *[t for t in times if origin < t < origin + horizon], origin + horizon]
    heights = [1.0 if not np.any(times <= a) else survival[np.flatnonzero(times <= a)[-1]] for a in knots[:-1]]
    return sum(h * (b - a) for h, a, b in zip(heights, knots[:-1], knots[1:], strict=True))


def log_rank(entry, stop, event, arm, stratum, rho, gamma):
    """Fleming-Harrington statistic by stratum and event time: (observed - expected, covariance)."""
    k_arms = arm.max() + 1
    difference, covariance = np.zeros(k_arms), np.zeros((k_arms, k_arms))
    for s in np.unique(stratum):
        survival = 1.0
        for t in np.unique(stop[(event > 0) & (stratum == s)]):
            at_risk = (stratum == s) & (entry < t) & (t <= stop)
            leave = at_risk & (stop == t) & (event > 0)
            n_k = np.bincount(arm[at_risk], minlength=k_arms)
            n, d = n_k.sum(), leave.sum()
            w = survival**rho * (1 - survival) ** gamma
            difference += w * (np.bincount(arm[leave], minlength=k_arms) - n_k * d / n)
            if n > 1:
                share = n_k / n
                covariance += w**2 * d * (n - d) / (n - 1) * (np.diag(share) - np.outer(share, share))
            survival *= 1 - d / n
    return difference, covariance


def on_states(table, column):
    """A column of the Aalen-Johansen table of one group, one row per state."""
    return np.stack([table.loc[table["state"] == s, column].to_numpy() for s in table["state"].unique()])


def close(one, other):
    """Tables are equal up to rounding: of the variance, so that a standard error of 0 may be 1e-8."""
    assert list(one) == list(other)
    rounded = {"lower": 1e-6, "upper": 1e-6}
    for column in one:
        a, b = one[column].to_numpy(), other[column].to_numpy()
        if column in ("group", "state"):
            assert a.tolist() == b.tolist()
        elif column == "se":
            np.testing.assert_allclose(a**2, b**2, rtol=1e-9, atol=1e-13)
        else:
            np.testing.assert_allclose(a, b, rtol=1e-9, atol=rounded.get(column, 1e-12))
