r"""State probabilities from the cumulative hazards of the causes that other libraries' models predict.

Hazards with steps are joined by Aalen and Johansen's product (:func:`churnsurv.estimators.cause_specific.aalen_johansen_of`).
Smooth ones have :math:`S = \exp(-\sum_k \Lambda_k)` and :math:`F_k = \int S\,d\Lambda_k`; over a short interval the exits are
shared as the hazards rise in it, which is exact where the causes' hazards are proportional there.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Floats = NDArray[np.float64]

#: intervals into which the follow-up is cut for smooth hazards
FINE = 512


def fine_grid(until: float, *times: Floats) -> Floats:
    """Give the times with others between them, for the integral over smooth hazards up to `until`."""
    return np.unique(np.concatenate([np.linspace(0.0, until, FINE + 1)[1:], *times]))


def smooth_states(hazards: Floats) -> Floats:
    """Turn cumulative hazards (n, K, T) into state probabilities (n, 1 + K, 1 + T); column 0 is the time before all."""
    n, k, t = hazards.shape
    rise = np.diff(hazards, axis=2, prepend=0.0)
    total = rise.sum(axis=1)
    probability = np.zeros((n, 1 + k, 1 + t))
    probability[:, 0, 0] = 1.0
    np.exp(-hazards.sum(axis=1), out=probability[:, 0, 1:])
    exits = probability[:, 0, :-1] - probability[:, 0, 1:]
    share = np.divide(rise, total[:, None, :], out=np.zeros_like(rise), where=total[:, None, :] > 0)
    np.cumsum(share * exits[:, None, :], axis=2, out=probability[:, 1:, 1:])
    return probability


def since_age(
    curve: Callable[[pd.DataFrame, Floats], Floats],
    rows: pd.DataFrame,
    grid: Floats,
    ages: Floats | None,
    condition: Callable[[Floats, Floats], Floats],
) -> Floats:
    """Evaluate a curve at the grid, conditional on each row's age."""
    if ages is None:
        return curve(rows, grid)
    both, place = np.unique(np.concatenate([grid, ages]), return_inverse=True)
    values = curve(rows, both)
    at_age = values[np.arange(len(rows)), place[len(grid) :]][:, None]
    on_grid = values[:, place[: len(grid)]]
    found = condition(on_grid, at_age)
    early = grid[None, :] <= ages[:, None]
    return np.where(early, condition(at_age, at_age), found)


def conditional(later: Floats, at_age: Floats) -> Floats:
    """Give S(t) / S(age); NaN where the curve is at zero by that age."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(at_age > 0, later / at_age, np.nan)


def rise(later: Floats, at_age: Floats) -> Floats:
    """Give how much a cumulative hazard rises after the age."""
    return np.maximum(later - at_age, 0.0)
