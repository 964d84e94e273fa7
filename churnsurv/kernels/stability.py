"""The population stability index of two samples counted in bins, and what it is when nothing has changed."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import chdtrc, chndtr, gammaincinv, ndtri

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

#: draws that have to reach a value before their share is its p-value; below it, the tail of a fitted distribution is
_TAIL = 10
#: labels of clusters drawn at a time, so that they fit into memory
_LABELS = 10_000_000
#: above it the noncentral chi-square is close to a normal distribution, and its series are slow
_NORMAL = 2_000.0


def shares(counts: Floats) -> Floats:
    """Give the shares of the bins (..., 2, B); one half is added to every count where a bin of either sample is empty.

    The index is infinite for an empty bin; half a row is the usual continuity correction of a logarithm of counts
    (Haldane 1956, Anscombe 1956).
    """
    add = 0.5 * np.any(counts == 0, axis=(-2, -1), keepdims=True)
    return np.asarray((counts + add) / (counts + add).sum(axis=-1, keepdims=True))


def contributions(counts: Floats) -> Floats:
    r"""Give each bin's part (..., B) of :math:`\sum_b (q_b - p_b) \log(q_b / p_b)`, p the first sample, q the second."""
    p, q = np.moveaxis(shares(counts), -2, 0)
    return np.asarray((q - p) * np.log(q / p))


class Null(NamedTuple):
    r"""Distribution of the index without drift: `scale` times a chi-square with `df` degrees of freedom, or `draws`.

    `trace` is the expectation, `design_effect` the expectation over that of as many independent rows.
    """

    scale: float
    df: float
    design_effect: float
    draws: Floats | None = None

    @property
    def expected(self) -> float:
        """Mean of the index without drift."""
        return self.scale * self.df if self.draws is None else float(self.draws.mean())

    def p_value(self, value: float) -> float:
        """Probability of such an index, or a larger one, without drift."""
        if self.draws is not None:
            reached = int(np.sum(self.draws >= value * (1 - 1e-12)))
            share = (1 + reached) / (1 + len(self.draws))
            if reached >= _TAIL:
                return share
            return min(share, self._tail(value))
        return self._tail(value)

    def threshold(self, rate: float) -> float:
        """Give the index that is exceeded with probability `rate` without drift."""
        if self.draws is not None and rate * len(self.draws) >= _TAIL:
            return float(np.quantile(self.draws, 1 - rate))
        return float(self.scale * 2 * gammaincinv(self.df / 2, 1 - rate))

    def _tail(self, value: float) -> float:
        return float(chdtrc(self.df, value / self.scale)) if self.scale > 0 else float(value <= 0)

    def interval(self, value: float, level: float) -> tuple[float, float, float]:
        """Give standard error, lower and upper bound of the index of the populations, by the noncentral chi-square.

        With drift the index of samples is about `scale` times a noncentral chi-square whose noncentrality is the index of the
        populations over `scale`.
        """
        x, tail = value / self.scale, (1 - level) / 2
        se = self.scale * np.sqrt(2 * (self.df + 2 * max(x - self.df, 0.0)))
        if x > _NORMAL:
            centre, half = value - self.scale * self.df, float(ndtri(1 - tail)) * se
            return float(se), max(centre - half, 0.0), centre + half
        bounds = [self.scale * _noncentrality(x, self.df, p) for p in (1 - tail, tail)]
        return float(se), bounds[0], bounds[1]


def _noncentrality(x: float, df: float, p: float) -> float:
    """Give the noncentrality with which x is the p-quantile; 0 where none is as small."""
    if chndtr(x, df, 0.0) <= p:
        return 0.0
    top = x + 10 * np.sqrt(x + df) + 10
    return float(brentq(lambda nc: chndtr(x, df, nc) - p, 0.0, top))


def independent_null(counts: Floats) -> Null:
    """Give the distribution for independent rows: (1/n + 1/m) times a chi-square with B − 1 degrees of freedom."""
    n, m = counts.sum(axis=1)
    return Null(float(1 / n + 1 / m), float(counts.shape[1] - 1), 1.0)


