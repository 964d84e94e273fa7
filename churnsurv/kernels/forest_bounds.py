r"""The best log-rank cut of a node without late entry, most cuts being ruled out by a bound of their score.

The score of a cut needs :math:`V_k = \sum_t c_k Y_L Y_R` with the numbers at risk on both sides, O(M) per cut. Without
late entry both only fall, so that by Chebyshev's sum inequality, within any block g of event times,

.. math:: \sum_{t \in g} c_k Y_L Y_R \ge A_{Lg} A_{Rg} / C_g, \quad A_{Lg} = \sum_{t \in g} c_k Y_L, \quad
   C_g = \sum_{t \in g} c_k.

A_L is a sum over the rows on the left. With eight blocks the bound of V_k is a fixed number of operations per row, without
a branch, and close: only the few cuts whose bound of :math:`\sum_k U_k^2 / V_k` reaches the best score known are scored
in full. Nodes of up to eight event times have a block for each of them, where the bound is the score.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit

#: blocks of event times: the lanes of one or two vector registers
BLOCKS = 8


class Bounds(NamedTuple):
    """Memory of the bounds, for C causes.

    lane (C, T + 1, 8): Σ c over the times of a block before each time; total (C, 8): Σ c Y by block, inverse (C, 8): 1 / C_g;
    left (C, 8): A_L; sums (3, C): U, the linear part of V, Q; bound (n,): of the score of the cut after each row in order.
    """

    lane: Any
    total: Any
    inverse: Any
    left: Any
    sums: Any
    bound: Any


@njit(cache=True, nogil=True)
def new_bounds(n, n_counted, n_times):  # type: ignore[no-untyped-def]
    """Allocate a :class:`Bounds`."""
    return Bounds(
        np.empty((n_counted, n_times + 1, BLOCKS)), np.empty((n_counted, BLOCKS)), np.empty((n_counted, BLOCKS)),
        np.empty((n_counted, BLOCKS)), np.empty((3, n_counted)), np.empty(n),
    )  # fmt: skip


@njit(cache=True, nogil=True)
def begins_late(begin, n):  # type: ignore[no-untyped-def]
    """Tell whether a row is not at risk at the node's first event time."""
    return n > 0 and begin[:n].max() > 0


@njit(cache=True, nogil=True, error_model="numpy")
def lay_bounds(curvature, slope, n_times, bounds):  # type: ignore[no-untyped-def]
    """Fill lane, total and inverse for the node's event times: c Y = v / Y is the step of the slope. O(M)."""
    lane, total, inverse = bounds.lane, bounds.total, bounds.inverse
    for k in range(curvature.shape[0]):
        for g in range(BLOCKS):
            lane[k, 0, g] = 0.0
            total[k, g] = 0.0
        for t in range(n_times):
            for g in range(BLOCKS):
                lane[k, t + 1, g] = lane[k, t, g]
            # narrow blocks at the end, where the numbers at risk fall fastest for their size
            g = t if n_times <= BLOCKS else int(BLOCKS * (1.0 - np.sqrt(1.0 - t / n_times)))
            lane[k, t + 1, g] += curvature[k, t]
            total[k, g] += slope[k, t + 1] - slope[k, t]
        for g in range(BLOCKS):
            steepness = lane[k, n_times, g]
            inverse[k, g] = 1.0 / steepness if steepness > 0.0 else 0.0


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"reassoc", "contract"})
def bound_scores(n, size, min_leaf, least, exact, cell, order, weight, end, parts, bounds):  # type: ignore[no-untyped-def]
    """Fill the bound of the score of the cuts after order[begin:end], 0 where there is none; outside none is legal.

    Gives begin, end, the largest bound and its place.
    """
    lane, total, inverse, left, sums, bound = bounds
    left[:] = 0.0
    sums[:] = 0.0
    n_left, top, place, begin = 0.0, 0.0, 0, 0
    # rows before the first legal cut
    while begin < n - 1 and n_left + weight[order[begin]] < min_leaf:
        row = order[begin]
        n_left += weight[row]
        for k in range(left.shape[0]):
            sums[0, k] += parts[row, 2 * k]
            sums[1, k] += parts[row, 2 * k + 1]
            for g in range(BLOCKS):
                left[k, g] += weight[row] * lane[k, end[row], g]
        begin += 1
    most = size - min_leaf
    for i in range(begin, n - 1):
        row = order[i]
        w, e, b = weight[row], end[row], cell[row]
        n_left += w
        if n_left > most:
            return begin, i, top, place
        upper = 0.0
        for k in range(left.shape[0]):
            sums[0, k] += parts[row, 2 * k]
            sums[1, k] += parts[row, 2 * k + 1]
            variance = 0.0
            for g in range(BLOCKS):
                left[k, g] += w * lane[k, e, g]
                variance += left[k, g] * (total[k, g] - left[k, g]) * inverse[k, g]
            # where the bound of the variance is nothing against its linear part, the score is, or it must be looked at
            known = variance > 1e-10 * sums[1, k]
            upper += sums[0, k] * sums[0, k] / variance if known else (0.0 if exact or sums[1, k] <= 0.0 else np.inf)
        upper = upper if (cell[order[i + 1]] != b) & (b >= least) else 0.0
        bound[i] = upper
        place = i if upper > top else place
        top = max(top, upper)
    return begin, n - 1, top, place


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"reassoc", "contract"})
def bound_scores_of_one(  # type: ignore[no-untyped-def]
    n, size, min_leaf, least, exact, cell, order, weight, end, parts, lane, total, inverse, bound
):  # fmt: skip
    """Do what :func:`bound_scores` does, for one cause, with its blocks in registers."""
    t0, t1, t2, t3, t4, t5, t6, t7 = total[0], total[1], total[2], total[3], total[4], total[5], total[6], total[7]
    v0, v1, v2, v3 = inverse[0], inverse[1], inverse[2], inverse[3]
    v4, v5, v6, v7 = inverse[4], inverse[5], inverse[6], inverse[7]
    a0 = a1 = a2 = a3 = a4 = a5 = a6 = a7 = residual = linear = n_left = top = 0.0
    place, begin, most = 0, 0, size - min_leaf
    for i in range(n - 1):
        row = order[i]
        w, e = weight[row], end[row]
        n_left += w
        if n_left > most:
            return begin, i, top, place
        residual += parts[row, 0]
        linear += parts[row, 1]
        a0 += w * lane[e, 0]
        a1 += w * lane[e, 1]
        a2 += w * lane[e, 2]
        a3 += w * lane[e, 3]
        a4 += w * lane[e, 4]
        a5 += w * lane[e, 5]
        a6 += w * lane[e, 6]
        a7 += w * lane[e, 7]
        if n_left < min_leaf:
            begin = i + 1
            continue
        variance = a0 * (t0 - a0) * v0 + a1 * (t1 - a1) * v1 + a2 * (t2 - a2) * v2 + a3 * (t3 - a3) * v3
        variance += a4 * (t4 - a4) * v4 + a5 * (t5 - a5) * v5 + a6 * (t6 - a6) * v6 + a7 * (t7 - a7) * v7
        unknown = 0.0 if exact or linear <= 0.0 else np.inf
        upper = residual * residual / variance if variance > 1e-10 * linear else unknown
        upper = upper if (cell[order[i + 1]] != cell[row]) & (cell[row] >= least) else 0.0
        bound[i] = upper
        place = i if upper > top else place
        top = max(top, upper)
    return begin, n - 1, top, place


