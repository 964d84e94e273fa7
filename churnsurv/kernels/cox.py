r"""Sums of Cox's partial likelihood in time linear in the rows, additive over shards of rows.

A *bucket* is one distinct event time of one stratum; buckets are numbered stratum by stratum, in order of time. A row is
at risk in the buckets ``first ≤ k < last``. With :math:`r_i = w_i e^{\eta_i}` a bucket needs the risk-set sums
:math:`S_0 = \sum r_i, S_1 = \sum r_i x_i` and the same sums over its deaths, :math:`D_0, D_1`; these and the weighted Gram
matrix are sums over rows, so that they can be computed shard by shard and added. Efron's (1977) denominators are
:math:`S_0 - f D_0, f = 0, 1/d, …, (d-1)/d` for d tied deaths, each of their mean weight; Breslow's (1974) have f = 0.

Exchanging the order of summation over deaths and rows turns the first part of the information,
:math:`\sum_{deaths} S_2 / S_0`, into the Gram matrix :math:`X' \mathrm{diag}(v) X` with
:math:`v_i = r_i [\Lambda(stop_i) - \Lambda(start_i)]` (less a correction for tied deaths): one matrix product per step.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from churnsurv.kernels.running import cumulate, linear_predictor, push_down, suffix_sums

Floats = NDArray[np.float64]
Ints = NDArray[np.int32]

#: rows of one matrix product: a chunk of 4,000 x 30 doubles stays in the processor's cache
CHUNK = 4096
#: exp(η) is computed without a shift while |η| is surely below this
SAFE_ETA = 200.0


class Shard(NamedTuple):
    """Rows of data: x (n, p) C-ordered; first, last, death (bucket of the event or −1) (n,); weight, offset (n,)."""

    x: Floats
    first: Ints
    last: Ints
    death: Ints
    weight: Floats
    offset: Floats


class Buckets(NamedTuple):
    """Layout: time (B,), stratum (B,), begin (strata + 1,) first bucket of each stratum, late: some rows enter late."""

    time: Floats
    stratum: Ints
    begin: Ints
    late: bool


class Sums(NamedTuple):
    """Bucket sums: risk = [S0, S1] and dead = [D0, D1] (B, 1 + p); deaths, death_weight (B,); Σ w x and Σ w η of events."""

    risk: Floats
    dead: Floats
    deaths: Floats
    death_weight: Floats
    event_x: Floats
    event_eta: float


class Terms(NamedTuple):
    """What a bucket contributes: E0, E1, A, B, C (see :func:`death_terms`), each (B,)."""

    e0: Floats
    e1: Floats
    a: Floats
    b: Floats
    c: Floats


#: mr(kernel, arg) = sum over shards of kernel(shard, arg); kernels give tuples of arrays
MapReduce = Callable[[Callable[[Shard, Any], tuple[Any, ...]], Any], tuple[Any, ...]]


def one_shard(shard: Shard) -> MapReduce:
    """Give the map-reduce over rows that are all in memory."""
    return lambda kernel, arg: kernel(shard, arg)


def eta_of(shard: Shard, beta: Floats) -> Floats:
    """Give the linear predictor of the rows, x β + offset."""
    return np.asarray(linear_predictor(shard.x, beta, shard.offset)) if np.any(beta) else shard.offset


def row_hazards(shard: Shard, beta: Floats, shift: Floats, buckets: Buckets) -> tuple[Floats, Floats]:
    """Give η less the shift of the row's stratum, and r = w exp(η); of rows at risk in no bucket they mean nothing."""
    eta = eta_of(shard, beta)
    if np.any(shift):
        eta = eta - shift[buckets.stratum[np.maximum(shard.last - 1, 0)]]
    # NumPy's vectorised exponential takes a fifth of the time of one inside a compiled loop
    with np.errstate(over="ignore", invalid="ignore"):
        return eta, shard.weight * np.exp(eta)


class SumsArg(NamedTuple):
    """Argument of :func:`bucket_sums`."""

    beta: Floats
    shift: Floats
    buckets: Buckets


def bucket_sums(shard: Shard, arg: SumsArg) -> tuple[Floats, Floats, Floats, Floats, Floats, Floats, float]:
    """Phase 1: sums by bucket for coefficients `beta`, η shifted by `shift` per stratum (overflow).

    Returns (prefix, tree, dead, deaths, death_weight, event_x, event_eta), all additive over shards; :func:`risk_sums`
    turns prefix and tree into S0 and S1. Rows at risk from their stratum's first bucket are added at their last one
    (later summed from the right); rows that enter late are added to the O(log B) nodes of a segment tree that cover their
    buckets. Nothing is subtracted, so a mass of late entries cannot cancel the small risk sets before it.
    O(n p) plus O(log B) per late row.
    """
    beta, shift, buckets = arg
    n_buckets, width = len(buckets.time), shard.x.shape[1] + 1
    prefix, dead = np.zeros((n_buckets, width)), np.zeros((n_buckets, width))
    tree = np.zeros((2 * n_buckets if buckets.late else 1, width))
    deaths, death_weight, event_x = np.zeros(n_buckets), np.zeros(n_buckets), np.zeros(width - 1)
    event_eta = _accumulate(
        shard.x, *row_hazards(shard, beta, shift, buckets), shard.first, shard.last, shard.death, shard.weight,
        buckets.stratum, buckets.begin, prefix, tree, dead, deaths, death_weight, event_x,
    )  # fmt: skip
    return prefix, tree, dead, deaths, death_weight, event_x, event_eta


