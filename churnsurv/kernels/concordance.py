"""Concordance of a score with the order of events: pairs counted in O(n log B) for n rows and B event times.

A pair (i, j) is an event of i and a row j that is under observation just after it: entry_j < t_i < stop_j, or
stop_j = t_i without an event of j (an event comes before what is censored at the same time). It is concordant when i has
the higher score, discordant when the lower one, tied when equal. Rows are passed in ascending order of score. Two binary
indexed trees over the event times (Fenwick 1994, Softw. Pract. Exper. 24:327) hold what was passed: the weight of rows
under observation at each event time, and the weight of the events there.

The counts are quadratic forms of the row weights, C = ½ + ½ Σ w_i w_j s_ij / Σ w_i w_j c_ij, so their derivatives by w_i
are sums over the pairs of row i; they are the infinitesimal jackknife (Therneau and Watson 2015, "The concordance
statistic and the Cox model").
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int32]


class Pairs(NamedTuple):
    """Sums over pairs, each pair weighted by both rows' weights and the weight of its event time."""

    concordant: float
    discordant: float
    comparable: float
    #: derivative of (concordant − discordant) by the weight of each row, (n,)
    net_of_row: Floats
    #: derivative of comparable by the weight of each row, (n,)
    comparable_of_row: Floats


def count_pairs(score: Floats, first: Ints, last: Ints, death: Ints, weight: Floats, time_weight: Floats) -> Pairs:
    """Count concordant, discordant and comparable pairs.

    Parameters
    ----------
    score : (n,) finite, in any order; equal values are ties
    first, last : (n,) the row is at risk at event times first ≤ k < last (its own event included)
    death : (n,) event time of the row's event, −1 without one
    weight : (n,) ≥ 0
    time_weight : (B,) weight of the pairs of each event time

    Returns
    -------
    Pairs, its arrays in the order given. O(n log n + n log B) time, O(n + B) memory.
    """
    order = np.argsort(score)
    lasts = np.where(death >= 0, last - 1, last)  # at its own event a row is compared with the others, not itself
    n_times = len(time_weight)
    at_risk = _weight_at_risk(first, lasts, weight, n_times)
    is_event = death >= 0
    deaths = np.bincount(death[is_event], weight[is_event], minlength=n_times) * time_weight
    deaths_before = np.concatenate(([0.0], np.cumsum(deaths)))
    net = np.empty(len(score))
    concordant, discordant = _pass_ascending(
        score[order], first[order], lasts[order], death[order], weight[order], time_weight, at_risk, deaths_before, net
    )
    net_of_row = np.empty_like(net)
    net_of_row[order] = net
    comparable_of_row = deaths_before[lasts] - deaths_before[first]
    comparable_of_row[is_event] += (time_weight * at_risk)[death[is_event]]
    return Pairs(concordant, discordant, float(deaths @ at_risk), net_of_row, comparable_of_row)


def count_weighted_pairs(
    score: Floats, first: Ints, last: Ints, death: Ints, weight: Floats, of_rows: Iterable[Floats]
) -> Pairs:
    """Count pairs that are weighted by a factor of each row at the time of the event, as in :func:`count_pairs`.

    of_rows : the factors at the event times 0, 1, …, as one or more arrays (n, some of them). O(n) time per event.
    """
    lasts = np.where(death >= 0, last - 1, last)
    net, comparable_of_row = np.zeros(len(score)), np.zeros(len(score))
    concordant = discordant = comparable = 0.0
    events = np.argsort(death, kind="stable")
    begins = np.searchsorted(death[events], np.arange(int(death.max(initial=-1)) + 2))
    k = 0
    for factors in of_rows:
        for factor in factors.T:
            at_risk = np.flatnonzero((first <= k) & (k < lasts))
            of_other = factor[at_risk] * weight[at_risk]
            for i in events[begins[k] : begins[k + 1]]:
                sign = np.sign(score[i] - score[at_risk])
                higher, lower = of_other[sign > 0].sum(), of_other[sign < 0].sum()
                mine = factor[i] * weight[i]
                concordant, discordant = concordant + mine * higher, discordant + mine * lower
                comparable += mine * of_other.sum()
                net[i] += factor[i] * (higher - lower)
                comparable_of_row[i] += factor[i] * of_other.sum()
                net[at_risk] += mine * factor[at_risk] * sign
                comparable_of_row[at_risk] += mine * factor[at_risk]
            k += 1
    return Pairs(concordant, discordant, comparable, net, comparable_of_row)


def _weight_at_risk(first: Ints, last: Ints, weight: Floats, n_times: int) -> Floats:
    change = np.bincount(first, weight, minlength=n_times + 1) - np.bincount(last, weight, minlength=n_times + 1)
    return np.asarray(np.cumsum(change)[:n_times])


@njit(cache=True, nogil=True)
def _add(tree, position, amount):  # type: ignore[no-untyped-def]  # pragma: no cover
    position += 1
    while position < len(tree):
        tree[position] += amount
        position += position & -position


@njit(cache=True, nogil=True)
def _sum_before(tree, position):  # type: ignore[no-untyped-def]  # pragma: no cover
    total = 0.0
    while position > 0:
        total += tree[position]
        position -= position & -position
    return total


@njit(cache=True, nogil=True)
def _pass_ascending(  # type: ignore[no-untyped-def]  # pragma: no cover
    score, first, last, death, weight, time_weight, at_risk, deaths_before, net
):
    """Fill `net` for rows sorted by score; give the concordant and discordant sums.

    Each is summed where its lower score is passed first, so that a constant score gives exact zeros.
    """
    n, n_times = len(score), len(time_weight)
    rows = np.zeros(n_times + 2)  # increments of the weight at risk: a prefix sum is the weight at a time
    events = np.zeros(n_times + 1)
    concordant = discordant = 0.0
    begin = 0
    while begin < n:
        end = begin + 1
        while end < n and score[end] == score[begin]:
            end += 1
        for i in range(begin, end):
            lower = _sum_before(events, last[i]) - _sum_before(events, first[i])
            discordant += weight[i] * lower
            net[i] = -lower
            if death[i] >= 0:
                lower_rows = _sum_before(rows, death[i] + 1)
                concordant += weight[i] * time_weight[death[i]] * lower_rows
                net[i] += time_weight[death[i]] * lower_rows
        for i in range(begin, end):
            if last[i] > first[i]:
                _add(rows, first[i], weight[i])
                _add(rows, last[i], -weight[i])
            if death[i] >= 0:
                _add(events, death[i], weight[i] * time_weight[death[i]])
        # what is not higher was passed by now; the rest has a higher score
        for i in range(begin, end):
            not_higher = _sum_before(events, last[i]) - _sum_before(events, first[i])
            net[i] += deaths_before[last[i]] - deaths_before[first[i]] - not_higher
            if death[i] >= 0:
                not_higher_rows = _sum_before(rows, death[i] + 1)
                net[i] -= time_weight[death[i]] * (at_risk[death[i]] - not_higher_rows)
        begin = end
    return concordant, discordant
