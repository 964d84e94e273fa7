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

#: codes of a feature; the last one stands for missing values
N_CELLS = 256
MISSING = 255


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
def sort_cells(n, scan):  # type: ignore[no-untyped-def]
    """Fill scan.order and scan.place from scan.cell: a counting sort, stable. O(n + 256)."""
    cell, order, place = scan.cell, scan.order, scan.place
    place[:] = 0
    for i in range(n):
        place[cell[i]] += 1
    total = 0
    for b in range(N_CELLS):
        count = place[b]
        place[b] = total
        total += count
    for i in range(n):
        order[place[cell[i]]] = i
        place[cell[i]] += 1


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
    scan.enter[:] = 0.0
    scan.leave[:] = 0.0
    for s in range(len(begins) - 1):
        low, high = subject_range(scan.cell, begins[s], begins[s + 1])
        scan.enter[low] += weight[begins[s]]
        scan.leave[high] += weight[begins[s]]


@njit(cache=True, nogil=True)
def start_left(scan, n_times):  # type: ignore[no-untyped-def]
    """Empty the left side."""
    scan.sums[:] = 0.0
    scan.at_risk[:, :n_times] = 0.0


@njit(cache=True, nogil=True)
def collect(row, node, cause, causes, scan):  # type: ignore[no-untyped-def]
    """Add a row to the changes on the left."""
    weight = node.weight[row]
    scan.change[node.begin[row]] += weight
    scan.change[node.end[row]] -= weight
    for k in range(len(scan.gone)):
        if causes[k] != cause:
            scan.gone[k, node.end[row]] += node.gone[row]


@njit(cache=True, nogil=True)
def forget(scan, n_times):  # type: ignore[no-untyped-def]
    """Drop the changes collected."""
    scan.change[: n_times + 1] = 0.0
    scan.gone[:, : n_times + 1] = 0.0


@njit(cache=True, nogil=True, fastmath={"reassoc", "contract"})
def sum_of_squares(curvature, at_risk, n):  # type: ignore[no-untyped-def]
    """Give Σ c Y² over the first n times; the order of summation is free, so that it runs in parallel lanes."""
    total = 0.0
    for t in range(n):
        total += curvature[t] * at_risk[t] * at_risk[t]
    return total


@njit(cache=True, nogil=True, fastmath={"reassoc", "contract"})
def sum_of_products(curvature, at_risk, begin, end):  # type: ignore[no-untyped-def]
    """Give Σ c Y over begin ≤ t < end."""
    total = 0.0
    for t in range(begin, end):
        total += curvature[t] * at_risk[t]
    return total


@njit(cache=True, nogil=True, fastmath={"reassoc", "contract"})
def sum_and_add(curvature, at_risk, begin, end, weight):  # type: ignore[no-untyped-def]
    """Give Σ c Y over begin ≤ t < end, and add the weight to Y there."""
    total = 0.0
    for t in range(begin, end):
        total += curvature[t] * at_risk[t]
        at_risk[t] += weight
    return total


@njit(cache=True, nogil=True)
def add_collected(times, n_times, scan):  # type: ignore[no-untyped-def]
    """Add the changes collected to the numbers at risk, and sum the squares anew."""
    if len(scan.gone) == 0:
        change = 0.0
        for t in range(n_times):
            change += scan.change[t]
            scan.at_risk[0, t] += change
    for k in range(len(scan.gone)):
        change, gone = 0.0, 0.0
        for t in range(n_times):
            change += scan.change[t]
            gone += scan.gone[k, t]
            scan.at_risk[k, t] += change + times.stay[t] * gone
    for k in range(scan.sums.shape[1]):
        scan.sums[2, k] = sum_of_squares(times.curvature[k], scan.at_risk[min(k, len(scan.at_risk) - 1)], n_times)
    forget(scan, n_times)


