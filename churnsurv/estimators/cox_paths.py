"""Cumulative hazards along paths of covariates: each subject's rows (start, stop], one after the other."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from churnsurv.curves import check_size
from churnsurv.data.features import feature_frame
from churnsurv.estimators.cox_curves import Predicted, placed_rows
from churnsurv.estimators.cox_variance import baseline_of
from churnsurv.estimators.inputs import RowArgument, requested_start, requested_times, row_values
from churnsurv.estimators.path_rows import path_rows
from churnsurv.kernels.cox_prediction import Pieces, along_paths
from churnsurv.kernels.times import slack, steps_until

if TYPE_CHECKING:
    from churnsurv.estimators.cox_prediction import CoxPrediction

Floats = NDArray[np.float64]


def path_hazard(
    model: CoxPrediction,
    X: pd.DataFrame | ArrayLike,
    start: RowArgument,
    stop: RowArgument,
    subject: RowArgument,
    times: ArrayLike | None,
    *,
    strata: RowArgument,
    offset: RowArgument,
) -> tuple[Predicted, Floats]:
    """Give the cumulative hazard of each subject since the start of its path, and its variance."""
    frame = feature_frame(X, model.feature_names_in_)
    paths = path_rows(frame, start, stop, subject)
    order, begin_at, end_at, first = paths.order, paths.start, paths.stop, paths.first
    cut = {"strata": row_values(strata, frame, "strata"), "offset": row_values(offset, frame, "offset")}
    rows = placed_rows(model, frame.iloc[order], **{k: None if v is None else v.iloc[order] for k, v in cut.items()})
    requested_start(begin_at, len(order), np.asarray(model.first_)[rows.stratum])
    origin, last = paths.origin, paths.last(np.asarray(model.last_)[rows.stratum])
    grid = requested_times(times, model.event_times_)
    if times is None:
        grid = grid[grid <= last.max() + slack(grid)]
    check_size(len(origin), 2, len(grid), asked=times is not None)
    baseline = baseline_of(model)
    present, position = np.unique(rows.stratum, return_inverse=True)
    past = steps_until(grid, end_at)
    from_column = np.concatenate(([0], past[:-1]))
    from_column[first[:-1]], past[first[1:] - 1] = 0, len(grid)
    pieces = Pieces(
        first, rows.ratio, rows.z @ baseline.root, baseline.rows_at(rows.stratum, begin_at),
        baseline.rows_at(rows.stratum, end_at), position, from_column, past,
    )  # fmt: skip
    hazard, variance = along_paths(pieces, baseline.grid_rows(present, grid), baseline.steps)
    found = Predicted(hazard, grid, origin, last, rows._replace(labels=paths.labels))
    return found, variance
