"""Where each row is at risk: from times and strata to the numbered buckets of the Cox kernel."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from churnsurv.kernels.cox import Buckets

Floats = NDArray[np.float64]


def lay_buckets(
    entry: Floats | None, stop: Floats, event: NDArray[np.bool_], stratum: NDArray[np.int64] | None, n_strata: int
) -> tuple[Buckets, NDArray[np.int32], NDArray[np.int32], NDArray[np.int32]]:
    """Give numbers to the distinct (stratum, event time) pairs and locate the rows among them.

    Parameters
    ----------
    entry : (n,) or None
        The row is at risk at t when entry < t ≤ stop; None: always from the origin.
    stop : (n,)
    event : (n,)
    stratum : (n,) codes 0…n_strata − 1, or None for one stratum

    Returns
    -------
    buckets, first, last, death
        The row is at risk in buckets first ≤ k < last; death is the bucket of its event, −1 without. O(n log B).
    """
    grid = np.unique(stop[event])
    reached = _count_up_to(grid, stop)
    if stratum is None:
        times, of_stratum = grid, np.zeros(len(grid), dtype=np.int32)
        begin = np.array([0, len(grid)], dtype=np.int32)
        last = reached
        first = np.zeros_like(last) if entry is None else _count_up_to(grid, entry)
    else:
        width = len(grid) + 1
        # a pair (stratum, time) as one number that sorts by stratum, then time
        keys = np.unique(stratum[event] * width + reached[event] - 1)
        times, of_stratum = grid[keys % width], (keys // width).astype(np.int32)
        begin = np.searchsorted(of_stratum, np.arange(n_strata + 1)).astype(np.int32)
        last = np.searchsorted(keys, stratum * width + reached)
        entered = 0 if entry is None else _count_up_to(grid, entry)
        first = np.searchsorted(keys, stratum * width + entered)
    death = np.where(event, last - 1, -1)
    late = bool(np.any((first > (0 if stratum is None else begin[stratum])) & (first < last)))
    return (
        Buckets(times, of_stratum, begin, late),
        first.astype(np.int32),
        last.astype(np.int32),
        death.astype(np.int32),
    )


def _count_up_to(grid: Floats, times: Floats) -> NDArray[np.int64]:
    """Count the grid times ≤ each time; months are looked up in a table, others searched."""
    top = grid[-1] if len(grid) else 0.0
    if len(times) > 1000 and top < 100_000 and np.all(grid == np.floor(grid)):
        table = np.searchsorted(grid, np.arange(int(top) + 2), side="right")
        # times below 0 stand for −∞ (no entry); between whole times the count is that of the whole time below
        whole = np.clip(times, -1.0, top + 1.0).astype(np.int64)
        return np.where(times < 0, 0, table[np.maximum(whole, 0)])
    return np.searchsorted(grid, times, side="right")
