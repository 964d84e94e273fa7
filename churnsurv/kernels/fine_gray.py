r"""Sums of Fine and Gray's weighted partial likelihood, in time linear in the rows.

The risk set at t of the subdistribution hazard also holds the rows that left by a competing cause at T < t, with weight
:math:`A(t) / A(T)` (:mod:`churnsurv.kernels.observation`). The weight factorises, so that

.. math:: S_0(t) = \sum_{at\ risk} r_i + \sum_g A_g(t) \sum_{j \in g, T_j < t} r_j / A_g(T_j)

needs one running sum per group g, and likewise S1; exchanging sums, row j enters the Gram matrix with
:math:`r_j / A(T_j) \sum_{t > T_j} A(t)\, dΛ(t)`. Being sums over rows, these parts are added to what the kernels of Cox's
likelihood (:mod:`churnsurv.kernels.cox`) give for the ordinary rows, and Newton's method runs as there.

References: Fine and Gray (1999), J. Am. Stat. Assoc. 94; Geskus (2011), Biometrics 67.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from churnsurv.kernels.cox import (
    CHUNK,
    Buckets,
    GramArg,
    MapReduce,
    ScoreArg,
    Shard,
    SumsArg,
    Terms,
    bucket_sums,
    cluster_scores,
    gram,
)
from churnsurv.kernels.newton import State
from churnsurv.kernels.observation import Floats, Spells, Steps, observation_influence

Ints = NDArray[np.int64]

#: event times whose influences on the baseline are held at once, (rows, this many)
KNOTS_AT_ONCE = 32


class Competing(NamedTuple):
    """Rows that left by a competing cause before a later event of the cause, and the slots of their running sums.

    row (m,) positions in the shard; mass (m,) weight / A(T); slot (m,) the first slot after T; stratum, group (m,).
    A slot is one bucket of one (stratum, group) pair, a cell: bucket, weight A(t) (N,); begin (cells + 1,);
    cell_group, cell_stratum (cells,).
    """

    row: Ints
    mass: Floats
    slot: Ints
    stratum: Ints
    group: Ints
    bucket: Ints
    weight: Floats
    begin: Ints
    cell_group: Ints
    cell_stratum: Ints


def lay_competing(
    buckets: Buckets, last: Ints, stratum: Ints, rows: Spells, is_competing: NDArray[np.bool_], steps: list[Steps]
) -> Competing:
    """Give every competing row its weight and slot; `last` (n,) counts the buckets up to the row's end. O(n + slots)."""
    chosen = np.flatnonzero(is_competing & (last < buckets.begin[stratum + 1]) & (rows.weight > 0))
    n_groups = len(steps)
    cells, cell_of = np.unique(stratum[chosen] * n_groups + rows.group[chosen], return_inverse=True)
    cell_stratum, cell_group = cells // n_groups, cells % n_groups
    sizes = (buckets.begin[cell_stratum + 1] - buckets.begin[cell_stratum]).astype(np.int64)
    begin = np.concatenate(([0], np.cumsum(sizes))).astype(np.int64)
    bucket = np.concatenate([np.arange(buckets.begin[s], buckets.begin[s + 1]) for s in cell_stratum] or [np.zeros(0)])
    bucket = bucket.astype(np.int64)
    weight = np.empty(len(bucket))
    base = np.empty(len(chosen))
    for c, g in enumerate(cell_group):
        slots = slice(begin[c], begin[c + 1])
        weight[slots] = steps[g].weight_at(buckets.time[bucket[slots]])
        mine = cell_of == c
        base[mine] = steps[g].weight_at(rows.stop[chosen[mine]])
    slot = begin[cell_of] + last[chosen] - buckets.begin[cell_stratum[cell_of]]
    return Competing(
        chosen, rows.weight[chosen] / base, slot.astype(np.int64), stratum[chosen], rows.group[chosen],
        bucket, weight, begin, cell_group, cell_stratum,
    )  # fmt: skip


def joined(shard: Shard, competing: Competing) -> MapReduce:
    """Give the map-reduce over ordinary rows and, added to it, over those that left by a competing cause.

    The buckets in the kernels' arguments must be marked ``late``: the sums of the competing rows travel in the leaves of
    the tree.
    """
    parts: dict[Callable[..., Any], Callable[..., Any]] = {
        bucket_sums: _add_sums,
        gram: _add_gram,
        cluster_scores: _add_scores,
    }

    def map_reduce(kernel: Callable[[Shard, Any], tuple[Any, ...]], arg: Any) -> tuple[Any, ...]:
        found = kernel(shard, arg)
        return parts[kernel](found, shard, competing, arg) if kernel in parts else found

    return map_reduce


def _add_sums(found: tuple[Any, ...], shard: Shard, competing: Competing, arg: SumsArg) -> tuple[Any, ...]:
    ratio = ratios(shard, competing, arg.beta, arg.shift)
    sums = np.zeros((len(competing.bucket), shard.x.shape[1] + 1))
    leaves = found[1][len(arg.buckets.time) :]
    _accumulate(
        shard.x, competing.row, ratio, competing.slot, competing.begin, competing.weight, competing.bucket, sums, leaves
    )
    return found


