"""Growing one survival tree: flat nodes, binned features, log-rank scores from counts.

Contract of :func:`grow_tree`
    codes (p, n) uint8: cell of each row's feature. first, last (n,) int32: the row is at risk at the event times
    first ≤ j < last (every row at some). cause (n,) int32: 0, or the cause of the event at last − 1. subject (n,) int32,
    non-decreasing: whose row it is. weight (n,): how often the row counts (bootstrap draws x sample weight), 0 = not in
    the sample. Returns the tree as flat arrays, see there.

The log-rank score of sending the rows L to the left of a node with d_k(t) events of cause k among Y(t) at risk is, with
the rows' martingale residuals m_k of the node's Nelson–Aalen estimator and p(t) = Y_L(t) / Y(t),

    U_k = Σ_{i in L} m_ik,      V_k = Σ_t v_k(t) p(t) (1 − p(t)),   v_k = min(d_k, d_k (Y − d_k) / (Y − 1)),

where only fractional weights, with d_k < 1, reach the first bound: without it v_k would grow without limit as Y falls to 1.

U_k and the part of V_k linear in Y_L are sums over rows: one pass over the node per feature. Only Σ_t v_k p² needs the
risk set on the left at each of the node's own event times, once per occupied cell. A node of n rows in B cells with M
event times costs O(n + M · min(B, n)) per feature. Delayed entry changes only where a row is at risk.
"""

from __future__ import annotations

import numpy as np
from numba import njit

#: node arrays hold at most this many cells per feature (codes are uint8)
MAX_CELLS = 256


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
def node_counts(rows, first, last, cause, weight, change, events):  # type: ignore[no-untyped-def]
    """Fill change (T + 1,) of the number at risk and events (K, T) of a node, both over all event times."""
    change[:] = 0.0
    events[:] = 0.0
    for i in rows:
        change[first[i]] += weight[i]
        change[last[i]] -= weight[i]
        if cause[i] > 0:
            events[cause[i] - 1, last[i] - 1] += weight[i]


@njit(cache=True, nogil=True)
def node_times(change, events, position, curvature, hazard, slope):  # type: ignore[no-untyped-def]
    """Reduce a node's counts to its own event times; give their number M.

    Fills position (T + 1,): number of the node's event times before each event time; curvature (K, T): v_k / Y²;
    hazard, slope (K, T + 1): cumulated d_k / Y and v_k / Y, entry m holding the sum over the first m times.
    """
    n_causes, n_times = events.shape
    m = 0
    at_risk = 0.0
    hazard[:, 0] = 0.0
    slope[:, 0] = 0.0
    for j in range(n_times):
        position[j] = m
        at_risk += change[j]
        deaths = 0.0
        for k in range(n_causes):
            deaths += events[k, j]
        if deaths > 0.0:
            # the running sum of weights of very different size may fall short by rounding
            total = max(at_risk, deaths)
            for k in range(n_causes):
                d = events[k, j]
                # hypergeometric variance; the last customer at risk leaves no choice
                v = min(d, d * (total - d) / (total - 1.0)) if total > 1.0 and total > d else 0.0
                hazard[k, m + 1] = hazard[k, m] + d / total
                slope[k, m + 1] = slope[k, m] + v / total
                curvature[k, m] = v / (total * total)
            m += 1
    position[n_times] = m
    return m


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
def cells_of_node(cell, begins, weight, count, enter, leave):  # type: ignore[no-untyped-def]
    """Count a node's rows by cell, and its subjects by their lowest (enter) and highest (leave) cell; give the range."""
    count[:] = 0
    enter[:] = 0.0
    leave[:] = 0.0
    lowest, highest = MAX_CELLS, -1
    for s in range(len(begins) - 1):
        low = high = int(cell[begins[s]])
        count[low] += 1
        for i in range(begins[s] + 1, begins[s + 1]):
            c = int(cell[i])
            count[c] += 1
            low = c if c < low else low
            high = c if c > high else high
        enter[low] += weight[begins[s]]
        leave[high] += weight[begins[s]]
        lowest = low if low < lowest else lowest
        highest = high if high > highest else highest
    return lowest, highest


