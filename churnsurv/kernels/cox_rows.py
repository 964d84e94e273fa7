"""One pass over the rows before the iterations: centred columns, their moments and bounds."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from churnsurv.kernels.cox import CHUNK, Shard

Floats = NDArray[np.float64]


def centred(design: Floats, center: Floats) -> tuple[Floats, Floats, Floats]:
    """Give design − center, C-ordered (n, p), with its column means and mean squares."""
    x = np.empty(design.shape)
    for begin in range(0, len(x), CHUNK):
        np.subtract(design[begin : begin + CHUNK], center, out=x[begin : begin + CHUNK])
    total, square, _, _ = _column_sums(x)
    return x, total / len(x), square / len(x)


def row_bounds(shard: Shard, _: None = None) -> tuple[float, float, Floats]:
    """Give bounds on ‖x_i‖ and |offset_i|, and the range of each column; their sums over shards are bounds too."""
    _, _, low, high = _column_sums(shard.x)
    longest = float(np.linalg.norm(np.maximum(np.abs(low), np.abs(high))))
    return longest, float(np.abs(shard.offset).max(initial=0.0)), high - low


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