def ratios(shard: Shard, competing: Competing, beta: Floats, shift: Floats) -> Floats:
    """Give w e^η / A(T) of the competing rows, η shifted by stratum."""
    eta = shard.x[competing.row] @ beta + shard.offset[competing.row] - shift[competing.stratum]
    return np.asarray(competing.mass * np.exp(eta))


@njit(cache=True, nogil=True)
def _accumulate(x, row, ratio, slot, begin, weight, bucket, sums, leaves):  # type: ignore[no-untyped-def]
    p = x.shape[1]
    for m in range(len(row)):
        target = sums[slot[m]]
        target[0] += ratio[m]
        for j in range(p):
            target[j + 1] += ratio[m] * x[row[m], j]
    for c in range(len(begin) - 1):
        for k in range(begin[c], begin[c + 1]):
            for j in range(p + 1):
                if k > begin[c]:
                    sums[k, j] += sums[k - 1, j]
                leaves[bucket[k], j] += weight[k] * sums[k, j]


def later_sums(competing: Competing, by_bucket: Floats) -> Floats:
    """Give Σ A(t) v(t) over the slots of the cell from each one on, (N,) or (N, p), of values by bucket."""
    weighted = (competing.weight * by_bucket[competing.bucket].T).T
    for begin, end in zip(competing.begin[:-1], competing.begin[1:], strict=True):
        weighted[begin:end] = np.cumsum(weighted[begin:end][::-1], axis=0)[::-1]
    return np.asarray(weighted)


def _add_gram(found: tuple[Any, ...], shard: Shard, competing: Competing, arg: GramArg) -> tuple[Any, ...]:
    after = np.arange(len(arg.buckets.time)) + arg.buckets.stratum + 1
    later = later_sums(competing, arg.hazard[after] - arg.hazard[after - 1])[competing.slot]
    root = np.sqrt(ratios(shard, competing, arg.beta, arg.shift) * np.maximum(later, 0.0))
    (total,) = found
    for begin in range(0, len(root), CHUNK):
        scaled = shard.x[competing.row[begin : begin + CHUNK]] * root[begin : begin + CHUNK, None]
        total += scaled.T @ scaled
    return (total,)


def _add_scores(found: tuple[Any, ...], shard: Shard, competing: Competing, arg: ScoreArg) -> tuple[Any, ...]:
    q1 = mean_terms(arg.terms, arg.sums.risk[:, 1:], arg.sums.dead[:, 1:])
    ratio = ratios(shard, competing, arg.beta, arg.shift)[:, None]
    x = shard.x[competing.row]
    later_e0, later_q1 = later_sums(competing, arg.terms.e0), later_sums(competing, q1)
    residual = ratio * (later_q1[competing.slot] - x * later_e0[competing.slot][:, None])
    (scores,) = found
    add_by_cluster(scores, arg.cluster[competing.row], residual)
    return (scores,)


def mean_terms(terms: Terms, s1: Floats, d1: Floats) -> Floats:
    """Give Σ over the tied exits of mean(x) / denominator, A S1 − B D1, (B, p): also minus the derivative of E0 by β."""
    return np.asarray(terms.a[:, None] * s1 - terms.b[:, None] * d1)


@njit(cache=True, nogil=True)
def add_by_cluster(total, cluster, values):  # type: ignore[no-untyped-def]
    """Add rows of values to the rows of the total that their clusters have."""
    for i in range(len(cluster)):
        row = total[cluster[i]]
        for j in range(values.shape[1]):
            row[j] += values[i, j]


def weight_scores(
    shard: Shard, competing: Competing, rows: Spells, steps: list[Steps], state: State, buckets: Buckets,
    e0: Floats | None, q1: Floats,
) -> Floats:  # fmt: skip
    r"""Give each row's part in the score through the estimated weights, (n, p).

    With :math:`κ(v) = \sum_{T_j ≤ v} r_j/A(T_j) \sum_{t > v} A(t) \{x_j E_0(t) - Q_1(t)\}`, see
    :func:`churnsurv.kernels.observation.observation_influence`. Without `e0`, the part in a sum whose derivative by the
    weighted ratio of a row is `q1` (B, any). O(n p + steps × strata × p).
    """
    out = np.zeros((len(rows.stop), q1.shape[1]))
    ratio = ratios(shard, competing, state.beta, state.shift)
    suffix_q1 = later_sums(competing, q1)
    suffix_e0 = None if e0 is None else later_sums(competing, e0)
    for g, step in enumerate(steps):
        if not len(step.time):
            continue
        kappa = np.zeros((len(step.time), q1.shape[1]))
        for c in np.flatnonzero(competing.cell_group == g):
            mine = (competing.group == g) & (competing.stratum == competing.cell_stratum[c])
            row, slots = competing.row[mine], slice(competing.begin[c], competing.begin[c + 1])
            # cmprsk counts exits before v and events from v on, at a tie
            left = np.searchsorted(step.time, rows.stop[row], side="left" if step.after else "right")
            side: Any = "right" if step.after else "left"
            slot = np.searchsorted(buckets.time[competing.bucket[slots]], step.time, side=side)
            kappa -= _running(left, ratio[mine, None], len(step.time)) * _from(suffix_q1[slots], slot)
            if suffix_e0 is not None:
                weighted = _running(left, ratio[mine, None] * shard.x[row], len(step.time))
                kappa += weighted * _from(suffix_e0[slots, None], slot)
        members = np.flatnonzero(rows.group == g)
        out[members] = observation_influence(rows.rows(members), step, kappa)
    return out


