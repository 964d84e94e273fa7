"""Time grids: ties up to rounding, distinct times, evaluation of right-continuous steps."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

#: two times closer than this share of the mean time are one time (square root of the double precision, as R's timefix)
TIE_TOLERANCE = float(np.sqrt(np.finfo(np.float64).eps))


def snap_ties(*times: Floats) -> tuple[Floats, ...]:
    """Give the arrays with times that differ by rounding alone replaced by the earliest of them.

    Dates turned into years, ``(t0 + days / 365.25) - t0``, are equal on paper but not in doubles; unsnapped they would
    not be ties. Whole numbers cannot suffer from it and return at once. O(n log n).
    """
    if all(bool(np.all(t == np.floor(t))) for t in times):
        return times
    first_of_tie = distinct_times(np.unique(np.concatenate(times)))
    return tuple(snapped(first_of_tie, t) for t in times)


def distinct_times(times: Floats, with_zero: bool = False) -> Floats:
    """Give the earliest of each set of `times` (sorted, distinct) that differ by rounding alone; whole numbers all differ."""
    if with_zero and len(times) and times[0] > 0:
        times = np.concatenate(([0.0], times))
    if np.all(times == np.floor(times)):
        return times
    new_time = np.diff(times) > TIE_TOLERANCE * np.abs(times).mean()
    return np.asarray(times[np.concatenate(([True], new_time))])


def snapped(distinct: Floats, times: Floats) -> Floats:
    """Replace times by the last of :func:`distinct_times` at or before them."""
    return np.asarray(distinct[np.searchsorted(distinct, times, side="right") - 1])


def slack(times: Floats) -> float:
    """Give how much later than asked a step may lie and still be meant: rounding of sums such as 8/12 + 1."""
    if not len(times):
        return 0.0
    gap = np.diff(times).min() if len(times) > 1 else np.inf
    return float(min(TIE_TOLERANCE * np.abs(times).mean(), gap / 2))


def count_up_to(grid: Floats, times: Floats) -> Ints:
    """Count the grid times ≤ each time; months are looked up in a table, others searched (`grid` sorted)."""
    top = grid[-1] if len(grid) else 0.0
    if len(times) > 1000 and top < 100_000 and np.all(grid == np.floor(grid)):
        table = np.searchsorted(grid, np.arange(int(top) + 2), side="right")
        # times below 0 stand for −∞ (no entry); between whole times the count is that of the whole time below
        whole = np.clip(times, -1.0, top + 1.0).astype(np.int64)
        return np.where(times < 0, 0, table[np.maximum(whole, 0)])
    return np.searchsorted(grid, times, side="right")


def count_before(grid: Floats, times: Floats) -> Ints:
    """Count the grid times < each time, see :func:`count_up_to`."""
    count = count_up_to(grid, times)
    if not len(grid):
        return count
    last = np.maximum(count - 1, 0)
    return np.asarray(count - ((count > 0) & (grid[last] == times)))


def steps_until(times: Floats, at: Floats) -> Ints:
    """Count the steps at or before each time, up to rounding (`times` sorted)."""
    return np.searchsorted(times, at + slack(times), side="right")


def step_values(times: Floats, values: Floats, at: Floats, before: float) -> Floats:
    """Evaluate right-continuous steps: the value at the last of `times` (sorted) that is ≤ `at`, else `before`.

    Parameters
    ----------
    times : (T,) increasing
    values : (..., T)
    at : (m,)
    before : value left of the first time

    Returns
    -------
    (..., m)
    """
    position = steps_until(times, at)
    padded = np.concatenate((np.full((*values.shape[:-1], 1), before), values), axis=-1)
    return padded[..., position]


def step_area(times: Floats, values: Floats, lower: float, upper: float, before: float) -> Floats:
    """Integrate right-continuous steps (`values` of shape (..., T), see :func:`step_values`) over [lower, upper]."""
    inner = times[(times > lower) & (times < upper)]
    knots = np.concatenate(([lower], inner, [upper]))
    heights = step_values(times, values, knots[:-1], before)
    return np.asarray(heights @ np.diff(knots))