def clustered_null(sample: Ints, code: Ints, cluster: Ints, n_bins: int) -> Null:
    r"""Give the distribution for rows of clusters that may lie in one sample or in both.

    The difference of the shares is a sum over clusters, with covariance V estimated from their sums. The index is about
    :math:`d' D^{-1} d` with D the diagonal of the pooled shares, so a sum of chi-squares weighted by the eigenvalues of
    :math:`D^{-1/2} V D^{-1/2}`; the scaled chi-square has its mean and variance (Rao and Scott 1984, second order).
    """
    size = np.bincount(sample, minlength=2).astype(np.float64)
    signed = np.where(sample == 1, 1 / size[1], -1 / size[0])
    n_clusters = int(cluster.max()) + 1
    pooled = np.bincount(code, minlength=n_bins) / len(code)
    sums = np.bincount(cluster * n_bins + code, weights=signed, minlength=n_clusters * n_bins)
    total = np.bincount(cluster, weights=signed, minlength=n_clusters)
    standardised = (sums.reshape(n_clusters, n_bins) - total[:, None] * pooled) / np.sqrt(pooled)
    matrix = standardised.T @ standardised * n_clusters / (n_clusters - 1)
    mean, square = float(np.trace(matrix)), float(np.sum(matrix**2))
    if mean <= 0:
        return Null(0.0, 1.0, 0.0)
    return Null(square / mean, mean**2 / square, mean / ((n_bins - 1) * (1 / size).sum()))


def permuted_null(
    sample: Ints, code: Ints, cluster: Ints | None, n_bins: int, draws: int, rng: np.random.Generator
) -> Null:
    """Give the distribution over relabelled samples: whole clusters change places, those in both samples swap sides.

    Valid under exchangeability whatever the size of the bins; the edges are taken as they are.
    """
    if cluster is None:
        total = np.bincount(code, minlength=n_bins)
        first = rng.multivariate_hypergeometric(total, int(np.sum(sample == 0)), size=draws, method="marginals")
        counts = np.stack([first, total - first], axis=1).astype(np.float64)
    else:
        counts = _relabelled(sample, code, cluster, n_bins, draws, rng)
    values = contributions(counts).sum(axis=1)
    mean, variance = float(values.mean()), float(values.var())
    independent = (n_bins - 1) * float((1 / np.bincount(sample, minlength=2)).sum())
    if variance <= 0:
        return Null(0.0, 1.0, 0.0, values)
    return Null(variance / (2 * mean), 2 * mean**2 / variance, mean / independent, values)


def _relabelled(sample: Ints, code: Ints, cluster: Ints, n_bins: int, draws: int, rng: np.random.Generator) -> Floats:
    """Give the counts (draws, 2, B) of relabelled samples."""
    n_clusters = int(cluster.max()) + 1
    cell = (sample * n_clusters + cluster) * n_bins + code
    of = np.bincount(cell, minlength=2 * n_clusters * n_bins).reshape(2, n_clusters, n_bins).astype(np.float64)
    rows = of.sum(axis=2) > 0
    both, side = rows.all(axis=0), rows[1].astype(np.float64)
    # a cluster of both samples swaps its sides (1) or not (0); another one is of the second sample (1) or of the first (0)
    first = np.where(both[:, None], of[0], of.sum(axis=0))
    change = np.where(both[:, None], of[1] - of[0], -first)
    alone = np.flatnonzero(rows.any(axis=0) & ~both)
    total = np.bincount(code, minlength=n_bins)
    parts = []
    step = max(1, _LABELS // n_clusters)
    for begin in range(0, draws, step):
        size = min(step, draws - begin)
        label = rng.integers(0, 2, (size, n_clusters)).astype(np.float64)
        label[:, alone] = rng.permuted(np.tile(side[alone], (size, 1)), axis=1)
        drawn = first.sum(axis=0) + label @ change
        parts.append(np.stack([drawn, total - drawn], axis=1))
    counts = np.concatenate(parts)
    return np.asarray(counts[(counts.sum(axis=2) > 0).all(axis=1)])
