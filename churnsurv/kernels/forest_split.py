r"""The best cut of a node: rows sorted by cell, scanned once, the numbers at risk on the left kept up to date.

The sum :math:`Q_k = \sum_t c_k Y_{kL}^2` of the score (:mod:`churnsurv.kernels.forest_scores`) is kept in two ways. A row
of weight w at risk at the times b ≤ t < e adds

.. math:: w \{2 \sum_{b \le t < e} c_k(t) Y_L(t) + w (C_k(e) - C_k(b))\},

O(e − b) in vector lanes. Rows before the first legal cut, many rows in one cell, and all rows under Gray's criterion are
collected as changes of Y_L, and their sum taken once, O(M). A node of n rows with M event times costs O(n M) per feature
at most, and O(n + B M) with B occupied cells.

Missing values are the cell 255. As the highest cell they go right at every cut; a node that holds some is scanned again
with cells moved up by one, 255 becoming 0, where they go left.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit

from churnsurv.kernels.forest_bounds import best_bounded_cut

#: codes of a feature; the last one stands for missing values
N_CELLS = 256
MISSING = 255
#: rows in one cell from which on their changes are collected
TOGETHER = 16


class Scan(NamedTuple):
    """What a scan of a node's rows keeps, in memory used again from feature to feature.

    cell (n,) uint8, order (n,): rows sorted by cell; place (256,): where each cell ends in it; enter, leave (256,): weight
    of the subjects with this lowest, highest cell. at_risk (C or 1, T): Y_kL; change (T + 1,) and gone (C, T + 1):
    changes of it not yet added; sums (3, C): U_k, the linear part of V_k, Q_k.
    """

    cell: Any
    order: Any
    place: Any
    enter: Any
    leave: Any
    at_risk: Any
    change: Any
    gone: Any
    sums: Any


@njit(cache=True, nogil=True)
def new_scan(n, n_counted, n_times, gray):  # type: ignore[no-untyped-def]
    """Allocate a :class:`Scan`."""
    return Scan(
        np.empty(n, np.uint8), np.empty(n, np.int32), np.empty(N_CELLS, np.int32), np.empty(N_CELLS), np.empty(N_CELLS),
        np.empty((n_counted if gray else 1, n_times)), np.zeros(n_times + 1),
        np.zeros((n_counted if gray else 0, n_times + 1)), np.empty((3, n_counted)),
    )  # fmt: skip


@njit(cache=True, nogil=True)
def next_random(state):  # type: ignore[no-untyped-def]
    """Give 31 random bits and advance `state` (uint64[1]): splitmix64 (Steele, Lea & Flood 2014)."""
    state[0] += np.uint64(0x9E3779B97F4A7C15)
    z = state[0]
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z = z ^ (z >> np.uint64(31))
    return np.int64(z >> np.uint64(33))


@njit(cache=True, nogil=True)
def sort_cells(n, cell, order, place):  # type: ignore[no-untyped-def]
    """Fill the order of the rows by cell: a counting sort, stable. place: from the number of rows to each cell's end."""
    total = 0
    for b in range(N_CELLS):
        count = place[b]
        place[b] = total
        total += count
    for i in range(n):
        order[place[cell[i]]] = i
        place[cell[i]] += 1


@njit(cache=True, nogil=True)
def range_of_cells(count):  # type: ignore[no-untyped-def]
    """Give the lowest and the highest cell that holds rows, missing values aside."""
    lowest, highest = MISSING, -1
    for b in range(MISSING):
        if count[b] > 0:
            lowest, highest = min(lowest, b), b
    return lowest, highest


@njit(cache=True, nogil=True)
def subject_begins(rows, subject):  # type: ignore[no-untyped-def]
    """Give the positions at which a new subject begins among rows grouped by subject, and after them their number."""
    begins = np.empty(len(rows) + 1, np.int32)
    n, previous = 0, -1
    for i in range(len(rows)):
        if subject[rows[i]] != previous:
            previous = subject[rows[i]]
            begins[n] = i
            n += 1
    begins[n] = len(rows)
    return begins[: n + 1]


@njit(cache=True, nogil=True)
def subject_range(cell, begin, end):  # type: ignore[no-untyped-def]
    """Give the lowest and the highest of cell[begin:end]."""
    low = high = int(cell[begin])
    for i in range(begin + 1, end):
        low, high = min(low, int(cell[i])), max(high, int(cell[i]))
    return low, high


