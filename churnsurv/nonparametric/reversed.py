"""A model of being censored: any estimator fitted to the reversed outcome, and its curves read where they are needed.

In the reversed outcome being censored is the event. Events come before censorings at a tie, so who leaves at T is at risk of
being censored before T only: such a row ends between T and the time before it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from churnsurv.exceptions import DataError, NotIdentifiedError
from churnsurv.kernels.times import Floats
from churnsurv.nonparametric.groups import group_rows
from churnsurv.outcome import Outcome

#: G(t−) is read this share of the last time before t: more than rounding, less than a day in thirty years
_JUST_BEFORE = 1e-7
#: rows whose curves are made at once
_CHUNK = 1_000


def reversed_outcome(y: Outcome) -> tuple[Outcome, NDArray[np.int64]]:
    """Give the outcome of which being censored is the event, and the rows of y that it holds.

    A row that leaves at time 0 is at risk of being censored at no time. A row that goes on in the subject's next one is no
    censoring. Nor is one that is still there at the very end, where the study ends for everybody whatever the covariates: taken
    for events, these ties would pull the coefficients to 0 (a single one has no part in a partial likelihood anyway).
    """
    continued = next(group_rows(y, np.zeros(len(y), dtype=np.int64), 1, None, None)).continued
    left, known = y.event > 0, np.unique(np.concatenate((y.start, y.stop)))
    position = np.searchsorted(known, y.stop)
    earlier = np.where(position > 0, known[np.maximum(position - 1, 0)], 0.0)
    stop = np.where(left, (earlier + y.stop) / 2, y.stop)
    rows = np.flatnonzero(~left | (y.stop > 0))
    event = (~left & ~continued & (y.stop < y.stop.max())).astype(np.int64)
    start = None if y.from_origin else y.start[rows]
    return Outcome(stop[rows], event[rows], start, y.subject[rows], causes=("censoring",)), rows


def fitted_to_censoring(model: Any, X: Any, y: Outcome, weight: Floats | None) -> Any:
    """Fit an estimator to the reversed outcome of the rows with positive weight."""
    kept = np.arange(len(y)) if weight is None else np.flatnonzero(weight > 0)
    outcome, rows = reversed_outcome(y[kept])
    if not outcome.event.any():
        raise NotIdentifiedError(
            "Nobody is censored before the end of follow-up, so that nothing can be learnt about it: leave the model out "
            "(Kaplan–Meier is 1 until then)."
        )
    if not hasattr(_last(model), "predict_curves"):
        raise DataError(
            f"{type(_last(model)).__name__} predicts no curves: pass a model with predict_curves, e.g. cs.CoxPH()."
        )
    X = rows_of(X, kept[rows])
    if weight is None:
        return model.fit(X, outcome)
    name = "sample_weight" if not hasattr(model, "steps") else f"{model.steps[-1][0]}__sample_weight"
    return model.fit(X, outcome, **{name: weight[kept[rows]]})


def survival_at(model: Any, X: Any, times: Floats, before: bool, last: float) -> Floats:
    """Give G(t | x) of all rows at all times, (n, T)."""
    wanted, position = np.unique(_shifted(times, before, last), return_inverse=True)
    size = max(1, 2**22 // max(len(wanted), 1))
    n = len(X)
    parts = [_curves(model, rows_of(X, np.arange(b, min(b + size, n))), wanted) for b in range(0, n, size)]
    return np.asarray(np.concatenate(parts)[:, position])


def survival_each(model: Any, X: Any, rows: NDArray[np.int64], times: Floats, before: bool, last: float) -> Floats:
    """Give G(t_i | x_i), (m,), for the rows at the positions given. O(m log m) curves of at most a thousand times."""
    shifted = _shifted(times, before, last)
    order, result = np.argsort(shifted, kind="stable"), np.empty(len(rows))
    # rows of neighbouring times share a grid
    for begin in range(0, len(rows), _CHUNK):
        here = order[begin : begin + _CHUNK]
        grid, position = np.unique(shifted[here], return_inverse=True)
        result[here] = _curves(model, rows_of(X, rows[here]), grid)[np.arange(len(here)), position]
    return result


def _shifted(times: Floats, before: bool, last: float) -> Floats:
    return np.maximum(times - _JUST_BEFORE * last, 0.0) if before else times


def _curves(model: Any, X: Any, grid: Floats) -> Floats:
    """Give the survival of the reversed outcome on a grid, (n, T); 1 at time 0 and before."""
    result = np.ones((len(X), len(grid)))
    later = grid > 0
    if later.any() and len(X):
        if hasattr(model, "steps"):
            X, model = (model[:-1].transform(X) if len(model) > 1 else X), model[-1]
        curves = model.predict_curves(X, grid[later])
        result[:, later] = curves.survival[:, np.searchsorted(curves.times, grid[later], side="right") - 1]
    return result


def _last(model: Any) -> Any:
    return model.steps[-1][1] if hasattr(model, "steps") else model


def rows_of(X: Any, rows: NDArray[np.int64]) -> Any:
    """Select rows of a frame or array."""
    return X.iloc[rows] if isinstance(X, pd.DataFrame | pd.Series) else np.asarray(X)[rows]
