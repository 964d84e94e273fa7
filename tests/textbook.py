"""Textbook formulas, slow and obviously correct: what the fast kernels are compared with."""

import numpy as np


def partial_likelihood(beta, x, start, stop, event, weight, stratum, ties):
    """Cox's log partial likelihood by its definition, one tied set of deaths after the other, O(n * deaths)."""
    eta = x @ beta
    risk = weight * np.exp(eta)
    total = float(np.sum(weight * event * eta))
    for s in np.unique(stratum):
        for t in np.unique(stop[(event == 1) & (stratum == s)]):
            at_risk = (stratum == s) & (start < t) & (t <= stop)
            dead = (stratum == s) & (stop == t) & (event == 1) & (weight > 0)
            d = dead.sum()
            for k in range(d):
                share = k / d if ties == "efron" else 0.0
                total -= weight[dead].mean() * np.log(risk[at_risk].sum() - share * risk[dead].sum())
    return total


def numerical_gradient(function, beta, step=1e-5):
    """Central differences."""
    out = np.zeros_like(beta)
    for j in range(len(beta)):
        shift = np.zeros_like(beta)
        shift[j] = step
        out[j] = (function(beta + shift) - function(beta - shift)) / (2 * step)
    return out
