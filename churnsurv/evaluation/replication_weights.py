"""Fine and Gray's model as a weighted Cox model of start-stop rows (Geskus 2011), built apart from our kernel.

A row that left by another cause at T stays at risk after T with the weight G(t−) / G(T−), G the Kaplan–Meier estimate of
remaining uncensored. :mod:`churnsurv.kernels.fine_gray` sums such rows without making them; here they are made.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from churnsurv.evaluation.replication_peers import CoxRows

Floats = NDArray[np.float64]

#: rows that are made at most
MOST_ROWS = 500_000


def geskus_rows(rows: CoxRows, left: NDArray[np.bool_], after: bool) -> CoxRows | None:
    """Give the weighted rows; None when there would be too many.

    Parameters
    ----------
    rows : CoxRows
        From the origin on; ``event`` is the cause of the model.
    left : (n,) of bool
        Left by any cause.
    after : bool
        At a tie exits come before censorings; else those who leave are at risk of being censored then.
    """
    weight = np.ones(len(rows.stop)) if rows.weight is None else rows.weight
    grid, staying = _uncensored(rows.stop, left, weight, after)
    times = np.unique(rows.stop[rows.event])
    competing = np.flatnonzero(left & ~rows.event)
    later = len(times) - np.searchsorted(times, rows.stop[competing], side="right")
    if len(rows.stop) + int(later.sum()) > MOST_ROWS:
        return None
    source = np.repeat(competing, later)
    place = len(times) - np.repeat(later, later) + np.arange(len(source)) - np.repeat(np.cumsum(later) - later, later)
    stop = times[place]
    start = np.maximum(np.where(place > 0, times[place - 1], 0.0), rows.stop[source])
    share = _before(grid, staying, stop) / _before(grid, staying, rows.stop[source])
    kept = share > 0
    source, start, stop, share = source[kept], start[kept], stop[kept], share[kept]
    everyone = np.concatenate([np.arange(len(rows.stop)), source])
    return CoxRows(
        rows.design[everyone],
        np.concatenate([np.full(len(rows.stop), -1.0), start]),
        np.concatenate([rows.stop, stop]),
        np.concatenate([rows.event, np.zeros(len(source), dtype=np.bool_)]),
        np.concatenate([weight, weight[source] * share]),
        None if rows.strata is None else rows.strata[everyone],
    )


def _uncensored(stop: Floats, left: NDArray[np.bool_], weight: Floats, after: bool) -> tuple[Floats, Floats]:
    """Give the Kaplan–Meier estimate of remaining uncensored, by looking at every time in turn."""
    grid = np.unique(stop[~left])
    factor = []
    for t in grid:
        at_risk = stop >= t
        if after:
            at_risk &= ~((stop == t) & left)
        factor.append(1.0 - weight[(stop == t) & ~left].sum() / weight[at_risk].sum())
    return grid, np.cumprod(factor) if factor else np.ones(0)


def _before(grid: Floats, values: Floats, at: Floats) -> Floats:
    """Evaluate just before each time."""
    return np.concatenate([[1.0], values])[np.searchsorted(grid, at, side="left")]
