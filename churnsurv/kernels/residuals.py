r"""Residuals of Cox's model row by row, and its information when every event time has a weight of its own.

Everything is a sum over the buckets in which a row is at risk, hence a difference of two running sums: linear in the rows.
Notation as in :mod:`churnsurv.kernels.cox`; :math:`r_i = e^{\eta_i}` here without the case weight. `multiplier` (B,) is
:math:`g(t)`: the covariates of the model are then :math:`x\,g(t)`, of which the score test of proportional hazards is made
(Grambsch and Therneau 1994; Therneau and Grambsch 2000, ch. 6). Ties follow Efron: of d tied deaths the k-th (k = 0 … d − 1)
is compared with a risk set in which each of them counts 1 − k/d, and what they get is the mean over k.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from churnsurv.kernels.cox import CHUNK, Buckets, Shard, Sums, Terms, cumulated, eta_of, information
from churnsurv.kernels.newton import State

Floats = NDArray[np.float64]


class ResidualArg(NamedTuple):
    """Argument of the kernels below: the likelihood at the estimate, the buckets, and g of each bucket (B,)."""

    state: State
    buckets: Buckets
    multiplier: Floats


def weighted_terms(terms: Terms, multiplier: Floats) -> Terms:
    """Give the contributions of the buckets, each times its multiplier."""
    return Terms(*(term * multiplier for term in terms))


def tied_means(sums: Sums, terms: Terms) -> Floats:
    """Give the mean of x over the risk set(s) of each bucket's deaths, (B, p): (E0 S1 − E1 D1) / W. NaN without deaths."""
    with np.errstate(invalid="ignore", divide="ignore"):
        means = terms.e0[:, None] * sums.risk[:, 1:] - terms.e1[:, None] * sums.dead[:, 1:]
        return np.asarray(means / sums.death_weight[:, None])


def row_hazard(shard: Shard, arg: ResidualArg) -> Floats:
    """Give the cumulative hazard to which each row was exposed, r_i (Λ[last] − Λ[first] − e_i E1[death]), (n,). O(n).

    Of its own increment a tied death counts in Efron's sets by 1 − k/d only, hence E1. Rows of weight 0, which are in no
    set, get NaN.
    """
    state, buckets, multiplier = arg
    terms = weighted_terms(state.terms, multiplier)
    eta = eta_of(shard, state.beta)
    hazard = cumulated(terms.e0, buckets.begin)
    return np.asarray(
        _row_hazard(
            eta, shard.first, shard.last, shard.death, shard.weight, state.shift, buckets.stratum, hazard, terms.e1
        )
    )


@njit(cache=True, nogil=True)
def _row_hazard(eta, first, last, death, weight, shift, stratum, hazard, e1):  # type: ignore[no-untyped-def]
    out = np.zeros(len(eta))
    for i in range(len(eta)):
        if weight[i] == 0.0:
            out[i] = np.nan
        elif first[i] < last[i]:
            s = stratum[last[i] - 1]
            at_risk = hazard[last[i] + s] - hazard[first[i] + s]
            if death[i] >= 0:
                at_risk -= e1[death[i]]
            out[i] = np.exp(eta[i] - shift[s]) * at_risk
    return out


def row_scores(shard: Shard, arg: ResidualArg) -> Floats:
    r"""Give the score residual of each row for the covariates x g(t), (n, p), without its weight. O(n p).

    .. math:: u_i = e_i g (x_i - m)
       - r_i \{x_i (\Lambda[last] - \Lambda[first] - e_i E_1) - (Q_1[last] - Q_1[first] - e_i q_2)\}

    with m the mean of :func:`tied_means`, and Λ, E1, Q1, q2 of the buckets' terms times g (Therneau and Grambsch 2000,
    sec. 4.6; their Efron form). Rows of weight 0 get NaN.
    """
    n = len(shard.x)
    out = _scores(shard, arg, np.arange(n), np.ones(n), n)
    out[shard.weight == 0.0] = np.nan
    return out


