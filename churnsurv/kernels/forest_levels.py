r"""Unordered categories in an order: one per tree, by what its own sample says of the levels.

For a numeric outcome the best of all :math:`2^{L-1} - 1` partitions of L levels is a cut of the levels sorted by their
means (Fisher 1958; Breiman et al. 1984, section 9.4). Here levels are sorted once per tree, which Wright & König (2019,
PeerJ 7) found as good as sorting in every node, and by the sample alone, so that rows out of the bag stay unseen.

With O_lk events of cause k in level l, where E_lk would be expected if all had the sample's hazard, levels go by
O_l / E_l. With several causes they go by their projection on the direction a in which they differ most: with
:math:`r_{lk} = \sqrt{D_k} (O_{lk} / E_{lk} - 1)`, D_k events in all, whose variance without differences is one over the
level's share of what is expected, a is the first eigenvector of :math:`Z'Z`,
:math:`z_{lk} = (O_{lk} - E_{lk}) / \sqrt{E_{lk}}`, the standardised log-rank scores; its sign makes Σ a_k ≥ 0. One cause:
a = 1. Levels of which the sample says nothing rank as the portfolio does (r = 0), ties as the levels are listed.
"""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(cache=True, nogil=True)
def rank_levels(cells, parts, cause, causes, weight, n_levels):  # type: ignore[no-untyped-def]
    """Give the rank (L,) uint8 of each level from the rows' parts, see :class:`churnsurv.kernels.forest_scores.NodeRows`.

    cells (n,): level of each row, at least `n_levels` where it is missing. O(n C + L log L).
    """
    n_counted = len(causes)
    observed, excess = np.zeros((n_levels, n_counted)), np.zeros((n_levels, n_counted))
    for i in range(len(cells)):
        if cells[i] < n_levels:
            for k in range(n_counted):
                excess[cells[i], k] += parts[i, 2 * k]
                if cause[i] - 1 == causes[k]:
                    observed[cells[i], k] += weight[i]
    events = np.zeros(n_counted)
    standard = np.zeros((n_levels, n_counted))
    for level in range(n_levels):
        for k in range(n_counted):
            events[k] += observed[level, k]
            expected = observed[level, k] - excess[level, k]
            standard[level, k] = excess[level, k] / np.sqrt(expected) if expected > 1e-12 else 0.0
    direction = np.linalg.eigh(standard.T @ standard)[1][:, n_counted - 1]
    if direction.sum() < 0.0:
        direction = -direction
    place = np.zeros(n_levels)
    for level in range(n_levels):
        for k in range(n_counted):
            expected = observed[level, k] - excess[level, k]
            if expected > 1e-12:
                # rounded, so that levels of equal outcomes tie whatever the order of their rows
                place[level] += direction[k] * np.sqrt(events[k]) * excess[level, k] / expected
    scale = np.abs(place).max()
    if scale > 0.0:
        place = np.round(place / scale, 10)
    rank = np.empty(n_levels, np.uint8)
    rank[np.argsort(place, kind="mergesort")] = np.arange(n_levels, dtype=np.uint8)
    return rank
