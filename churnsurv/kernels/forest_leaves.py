"""The risk that each leaf of a forest holds by itself: Aalen–Johansen of its own counts, for what needs a sum over trees."""

from __future__ import annotations

import numpy as np
from numba import njit

from churnsurv.kernels.forest_curves import leaf_of


@njit(cache=True, nogil=True)
def leaf_risks(  # type: ignore[no-untyped-def]
    risk_begin, risk_time, risk_change, event_begin, event_time, event_cause, event_count, portfolio_hazard, cause, begin,
    end,
):  # fmt: skip
    """Give the probability of leaving by the cause at event times begin ≤ j < end in each leaf, (L,).

    The leaves' sparse counts as :func:`churnsurv.kernels.forest.grow_tree` gives them, portfolio_hazard (K, T). A leaf with
    fewer than one customer at risk is topped up to one with the hazard of the portfolio, as
    :func:`churnsurv.kernels.forest_curves.forest_curves` does with a single tree. O(L K T).
    """
    n_causes, n_times = portfolio_hazard.shape
    n_leaves = len(risk_begin) - 1
    risk = np.zeros(n_leaves)
    change, events = np.empty(n_times), np.empty((n_causes, n_times))
    for leaf in range(n_leaves):
        change[:] = 0.0
        events[:] = 0.0
        for r in range(risk_begin[leaf], risk_begin[leaf + 1]):
            if risk_time[r] < n_times:
                change[risk_time[r]] += risk_change[r]
        for r in range(event_begin[leaf], event_begin[leaf + 1]):
            events[event_cause[r], event_time[r]] += event_count[r]
        at_risk, staying = 0.0, 1.0
        for j in range(end):
            at_risk += change[j]
            if j < begin:
                continue
            missing = max(0.0, 1.0 - at_risk)
            leaving = 0.0
            for k in range(n_causes):
                step = staying * (events[k, j] + missing * portfolio_hazard[k, j]) / (at_risk + missing)
                leaving += step
                if k == cause:
                    risk[leaf] += step
            staying = max(0.0, staying - leaving)
    return risk


@njit(cache=True, nogil=True)
def mean_leaf_value(  # type: ignore[no-untyped-def]
    codes, node_begin, leaf_begin, level_begin, feature, cut, child, missing_left, level_rank, value
):  # fmt: skip
    """Give the mean over trees of the value (L,) of the leaf that each row of codes (p, n) falls into, (n,)."""
    n_trees = len(node_begin) - 1
    mean = np.zeros(codes.shape[1])
    for row in range(codes.shape[1]):
        for tree in range(n_trees):
            leaf = leaf_begin[tree] + leaf_of(
                codes,
                row,
                feature,
                cut,
                child,
                missing_left,
                level_begin,
                level_rank,
                node_begin[tree],
                tree * level_begin[-1],
            )
            mean[row] += value[leaf] / n_trees
    return mean