def group_scores(shard: Shard, arg: ResidualArg, group: NDArray[np.int64], n_groups: int) -> Floats:
    """Sum weight times score residual by group (n,), (n_groups, p), without an array of all rows; see :func:`row_scores`."""
    return _scores(shard, arg, group, shard.weight, n_groups)


def _scores(shard: Shard, arg: ResidualArg, group: NDArray[np.int64], factor: Floats, n_groups: int) -> Floats:
    state, buckets, multiplier = arg
    sums, terms = state.sums, weighted_terms(state.terms, multiplier)
    s1, d1 = sums.risk[:, 1:], sums.dead[:, 1:]
    q1 = terms.a[:, None] * s1 - terms.b[:, None] * d1
    q2 = terms.b[:, None] * s1 - terms.c[:, None] * d1
    out = np.zeros((n_groups, shard.x.shape[1]))
    _accumulate_scores(
        shard.x, eta_of(shard, state.beta), shard.first, shard.last, shard.death, shard.weight, state.shift,
        buckets.stratum, cumulated(terms.e0, buckets.begin), terms.e1, cumulated(q1, buckets.begin), q2,
        tied_means(sums, state.terms), multiplier, group, factor, out,
    )  # fmt: skip
    return out


@njit(cache=True, nogil=True)
def _accumulate_scores(  # type: ignore[no-untyped-def]
    x, eta, first, last, death, weight, shift, stratum, hazard, e1, q1, q2, mean, multiplier, group, factor, out
):
    n, p = x.shape
    for i in range(n):
        if weight[i] == 0.0 or first[i] >= last[i]:
            continue
        s = stratum[last[i] - 1]
        r = np.exp(eta[i] - shift[s])
        low, high, k = first[i] + s, last[i] + s, death[i]
        at_risk = hazard[high] - hazard[low]
        row, f = out[group[i]], factor[i]
        if k >= 0:
            at_risk -= e1[k]
            g = multiplier[k]
            for j in range(p):
                expected = x[i, j] * at_risk - (q1[high, j] - q1[low, j] - q2[k, j])
                row[j] += f * (g * (x[i, j] - mean[k, j]) - r * expected)
        else:
            for j in range(p):
                row[j] -= f * r * (x[i, j] * at_risk - (q1[high, j] - q1[low, j]))


def events_minus_means(shard: Shard, arg: ResidualArg) -> tuple[NDArray[np.int64], Floats]:
    """Give the rows with an event (d,), in their order, and their Schoenfeld residuals x − m (d, p). O(n + d p)."""
    state = arg.state
    rows = np.flatnonzero((shard.death >= 0) & (shard.weight > 0))
    return rows, shard.x[rows] - tied_means(state.sums, state.terms)[shard.death[rows]]


def weighted_information(shard: Shard, state: State, buckets: Buckets, multipliers: Floats) -> Floats:
    r"""Give :math:`\sum_t g(t) V(t)` for each g of `multipliers` (m, B), as (m, p, p).

    V is the weighted variance of x over the risk set(s) of the deaths at t; with g = 1 it is the observed information.
    Exchanging the sums over deaths and rows makes the first part a Gram matrix of the rows with weights
    :math:`w_i r_i (\Lambda_g[last] - \Lambda_g[first] - e_i g E_1)`, which may be negative here. O(m n p²), one matrix
    product per chunk of rows.
    """
    n, p = shard.x.shape
    v = np.empty((n, len(multipliers)))
    for k, multiplier in enumerate(multipliers):
        hazard = row_hazard(shard, ResidualArg(state, buckets, multiplier))
        v[:, k] = np.where(shard.weight > 0, shard.weight * hazard, 0.0)
    total = np.zeros((p, len(multipliers) * p))
    for begin in range(0, n, CHUNK):
        x = shard.x[begin : begin + CHUNK]
        total += x.T @ (v[begin : begin + CHUNK, :, None] * x[:, None, :]).reshape(len(x), -1)
    parts = [total[:, k * p : (k + 1) * p] for k in range(len(multipliers))]
    terms = [weighted_terms(state.terms, multiplier) for multiplier in multipliers]
    return np.stack([information(gram, state.sums, term) for gram, term in zip(parts, terms, strict=True)])
