"""State probabilities of a forest along paths of covariates, and what each tree contributes to them.

A path is a chain of pieces, each with the covariates of one row and a span of the event times; covariates that stay are a
path of one piece. At an event time t the hazards are the pooled ones of the piece that covers it
(:mod:`churnsurv.kernels.forest_curves`),

    h_k = (Σ_b d_bk + λ h0_k) / (Σ_b Y_b + λ),    λ = max(0, B − Σ_b Y_b),    h0_k the portfolio's hazard,

and Aalen–Johansen runs through them. If tree b counted w_b times instead of once, h_k would change by

    ∂h_k / ∂w_b = (d_bk − h_k Y_b + 1{λ > 0} (1 − Y_b) (h0_k − h_k)) / (Σ_b Y_b + λ),

which sums to 0 over the trees, and the probability of state s at τ by ∂p_s(τ)/∂h_c(t) = S(t−) (1{s = c} − P(s at τ | still a
customer after t)). The products, summed over t and times B, are the tree's influence on p_s(τ): with it the probability
is, to first order, a mean over trees.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from churnsurv.kernels.forest_curves import leaf_of

Floats = NDArray[np.float64]


class LeafCounts(NamedTuple):
    """The sparse counts of all leaves, as :func:`churnsurv.kernels.forest.grow_tree` gives them."""

    risk_begin: NDArray[np.int64]
    risk_time: NDArray[np.uint16]
    risk_change: Floats
    event_begin: NDArray[np.int64]
    event_time: NDArray[np.uint16]
    event_cause: NDArray[np.uint8]
    event_count: Floats


@njit(cache=True, nogil=True)
def fill_leaves(  # type: ignore[no-untyped-def]
    codes, node_begin, leaf_begin, level_begin, feature, cut, child, missing_left, level_rank, leaf
):  # fmt: skip
    """Fill leaf (n, B): the number, among all leaves of the forest, of the leaf each row (p, n) falls into in each tree."""
    for row in range(leaf.shape[0]):
        for tree in range(leaf.shape[1]):
            leaf[row, tree] = leaf_begin[tree] + leaf_of(
                codes, row, feature, cut, child, missing_left, level_begin, level_rank, node_begin[tree],
                tree * level_begin[-1],
            )  # fmt: skip


@njit(cache=True, nogil=True)
def path_hazards(leaf, begin, end, counts, portfolio, hazard, divisor, topped):  # type: ignore[no-untyped-def]
    """Fill, for the pieces of one path, hazard (K, T), divisor Σ_b Y_b + λ and topped 1{λ > 0} (T,); 0 outside the pieces.

    leaf (pieces, B); piece r covers the event times begin[r] ≤ j < end[r]; portfolio (K, T).
    """
    n_causes, n_times = portfolio.shape
    change, events = np.empty(n_times + 1), np.empty((n_causes, n_times))
    n_trees = leaf.shape[1]
    hazard[:] = 0.0
    divisor[:] = 1.0
    topped[:] = 0.0
    for piece in range(leaf.shape[0]):
        change[:] = 0.0
        events[:] = 0.0
        for at in leaf[piece]:
            for r in range(counts.risk_begin[at], counts.risk_begin[at + 1]):
                change[counts.risk_time[r]] += counts.risk_change[r]
            for r in range(counts.event_begin[at], counts.event_begin[at + 1]):
                events[counts.event_cause[r], counts.event_time[r]] += counts.event_count[r]
        at_risk = 0.0
        for j in range(end[piece]):
            at_risk += change[j]
            if j < begin[piece]:
                continue
            missing = max(0.0, n_trees - at_risk)
            divisor[j] = at_risk + missing
            topped[j] = 1.0 if missing > 0.0 else 0.0
            for k in range(n_causes):
                hazard[k, j] = (events[k, j] + missing * portfolio[k, j]) / divisor[j]


@njit(cache=True, nogil=True)
def state_path(hazard, state):  # type: ignore[no-untyped-def]
    """Fill state (1 + K, T + 1) with the Aalen–Johansen probabilities before the first event time and after each."""
    n_causes, n_times = hazard.shape
    state[:, 0] = 0.0
    state[0, 0] = 1.0
    for j in range(n_times):
        leaving = 0.0
        for k in range(n_causes):
            step = state[0, j] * hazard[k, j]
            state[1 + k, j + 1] = state[1 + k, j] + step
            leaving += step
        state[0, j + 1] = max(0.0, state[0, j] - leaving)


@njit(cache=True, nogil=True)
def state_gradient(hazard, state, until, gradient):  # type: ignore[no-untyped-def]
    """Fill gradient (1 + K, K, T) of the probabilities after the event time `until` by the hazards; 0 for later ones."""
    n_causes = hazard.shape[0]
    gradient[:] = 0.0
    later = np.zeros(1 + n_causes)
    later[0] = 1.0
    for j in range(until, -1, -1):
        leaving = 0.0
        for c in range(n_causes):
            leaving += hazard[c, j]
            for s in range(1 + n_causes):
                gradient[s, c, j] = state[0, j] * ((1.0 if s == 1 + c else 0.0) - later[s])
        for s in range(1 + n_causes):
            later[s] *= 1.0 - leaving
            if s > 0:
                later[s] += hazard[s - 1, j]


@njit(cache=True, nogil=True)
def add_influence(  # type: ignore[no-untyped-def]
    leaf, begin, end, counts, portfolio, hazard, divisor, topped, gradient, influence
):  # fmt: skip
    """Add to influence (1 + K, B) what each tree contributes through its counts; arguments as :func:`path_hazards`."""
    n_states, n_causes, n_times = gradient.shape
    n_trees = leaf.shape[1]
    slope = np.zeros((n_states, n_times + 1))
    for piece in range(leaf.shape[0]):
        low, high = begin[piece], end[piece]
        for s in range(n_states):
            shared, total = 0.0, 0.0
            for j in range(low, high):
                slope[s, j] = total
                for c in range(n_causes):
                    g = gradient[s, c, j] * n_trees / divisor[j]
                    away = topped[j] * (portfolio[c, j] - hazard[c, j])
                    total += g * (hazard[c, j] + away)
                    shared += g * away
            slope[s, high] = total
            for tree in range(n_trees):
                influence[s, tree] += shared
        for tree in range(n_trees):
            at = leaf[piece, tree]
            for r in range(counts.event_begin[at], counts.event_begin[at + 1]):
                j, c = counts.event_time[r], counts.event_cause[r]
                if low <= j < high:
                    for s in range(n_states):
                        influence[s, tree] += gradient[s, c, j] * n_trees / divisor[j] * counts.event_count[r]
            for r in range(counts.risk_begin[at], counts.risk_begin[at + 1]):
                j = max(low, int(counts.risk_time[r]))
                if j < high:
                    for s in range(n_states):
                        influence[s, tree] -= counts.risk_change[r] * (slope[s, high] - slope[s, j])


@njit(cache=True, nogil=True)
def path_states(  # type: ignore[no-untyped-def]
    leaf, first, begin, end, counts, portfolio, pick, probability, influence
):  # fmt: skip
    """Fill state probabilities (n, 1 + K, m) of n paths, and the trees' influences (n, 1 + K, m, B).

    leaf (R, B) of the R pieces, those of path i in first[i]:first[i + 1], with the event times begin ≤ j < end (R,);
    pick (m,) positions of the event times asked for, −1 for before the first. influence of shape (0, 0, 0, 0): not wanted.
    O(R · B · leaf size) for the probabilities, times m (1 + K) for the influences.
    """
    n_causes, n_times = portfolio.shape
    hazard, divisor, topped = np.empty((n_causes, n_times)), np.empty(n_times), np.empty(n_times)
    state, gradient = np.empty((1 + n_causes, n_times + 1)), np.empty((1 + n_causes, n_causes, n_times))
    own = np.empty((1 + n_causes, leaf.shape[1]))
    for i in range(len(first) - 1):
        rows = slice(first[i], first[i + 1])
        path_hazards(leaf[rows], begin[rows], end[rows], counts, portfolio, hazard, divisor, topped)
        state_path(hazard, state)
        for m in range(len(pick)):
            probability[i, :, m] = state[:, pick[m] + 1]
            if influence.shape[0] == 0:
                continue
            state_gradient(hazard, state, pick[m], gradient)
            own[:] = 0.0
            add_influence(leaf[rows], begin[rows], end[rows], counts, portfolio, hazard, divisor, topped, gradient, own)
            influence[i, :, m] = own
