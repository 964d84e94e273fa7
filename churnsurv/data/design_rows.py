"""Rows of a design that cannot be used: values beyond the knots of a spline, infinite numbers, missing ones."""

from __future__ import annotations

import re

import numpy as np
from formulaic.errors import FormulaicError
from numpy.typing import NDArray

from churnsurv.data.splines import OutsideKnots
from churnsurv.exceptions import DataError
from churnsurv.messages import counted, first_of


def not_evaluated(error: FormulaicError, rows: NDArray[np.int64]) -> str:
    """Say what could not be evaluated; `rows` are the positions in X of the rows that were."""
    cause = error.__cause__
    if not isinstance(cause, OutsideKnots):
        return f"The formula cannot be evaluated in these rows: {str(error).splitlines()[0]}"
    factor = re.search(r"`(.*)`", str(error))
    return (
        f"{factor[1] if factor else 'A B-spline'} is known from {cause.lower:g} to {cause.upper:g}, the range of the fit; "
        f"{counted(len(cause.rows), 'row')} (row {first_of(rows[cause.rows])}) beyond it cannot be encoded. Use cs(), which "
        "goes on as a straight line, give bs() wider bounds (lower_bound=, upper_bound=), or extrapolation='clip' to hold "
        "its ends."
    )


def finite_or_missing(design: NDArray[np.float64], terms: list[str]) -> NDArray[np.float64]:
    """Give a design whose rows are finite, or NaN throughout; infinite values are refused."""
    with np.errstate(invalid="ignore", over="ignore"):
        sums = design.sum(axis=0)
    doubtful = np.flatnonzero(~np.isfinite(sums))
    for column in doubtful:
        rows = np.flatnonzero(np.isinf(design[:, column]))
        if len(rows):
            raise DataError(
                f"Column {terms[column]!r} has {counted(len(rows), 'infinite value')} (row {first_of(rows)}). "
                "Correct them, or cap the column (e.g. a logarithm of zero)."
            )
    missing = np.isnan(design[:, doubtful]).any(axis=1)
    if missing.any():
        # the design may be a view of the caller's frame; in another order its sums would differ in the last bit
        design = design.copy(order="K")
        design[missing] = np.nan
    return design
