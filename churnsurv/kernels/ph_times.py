"""Functions g(t) of the event times for tests of proportional hazards, the same however spells are split."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def kaplan_meier_before(times: Floats, entry: Floats, stop: Floats, event: NDArray[np.bool_]) -> Floats:
    """Give 1 − S(t−), S the Kaplan–Meier curve of all rows (of all strata, unweighted), at `times`. O(n log n).

    Parameters
    ----------
    times : (m,)
    entry, stop, event : (n,) at risk on (entry, stop]
    """
    grid, deaths = np.unique(stop[event], return_counts=True)
    at_risk = np.searchsorted(np.sort(entry), grid, side="left") - np.searchsorted(np.sort(stop), grid, side="left")
    survival = np.concatenate(([1.0], np.cumprod(1.0 - deaths / at_risk)))
    return np.asarray(1.0 - survival[np.searchsorted(grid, times, side="left")])


def mean_ranks(times: Floats, entry: Floats, stop: Floats, event: NDArray[np.bool_]) -> Floats:
    """Give the mean rank of `times` among the ends of observation; an end at which another row begins is none.

    Splitting a spell adds a censored end and a beginning at the same time, which cancel: ranks do not feel it. With one row
    per subject from the origin they are the ranks of the rows' times, R's choice. O(n log n).
    """
    grid = np.unique(stop)
    size = len(grid)
    censored = np.bincount(np.searchsorted(grid, stop[~event]), minlength=size)
    place = np.searchsorted(grid, entry)
    begins = np.bincount(place[(place < size) & (grid[np.minimum(place, size - 1)] == entry)], minlength=size)
    ends = np.bincount(np.searchsorted(grid, stop[event]), minlength=size) + np.maximum(censored - begins, 0)
    mean = np.cumsum(ends) - (ends - 1) / 2
    return np.asarray(mean[np.searchsorted(grid, times)], dtype=np.float64)
