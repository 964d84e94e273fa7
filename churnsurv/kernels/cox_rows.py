"""One pass over the rows before the iterations: centred columns, their moments and bounds."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from churnsurv.kernels.cox import Shard

Floats = NDArray[np.float64]


def centred(design: Floats, center: Floats) -> tuple[Floats, Floats, Floats]:
    """Give design − center, C-ordered (n, p), with its column means and mean squares."""
    x = standardised_rows(design, center, np.ones_like(center))
    total, square, _, _ = _column_sums(x)
    return x, total / len(x), square / len(x)


@njit(cache=True, nogil=True)
def standardised_rows(design, center, scale):  # type: ignore[no-untyped-def]
    """Give (design − center) / scale, C-ordered (n, p), whatever the order of the design; in blocks that stay in the cache."""
    n, p = design.shape
    x = np.empty((n, p))
    for begin in range(0, n, 512):
        end = min(begin + 512, n)
        for j in range(p):
            for i in range(begin, end):
                x[i, j] = (design[i, j] - center[j]) / scale[j]
    return x


def row_bounds(shard: Shard, _: None = None) -> tuple[float, float, Floats]:
    """Give bounds on ‖x_i‖ and |offset_i|, and the range of each column; their sums over shards are bounds too."""
    _, _, low, high = _column_sums(shard.x)
    longest = float(np.linalg.norm(np.maximum(np.abs(low), np.abs(high))))
    return longest, float(np.abs(shard.offset).max(initial=0.0)), high - low


def indicator_counts(
    shard: Shard, arg: tuple[NDArray[np.int64], Floats, Floats]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Count, for some columns, the rows at `one`, the events among them, and the rows neither at `zero` nor at `one`.

    `arg`: columns, and the values that 0 and 1 have in the shard, whose columns are standardised.
    """
    columns, zero, one = arg
    x = shard.x[:, columns]
    at_zero, at_one = (np.abs(x - value) < 1e-6 * np.abs(one - zero) for value in (zero, one))
    events = at_one & (shard.death >= 0)[:, None]
    return at_one.sum(axis=0), events.sum(axis=0), (~(at_zero | at_one)).sum(axis=0)


class Moments(NamedTuple):
    """Of the columns of a matrix: number of rows, means, sums of squares about the means, least and largest values."""

    n: int
    mean: Floats
    square: Floats
    low: Floats
    high: Floats


def moments(design: Floats) -> Moments:
    """Give the moments of the columns of one batch."""
    center = design.mean(axis=0)
    x, shift, mean_square = centred(design, center)
    _, _, low, high = _column_sums(x)
    return Moments(len(x), center + shift, len(x) * (mean_square - shift**2), low + center, high + center)


def merged_moments(a: Moments, b: Moments) -> Moments:
    """Give the moments of two batches together without cancellation (Chan, Golub and LeVeque 1983)."""
    n = a.n + b.n
    apart = b.mean - a.mean
    return Moments(
        n,
        a.mean + apart * (b.n / n),
        a.square + b.square + apart**2 * (a.n * b.n / n),
        np.minimum(a.low, b.low),
        np.maximum(a.high, b.high),
    )


@njit(cache=True, nogil=True)
def _column_sums(x):  # type: ignore[no-untyped-def]
    """Sum, sum of squares, minimum and maximum of the columns of a C-ordered matrix (NumPy strides, four times slower)."""
    n, p = x.shape
    total, square = np.zeros(p), np.zeros(p)
    low, high = x[0].copy(), x[0].copy()
    for i in range(n):
        for j in range(p):
            value = x[i, j]
            total[j] += value
            square[j] += value * value
            low[j] = min(low[j], value)
            high[j] = max(high[j], value)
    return total, square, low, high
