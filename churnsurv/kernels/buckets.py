"""Where each row is at risk: from times and strata to the numbered buckets of the Cox kernel."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from churnsurv.kernels.cox import Buckets
from churnsurv.kernels.times import count_up_to

Floats = NDArray[np.float64]


class Grid(NamedTuple):
    """Where buckets lie: distinct event times, and the (stratum, time) pair of each bucket as one number that sorts."""

    times: Floats
    keys: NDArray[np.int64]
    buckets: Buckets


def grid_of(times: Floats, stratum: NDArray[np.int64] | None, n_strata: int) -> Grid:
    """Give numbers to the distinct pairs of (stratum, time) among events; `late` is left False. O(n log n)."""
    distinct = np.unique(times)
    if stratum is None:
        keys = np.arange(len(distinct))
    else:
        keys = np.unique(stratum * (len(distinct) + 1) + count_up_to(distinct, times) - 1)
    of_stratum = (keys // (len(distinct) + 1)).astype(np.int32)
    begin = np.searchsorted(of_stratum, np.arange(n_strata + 1)).astype(np.int32)
    return Grid(distinct, keys, Buckets(distinct[keys % (len(distinct) + 1)], of_stratum, begin, False))


def located(
    grid: Grid, entry: Floats | None, stop: Floats, event: NDArray[np.bool_], stratum: NDArray[np.int64] | None
) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int32]]:
    """Find the rows among the buckets: first, last and death, see :func:`lay_buckets`. O(n log B)."""
    last = count_up_to(grid.times, stop)
    first = np.zeros_like(last) if entry is None else count_up_to(grid.times, entry)
    if stratum is not None:
        base = stratum * (len(grid.times) + 1)
        last, first = np.searchsorted(grid.keys, base + last), np.searchsorted(grid.keys, base + first)
    death = np.where(event, last - 1, -1)
    return first.astype(np.int32), last.astype(np.int32), death.astype(np.int32)


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
    grid = grid_of(stop[event], None if stratum is None else stratum[event], n_strata)
    first, last, death = located(grid, entry, stop, event, stratum)
    begin = 0 if stratum is None else grid.buckets.begin[stratum]
    late = bool(np.any((first > begin) & (first < last)))
    return grid.buckets._replace(late=late), first, last, death
