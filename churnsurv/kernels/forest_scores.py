r"""What a node of a survival tree knows: its event times, and each row's part in the score of a cut.

Sending the rows L of a node to the left scores :math:`\sum_k U_k^2 / V_k` over the causes that count. With d_k(t) events
of cause k, Y_k(t) at risk of it, of them Y_kL(t) in L, and the rows' martingale residuals m_k of the node's
Nelson–Aalen estimator,

.. math:: U_k = \sum_{i \in L} m_{ik}, \quad V_k = \sum_t v_k(t) p_k(t) (1 - p_k(t)), \quad p_k = Y_{kL} / Y_k, \quad
   v_k = \min\{d_k, d_k (Y_k - d_k) / (Y_k - 1)\},

where only fractional numbers at risk, with d_k < 1, reach the first bound: without it v_k would grow without limit as Y_k
falls to 1. Two criteria differ in who is at risk:

log-rank: the rows under observation, the same for all causes: the cause-specific log-rank test.
Gray: also those that left by another cause at T < t, with weight A(t) / A(T), A the probability of being under
observation (:mod:`churnsurv.kernels.observation`): the modified log-rank test of the subdistribution hazards (Gray 1988;
Fine & Gray 1999; Ishwaran et al. 2014, Biostatistics 15, section 3.3.2). A(t) factorises, so that one running sum of
weight / A(T) serves all times.

U_k and the part of V_k linear in Y_kL are sums over rows; only :math:`\sum_t v_k p_k^2 = \sum_t c_k Y_{kL}^2` needs the
numbers at risk on the left, at each of the node's own event times.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray


class Criterion(NamedTuple):
    """What is scored: the causes that count, (C,) positions; with `gray`, A and 1 / A (0 where A is) at the event times.

    Without `gray`, stay and inverse (T,) are zeros.
    """

    causes: NDArray[np.int64]
    stay: NDArray[np.float64]
    inverse: NDArray[np.float64]
    gray: bool


class Sample(NamedTuple):
    """The n rows that a tree is grown on, see :func:`churnsurv.kernels.forest.grow_tree`; `single`: one row per subject."""

    codes: NDArray[np.uint8]
    first: NDArray[np.int32]
    last: NDArray[np.int32]
    cause: NDArray[np.int32]
    subject: NDArray[np.int32]
    weight: NDArray[np.float64]
    single: bool


class NodeTimes(NamedTuple):
    """A node's event times, filled by :func:`node_times`; M of at most T are used.

    position (T + 1,): number of the node's event times before each event time. curvature (C, T): c_k = v_k / Y_k². Sums
    over the first m times, (C, T + 1): hazard of d_k / Y_k, slope of v_k / Y_k, steepness of c_k; gray_hazard and
    gray_slope of the first two times A. stay (T,): A at the node's times.
    """

    position: Any
    curvature: Any
    hazard: Any
    slope: Any
    steepness: Any
    gray_hazard: Any
    gray_slope: Any
    stay: Any


class NodeRows(NamedTuple):
    """The rows of a node in its order: weight and fate filled by :func:`node_counts`, the others by :func:`node_rows`.

    weight (n,); fate (n,), see :func:`fates`; leaving (fates,): weight by fate; begin, end (n,): at risk at the node's event
    times begin ≤ m < end; parts (n, 2 C): m_ik and the linear part of V_k, by cause; gone (n,): weight / A(T) of rows that
    left by some cause, for Gray's criterion; cause (n,): the cause, −1 for none.
    """

    weight: Any
    fate: Any
    leaving: Any
    begin: Any
    end: Any
    parts: Any
    gone: Any
    cause: Any


@njit(cache=True, nogil=True)
def new_times(n_counted, n_times):  # type: ignore[no-untyped-def]
    """Allocate a :class:`NodeTimes`."""
    return NodeTimes(
        np.empty(n_times + 1, np.int32), np.empty((n_counted, n_times)), np.empty((n_counted, n_times + 1)),
        np.empty((n_counted, n_times + 1)), np.empty((n_counted, n_times + 1)), np.empty((n_counted, n_times + 1)),
        np.empty((n_counted, n_times + 1)), np.empty(n_times),
    )  # fmt: skip


@njit(cache=True, nogil=True)
def new_rows(n, n_causes, n_counted, n_times):  # type: ignore[no-untyped-def]
    """Allocate a :class:`NodeRows`."""
    return NodeRows(
        np.empty(n), np.empty(n, np.uint32), np.empty((n_times + 1) * (n_causes + 1)), np.empty(n, np.int32),
        np.empty(n, np.int32), np.empty((n, 2 * n_counted)), np.empty(n), np.empty(n, np.int32),
    )  # fmt: skip


@njit(cache=True, nogil=True)
def fates(last, cause, n_times):  # type: ignore[no-untyped-def]
    """Give cause (T + 1) + last of each row: how and when it left."""
    fate = np.empty(len(last), np.uint32)
    for i in range(len(last)):
        fate[i] = cause[i] * (n_times + 1) + last[i]
    return fate


@njit(cache=True, nogil=True)
def node_counts(rows, sample, fate, late, change, events, node):  # type: ignore[no-untyped-def]
    """Fill change (T + 1,) of the number at risk and events (K, T) of a node, both over all event times.

    Also the weight and the fate of each row in `node`; gives the latest entry. `late`: whether any row of the sample enters
    after the first event time.
    """
    first, weight, own_weight, own_fate, leaving = sample.first, sample.weight, node.weight, node.fate, node.leaving
    n_causes, n_times = events.shape
    change[:] = 0.0
    leaving[:] = 0.0
    latest, total = 0, 0.0
    for i in range(len(rows)):
        w, f = weight[rows[i]], fate[rows[i]]
        own_weight[i], own_fate[i] = w, f
        leaving[f] += w
        total += w
    if late:
        for i in range(len(rows)):
            entry = first[rows[i]]
            change[entry] += own_weight[i]
            latest = max(latest, entry)
    else:
        change[0] = total
    for c in range(n_causes + 1):
        left = leaving[c * (n_times + 1) : (c + 1) * (n_times + 1)]
        for j in range(n_times + 1):
            change[j] -= left[j]
        if c > 0:
            for j in range(n_times):
                events[c - 1, j] = left[j + 1]
    return latest


@njit(cache=True, nogil=True)
def node_times(change, events, criterion, times):  # type: ignore[no-untyped-def]
    """Reduce a node's counts to its own times of events that count; give their number M. O(T K)."""
    causes, stay, inverse, gray = criterion
    position, curvature, hazard, slope, steepness, gray_hazard, gray_slope, own_stay = times
    n_causes, n_times = events.shape
    m, at_risk = 0, 0.0
    gone, gone_by = 0.0, np.zeros(n_causes)
    for k in range(len(causes)):
        hazard[k, 0] = slope[k, 0] = steepness[k, 0] = gray_hazard[k, 0] = gray_slope[k, 0] = 0.0
    for j in range(n_times):
        position[j] = m
        at_risk += change[j]
        deaths = events[causes[0], j]
        for k in range(1, len(causes)):
            deaths += events[causes[k], j]
        if deaths > 0.0:
            # the running sum of weights of very different size may fall short by rounding
            watched = max(at_risk, deaths)
            for k in range(len(causes)):
                d = events[causes[k], j]
                total = watched + stay[j] * max(0.0, gone - gone_by[causes[k]])
                # hypergeometric variance; the last customer at risk leaves no choice
                v = min(d, d * (total - d) / (total - 1.0)) if total > 1.0 and total > d else 0.0
                curvature[k, m] = v / (total * total)
                steepness[k, m + 1] = steepness[k, m] + curvature[k, m]
                hazard[k, m + 1] = hazard[k, m] + d / total
                slope[k, m + 1] = slope[k, m] + v / total
                if gray:
                    gray_hazard[k, m + 1] = gray_hazard[k, m] + stay[j] * d / total
                    gray_slope[k, m + 1] = gray_slope[k, m] + stay[j] * v / total
            own_stay[m] = stay[j]
            m += 1
        if gray:
            for c in range(n_causes):
                gone += events[c, j] * inverse[j]
                gone_by[c] += events[c, j] * inverse[j]
    position[n_times] = m
    return m


