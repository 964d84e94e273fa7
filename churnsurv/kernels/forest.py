"""Growing one survival tree: flat nodes, binned features, scores of cuts from counts.

Every node is cut where the score of :mod:`churnsurv.kernels.forest_scores` is largest
(:mod:`churnsurv.kernels.forest_split`); unordered categories are put in order first, by the tree's own sample
(:mod:`churnsurv.kernels.forest_levels`). Delayed entry changes only where a row is at risk.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from churnsurv.kernels.forest_bounds import lay_bounds, new_bounds, own_fates
from churnsurv.kernels.forest_levels import rank_levels
from churnsurv.kernels.forest_scores import fates, new_rows, new_times, node_counts, node_rows, node_times
from churnsurv.kernels.forest_split import MISSING, best_split, new_scan


@njit(cache=True, nogil=True)
def sample_size(rows, sample):  # type: ignore[no-untyped-def]
    """Give the weighted number of different subjects among rows that are grouped by subject."""
    subject, weight = sample.subject, sample.weight
    total, previous = 0.0, -1
    for i in rows:
        if subject[i] != previous:
            total += weight[i]
            previous = subject[i]
    return total


@njit(cache=True, nogil=True)
def holds_missing(rows, cell_of):  # type: ignore[no-untyped-def]
    """Tell whether one of the rows lacks a value."""
    for i in rows:  # noqa: SIM110 (numba has no any of a generator)
        if cell_of[i] == MISSING:
            return True
    return False


@njit(cache=True, nogil=True)
def split_rows(rows, cell_of, cut, missing_left, buffer):  # type: ignore[no-untyped-def]
    """Reorder rows so that those that go left come first, keeping their order otherwise; give how many."""
    n_left, n_right = 0, 0
    for i in range(len(rows)):
        # written to both sides, so that the processor has no branch to guess
        row = rows[i]
        cell = cell_of[row]
        left = (cell <= cut) | ((cell == MISSING) & (missing_left == 1))
        rows[n_left], buffer[n_right] = row, row
        n_left += left
        n_right += not left
    for i in range(n_right):
        rows[n_left + i] = buffer[i]
    return n_left


@njit(cache=True, nogil=True)
def write_leaf(  # type: ignore[no-untyped-def]
    change, events, risk_time, risk_change, n_risk, event_time, event_cause, event_count, n_event
):  # fmt: skip
    """Append a leaf's changes of the number at risk and its events to the sparse arrays; give their new lengths."""
    n_causes, n_times = events.shape
    for j in range(n_times):
        if change[j] != 0.0:
            risk_time[n_risk], risk_change[n_risk] = j, change[j]
            n_risk += 1
        for k in range(n_causes):
            if events[k, j] > 0.0:
                event_time[n_event], event_cause[n_event], event_count[n_event] = j, k, events[k, j]
                n_event += 1
    return n_risk, n_event


@njit(cache=True, nogil=True)
def order_levels(sample, fate, late, level_begin, criterion, change, events, times, rows, node):  # type: ignore[no-untyped-def]
    """Rank the levels of the unordered categories by the sample, and write the ranks over their codes; give the table."""
    table = np.empty(level_begin[-1], np.uint8)
    if len(table) == 0:
        return table
    node_counts(rows, sample, fate, late, change, events, node)
    own_times = node_times(change, events, criterion, times)
    node_rows(rows, sample, criterion, times, own_times, node)
    for f in range(len(level_begin) - 1):
        begin, end = level_begin[f], level_begin[f + 1]
        if begin == end:
            continue
        codes = sample.codes[f]
        ranks = rank_levels(codes, node.parts, sample.cause, criterion.causes, sample.weight, end - begin)
        table[begin:end] = ranks
        for i in range(len(codes)):
            if codes[i] != MISSING:
                codes[i] = ranks[codes[i]]
    return table


