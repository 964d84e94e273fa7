"""Natural cubic splines for smoothing: a basis, and its knots."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def spline_knots(at: Floats, lower: float, upper: float, df: int) -> Floats:
    """Give at most `df` knots: the range from `lower` to `upper`, and quantiles of `at` between; ties leave fewer."""
    inner = np.quantile(at, np.linspace(0, 1, df)[1:-1])
    return np.unique(np.concatenate(([lower], inner, [upper])))


def natural_basis(x: Floats, knots: Floats) -> Floats:
    """Give the basis 1, x, and one column per inner knot (n, m), m knots; straight lines beyond the outer ones.

    Hastie, Tibshirani and Friedman (2009), eq. 5.4, with x scaled to the knots' range.
    """
    width = knots[-1] - knots[0]
    if width <= 0:
        return np.ones((len(x), 1))
    z, k = (x - knots[0]) / width, (knots - knots[0]) / width
    cubes = np.maximum(z[:, None] - k, 0.0) ** 3
    d = (cubes[:, :-1] - cubes[:, -1:]) / (k[-1] - k[:-1])
    return np.column_stack((np.ones(len(x)), z, d[:, :-1] - d[:, -1:]))
