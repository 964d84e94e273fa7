"""Textbook formulas, slow and plain, that the forest is held to."""

from __future__ import annotations

import numpy as np


def at_risk(y, t):
    return (y.entry < t) & (y.stop >= t)


def logrank_statistics(y, left):
    """Σ_k (observed − expected)² / variance of the cause-specific log-rank tests of the rows `left` against the others."""
    total = 0.0
    for cause in range(1, len(y.causes) + 1):
        difference, variance = 0.0, 0.0
        for t in np.unique(y.stop[y.event == cause]):
            risk, died = at_risk(y, t), (y.stop == t) & (y.event == cause)
            n, d, n_left = risk.sum(), died.sum(), (risk & left).sum()
            difference += (died & left).sum() - d * n_left / n
            if n > 1:
                variance += d * (n_left / n) * (1 - n_left / n) * (n - d) / (n - 1)
        if variance > 1e-9:
            total += difference**2 / variance
    return total


def best_logrank(X, y, min_leaf):
    """The largest statistic over all cuts of all columns that leave `min_leaf` subjects on both sides; 0 without one."""
    best = 0.0
    for column in X.columns:
        for value in np.unique(X[column])[:-1]:
            left = (X[column] <= value).to_numpy()
            if min(len(np.unique(y.subject[left])), len(np.unique(y.subject[~left]))) >= min_leaf:
                best = max(best, logrank_statistics(y, left))
    return best


def aalen_johansen(y, times):
    """State probabilities (1 + K, T) from the product of (1 − d/Y) over the event times, with entry; 0/0 ends in NaN."""
    states = np.zeros((1 + len(y.causes), len(times)))
    now = np.array([1.0] + [0.0] * len(y.causes))
    for j, t in enumerate(times):
        risk = at_risk(y, t).sum()
        d = np.array([((y.stop == t) & (y.event == k + 1)).sum() for k in range(len(y.causes))])
        if risk == 0:
            now = np.full(len(now), np.nan)
        else:
            now = np.concatenate(([now[0] * (1 - d.sum() / risk)], now[1:] + now[0] * d / risk))
        states[:, j] = now
    return states


def walk(forest, X, tree=0):
    """Yield (rows, column, threshold) of every node of a tree, column None in leaves; rows are positions in X."""
    part = forest.trees_
    root = part["node_begin"][tree]
    todo = [(root, np.arange(len(X)))]
    while todo:
        node, rows = todo.pop()
        feature = part["feature"][node]
        if feature < 0:
            yield rows, None, None
            continue
        column, threshold = forest.columns_[feature], forest.bin_edges_[feature][part["cut"][node]]
        yield rows, column, threshold
        left = (X[column].iloc[rows] <= threshold).to_numpy()
        child = root + part["child"][node]
        todo += [(child, rows[left]), (child + 1, rows[~left])]