@njit(cache=True, nogil=True)
def grow_tree(  # type: ignore[no-untyped-def]
    sample, level_begin, criterion, n_causes, min_leaf, max_depth, max_features, at_random, seed
):  # fmt: skip
    """Grow one tree, depth first.

    sample: codes (p, n) uint8, cell of each row's feature, 255 for missing, overwritten by ranks of levels; first, last
    (n,) int32: the row is at risk at the event times first ≤ j < last (every row at some); cause (n,) int32: 0, or the
    cause of the event at last − 1; subject (n,) int32, non-decreasing: whose row it is; weight (n,) positive: how often
    the row counts (bootstrap draws x sample weight). level_begin (p + 1,): feature f is an unordered category with levels
    level_begin[f]:level_begin[f + 1] of a table, or has none there.

    Returns
    -------
    feature (N,) int32, −1 in leaves; cut (N,) uint8: rows with code (or rank) ≤ cut go to node `child`, others to
    child + 1, those with missing values to `child` if missing_left (N,) uint8 is 1; child (N,) int32, in leaves the number
    of the leaf; level_rank (L,) uint8; and of each leaf ℓ in risk_begin[ℓ]:risk_begin[ℓ + 1] the changes of its number
    at risk (risk_time, risk_change), in event_begin[ℓ]:event_begin[ℓ + 1] its events (event_time, event_cause 0…K−1,
    event_count).
    """
    n, n_times = len(sample.weight), len(criterion.stay)
    rows = np.arange(n).astype(np.int32)
    most = 2 * n + 1
    feature, cut, child = np.empty(most, np.int32), np.zeros(most, np.uint8), np.empty(most, np.int32)
    missing_left = np.zeros(most, np.uint8)
    risk_time, risk_change = np.empty(2 * n + 1, np.uint16), np.empty(2 * n + 1)
    event_time, event_cause, event_count = np.empty(n + 1, np.uint16), np.empty(n + 1, np.uint8), np.empty(n + 1)
    risk_begin, event_begin = np.zeros(n + 2, np.int64), np.zeros(n + 2, np.int64)
    change, events = np.empty(n_times + 1), np.empty((n_causes, n_times))
    n_counted, fate = len(criterion.causes), fates(sample.last, sample.cause, n_times)
    late = sample.first.max() > 0
    times, node_of_rows = new_times(n_counted, n_times), new_rows(n, n_causes, n_counted, n_times)
    scan = new_scan(n, n_counted, n_times, criterion.gray)
    bounds = new_bounds(n, n_causes, n_counted, n_times)
    level_rank = order_levels(sample, fate, late, level_begin, criterion, change, events, times, rows, node_of_rows)
    may_bound = sample.single and not criterion.gray and not at_random
    buffer, features = np.empty(n, np.int32), np.arange(sample.codes.shape[0])
    state = np.array([seed], np.uint64)
    todo = [(0, 0, n, 0)]
    n_nodes, n_leaves, n_risk, n_event = 1, 0, 0, 0
    while len(todo) > 0:
        node, begin, end, depth = todo.pop()
        inside = rows[begin:end]
        latest = node_counts(inside, sample, fate, late, change, events, node_of_rows)
        size = sample_size(inside, sample)
        found, cell, left = -1, 0, 0
        if depth < max_depth and size >= 2 * min_leaf:
            own_times = node_times(change, events, criterion, times)
            if own_times > 0:
                bounded = may_bound and times.position[latest] == 0
                if bounded:
                    lay_bounds(times, own_times, n_causes, criterion.causes, bounds)
                    own_fates(end - begin, node_of_rows.fate, times.position, n_causes, bounds)
                else:
                    node_rows(inside, sample, criterion, times, own_times, node_of_rows)
                found, cell, left = best_split(
                    sample, inside, size, min_leaf, max_features, at_random, state, features, criterion, times, own_times,
                    node_of_rows, scan, bounds, bounded,
                )  # fmt: skip
        feature[node] = found
        if found >= 0:
            middle = begin + split_rows(inside, sample.codes[found], cell, left, buffer)
            if not sample.single and not holds_missing(inside, sample.codes[found]):
                # subjects with rows on both sides count on both
                left = int(sample_size(rows[begin:middle], sample) >= sample_size(rows[middle:end], sample))
            cut[node], child[node], missing_left[node] = cell, n_nodes, left
            todo.append((n_nodes + 1, middle, end, depth + 1))
            todo.append((n_nodes, begin, middle, depth + 1))
            n_nodes += 2
            continue
        child[node] = n_leaves
        n_risk, n_event = write_leaf(
            change, events, risk_time, risk_change, n_risk, event_time, event_cause, event_count, n_event
        )
        n_leaves += 1
        risk_begin[n_leaves], event_begin[n_leaves] = n_risk, n_event
    return (
        feature[:n_nodes].copy(), cut[:n_nodes].copy(), child[:n_nodes].copy(), missing_left[:n_nodes].copy(), level_rank,
        risk_begin[: n_leaves + 1].copy(), risk_time[:n_risk].copy(), risk_change[:n_risk].copy(),
        event_begin[: n_leaves + 1].copy(), event_time[:n_event].copy(), event_cause[:n_event].copy(),
        event_count[:n_event].copy(),
    )  # fmt: skip
