r"""The best log-rank cut of a node without late entry, most cuts being ruled out by a bound of their score.

The score of a cut needs :math:`V_k = \sum_t c_k Y_L Y_R` with the numbers at risk on both sides, O(M) per cut. Without
late entry both only fall, so that by Chebyshev's sum inequality, within any block g of event times,

.. math:: \sum_{t \in g} c_k Y_L Y_R \ge A_{Lg} A_{Rg} / C_g, \quad A_{Lg} = \sum_{t \in g} c_k Y_L, \quad
   C_g = \sum_{t \in g} c_k.

A_L is a sum over the rows on the left, as are U and the linear part of V, and what a row adds to them depends only on when
and how it left: a table of the node, from which one pass over the rows sums by cell, without sorting them. With a few
blocks the bound of V_k is a fixed number of operations per cell, and close: only the few cuts whose bound of
:math:`\sum_k U_k^2 / V_k` reaches the best score known are scored in full. Nodes of up to five event times have a block
for each of them, where the bound is the score.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit

from churnsurv.kernels.lanes import LANES, add_lanes

#: blocks of event times, so many that all sums of a cell and cause fill the lanes of a register
BLOCKS = 5
#: places of a cell's sums after A_L by block: U, the linear part of V, the weight
RESIDUAL, LINEAR, WEIGHT = 5, 6, 7
#: cuts scored in one pass over the rows
TOGETHER = 16


class Bounds(NamedTuple):
    """Memory of the bounds, for C causes that count of K, and rows by fate: m (K + 1) + c, see :func:`own_fates`.

    part (fates C, 8): what a row of weight 1 adds to the sums; total (C, 5): Σ c Y by block, inverse (C, 5): 1 / C_g;
    sums (256 C, 8): by cell, then of all cells up to it, zero between searches; cells (257,): those that hold rows;
    bound (256,): of the score of the cut after each of them. To score some of these cuts: chosen, their places; slot (256,):
    how many of them are before a cell; leaving (17, T + 1): weight by slot and end, zero between searches. fate, end (n,)
    uint32: of each row of the node, the latter m; own (2, fates): of each fate over all event times.
    """

    part: Any
    total: Any
    inverse: Any
    sums: Any
    cells: Any
    bound: Any
    leaving: Any
    chosen: Any
    slot: Any
    fate: Any
    end: Any
    own: Any


@njit(cache=True, nogil=True)
def new_bounds(n, n_causes, n_counted, n_times):  # type: ignore[no-untyped-def]
    """Allocate a :class:`Bounds`."""
    n_fates = (n_times + 1) * (n_causes + 1)
    return Bounds(
        np.zeros((n_fates * n_counted, LANES)), np.empty((n_counted, BLOCKS)), np.empty((n_counted, BLOCKS)),
        np.zeros((256 * n_counted, LANES)), np.empty(257, np.uint16), np.empty(256), np.zeros((TOGETHER + 1, n_times + 1)),
        np.empty(TOGETHER, np.int64), np.empty(256, np.uint8), np.empty(n, np.uint32), np.empty(n, np.uint32),
        np.empty((2, n_fates), np.uint32),
    )  # fmt: skip


@njit(cache=True, nogil=True)
def own_fates(n, fate, position, n_causes, bounds):  # type: ignore[no-untyped-def]
    """Fill bounds.end: m for a row at risk at the node's first m event times; and bounds.fate: m (K + 1) + c.

    c is the cause by which it left, 0 for none. fate (n,): see :func:`churnsurv.kernels.forest_scores.fates`.
    """
    own_fate, own_end = bounds.own[0], bounds.own[1]
    for c in range(n_causes + 1):
        for j in range(len(position)):
            own_fate[c * len(position) + j] = position[j] * (n_causes + 1) + c
            own_end[c * len(position) + j] = position[j]
    for i in range(n):
        bounds.fate[i], bounds.end[i] = own_fate[fate[i]], own_end[fate[i]]


@njit(cache=True, nogil=True, error_model="numpy")
def lay_bounds(times, n_times, n_causes, causes, bounds):  # type: ignore[no-untyped-def]
    """Fill part, total and inverse for the node's event times: c Y = v / Y is the step of the slope. O(M K C)."""
    part, total, inverse = bounds.part, bounds.total, bounds.inverse
    curvature, hazard, slope = times.curvature, times.hazard, times.slope
    for k in range(len(causes)):
        lane = np.zeros(BLOCKS)
        total[k] = 0.0
        for t in range(n_times + 1):
            for c in range(n_causes + 1):
                added = part[(t * (n_causes + 1) + c) * len(causes) + k]
                for g in range(BLOCKS):
                    added[g] = lane[g]
                added[RESIDUAL] = (1.0 if causes[k] == c - 1 else 0.0) - hazard[k, t]
                added[LINEAR], added[WEIGHT] = slope[k, t], 1.0
            if t < n_times:
                # narrow blocks at the end, where the numbers at risk fall fastest for their size
                g = t if n_times <= BLOCKS else int(BLOCKS * (1.0 - np.sqrt(1.0 - t / n_times)))
                lane[g] += curvature[k, t]
                total[k, g] += slope[k, t + 1] - slope[k, t]
        for g in range(BLOCKS):
            inverse[k, g] = 1.0 / lane[g] if lane[g] > 0.0 else 0.0