@njit(cache=True, nogil=True, error_model="numpy")
def full_score(begin, end, order, row_weight, row_end, parts, curvature, n_times, change, sums):  # type: ignore[no-untyped-def]
    """Add the rows order[begin:end] to the changes and sums, and give the score of the cut after them. O(rows + M)."""
    for i in range(begin, end):
        row = order[i]
        change[0] += row_weight[row]
        change[row_end[row]] -= row_weight[row]
        for k in range(sums.shape[1]):
            sums[0, k] += parts[row, 2 * k]
            sums[1, k] += parts[row, 2 * k + 1]
    score = 0.0
    for k in range(sums.shape[1]):
        at_risk, square = 0.0, 0.0
        for t in range(n_times):
            at_risk += change[t]
            square += curvature[k, t] * at_risk * at_risk
        variance = sums[1, k] - square
        if variance > 1e-10 * sums[1, k]:
            score += sums[0, k] * sums[0, k] / variance
    return score


@njit(cache=True, nogil=True)
def best_bounded_cut(  # type: ignore[no-untyped-def]
    n, size, min_leaf, least, best, curvature, n_times, cell, order, weight, end, parts, change, bounds
):  # fmt: skip
    """Give the best score above `best`, its cell (−1: none) and the left size, as :func:`best_cut` would."""
    exact = n_times <= BLOCKS
    if len(curvature) == 1:
        first, last, top, place = bound_scores_of_one(
            n, size, min_leaf, least, exact, cell, order, weight, end, parts, bounds.lane[0], bounds.total[0],
            bounds.inverse[0], bounds.bound,
        )  # fmt: skip
    else:
        first, last, top, place = bound_scores(n, size, min_leaf, least, exact, cell, order, weight, end, parts, bounds)
    best_place = -1
    if top <= best * (1.0 + 1e-10):
        return best, -1, 0.0
    bound, sums = bounds.bound, bounds.sums
    enough, others = best * (1.0 + 1e-10), True
    if not exact:
        # the most promising cut first: nothing below its score needs a look
        sums[:] = 0.0
        score = full_score(0, place + 1, order, weight, end, parts, curvature, n_times, change, sums)
        change[: n_times + 1] = 0.0
        sums[:] = 0.0
        enough = max(enough, score * (1.0 - 1e-9))
        others = False
        for i in range(first, last):
            others |= (bound[i] > enough) & (i != place)
        if not others and score > best * (1.0 + 1e-10):
            best, best_place = score, place
    done = 0
    for i in range(first, last if others else first):
        if bound[i] > enough:
            score = bound[i]
            if not exact:
                score = full_score(done, i + 1, order, weight, end, parts, curvature, n_times, change, sums)
                done = i + 1
            if score > best * (1.0 + 1e-10):
                best, best_place = score, i
    change[: n_times + 1] = 0.0
    if best_place < 0:
        return best, -1, 0.0
    n_left = 0.0
    for i in range(best_place + 1):
        n_left += weight[order[i]]
    return best, int(cell[order[best_place]]), n_left