@njit(cache=True, nogil=True)
def _accumulate(  # type: ignore[no-untyped-def]
    x, eta, hazard, first, last, death, weight, stratum, begin, prefix, tree, dead, deaths, death_weight, event_x
):
    n, p = x.shape
    n_buckets = len(stratum)
    event_eta = 0.0
    for i in range(n):
        if first[i] >= last[i] or weight[i] == 0.0:
            continue
        s = stratum[last[i] - 1]
        r = hazard[i]
        if first[i] == begin[s]:
            row = prefix[last[i] - 1]
            row[0] += r
            for j in range(p):
                row[j + 1] += r * x[i, j]
        else:
            low, high = first[i] + n_buckets, last[i] + n_buckets
            while low < high:
                if low & 1:
                    tree[low, 0] += r
                    for j in range(p):
                        tree[low, j + 1] += r * x[i, j]
                    low += 1
                if high & 1:
                    high -= 1
                    tree[high, 0] += r
                    for j in range(p):
                        tree[high, j + 1] += r * x[i, j]
                low >>= 1
                high >>= 1
        k = death[i]
        if k >= 0:
            event_eta += weight[i] * eta[i]
            deaths[k] += 1.0
            death_weight[k] += weight[i]
            dead[k, 0] += r
            for j in range(p):
                dead[k, j + 1] += r * x[i, j]
                event_x[j] += weight[i] * x[i, j]
    return event_eta


def risk_sums(reduced: tuple[Any, ...], buckets: Buckets) -> Sums:
    """Finish phase 1 after the reduction: S0 and S1 of every bucket. O(B p)."""
    prefix, tree, dead, deaths, death_weight, event_x, event_eta = reduced
    risk = prefix.copy()
    suffix_sums(risk, buckets.begin)
    if buckets.late:
        tree = tree.copy()
        push_down(tree)
        risk += tree[len(buckets.time) :]
    return Sums(risk, dead, deaths, death_weight, event_x, event_eta)


@njit(cache=True, nogil=True)
def death_terms(s0, d0, deaths, death_weight, efron):  # type: ignore[no-untyped-def]
    """Sum over the d tied deaths of each bucket, den = S0 − f D0, f = k/d (Breslow: f = 0), each of mean weight W/d.

    Returns E0 = Σ 1/den, E1 = Σ f/den, A = Σ 1/den², B = Σ f/den², C = Σ f²/den² (times W/d), and Σ (W/d) log den over all.
    """
    n = len(s0)
    e0, e1, a, b, c = np.zeros(n), np.zeros(n), np.zeros(n), np.zeros(n), np.zeros(n)
    log_sum = 0.0
    for k in range(n):
        d = int(deaths[k])
        if d == 0:
            continue
        mean_weight = death_weight[k] / d
        for m in range(d):
            f = m / d if efron else 0.0
            den = s0[k] - f * d0[k]
            if not den > 0.0:
                # hazards beyond what a double holds: the value is not finite, and the step that led here is halved
                log_sum = np.inf
                break
            log_sum += mean_weight * np.log(den)
            inverse = mean_weight / den
            e0[k] += inverse
            e1[k] += f * inverse
            a[k] += inverse / den
            b[k] += f * inverse / den
            c[k] += f * f * inverse / den
    return e0, e1, a, b, c, log_sum


def log_likelihood(sums: Sums, efron: bool) -> tuple[float, Terms]:
    """Give the log partial likelihood and the bucket terms that gradient and information need."""
    *terms, log_sum = death_terms(sums.risk[:, 0], sums.dead[:, 0], sums.deaths, sums.death_weight, efron)
    return float(sums.event_eta - log_sum), Terms(*terms)


def gradient(sums: Sums, terms: Terms) -> Floats:
    """Give the score vector Σ w e x − Σ_t (E0 S1 − E1 D1)."""
    return np.asarray(sums.event_x - (terms.e0 @ sums.risk[:, 1:] - terms.e1 @ sums.dead[:, 1:]))


def cumulated(values: Floats, begin: Ints) -> Floats:
    """Sum (B,) or (B, p) values within each stratum, with a zero row in front of each.

    Row k + s of the result, s the stratum of bucket k, is the sum before bucket k; row k + s + 1 includes it.
    """
    out = np.zeros((len(values) + len(begin) - 1, *values.shape[1:]))
    cumulate(values.reshape(len(values), -1), begin, out.reshape(len(out), -1))
    return out


