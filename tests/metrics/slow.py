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


def uncensored_influence(stop, event, part, t, weight):
    """Give what each row moves a score at t by through Ĝ: w_i Σ_{u ≤ t} L(u)/Y(u) dM_i(u) over the times of censoring.

    part (n,): the rows' shares of the score; L(u) those of rows beyond u; Y(u) the weight whose end is not before u.
    """
    influence = np.zeros(len(stop))
    for u in np.unique(stop[event == 0]):
        if u > t or u == t == max(stop):
            continue
        at_risk = weight[stop >= u].sum()
        hazard = weight[(stop == u) & (event == 0)].sum() / at_risk
        per_risk = part[stop > u].sum() / at_risk
        for i in range(len(stop)):
            if stop[i] >= u:
                influence[i] += weight[i] * per_risk * ((stop[i] == u and event[i] == 0) - hazard)
    return influence


def known(stop, event, t, weight):
    """Give w_i W_i(t), row by row."""

    def inverse(i):
        if stop[i] > t or (stop[i] == t == max(stop) and event[i] == 0):
            return 1 / uncensored(stop, event, t, before=t == max(stop), weight=weight)
        return 1 / uncensored(stop, event, stop[i], before=True, weight=weight) if event[i] > 0 else 0.0

    return weight * np.array([inverse(i) for i in range(len(stop))])


def brier_influence(stop, event, risk, t, code, weight):
    """Give the Brier score's influence function, row by row."""
    left = (stop <= t) & (event == code)
    part = known(stop, event, t, weight) * (left - risk) ** 2 / weight.sum()
    return part - weight / weight.sum() * part.sum() + uncensored_influence(stop, event, part, t, weight)


def auc_influence(stop, event, score, t, code, weight):
    """Give the AUC's influence function, row by row."""
    case, counted = (stop <= t) & (event == code), known(stop, event, t, weight)
    win = 0.5 + 0.5 * np.sign(score[:, None] - score)
    cases, controls = counted * case, counted * ~case
    value = cases @ win @ controls / (cases.sum() * controls.sum())
    of_case = cases * (win @ controls / controls.sum() - value) / cases.sum()
    of_control = controls * (cases @ win / cases.sum() - value) / controls.sum()
    part = of_case + of_control
    return part + uncensored_influence(stop, event, part, t, weight)


def time_weights(entry, stop, event, weight, weighting):
    """Give the weight of the pairs of each row's time; event: any cause above 0."""
    found = []
    for t in stop:
        at_risk, survival = weight[(entry < t) & (stop >= t)].sum(), 1.0
        for u in np.unique(stop[(event > 0) & (stop < t)]):
            survival *= 1 - weight[(stop == u) & (event > 0)].sum() / weight[(entry < u) & (stop >= u)].sum()
        g = uncensored(stop, event, t, before=True, weight=weight) if "G" in weighting else 1.0
        mass = weight.sum() * survival / at_risk
        found.append({"n": 1.0, "n/G2": 1 / g**2, "S": mass, "S/G": mass / g, "I": 1 / at_risk}[weighting])
    return np.array(found)
