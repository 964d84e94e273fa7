"""Cumulative hazards along paths of covariates: each subject's rows (start, stop], one after the other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from churnsurv.curves import check_size
from churnsurv.data.features import feature_frame
from churnsurv.estimators.cox_curves import Predicted, placed_rows
from churnsurv.estimators.cox_variance import baseline_of
from churnsurv.estimators.inputs import RowArgument, requested_start, requested_times, resolved, row_values
from churnsurv.exceptions import DataError
from churnsurv.kernels.cox_prediction import Pieces, along_paths
from churnsurv.kernels.times import slack, steps_until
from churnsurv.messages import counted, first_of
from churnsurv.rows import row_labels, row_numbers

if TYPE_CHECKING:
    from churnsurv.estimators.cox_prediction import CoxPrediction

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


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
    begin_at, end_at = _required(start, frame, "start"), _required(stop, frame, "stop")
    codes, labels = row_labels(resolved(subject, frame), len(frame), "subject")
    order = np.lexsort((begin_at, codes))
    begin_at, end_at, codes = begin_at[order], end_at[order], codes[order]
    first = np.concatenate(([0], np.flatnonzero(np.diff(codes)) + 1, [len(codes)]))
    _refuse_broken(begin_at, end_at, codes, first, labels)
    cut = {"strata": row_values(strata, frame, "strata"), "offset": row_values(offset, frame, "offset")}
    rows = placed_rows(model, frame.iloc[order], **{k: None if v is None else v.iloc[order] for k, v in cut.items()})
    requested_start(begin_at, len(codes), np.asarray(model.first_)[rows.stratum])
    origin, last = begin_at[first[:-1]], _ends(end_at, np.asarray(model.last_)[rows.stratum], first)
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
    found = Predicted(hazard, grid, origin, last, rows._replace(labels=labels))
    return found, variance


def _required(value: RowArgument, frame: pd.DataFrame, name: str) -> Floats:
    numbers = row_numbers(resolved(value, frame), len(frame), name)
    if numbers is None:
        raise DataError(f"A path needs {name}=: one time per row, or the name of a column of X.")
    return numbers


def _refuse_broken(start: Floats, stop: Floats, codes: Integers, first: Integers, labels: pd.Index) -> None:
    """Refuse rows that end before they start, and paths with gaps or overlaps (rows sorted by subject and start)."""
    empty = np.flatnonzero(start >= stop)
    if len(empty):
        raise DataError(
            f"start is not before stop in {counted(len(empty), 'row')} of the paths (subject {first_of(labels[codes[empty]])}; "
            f"{start[empty[0]]:g} and {stop[empty[0]]:g}): each row covers (start, stop]."
        )
    inner = np.setdiff1d(np.arange(len(start)), first[:-1], assume_unique=True)
    gap = start[inner] - stop[inner - 1]
    broken = inner[np.abs(gap) > slack(np.unique(np.concatenate((start, stop))))]
    if len(broken):
        row = broken[0]
        kind = "a gap" if start[row] > stop[row - 1] else "an overlap"
        raise DataError(
            f"The path of subject {labels[codes[row]]} has {kind}: a row ends at {stop[row - 1]:g} and the next starts at "
            f"{start[row]:g} ({counted(len(np.unique(codes[broken])), 'subject')} so). The hazard in between needs covariates: "
            "let each row start where the one before ends."
        )


def _ends(stop: Floats, known: Floats, first: Integers) -> Floats:
    """Give the end of each path's support: its own, or the end of the follow-up of the first stratum that it outlives."""
    limit: Any = np.where(stop > known, known, np.inf)
    return np.asarray(np.minimum(np.minimum.reduceat(limit, first[:-1]), stop[first[1:] - 1]))
