"""Textbook formulas, slow and plain, that the forest is held to."""

from __future__ import annotations

import numpy as np


def at_risk(y, t):
    return (y.entry < t) & (y.stop >= t)


def under_observation(y, t):
    """A(t): product over v < t of the censoring's 1 − c/Y and, by its inverse, the entry's 1 − e/R, exits before censorings."""
    a = 1.0
    first = np.array([s == y.start[y.subject == i].min() for i, s in zip(y.subject, y.start, strict=True)])
    last = np.array([s == y.stop[y.subject == i].max() for i, s in zip(y.subject, y.stop, strict=True)])
    censored = last & (y.event == 0)
    entered = first & np.isfinite(y.entry) & (y.start > y.start.min())
    for v in np.unique(np.concatenate((y.stop[censored], y.start[entered]))):
        if v < t:
            n, left = at_risk(y, v).sum(), (y.stop == v) & (y.event > 0)
            c, e = ((y.stop == v) & censored).sum(), ((y.start == v) & entered).sum()
            a *= 1 - (c / (n - left.sum()) if c else 0)
            a /= 1 - (e / ((y.entry <= v) & (y.stop > v)).sum() if e else 0)
    return a


def logrank_statistics(y, left, causes=None, weights=None):
    """Σ_k (observed − expected)² / variance of the log-rank tests of the rows `left` against the others.

    `weights`: A by time for Gray's test, in which those who left by another cause before t stay with A(t) / A(stop).
    """
    total = 0.0
    for cause in range(1, len(y.causes) + 1) if causes is None else causes:
        difference, variance = 0.0, 0.0
        for t in np.unique(y.stop[y.event == cause]):
            risk, died = at_risk(y, t).astype(float), (y.stop == t) & (y.event == cause)
            if weights is not None:
                gone = (y.stop < t) & (y.event > 0) & (y.event != cause)
                risk[gone] = [weights[t] / weights[s] for s in y.stop[gone]]
            n, d, n_left = risk.sum(), died.sum(), risk[left].sum()
            difference += (died & left).sum() - d * n_left / n
            if n > 1 and n > d:
                variance += min(d, d * (n - d) / (n - 1)) * (n_left / n) * (1 - n_left / n)
        if variance > 1e-9:
            total += difference**2 / variance
    return total


def level_ranks(y, column):
    """The rank of each level by observed over expected events of one cause, the expected ones from the sample's hazard."""
    times = np.unique(y.stop[y.event > 0])
    hazard = np.array([((y.stop == t) & (y.event > 0)).sum() / at_risk(y, t).sum() for t in times])
    expected = np.array([hazard[(e < times) & (times <= s)].sum() for e, s in zip(y.entry, y.stop, strict=True)])
    ratio = {
        level: (y.event[column == level] > 0).sum() / expected[column == level].sum()
        for level in column.dropna().unique()
    }
    return {level: rank for rank, level in enumerate(sorted(ratio, key=ratio.get))}


def cuts(X):
    """Every left side that one cut of a column can make, of numbers and ranks, with missing values on either side."""
    for column in X.columns:
        values = X[column].to_numpy(float)
        missing = np.isnan(values)
        thresholds = np.unique(values[~missing])
        for value in thresholds if missing.any() else thresholds[:-1]:
            yield values <= value
            if missing.any():
                yield (values <= value) | missing


def best_cut(X, y, min_leaf, statistic):
    """The largest statistic over all cuts of all columns that leave `min_leaf` subjects on both sides; 0 without one."""
    best = 0.0
    for left in cuts(X):
        if min(len(np.unique(y.subject[left])), len(np.unique(y.subject[~left]))) >= min_leaf:
            best = max(best, statistic(y, left))
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
    """Yield (rows, column, left) of every node of a tree, column None in leaves; rows are positions in X."""
    part = forest.trees_
    root, table = part["node_begin"][tree], part["level_rank"][tree * part["level_begin"][-1] :]
    todo = [(root, np.arange(len(X)))]
    while todo:
        node, rows = todo.pop()
        f = part["feature"][node]
        if f < 0:
            yield rows, None, None
            continue
        values = X[forest.columns_[f]].iloc[rows]
        if part["level_begin"][f] < part["level_begin"][f + 1]:
            levels = forest.levels_[forest.columns_[f]]
            rank = {level: table[part["level_begin"][f] + i] for i, level in enumerate(levels)}
            left = values.map(rank).astype(float).to_numpy() <= part["cut"][node]
        else:
            left = values.to_numpy(float) <= (*forest.bin_edges_[f], np.inf)[part["cut"][node]]
        left |= values.isna().to_numpy() & bool(part["missing_left"][node])
        yield rows, forest.columns_[f], left
        child = root + part["child"][node]
        todo += [(child, rows[left]), (child + 1, rows[~left])]