@njit(cache=True, nogil=True)
def sum_by_cell(n, cell, fate, weight, part, sums):  # type: ignore[no-untyped-def]
    """Add the rows to the sums of their cells. O(n C)."""
    n_counted = len(sums) // 256
    for i in range(n):
        for k in range(n_counted):
            add_lanes(sums, cell[i] * n_counted + k, part, fate[i] * n_counted + k, weight[i])  # type: ignore[call-arg]


@njit(cache=True, nogil=True)
def list_cells(count, cells):  # type: ignore[no-untyped-def]
    """List the cells that hold rows; give their number."""
    m = 0
    for b in range(256):
        # written whether or not it counts, so that the processor has no branch to guess
        cells[m] = b
        m += count[b] > 0
    return m


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"reassoc", "contract"})
def bound_cuts(m, exact, bounds):  # type: ignore[no-untyped-def]
    """Fill the bound of the score of the cut after each of m cells, and turn U, the linear part and the weight into sums."""
    sums, cells, bound, n_counted = bounds.sums, bounds.cells, bounds.bound, len(bounds.total)
    for k in range(n_counted):
        total, inverse = bounds.total[k], bounds.inverse[k]
        t0, t1, t2, t3, t4 = total[0], total[1], total[2], total[3], total[4]
        v0, v1, v2, v3, v4 = inverse[0], inverse[1], inverse[2], inverse[3], inverse[4]
        a0 = a1 = a2 = a3 = a4 = residual = linear = n_left = 0.0
        for j in range(m):
            own = sums[cells[j] * n_counted + k]
            a0 += own[0]
            a1 += own[1]
            a2 += own[2]
            a3 += own[3]
            a4 += own[4]
            residual += own[RESIDUAL]
            linear += own[LINEAR]
            n_left += own[WEIGHT]
            own[RESIDUAL], own[LINEAR], own[WEIGHT] = residual, linear, n_left
            variance = a0 * (t0 - a0) * v0 + a1 * (t1 - a1) * v1 + a2 * (t2 - a2) * v2
            variance += a3 * (t3 - a3) * v3 + a4 * (t4 - a4) * v4
            # where the bound of the variance is nothing against its linear part, the score is, or it must be looked at
            unknown = 0.0 if exact or linear <= 0.0 else np.inf
            upper = residual * residual / variance if variance > 1e-10 * linear else unknown
            bound[j] = upper if k == 0 else bound[j] + upper


