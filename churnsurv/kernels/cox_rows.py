"""Passes over the rows before the iterations: moments and bounds of columns, standardised rows."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from churnsurv.kernels.cox import CHUNK, Shard

Floats = NDArray[np.float64]


def centred_moments(design: Floats, center: Floats, used: NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """Give the column means and mean squares of design − center over the rows in `used`, in one reading of the design."""
    total, square, _, _ = _column_moments(design, center, used)
    n = max(int(np.count_nonzero(used)), 1)
    return total / n, square / n


def standardised_rows(design: Floats, center: Floats, scale: Floats) -> Floats:
    """Give (design − center) / scale, C-ordered (n, p), whatever the order of the design; in chunks that stay in the cache."""
    x = np.empty(design.shape)
    for begin in range(0, len(x), CHUNK):
        rows = x[begin : begin + CHUNK]
        np.subtract(design[begin : begin + CHUNK], center, out=rows)
        np.divide(rows, scale, out=rows)
    return x


def row_bounds(shard: Shard, _: None = None) -> tuple[float, float, Floats]:
    """Give bounds on ‖x_i‖ and |offset_i|, and the range of each column; their sums over shards are bounds too."""
    _, _, low, high = _column_moments(shard.x, np.zeros(shard.x.shape[1]), np.ones(len(shard.x), dtype=np.bool_))
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
    n, (total, square, low, high) = len(design), _column_moments(design, center, np.ones(len(design), dtype=np.bool_))
    return Moments(n, center + total / n, square - total**2 / n, low + center, high + center)


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


@njit(cache=True, nogil=True, fastmath={"reassoc", "contract"})
def _column_moments(design, center, used):  # type: ignore[no-untyped-def]
    """Sum, sum of squares, minimum, maximum of the columns of design − center over `used` rows, in blocks of the cache."""
    n, p = design.shape
    total, square = np.zeros(p), np.zeros(p)
    low, high = np.full(p, np.inf), np.full(p, -np.inf)
    for begin in range(0, n, 512):
        end = min(begin + 512, n)
        for j in range(p):
            sum_, square_, low_, high_ = 0.0, 0.0, low[j], high[j]
            for i in range(begin, end):
                if not used[i]:
                    continue
                value = design[i, j] - center[j]
                sum_ += value
                square_ += value * value
                low_ = min(low_, value)
                high_ = max(high_, value)
            total[j] += sum_
            square[j] += square_
            low[j], high[j] = low_, high_
    return total, square, low, high