class GramArg(NamedTuple):
    """Argument of :func:`gram`: as for :func:`bucket_sums`, and Λ (:func:`cumulated` E0) and E1."""

    beta: Floats
    shift: Floats
    buckets: Buckets
    hazard: Floats
    e1: Floats


def gram(shard: Shard, arg: GramArg) -> tuple[Floats]:
    """Phase 2: X' diag(v) X with v_i = r_i (Λ[last] − Λ[first] − e_i E1[death]). One matrix product per chunk of rows."""
    beta, shift, buckets, hazard, e1 = arg
    _, r = row_hazards(shard, beta, shift, buckets)
    root_v = _root_row_weights(r, shard.first, shard.last, shard.death, shard.weight, buckets.stratum, hazard, e1)
    p = shard.x.shape[1]
    total = np.zeros((p, p))
    for begin in range(0, len(r), CHUNK):
        rows = slice(begin, begin + CHUNK)
        scaled = shard.x[rows] * root_v[rows, None]
        total += scaled.T @ scaled
    return (total,)


@njit(cache=True, nogil=True)
def _root_row_weights(r, first, last, death, weight, stratum, hazard, e1):  # type: ignore[no-untyped-def]
    out = np.zeros(len(r))
    for i in range(len(r)):
        if first[i] >= last[i] or weight[i] == 0.0:
            continue
        s = stratum[last[i] - 1]
        v = hazard[last[i] + s] - hazard[first[i] + s]
        if death[i] >= 0:
            v -= e1[death[i]]
        if v > 0.0:
            out[i] = np.sqrt(r[i] * v)
    return out


def information(gram_matrix: Floats, sums: Sums, terms: Terms) -> Floats:
    """Give the observed information: Gram matrix − Σ_t [A S1 S1' − B (S1 D1' + D1 S1') + C D1 D1']."""
    s1, d1 = sums.risk[:, 1:], sums.dead[:, 1:]
    cross = (terms.b[:, None] * s1).T @ d1
    outer = (terms.a[:, None] * s1).T @ s1 - cross - cross.T + (terms.c[:, None] * d1).T @ d1
    return np.asarray(gram_matrix - outer)


class ScoreArg(NamedTuple):
    """Argument of :func:`cluster_scores`; n_clusters rows are returned, `cluster` holds the code of each row of the shard."""

    beta: Floats
    shift: Floats
    buckets: Buckets
    sums: Sums
    terms: Terms
    cluster: NDArray[np.int64]
    n_clusters: int


def cluster_scores(shard: Shard, arg: ScoreArg) -> tuple[Floats]:
    r"""Sum the score residuals of Lin and Wei (1989) by cluster, (n_clusters, p).

    .. math:: u_i = w_i e_i (x_i - m)
       - r_i \{x_i (\Lambda[last] - \Lambda[first] - e_i E_1) - (Q_1[last] - Q_1[first] - e_i q_2)\}

    with m the mean of x over the tied risk sets of the death. One pass, O(n p).
    """
    beta, shift, buckets, sums, terms, cluster, n_clusters = arg
    s1, d1 = sums.risk[:, 1:], sums.dead[:, 1:]
    q1 = terms.a[:, None] * s1 - terms.b[:, None] * d1
    q2 = terms.b[:, None] * s1 - terms.c[:, None] * d1
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = (terms.e0[:, None] * s1 - terms.e1[:, None] * d1) / sums.death_weight[:, None]
    out = np.zeros((n_clusters, shard.x.shape[1]))
    _accumulate_scores(
        shard.x, eta_of(shard, beta), shard.first, shard.last, shard.death, shard.weight, shift, buckets.stratum,
        cumulated(terms.e0, buckets.begin), terms.e1, cumulated(q1, buckets.begin), q2, mean, cluster, out,
    )  # fmt: skip
    return (out,)


@njit(cache=True, nogil=True)
def _accumulate_scores(  # type: ignore[no-untyped-def]
    x, eta, first, last, death, weight, shift, stratum, hazard, e1, q1, q2, mean, cluster, out
):
    n, p = x.shape
    for i in range(n):
        if first[i] >= last[i] or weight[i] == 0.0:
            continue
        s = stratum[last[i] - 1]
        r = weight[i] * np.exp(eta[i] - shift[s])
        low, high, k = first[i] + s, last[i] + s, death[i]
        at_risk = hazard[high] - hazard[low]
        row = out[cluster[i]]
        if k >= 0:
            at_risk -= e1[k]
            for j in range(p):
                expected = x[i, j] * at_risk - (q1[high, j] - q1[low, j] - q2[k, j])
                row[j] += weight[i] * (x[i, j] - mean[k, j]) - r * expected
        else:
            for j in range(p):
                row[j] -= r * (x[i, j] * at_risk - (q1[high, j] - q1[low, j]))
