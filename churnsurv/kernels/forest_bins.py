"""From values to small integers: thresholds of a feature, and the grid of event times, by weighted quantiles."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from churnsurv.kernels.forest_split import MISSING

Floats = NDArray[np.float64]


def cut_values(values: Floats, weight: Floats, most: int) -> Floats:
    """Give at most `most` of the distinct values, increasing, ending with the largest, by weighted quantiles.

    All distinct values when there are no more than `most`; otherwise those at which the share of weight first reaches
    1/most, 2/most, …, 1, so that a value repeated by many rows keeps a cell of its own. O(n log n).
    """
    distinct, position = np.unique(values, return_inverse=True)
    if len(distinct) <= most:
        return distinct
    share = np.cumsum(np.bincount(position, weights=weight))
    reached = np.searchsorted(share, share[-1] * np.arange(1, most) / most * (1 - 1e-12))
    return np.asarray(distinct[np.unique(np.append(reached, len(distinct) - 1))])


def bin_edges(values: Floats, weight: Floats, max_bins: int) -> Floats:
    """Give the thresholds between the cells of a feature: midpoints to the next value above each cell; NaN have none.

    Returns
    -------
    (B − 1,) increasing, B ≤ max_bins ≤ 255; empty for a constant feature. Code b of x means: edges[b − 1] < x ≤ edges[b].
    """
    known = ~np.isnan(values)
    if not known.all():
        values, weight = values[known], weight[known]
    distinct = np.unique(values)
    lower = cut_values(values, weight, max_bins)[:-1]
    upper = distinct[np.searchsorted(distinct, lower, side="right")]
    # a midpoint that rounds to the upper value would put both values into one cell
    with np.errstate(over="ignore"):  # of the largest numbers of opposite sign, whose midpoint is that of their halves
        middle = lower + (upper - lower) / 2
    middle = np.where(np.isfinite(middle), middle, lower / 2 + upper / 2)
    return np.where(middle < upper, middle, lower)


def bin_codes(values: Floats, edges: Floats) -> NDArray[np.uint8]:
    """Give the cell of each value: the number of edges below it, so that x ≤ edges[b] if and only if code ≤ b; NaN: 255."""
    codes = np.searchsorted(edges, values, side="left").astype(np.uint8)
    codes[np.isnan(values)] = MISSING
    return codes


def grid_positions(
    grid: Floats, entry: Floats, stop: Floats, event: NDArray[np.bool_]
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Locate rows on a grid of event times: at risk at grid[j] for first ≤ j < last; an event happens at last − 1.

    A row is at risk at the grid times in (entry, stop]. An event between two grid times is counted at the next one, up
    to which its row is kept at risk. A spell split in two is at risk at the same grid times as before. O(n log T).
    """
    first = np.searchsorted(grid, entry, side="right")
    last = np.where(event, np.searchsorted(grid, stop, side="left") + 1, np.searchsorted(grid, stop, side="right"))
    return first.astype(np.int32), last.astype(np.int32)
