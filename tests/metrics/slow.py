"""Slow, obviously correct twins of the metrics: the definitions, written out as double loops."""

from __future__ import annotations

import numpy as np


def compared(entry, stop, event, i, j):
    """Tell whether row j is under observation just after the event of row i."""
    later = stop[j] > stop[i] or (stop[j] == stop[i] and not event[j])
    return i != j and entry[j] < stop[i] and later


def pair_table(entry, stop, event, score, stratum=None, tau=np.inf):
    """List (i, j, sign) of the comparable pairs: event of i, sign +1 concordant, 0 tied, −1 discordant."""
    stratum = np.zeros(len(stop)) if stratum is None else stratum
    return [
        (i, j, float(np.sign(score[i] - score[j])))
        for i in range(len(stop))
        if event[i] and stop[i] <= tau
        for j in range(len(stop))
        if stratum[i] == stratum[j] and compared(entry, stop, event, i, j)
    ]


def concordance(pairs, weight, time_weight=None):
    """Give C = Σ (½ + ½ sign) / Σ 1 over the pairs, each counting the product of its weights."""
    counted = [weight[i] * weight[j] * (1.0 if time_weight is None else time_weight[i]) for i, j, _ in pairs]
    half_signs = [0.5 + 0.5 * sign for _, _, sign in pairs]
    return float(np.dot(counted, half_signs) / np.sum(counted))


def jackknife_se(statistic, weight, cluster=None, step=1e-5):
    """Give √Σ_c (Σ_{i in c} w_i ∂statistic/∂w_i)², the derivatives by central differences."""
    influence = np.zeros(len(weight))
    for i in range(len(weight)):
        change = np.zeros(len(weight))
        change[i] = step
        influence[i] = weight[i] * (statistic(weight + change) - statistic(weight - change)) / (2 * step)
    labels = np.arange(len(weight)) if cluster is None else np.asarray(cluster)
    return float(np.sqrt(sum(influence[labels == c].sum() ** 2 for c in np.unique(labels))))


def uncensored(stop, event, t, *, before, weight=None):
    """Give G(t) or G(t−): Kaplan–Meier of censoring, events first."""
    weight = np.ones(len(stop)) if weight is None else weight
    probability = 1.0
    for u in np.unique(stop[event == 0]):
        if u < t or (u == t and not before):
            at_risk = weight[(stop > u) | ((stop == u) & (event == 0))].sum()
            probability *= 1 - weight[(stop == u) & (event == 0)].sum() / at_risk
    return probability


def brier(stop, event, risk, t, code=1, weight=None):
    """Give the weighted squared error at t, term by term."""
    weight = np.ones(len(stop)) if weight is None else weight
    total = 0.0
    for i in range(len(stop)):
        if stop[i] <= t and event[i] > 0:
            error = (event[i] == code) - risk[i]
            total += weight[i] * error**2 / uncensored(stop, event, stop[i], before=True, weight=weight)
        elif stop[i] == t == max(stop):  # censored at the very end: known to have stayed until then
            total += weight[i] * risk[i] ** 2 / uncensored(stop, event, t, before=True, weight=weight)
        elif stop[i] > t:
            total += weight[i] * risk[i] ** 2 / uncensored(stop, event, t, before=False, weight=weight)
    return total / weight.sum()


def auc(stop, event, score, t, code=1, weight=None):
    """Give the weighted share of pairs of a case and a control at t in which the case scores higher, pair by pair."""
    weight = np.ones(len(stop)) if weight is None else weight

    def known(i):
        if stop[i] > t:
            return weight[i] / uncensored(stop, event, t, before=False, weight=weight)
        return weight[i] / uncensored(stop, event, stop[i], before=True, weight=weight) if event[i] > 0 else 0.0

    higher, pairs = 0.0, 0.0
    for i in range(len(stop)):
        if stop[i] <= t and event[i] == code:
            for j in range(len(stop)):
                if not (stop[j] <= t and event[j] == code):
                    both = known(i) * known(j)
                    pairs += both
                    higher += both * (0.5 + 0.5 * np.sign(score[i] - score[j]))
    return higher / pairs
