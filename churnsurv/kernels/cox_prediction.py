r"""Cumulative hazards predicted by a Cox model and their variances, along paths of covariates.

With :math:`r = e^{z'\beta}`, z the covariates about the centre of the fit, a path has the hazard
:math:`\Lambda = \sum r\,d\Lambda_0` and by the delta method (Link 1984; Tsiatis 1981) the variance

.. math:: \sum r^2 dA + c' V c, \qquad c = \sum r (z\,d\Lambda_0 - dQ),

sums over the event times of the path. The baseline's own variance grows by :math:`dA = \sum 1/den^2` and Q by
:math:`\bar x\,d\Lambda_0 = \sum (S_1 - f D_1)/den^2`: the kernel's A and its combination A S1 − B D1. With V = LL' only zL
and QL are needed, so that c'Vc is a sum of squares.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy.special import ndtri

from churnsurv.kernels.cox import Buckets, Shard, cumulated
from churnsurv.kernels.newton import State

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


class Steps(NamedTuple):
    """Baseline of the strata below each other, each after a row of zeros (the time before its first step).

    hazard, variance (R,) and gradient (R, q), cumulated; the last is QL.
    """

    hazard: Floats
    variance: Floats
    gradient: Floats


class Pieces(NamedTuple):
    """Pieces of paths, path after path and in order of time: covariates that hold over one interval.

    begin (paths + 1,): first piece of each path. Of each piece: ratio r; u = zL (pieces, q); low and high, the rows of
    :class:`Steps` at the ends of its interval; position (pieces,), the row of `grid` that is its stratum's; first and past,
    the columns of the grid at which it holds.
    """

    begin: Integers
    ratio: Floats
    u: Floats
    low: Integers
    high: Integers
    position: Integers
    first: Integers
    past: Integers


def hazard_uncertainty(
    state: State, buckets: Buckets, square_weight: Floats | None, factor: float
) -> tuple[Floats, Floats]:
    """Give A (B,) and Q (B, p) of the module's docstring, cumulated within strata, as fitted (covariates standardised).

    `square_weight`, the sum of the squared weights of the deaths, replaces their sum in A when weights are sampling weights:
    then A does not depend on their scale. `factor`: by how much the fit's weights were divided.
    """
    sums, terms = state.sums, state.terms
    a = terms.a / factor
    if square_weight is not None:
        a = terms.a * square_weight / np.where(sums.death_weight > 0, sums.death_weight, 1.0)
    after = np.arange(len(a)) + buckets.stratum + 1
    # where an offset puts the hazard beyond all doubles, so are its errors
    with np.errstate(over="ignore", invalid="ignore"):
        shift = np.exp(-state.shift[buckets.stratum])
        q = (terms.a[:, None] * sums.risk[:, 1:] - terms.b[:, None] * sums.dead[:, 1:]) * shift[:, None]
        return cumulated(a * shift**2, buckets.begin)[after], cumulated(q, buckets.begin)[after]


def squared_death_weight(shard: Shard, n_buckets: int) -> tuple[Floats]:
    """Sum the squared weights of the deaths by bucket; additive over shards."""
    dead = shard.death >= 0
    return (np.bincount(shard.death[dead], shard.weight[dead] ** 2, n_buckets).astype(np.float64),)


def root_of(covariance: Floats) -> Floats:
    """Give L with LL' = V, V positive semidefinite (a sandwich of few clusters has no Cholesky factor)."""
    scale = np.sqrt(np.diag(covariance))
    scale = np.where(scale > 0, scale, 1.0)
    value, vector = np.linalg.eigh(covariance / np.outer(scale, scale))
    return np.asarray(scale[:, None] * vector * np.sqrt(np.maximum(value, 0.0)))


def along_paths(pieces: Pieces, grid: Integers, steps: Steps) -> tuple[Floats, Floats]:
    """Give the cumulative hazard of each path at each time of the grid, and its variance, (paths, T).

    grid (strata, T): the row of :class:`Steps` at each time. O(pieces · q + paths · T · q).
    """
    shape = (len(pieces.begin) - 1, grid.shape[1])
    hazard, variance = np.empty(shape), np.empty(shape)
    _along_paths(*pieces, grid, *steps, hazard, variance)
    return hazard, variance


@njit(cache=True, nogil=True)
def _along_paths(  # type: ignore[no-untyped-def]
    begin, ratio, u, low, high, position, first, past, grid, base, base_variance, base_gradient, hazard, variance
):
    width = u.shape[1]
    c = np.empty(width)
    for i in range(len(begin) - 1):
        h = v = 0.0
        c[:] = 0.0
        for k in range(begin[i], begin[i + 1]):
            r, at_low = ratio[k], low[k]
            for t in range(first[k], past[k]):
                at = min(max(grid[position[k], t], at_low), high[k])
                rise = base[at] - base[at_low]
                square = 0.0
                for j in range(width):
                    d = c[j] + r * (u[k, j] * rise - (base_gradient[at, j] - base_gradient[at_low, j]))
                    square += d * d
                hazard[i, t] = h + r * rise
                variance[i, t] = v + r * (r * (base_variance[at] - base_variance[at_low])) + square
            at = high[k]
            rise = base[at] - base[at_low]
            h += r * rise
            v += r * (r * (base_variance[at] - base_variance[at_low]))
            for j in range(width):
                c[j] += r * (u[k, j] * rise - (base_gradient[at, j] - base_gradient[at_low, j]))