@njit(cache=True, nogil=True)
def add_row(row, node, times, scan):  # type: ignore[no-untyped-def]
    """Add a row to the numbers at risk and to their sums of squares."""
    weight, begin, end = node.weight[row], node.begin[row], node.end[row]
    last = scan.sums.shape[1] - 1
    for k in range(last):
        total = sum_of_products(times.curvature[k], scan.at_risk[0], begin, end)
        scan.sums[2, k] += weight * (2.0 * total + weight * (times.steepness[k, end] - times.steepness[k, begin]))
    total = sum_and_add(times.curvature[last], scan.at_risk[0], begin, end, weight)
    scan.sums[2, last] += weight * (2.0 * total + weight * (times.steepness[last, end] - times.steepness[last, begin]))


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
def best_cut(n, size, min_leaf, least, sample, rows, criterion, times, n_times, node, scan):  # type: ignore[no-untyped-def]
    """Scan the cuts at the occupied cells from `least` on; give the best score, its cell (−1: none) and the left size."""
    sort_cells(n, scan)
    start_left(scan, n_times)
    single, parts, sums = sample.single, node.parts, scan.sums
    n_counted, gray = sums.shape[1], criterion.gray
    best, best_cell, best_left = 0.0, -1, 0.0
    n_left, n_right = 0.0, size
    collected = True
    at = 0
    while at < n:
        b = int(scan.cell[scan.order[at]])
        end = scan.place[b]
        if end == n:
            break
        # a row costs about M / 2 vector steps, a sum over all times M serial ones: several rows' worth
        together = collected or gray or end - at > 16
        before = n_left
        for i in range(at, end):
            row = scan.order[i]
            n_left += node.weight[row]
            for k in range(n_counted):
                sums[0, k] += parts[row, 2 * k]
                sums[1, k] += parts[row, 2 * k + 1]
            if together:
                collect(row, node, sample.cause[rows[row]] - 1, criterion.causes, scan)
            else:
                add_row(row, node, times, scan)
        collected = together
        if single:
            n_right = size - n_left
        else:
            n_left = before + scan.enter[b]
            n_right -= scan.leave[b]
        at = end
        if n_right < min_leaf:
            break
        if n_left < min_leaf or b < least:
            continue
        if collected:
            add_collected(times, n_times, scan)
            collected = False
        score = score_of(sums)
        if score > best * (1.0 + 1e-10):
            best, best_cell, best_left = score, b, n_left
    forget(scan, n_times)
    return best, best_cell, best_left


@njit(cache=True, nogil=True)
def one_cut(cut, n, size, min_leaf, begins, sample, rows, criterion, times, n_times, node, scan):  # type: ignore[no-untyped-def]
    """Score the cut after one cell; give the score, the cell (−1: not legal, or no difference) and the left size."""
    n_left, n_right = 0.0, 0.0
    for s in range(len(begins) - 1):
        low, high = subject_range(scan.cell, begins[s], begins[s + 1])
        n_left += node.weight[begins[s]] if low <= cut else 0.0
        n_right += node.weight[begins[s]] if high > cut else 0.0
    if n_left < min_leaf or n_right < min_leaf:
        return 0.0, -1, 0.0
    start_left(scan, n_times)
    for row in range(n):
        if scan.cell[row] <= cut:
            for k in range(scan.sums.shape[1]):
                scan.sums[0, k] += node.parts[row, 2 * k]
                scan.sums[1, k] += node.parts[row, 2 * k + 1]
            collect(row, node, sample.cause[rows[row]] - 1, criterion.causes, scan)
    add_collected(times, n_times, scan)
    score = score_of(scan.sums)
    return score, cut if score > 0.0 else -1, n_left


@njit(cache=True, nogil=True)
def best_split(  # type: ignore[no-untyped-def]
    sample, rows, size, min_leaf, max_features, at_random, state, features, criterion, times, n_times, node, scan
):  # fmt: skip
    """Search the best cut over `max_features` features, drawn at random among those that vary in the node.

    Goes on to further features as long as no legal cut has been found. `at_random`: one cut per feature, drawn uniformly
    from its occupied range of cells. Gives the feature (−1: none), the cell, and 1 when missing values go left: where they
    score more; in a node without any, to its larger side.
    """
    n, n_features = len(rows), len(features)
    begins = np.arange(0 if sample.single and not at_random else n + 1, dtype=np.int32)
    if not sample.single:
        begins = subject_begins(rows, sample.subject)
    best, best_feature, best_cell, best_missing, seen = 0.0, -1, -1, 0, 0
    for drawn in range(n_features):
        if seen >= max_features and best_feature >= 0:
            break
        other = drawn + next_random(state) % (n_features - drawn)
        features[drawn], features[other] = features[other], features[drawn]
        f = features[drawn]
        codes = sample.codes[f]
        lowest, highest, n_missing = MISSING, -1, 0
        for i in range(n):
            c = int(codes[rows[i]])
            scan.cell[i] = c
            lowest = min(lowest, c)
            if c == MISSING:
                n_missing += 1
            else:
                highest = max(highest, c)
        if n_missing == n or (lowest == highest and n_missing == 0):
            continue
        seen += 1
        cut = -1
        if at_random:
            cut = lowest + next_random(state) % (highest - lowest + (1 if n_missing > 0 else 0))
        for moved in range(2 if n_missing > 0 else 1):
            if moved == 1:
                for i in range(n):
                    scan.cell[i] = np.uint8((int(scan.cell[i]) + 1) & 255)
            if at_random:
                # missing values against all others is the same cut in both directions
                if moved == 1 and cut == highest:
                    continue
                score, cell, left = one_cut(
                    cut + moved, n, size, min_leaf, begins, sample, rows, criterion, times, n_times, node, scan
                )
            else:
                if not sample.single:
                    count_subjects(begins, node.weight, scan)
                score, cell, left = best_cut(
                    n, size, min_leaf, moved, sample, rows, criterion, times, n_times, node, scan
                )
            if score > best * (1.0 + 1e-10):
                best, best_feature, best_cell = score, f, cell - moved
                best_missing = moved if n_missing > 0 else int(left >= size - left)
    return best_feature, best_cell, best_missing