@njit(cache=True, nogil=True)
def legal_cuts(m, size, min_leaf, least, bounds):  # type: ignore[no-untyped-def]
    """Give first, last, place: the legal cuts are those after cells[first:last], the largest bound is at place."""
    sums, cells, bound, n_counted = bounds.sums, bounds.cells, bounds.bound, len(bounds.total)
    first, last = 0, m - 1
    while first < last and (sums[cells[first] * n_counted, WEIGHT] < min_leaf or cells[first] < least):
        first += 1
    while last > first and sums[cells[last - 1] * n_counted, WEIGHT] > size - min_leaf:
        last -= 1
    top, place = 0.0, first
    for j in range(first, last):
        place = j if bound[j] > top else place
        top = max(top, bound[j])
    return first, last, place


@njit(cache=True, nogil=True, error_model="numpy")
def score_cuts(n_chosen, n, m, cell, weight, curvature, n_times, bounds):  # type: ignore[no-untyped-def]
    """Write the scores of the first `n_chosen` of bounds.chosen, in order, over their bounds: one pass over the rows."""
    end, leaving, sums, cells, slot = bounds.end, bounds.leaving, bounds.sums, bounds.cells, bounds.slot
    chosen, n_counted, s = bounds.chosen, len(curvature), 0
    for j in range(m):
        slot[cells[j]] = s
        s += s < n_chosen and chosen[s] == j
    for i in range(n):
        leaving[slot[cell[i]], end[i]] += weight[i]
    for s in range(n_chosen):
        now, later, score = leaving[s], leaving[s + 1], 0.0
        for k in range(n_counted):
            left, square = sums[cells[chosen[s]] * n_counted + k], 0.0
            at_risk = left[WEIGHT]
            for t in range(n_times):
                at_risk -= now[t]
                square += curvature[k, t] * at_risk * at_risk
            variance = left[LINEAR] - square
            if variance > 1e-10 * left[LINEAR]:
                score += left[RESIDUAL] * left[RESIDUAL] / variance
        bounds.bound[chosen[s]] = score
        for t in range(n_times + 1):
            later[t] += now[t]
            now[t] = 0.0
    leaving[n_chosen, : n_times + 1] = 0.0


@njit(cache=True, nogil=True)
def best_bounded_cut(  # type: ignore[no-untyped-def]
    n, size, min_leaf, least, best, curvature, n_times, cell, count, weight, bounds
):  # fmt: skip
    """Give the best score above `best`, its cell (−1: none) and the left size, as :func:`best_cut` would.

    count (256,): number of rows by cell.
    """
    sums, cells, bound, chosen = bounds.sums, bounds.cells, bounds.bound, bounds.chosen
    exact = n_times <= BLOCKS
    sum_by_cell(n, cell, bounds.fate, weight, bounds.part, sums)
    m = list_cells(count, cells)
    bound_cuts(m, exact, bounds)
    first, last, place = legal_cuts(m, size, min_leaf, least, bounds)
    enough, best_place, n_left = best * (1.0 + 1e-10), -1, 0.0
    if not exact and first < last and bound[place] > enough:
        # the most promising cut first: nothing below its score needs a look
        chosen[0] = place
        score_cuts(1, n, m, cell, weight, curvature, n_times, bounds)
        if bound[place] > enough:
            best, best_place = bound[place], place
            enough = best * (1.0 - 1e-9)
    j = first
    while j < last:
        n_chosen = 0
        while j < last and n_chosen < TOGETHER:
            if bound[j] > enough and (exact or j != place):
                chosen[n_chosen] = j
                n_chosen += 1
            j += 1
        if n_chosen > 0 and not exact:
            score_cuts(n_chosen, n, m, cell, weight, curvature, n_times, bounds)
        for s in range(n_chosen):
            score = bound[chosen[s]]
            # of equal cuts the first
            if score > best * (1.0 + 1e-10) or (chosen[s] < best_place and score >= best * (1.0 - 1e-10)):
                best, best_place = score, chosen[s]
    found = int(cells[best_place]) if best_place >= 0 else -1
    if found >= 0:
        n_left = sums[found * len(curvature), WEIGHT]
    for j in range(m):
        for k in range(len(curvature)):
            for g in range(LANES):
                sums[cells[j] * len(curvature) + k, g] = 0.0
    return best, found, n_left