@njit(cache=True, nogil=True, fastmath={"reassoc", "contract"})
def weighted_sum(weight, values, n):  # type: ignore[no-untyped-def]
    """Give Σ weight[j] values[j] over the first n; the order of summation is free, so that it runs in parallel lanes."""
    total = 0.0
    for j in range(n):
        total += weight[j] * values[j]
    return total


@njit(cache=True, nogil=True)
def best_cut(  # type: ignore[no-untyped-def]
    cell, order, count, enter, leave, lowest, highest, size, min_leaf, weight, begin, end, residual, linear, curvature,
    n_times, left_change,
):  # fmt: skip
    """Scan the cuts of one feature; give the best score Σ_k U_k² / V_k and its cell (0, −1 without a legal cut).

    Rows of the node in the node's order: cell, weight, begin, end (position among the node's event times), residual and
    linear (n, K). order: the rows sorted by cell. left_change (M + 1,) comes in as zeros and is left so.
    """
    n_causes = residual.shape[1]
    score_sum = np.zeros(n_causes)
    variance_sum = np.zeros(n_causes)
    square = np.empty(n_times)
    best, best_cell = 0.0, -1
    n_left, n_right = 0.0, size
    at = 0
    for b in range(lowest, highest):
        n_left += enter[b]
        n_right -= leave[b]
        if count[b] == 0:
            continue
        for i in order[at : at + count[b]]:
            left_change[begin[i]] += weight[i]
            left_change[end[i]] -= weight[i]
            for k in range(n_causes):
                score_sum[k] += residual[i, k]
                variance_sum[k] += linear[i, k]
        at += count[b]
        if n_right < min_leaf:
            break
        if n_left < min_leaf:
            continue
        at_risk = 0.0
        for j in range(n_times):
            at_risk += left_change[j]
            square[j] = at_risk * at_risk
        score = 0.0
        for k in range(n_causes):
            variance = variance_sum[k] - weighted_sum(curvature[k], square, n_times)
            if variance > 1e-10 * variance_sum[k]:
                score += score_sum[k] * score_sum[k] / variance
        if score > best * (1.0 + 1e-10):
            best, best_cell = score, b
    left_change[: n_times + 1] = 0.0
    return best, best_cell


@njit(cache=True, nogil=True)
def best_split(  # type: ignore[no-untyped-def]
    codes, rows, first, last, cause, subject, weight, size, min_leaf, max_features, state, features, position, curvature,
    hazard, slope, n_times,
):  # fmt: skip
    """Search the best cut over `max_features` features, drawn at random among those that vary in the node.

    Goes on to further features as long as no legal cut has been found. Gives (score, feature, cell), feature −1 for none.
    """
    n, n_causes, n_features = len(rows), hazard.shape[0], len(features)
    own_weight = weight[rows]
    begin, end = position[first[rows]], position[last[rows]]
    residual, linear = np.empty((n, n_causes)), np.empty((n, n_causes))
    for i in range(n):
        for k in range(n_causes):
            event = 1.0 if cause[rows[i]] == k + 1 else 0.0
            residual[i, k] = own_weight[i] * (event - (hazard[k, end[i]] - hazard[k, begin[i]]))
            linear[i, k] = own_weight[i] * (slope[k, end[i]] - slope[k, begin[i]])
    begins = subject_begins(rows, subject)
    cell, order = np.empty(n, np.uint8), np.empty(n, np.int32)
    count, place = np.empty(MAX_CELLS, np.int64), np.empty(MAX_CELLS, np.int64)
    enter, leave = np.empty(MAX_CELLS), np.empty(MAX_CELLS)
    left_change = np.zeros(n_times + 1)
    best, best_feature, best_cell, seen = 0.0, -1, -1, 0
    for drawn in range(n_features):
        if seen >= max_features and best_feature >= 0:
            break
        other = drawn + next_random(state) % (n_features - drawn)
        features[drawn], features[other] = features[other], features[drawn]
        f = features[drawn]
        for i in range(n):
            cell[i] = codes[f, rows[i]]
        lowest, highest = cells_of_node(cell, begins, own_weight, count, enter, leave)
        if lowest == highest:
            continue
        seen += 1
        place[lowest] = 0
        for b in range(lowest, highest):
            place[b + 1] = place[b] + count[b]
        for i in range(n):
            order[place[cell[i]]] = i
            place[cell[i]] += 1
        score, cut = best_cut(
            cell, order, count, enter, leave, lowest, highest, size, min_leaf, own_weight, begin, end, residual, linear,
            curvature, n_times, left_change,
        )  # fmt: skip
        if score > best * (1.0 + 1e-10):
            best, best_feature, best_cell = score, f, cut
    return best, best_feature, best_cell


