"""From the leaves of a forest to state probabilities: pooled leaf counts, then Aalen–Johansen.

The trees that a row of covariates x falls through give it neighbours: with Y_b(t) at risk and d_bk(t) events of cause k
in its leaf of tree b, the hazard of cause k at t is estimated from the pooled counts (the row's adaptive nearest
neighbours, Lin & Jeon 2006; Athey, Tibshirani & Wager 2019),

    h_k(t | x) = (Σ_b d_bk(t) + λ h_k(t)) / (Σ_b Y_b(t) + λ),    λ = max(0, B − Σ_b Y_b(t)),

and not from the mean of the leaves' curves: with delayed entry a leaf's earliest risk sets may hold a single customer,
whose event would take a leaf's survival to zero for good. Where the B leaves have fewer than one customer at risk each,
on average, they are topped up to one with customers of the whole portfolio's hazard h_k(t).

How a row walks tree b of the flat arrays (``trees_`` of a forest; the binning is ``forest_rows.binned``)
    codes[f] of a row is the number of ``bin_edges_[f]`` below its value, of an unordered category the position of its
    level, 255 where the value is missing. The walk starts at node = node_begin[b]. At a node with feature f ≥ 0:

    1. code 255: left if missing_left[node] is 1, else right;
    2. f an unordered category (level_begin[f] < level_begin[f + 1]): code becomes
       level_rank[b · level_begin[p] + level_begin[f] + code], the level's place in this tree's own order;
    3. left if code ≤ cut[node], else right.

    Left is node_begin[b] + child[node], right the node after it. At feature −1 the row is in leaf leaf_begin[b] + child[node],
    whose changes of the number at risk are risk_time, risk_change[risk_begin[leaf]:risk_begin[leaf + 1]], and whose events
    are event_time, event_cause, event_count[event_begin[leaf]:event_begin[leaf + 1]], as positions on the event times.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from churnsurv.kernels.forest_split import MISSING


@njit(cache=True, nogil=True)
def leaf_of(codes, row, feature, cut, child, missing_left, level_begin, level_rank, root, ranks):  # type: ignore[no-untyped-def]
    """Give the number of the leaf that a row falls into, in the tree whose nodes start at `root`, its ranks at `ranks`."""
    node = root
    while feature[node] >= 0:
        f = feature[node]
        code = codes[f, row]
        if code == MISSING:
            left = missing_left[node] == 1
        else:
            if level_begin[f] < level_begin[f + 1]:
                code = level_rank[ranks + level_begin[f] + code]
            left = code <= cut[node]
        node = root + child[node] + (0 if left else 1)
    return child[node]


@njit(cache=True, nogil=True)
def pool_leaves(  # type: ignore[no-untyped-def]
    codes, row, node_begin, leaf_begin, level_begin, feature, cut, child, missing_left, level_rank, risk_begin, risk_time,
    risk_change, event_begin, event_time, event_cause, event_count, drawn, unit, change, events,
):  # fmt: skip
    """Sum the counts of a row's leaves into change (T + 1,) and events (K, T); give the number of trees used.

    Trees whose sample holds the row's unit (drawn[tree, unit] > 0) are left out; drawn of shape (0, 0): none are.
    """
    change[:] = 0.0
    events[:] = 0.0
    used = 0
    for tree in range(len(node_begin) - 1):
        if drawn.shape[0] > 0 and drawn[tree, unit[row]] > 0:
            continue
        used += 1
        leaf = leaf_begin[tree] + leaf_of(
            codes, row, feature, cut, child, missing_left, level_begin, level_rank, node_begin[tree],
            tree * level_begin[-1],
        )  # fmt: skip
        for r in range(risk_begin[leaf], risk_begin[leaf + 1]):
            change[risk_time[r]] += risk_change[r]
        for r in range(event_begin[leaf], event_begin[leaf + 1]):
            events[event_cause[r], event_time[r]] += event_count[r]
    return used


@njit(cache=True, nogil=True)
def forest_curves(  # type: ignore[no-untyped-def]
    codes, node_begin, leaf_begin, level_begin, feature, cut, child, missing_left, level_rank, risk_begin, risk_time,
    risk_change, event_begin, event_time, event_cause, event_count, drawn, unit, portfolio_hazard, portfolio_risk, begin,
    pick, probability, mortality,
):  # fmt: skip
    """Fill state probabilities and mortality of n rows.

    codes (p, n) uint8; the trees' flat arrays, one after the other (node_begin, leaf_begin (B + 1,) tell them apart;
    level_begin (p + 1,) serves all);
    drawn, unit see :func:`pool_leaves`; portfolio_hazard (K, T) and portfolio_risk (T,) of the training sample; begin (n,)
    first event time that counts, as position; pick (m,) positions of the event times asked for, −1 for before the first.
    Fills probability (n, 1 + K, m); mortality (n, K) = Σ_t Y(t) h_k(t | x), the events among the training sample if all
    had this hazard (Ishwaran et al. 2008), over all times. A row no tree may answer for is NaN.
    O(n (B · (depth + leaf size) + K T)).
    """
    n_causes, n_times = portfolio_hazard.shape
    change, events = np.empty(n_times + 1), np.empty((n_causes, n_times))
    curve = np.empty((1 + n_causes, n_times))
    for row in range(codes.shape[1]):
        used = pool_leaves(
            codes, row, node_begin, leaf_begin, level_begin, feature, cut, child, missing_left, level_rank, risk_begin,
            risk_time, risk_change, event_begin, event_time, event_cause, event_count, drawn, unit, change, events,
        )  # fmt: skip
        if used == 0:
            mortality[row] = np.nan
            probability[row] = np.nan
            continue
        mortality[row] = 0.0
        at_risk, staying = 0.0, 1.0
        for j in range(n_times):
            at_risk += change[j]
            missing = max(0.0, used - at_risk)
            leaving = 0.0
            for k in range(n_causes):
                pooled = events[k, j] + missing * portfolio_hazard[k, j]
                hazard = pooled / (at_risk + missing)
                mortality[row, k] += portfolio_risk[j] * hazard
                step = staying * hazard if j >= begin[row] else 0.0
                curve[1 + k, j] = step + (curve[1 + k, j - 1] if j > 0 else 0.0)
                leaving += step
            staying = max(0.0, staying - leaving)
            curve[0, j] = staying
        for m in range(len(pick)):
            for s in range(1 + n_causes):
                if pick[m] >= 0:
                    probability[row, s, m] = curve[s, pick[m]]
                else:
                    probability[row, s, m] = 1.0 if s == 0 else 0.0