def hazard_bounds(hazard: Floats, se: Floats, level: float, conf_type: str) -> tuple[Floats, Floats]:
    """Give confidence bounds of a cumulative hazard, symmetric on a scale of the survival S = exp(−hazard) as R's survfit.

    "plain": of S; "log": of log S, the hazard itself; "log-log": of log(−log S). None lies below 0 (S within 0 and 1). Survival
    close to 0 or 1 loses no digits this way; where nothing has happened yet both bounds of "log-log" are 0.
    """
    z = float(ndtri((1 + level) / 2))
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        if conf_type == "log-log":
            spread = np.exp(np.where(hazard > 0, z * se / hazard, 0.0))
            return hazard / spread, hazard * spread
        if conf_type == "log":
            return np.maximum(hazard - z * se, 0.0), hazard + z * se
        rise = np.where(z * se < 1, -np.log1p(-z * se), np.inf)
        return np.maximum(hazard - np.log1p(z * se), 0.0), np.where(np.isnan(se), np.nan, hazard + rise)


def survival_bounds(hazard: Floats, se: Floats, level: float, conf_type: str) -> tuple[Floats, Floats]:
    """Give the same of the survival."""
    lower, upper = hazard_bounds(hazard, se, level, conf_type)
    return np.exp(-upper), np.exp(-lower)


class Lives(NamedTuple):
    """Rows with constant covariates, watched from `begin` to `end`: row of steps `low` at the begin, `past` after the end."""

    ratio: Floats
    u: Floats
    low: Integers
    past: Integers
    begin: Floats
    end: Floats


def lifetimes(lives: Lives, time: Floats, steps: Steps) -> tuple[Floats, Floats]:
    r"""Give the area under each row's survival between begin and end, and its variance, (n,).

    A hazard increment at :math:`t_k` takes the area :math:`R_k` that is left after it, so that the variance is
    :math:`\sum_k r^2 R_k^2 dA_k + \|\sum_k R_k dc_k\|^2`. time (R,): the time of each row of steps. O(n R q).
    """
    area, variance = np.empty(len(lives.ratio)), np.empty(len(lives.ratio))
    _lifetimes(*lives, time, *steps, area, variance)
    return area, variance


@njit(cache=True, nogil=True)
def _lifetimes(  # type: ignore[no-untyped-def]
    ratio, u, low, past, begin, end, time, base, base_variance, base_gradient, area, variance
):
    width = u.shape[1]
    c = np.empty(width)
    for i in range(len(ratio)):
        r, left, until, v = ratio[i], 0.0, end[i], 0.0
        c[:] = 0.0
        for k in range(past[i] - 1, low[i], -1):
            left += np.exp(-r * (base[k] - base[low[i]])) * (until - time[k])
            until = time[k]
            v += (r * left) ** 2 * (base_variance[k] - base_variance[k - 1])
            rise = base[k] - base[k - 1]
            for j in range(width):
                c[j] += left * r * (u[i, j] * rise - (base_gradient[k, j] - base_gradient[k - 1, j]))
        area[i] = left + until - begin[i]
        variance[i] = v + np.sum(c * c)


def average_derivatives(
    value: Floats, ratio: Floats, u: Floats, low: Integers, at: Integers, steps: Steps
) -> tuple[Floats, Floats]:
    r"""Differentiate an average survival Σ w S over rows by what it is estimated from; `value` holds the rows' w S.

    In the increment of a step it is −Σ w S r over the rows that are at risk there (low < step ≤ at), (R,); in β it is
    :math:`-L' \sum w S c`, (q,). O(n q + R).
    """
    by_step, by_coef = np.zeros(len(steps.hazard) + 1), np.zeros(u.shape[1])
    _average_derivatives(value, ratio, u, low, at, steps.hazard, steps.gradient, by_step, by_coef)
    return np.cumsum(by_step)[:-1], by_coef


@njit(cache=True, nogil=True)
def _average_derivatives(  # type: ignore[no-untyped-def]
    value, ratio, u, low, at, base, base_gradient, by_step, by_coef
):
    for i in range(len(value)):
        pull = value[i] * ratio[i]
        rise = base[at[i]] - base[low[i]]
        by_step[low[i] + 1] -= pull
        by_step[at[i] + 1] += pull
        for j in range(u.shape[1]):
            by_coef[j] -= pull * (u[i, j] * rise - (base_gradient[at[i], j] - base_gradient[low[i], j]))


def joint_covariance(by_step: Floats, by_coef: Floats, steps: Steps, zero_rows: Integers) -> Floats:
    """Give the covariance (G, G) of averages from their derivatives by_step (G, R) and by_coef (G, q).

    zero_rows: the rows of steps that begin a stratum, where nothing happens.
    """
    increment = np.diff(steps.variance, prepend=0.0)
    increment[zero_rows] = 0.0
    return np.asarray((by_step * increment) @ by_step.T + by_coef @ by_coef.T)