def _running(position: Ints, values: Floats, size: int) -> Floats:
    total = np.zeros((size + 1, values.shape[1]))
    add_by_cluster(total, position, values)
    return np.asarray(np.cumsum(total, axis=0)[:-1])


def _from(suffix: Floats, slot: Ints) -> Floats:
    return np.vstack((suffix, np.zeros((1, suffix.shape[1]))))[slot]


def hazard_moments(
    shard: Shard, competing: Competing, rows: Spells, steps: list[Steps] | None, state: State, buckets: Buckets,
    cluster: Ints, dfbeta: Floats, knots: Ints,
) -> tuple[Floats, Floats]:  # fmt: skip
    r"""Give the variance of the baseline Λ(t) for known β, and its covariance with :math:`\hat β`, at the buckets `knots`.

    A row's influence on Λ (infinitesimal jackknife) is :math:`w e E_0/W - r \{A(t ∧ stop) - A(start) - e B\}` with A, B the
    running sums of the terms of Efron's denominators, plus its part in the estimated weights (`steps`; None: taken as
    known). `dfbeta` (clusters, p). Returns (knots,) and (knots, p), for Λ times the stratum's exp(shift). O(n) per knot.
    """
    terms, sums = state.terms, state.sums
    used = np.flatnonzero((shard.first < shard.last) & (shard.weight > 0))
    ratio, jump = np.zeros(len(shard.weight)), np.zeros(len(shard.weight))
    shift = state.shift[buckets.stratum[shard.last[used] - 1]]
    ratio[used] = shard.weight[used] * np.exp(shard.x[used] @ state.beta + shard.offset[used] - shift)
    ratio_competing = ratios(shard, competing, state.beta, state.shift)
    running = np.concatenate(([0.0], np.cumsum(terms.a)))
    slots = np.concatenate(([0.0], np.cumsum(competing.weight * terms.a[competing.bucket])))
    dead = used[shard.death[used] >= 0]
    k = shard.death[dead]
    jump[dead] = shard.weight[dead] * terms.e0[k] / sums.death_weight[k] + ratio[dead] * terms.b[k]
    cell = np.searchsorted(competing.begin, competing.slot, side="right") - 1
    offset = competing.begin[cell] - buckets.begin[competing.stratum]
    variance, cross = np.empty(len(knots)), np.empty((len(knots), dfbeta.shape[1]))
    for begin in range(0, len(knots), KNOTS_AT_ONCE):
        some = slice(begin, begin + KNOTS_AT_ONCE)
        at, first = knots[some], buckets.begin[buckets.stratum[knots[some]]]
        influence = np.zeros((len(ratio), len(at)))
        if len(competing.row) and steps is not None:
            every = np.arange(len(terms.a))[:, None]
            until = np.where((every >= first) & (every <= at), terms.a[:, None], 0.0)
            influence = weight_scores(shard, competing, rows, steps, state, buckets, None, -until)
        _add_hazard(influence, at, first, ratio, shard.first, shard.last, shard.death, jump, running)
        _add_competing_hazard(
            influence, at, first, buckets.stratum[at], competing.row, ratio_competing, competing.slot, offset,
            competing.stratum, slots,
        )  # fmt: skip
        by_cluster = np.zeros((len(dfbeta), len(at)))
        add_by_cluster(by_cluster, cluster, influence)
        variance[some], cross[some] = np.einsum("ck,ck->k", by_cluster, by_cluster), by_cluster.T @ dfbeta
    return variance, cross


@njit(cache=True, nogil=True)
def _add_hazard(influence, at, begin, ratio, first, last, death, jump, running):  # type: ignore[no-untyped-def]
    for i in range(len(ratio)):
        for k in range(len(at)):
            if last[i] <= begin[k] or first[i] > at[k]:
                continue
            high = min(last[i], at[k] + 1)
            influence[i, k] -= ratio[i] * (running[high] - running[max(first[i], begin[k])])
            if begin[k] <= death[i] <= at[k]:
                influence[i, k] += jump[i]


@njit(cache=True, nogil=True)
def _add_competing_hazard(influence, at, begin, of, row, ratio, slot, offset, stratum, slots):  # type: ignore[no-untyped-def]
    for m in range(len(row)):
        for k in range(len(at)):
            end = offset[m] + at[k] + 1
            if stratum[m] == of[k] and end > slot[m]:
                influence[row[m], k] -= ratio[m] * (slots[end] - slots[slot[m]])