@njit(cache=True, nogil=True)
def count_subjects(begins, weight, scan):  # type: ignore[no-untyped-def]
    """Fill scan.enter and scan.leave: a subject with rows on both sides of a cut counts on both."""
    enter, leave, cell = scan.enter, scan.leave, scan.cell
    enter[:] = 0.0
    leave[:] = 0.0
    for s in range(len(begins) - 1):
        low, high = subject_range(cell, begins[s], begins[s + 1])
        enter[low] += weight[begins[s]]
        leave[high] += weight[begins[s]]


@njit(cache=True, nogil=True)
def collect(row, weight, begin, end, change, gone, row_gone, cause, causes):  # type: ignore[no-untyped-def]
    """Add a row to the changes on the left, and, if it left by a cause, to those that stay at risk of other causes."""
    change[begin[row]] += weight[row]
    change[end[row]] -= weight[row]
    for k in range(gone.shape[0]):
        if causes[k] != cause[row]:
            gone[k, end[row]] += row_gone[row]


@njit(cache=True, nogil=True, fastmath={"reassoc", "contract"})
def add_collected(curvature, stay, n_times, at_risk, change, gone, sums):  # type: ignore[no-untyped-def]
    """Add the changes to the numbers at risk, forget them, and sum the squares anew, in lanes (free order of summation)."""
    n_gone = gone.shape[0]
    for k in range(max(1, n_gone)):
        now, stayed = 0.0, 0.0
        for t in range(n_times):
            now += change[t]
            if n_gone > 0:
                stayed += gone[k, t]
                gone[k, t] = 0.0
            at_risk[k, t] += now + stay[t] * stayed
    change[: n_times + 1] = 0.0
    for k in range(sums.shape[1]):
        own, total = min(k, at_risk.shape[0] - 1), 0.0
        for t in range(n_times):
            total += curvature[k, t] * at_risk[own, t] * at_risk[own, t]
        sums[2, k] = total


@njit(cache=True, nogil=True, fastmath={"reassoc", "contract"})
def add_row(curvature, steepness, at_risk, sums, begin, end, weight):  # type: ignore[no-untyped-def]
    """Add a row to the numbers at risk and to their sums of squares, in lanes. Unsigned positions need no sign checks."""
    last, low, high = curvature.shape[0] - 1, np.uint64(begin), np.uint64(end)
    for k in range(last):
        total = 0.0
        for t in range(low, high):
            total += curvature[k, t] * at_risk[0, t]
        sums[2, k] += weight * (2.0 * total + weight * (steepness[k, high] - steepness[k, low]))
    total = 0.0
    for t in range(low, high):
        total += curvature[last, t] * at_risk[0, t]
        at_risk[0, t] += weight
    sums[2, last] += weight * (2.0 * total + weight * (steepness[last, high] - steepness[last, low]))


@njit(cache=True, nogil=True)
def score_of(sums):  # type: ignore[no-untyped-def]
    """Give Σ_k U_k² / V_k."""
    score = 0.0
    for k in range(sums.shape[1]):
        variance = sums[1, k] - sums[2, k]
        if variance > 1e-10 * sums[1, k]:
            score += sums[0, k] * sums[0, k] / variance
    return score


@njit(cache=True, nogil=True)
def best_cut(n, size, min_leaf, least, single, causes, times, n_times, node, scan):  # type: ignore[no-untyped-def]
    """Scan the cuts at the occupied cells from `least` on; give the best score, its cell (−1: none) and the left size."""
    cell, order, place, enter, leave, at_risk, change, gone, sums = scan
    weight, _, _, begin, end, parts, row_gone, cause = node
    curvature, steepness, stay = times.curvature, times.steepness, times.stay
    sort_cells(n, cell, order, place)
    sums[:] = 0.0
    at_risk[:, :n_times] = 0.0
    n_counted, gray = sums.shape[1], gone.shape[0] > 0
    best, best_cell, best_left = 0.0, -1, 0.0
    n_left, left_behind = 0.0, 0.0
    waiting = True
    at = 0
    while at < n:
        b = cell[order[at]]
        stop = place[b]
        if stop == n:
            break
        # a row costs about M / 2 vector steps, a sum over all times M serial ones: several rows' worth
        waiting = waiting or gray or stop - at > TOGETHER
        before = n_left
        for i in range(at, stop):
            row = order[i]
            n_left += weight[row]
            for k in range(n_counted):
                sums[0, k] += parts[row, 2 * k]
                sums[1, k] += parts[row, 2 * k + 1]
            if waiting:
                collect(row, weight, begin, end, change, gone, row_gone, cause, causes)
            else:
                add_row(curvature, steepness, at_risk, sums, begin[row], end[row], weight[row])
        n_right = size - n_left
        if not single:
            n_left, left_behind = before + enter[b], left_behind + leave[b]
            n_right = size - left_behind
        at = stop
        if n_right < min_leaf:
            break
        if n_left < min_leaf or b < least:
            continue
        if waiting:
            add_collected(curvature, stay, n_times, at_risk, change, gone, sums)
            waiting = False
        score = score_of(sums)
        if score > best * (1.0 + 1e-10):
            best, best_cell, best_left = score, int(b), n_left
    change[: n_times + 1] = 0.0
    gone[:, : n_times + 1] = 0.0
    return best, best_cell, best_left