@njit(cache=True, nogil=True)
def node_rows(rows, sample, criterion, times, n_times, node):  # type: ignore[no-untyped-def]
    """Fill begin, end, parts, gone and cause of the rows of a node with `n_times` event times. O(n C)."""
    _, first, last, cause, _, weight, _ = sample
    causes, _, inverse, gray = criterion
    position, _, hazard, slope, _, gray_hazard, gray_slope, _ = times
    _, _, _, own_begin, own_end, parts, own_gone, own_cause = node
    for i in range(len(rows)):
        row = rows[i]
        w, c, begin, end = weight[row], cause[row] - 1, position[first[row]], position[last[row]]
        own_begin[i], own_end[i], own_cause[i] = begin, end, c
        gone = w * inverse[last[row] - 1] if gray and c >= 0 else 0.0
        own_gone[i] = gone
        for k in range(len(causes)):
            residual = -w * (hazard[k, end] - hazard[k, begin])
            linear = w * (slope[k, end] - slope[k, begin])
            if c == causes[k]:
                residual += w
            elif gone > 0.0:
                residual -= gone * (gray_hazard[k, n_times] - gray_hazard[k, end])
                linear += gone * (gray_slope[k, n_times] - gray_slope[k, end])
            parts[i, 2 * k], parts[i, 2 * k + 1] = residual, linear