@njit(cache=True, nogil=True)
def sample_size(rows, subject, weight):  # type: ignore[no-untyped-def]
    """Give the weighted number of different subjects among rows that are grouped by subject."""
    total, previous = 0.0, -1
    for i in rows:
        if subject[i] != previous:
            total += weight[i]
            previous = subject[i]
    return total


@njit(cache=True, nogil=True)
def split_rows(rows, cell_of, cut, buffer):  # type: ignore[no-untyped-def]
    """Reorder rows so that those with cell ≤ cut come first, keeping their order otherwise; give how many."""
    n_left, n_right = 0, 0
    for i in range(len(rows)):
        row = rows[i]
        if cell_of[row] <= cut:
            rows[n_left] = row
            n_left += 1
        else:
            buffer[n_right] = row
            n_right += 1
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
def grow_tree(  # type: ignore[no-untyped-def]
    codes, first, last, cause, subject, weight, n_causes, n_times, min_leaf, max_depth, max_features, seed
):  # fmt: skip
    """Grow one tree on the rows of positive weight, depth first.

    Returns
    -------
    feature (N,) int32, −1 in leaves; cut (N,) uint8: rows with code ≤ cut go to node `child`, others to child + 1; child
    (N,) int32, in leaves the number of the leaf; and of each leaf ℓ in risk_begin[ℓ]:risk_begin[ℓ + 1] the changes of
    its number at risk (risk_time, risk_change), in event_begin[ℓ]:event_begin[ℓ + 1] its events (event_time,
    event_cause 0…K−1, event_count). O(depth · max_features · n) plus the risk sets of the scores.
    """
    rows = np.flatnonzero(weight > 0).astype(np.int32)
    n = len(rows)
    most = 2 * n + 1
    feature, cut, child = np.empty(most, np.int32), np.zeros(most, np.uint8), np.empty(most, np.int32)
    risk_time, risk_change = np.empty(2 * n + 1, np.uint16), np.empty(2 * n + 1)
    event_time, event_cause, event_count = np.empty(n + 1, np.uint16), np.empty(n + 1, np.uint8), np.empty(n + 1)
    risk_begin, event_begin = np.zeros(n + 2, np.int64), np.zeros(n + 2, np.int64)
    change, events = np.empty(n_times + 1), np.empty((n_causes, n_times))
    position, curvature = np.empty(n_times + 1, np.int32), np.empty((n_causes, n_times))
    hazard, slope = np.empty((n_causes, n_times + 1)), np.empty((n_causes, n_times + 1))
    buffer, features = np.empty(n, np.int32), np.arange(codes.shape[0])
    state = np.array([seed], np.uint64)
    todo = [(0, 0, n, 0)]
    n_nodes, n_leaves, n_risk, n_event = 1, 0, 0, 0
    while len(todo) > 0:
        node, begin, end, depth = todo.pop()
        inside = rows[begin:end]
        node_counts(inside, first, last, cause, weight, change, events)
        own_times = node_times(change, events, position, curvature, hazard, slope)
        size = sample_size(inside, subject, weight)
        found = -1
        if own_times > 0 and depth < max_depth and size >= 2 * min_leaf:
            _, found, cell = best_split(
                codes, inside, first, last, cause, subject, weight, size, min_leaf, max_features, state, features,
                position, curvature, hazard, slope, own_times,
            )  # fmt: skip
        feature[node] = found
        if found >= 0:
            middle = begin + split_rows(inside, codes[found], cell, buffer)
            cut[node], child[node] = cell, n_nodes
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
        feature[:n_nodes].copy(), cut[:n_nodes].copy(), child[:n_nodes].copy(),
        risk_begin[: n_leaves + 1].copy(), risk_time[:n_risk].copy(), risk_change[:n_risk].copy(),
        event_begin[: n_leaves + 1].copy(), event_time[:n_event].copy(), event_cause[:n_event].copy(),
        event_count[:n_event].copy(),
    )  # fmt: skip