@njit(cache=True, nogil=True)
def one_cut(cut, n, size, min_leaf, begins, causes, times, n_times, node, scan):  # type: ignore[no-untyped-def]
    """Score the cut after one cell; give the score, the cell (−1: not legal, or no difference) and the left size."""
    cell, _, _, _, _, at_risk, change, gone, sums = scan
    weight, _, _, begin, end, parts, row_gone, cause = node
    n_left, n_right = 0.0, 0.0
    for s in range(len(begins) - 1):
        low, high = subject_range(cell, begins[s], begins[s + 1])
        n_left += weight[begins[s]] if low <= cut else 0.0
        n_right += weight[begins[s]] if high > cut else 0.0
    if n_left < min_leaf or n_right < min_leaf:
        return 0.0, -1, 0.0
    sums[:] = 0.0
    at_risk[:, :n_times] = 0.0
    for row in range(n):
        if cell[row] <= cut:
            for k in range(sums.shape[1]):
                sums[0, k] += parts[row, 2 * k]
                sums[1, k] += parts[row, 2 * k + 1]
            collect(row, weight, begin, end, change, gone, row_gone, cause, causes)
    add_collected(times.curvature, times.stay, n_times, at_risk, change, gone, sums)
    gone[:, n_times] = 0.0
    score = score_of(sums)
    return score, cut if score > 0.0 else -1, n_left


@njit(cache=True, nogil=True)
def best_split(  # type: ignore[no-untyped-def]
    sample, rows, size, min_leaf, max_features, at_random, state, features, criterion, times, n_times, node, scan,
    bounds, bounded,
):  # fmt: skip
    """Search the best cut over `max_features` features, drawn at random among those that vary in the node.

    Goes on to further features as long as no legal cut has been found. `at_random`: one cut per feature, drawn uniformly
    from its occupied range of cells. Gives the feature (−1: none), the cell, and 1 when missing values go left: where they
    score more; in a node without any, to its larger side. `bounded`: by :mod:`churnsurv.kernels.forest_bounds`.
    """
    n, n_features, cell, place = len(rows), len(features), scan.cell, scan.place
    begins = np.arange(0 if sample.single and not at_random else n + 1, dtype=np.int32)
    if not sample.single:
        begins = subject_begins(rows, sample.subject)
    best, best_feature, best_cell, best_missing, seen = 0.0, -1, -1, 0, 0
    cut, highest = -1, -1
    for drawn in range(n_features):
        if seen >= max_features and best_feature >= 0:
            break
        other = drawn + next_random(state) % (n_features - drawn)
        features[drawn], features[other] = features[other], features[drawn]
        f = features[drawn]
        codes = sample.codes[f]
        place[:] = 0
        for i in range(n):
            cell[i] = codes[rows[i]]
            place[cell[i]] += 1
        n_missing, first = place[MISSING], int(cell[0])
        if place[first] == n:
            continue
        seen += 1
        if at_random:
            lowest, highest = range_of_cells(place)
            cut = lowest + next_random(state) % (highest - lowest + (1 if n_missing > 0 else 0))
        for moved in range(2 if n_missing > 0 else 1):
            if moved == 1:
                place[:] = 0
                for i in range(n):
                    cell[i] = np.uint8((int(cell[i]) + 1) & 255)
                    place[cell[i]] += 1
            if not sample.single and not at_random:
                count_subjects(begins, node.weight, scan)
            if at_random:
                # missing values against all others is the same cut in both directions
                if moved == 1 and cut == highest:
                    continue
                score, found, left = one_cut(
                    cut + moved, n, size, min_leaf, begins, criterion.causes, times, n_times, node, scan
                )
            elif bounded:
                score, found, left = best_bounded_cut(
                    n, size, min_leaf, moved, best, times.curvature, n_times, cell, place, node.weight, bounds
                )
            else:
                score, found, left = best_cut(
                    n, size, min_leaf, moved, sample.single, criterion.causes, times, n_times, node, scan
                )
            if score > best * (1.0 + 1e-10):
                best, best_feature, best_cell = score, f, found - moved
                best_missing = moved if n_missing > 0 else int(left >= size - left)
    return best_feature, best_cell, best_missing
