"""Slow twins of a forest's paths and of the trees' influences: loops over event times and trees."""

from __future__ import annotations

import numpy as np

from churnsurv.estimators.forest_paths import forest_leaves


def numbers_of(forest, X):
    return X[forest.columns_].to_numpy(dtype=float)


def dense_counts(forest, leaf):
    """Number at risk (T,) and events (K, T) of one leaf, from its sparse counts."""
    part, n_times = forest.trees_, len(forest.event_times_)
    at_risk, events = np.zeros(n_times), np.zeros((len(forest.causes_), n_times))
    for r in range(part["risk_begin"][leaf], part["risk_begin"][leaf + 1]):
        at_risk[part["risk_time"][r] :] += part["risk_change"][r]
    for r in range(part["event_begin"][leaf], part["event_begin"][leaf + 1]):
        events[part["event_cause"][r], part["event_time"][r]] += part["event_count"][r]
    return at_risk, events


def weighted_states(forest, pieces, tree_weight):
    """State probabilities (1 + K, T + 1) along pieces (row of numbers, begin, end), tree b counting tree_weight[b] times."""
    n_times, n_causes = len(forest.event_times_), len(forest.causes_)
    hazard = np.zeros((n_causes, n_times))
    for row, begin, end in pieces:
        leaves = forest_leaves(forest, row[None, :])[0]
        counts = [dense_counts(forest, leaf) for leaf in leaves]
        at_risk = sum(w * y for w, (y, _) in zip(tree_weight, counts, strict=True))
        events = sum(w * d for w, (_, d) in zip(tree_weight, counts, strict=True))
        missing = np.maximum(0.0, tree_weight.sum() - at_risk)
        pooled = (events + missing * forest.portfolio_hazard_) / (at_risk + missing)
        hazard[:, begin:end] = pooled[:, begin:end]
    states = np.zeros((1 + n_causes, n_times + 1))
    states[0, 0] = 1.0
    for j in range(n_times):
        states[0, j + 1] = states[0, j] * (1 - hazard[:, j].sum())
        states[1:, j + 1] = states[1:, j] + states[0, j] * hazard[:, j]
    return states


def path_of_curves(forest, X, start, stop, times):
    """State probabilities (1 + K, m) along the pieces of one path, from the hazards that single curves step by."""
    grid = forest.event_times_
    now = np.array([1.0] + [0.0] * len(forest.causes_))
    answers = np.zeros((len(now), len(times)))
    answers[0] = 1.0
    single = forest.predict_curves(X).probability
    for j, t in enumerate(grid):
        for piece in range(len(X)):
            if start[piece] < t <= stop[piece]:
                before = single[piece, :, j - 1] if j else np.array([1.0] + [0.0] * len(forest.causes_))
                hazard = (single[piece, 1:, j] - before[1:]) / before[0]
                now = np.concatenate(([now[0] * (1 - hazard.sum())], now[1:] + now[0] * hazard))
        answers[:, times >= t] = now[:, None]
    return answers
