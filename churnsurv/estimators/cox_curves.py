"""Cumulative hazards and survival predicted by a fitted Cox model."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from churnsurv.curves import check_size
from churnsurv.data.features import feature_frame
from churnsurv.estimators.inputs import RowArgument, known_codes, offset_argument, requested_start, requested_times
from churnsurv.exceptions import DataError
from churnsurv.kernels.times import step_values

if TYPE_CHECKING:
    from churnsurv.estimators.cox_prediction import CoxPrediction

Floats = NDArray[np.float64]


class Placed(NamedTuple):
    """Rows to predict: covariates about the centre of the fit (n, p), hazard ratio to it, code of the stratum, labels."""

    z: Floats
    ratio: Floats
    stratum: NDArray[np.int64]
    labels: pd.Index


class Predicted(NamedTuple):
    """Cumulative hazard since `origin` (n, T) at the times of `grid`; end of the support; the rows it is of."""

    hazard: Floats
    grid: Floats
    origin: Floats
    last: Floats
    rows: Placed


def placed_rows(model: CoxPrediction, X: pd.DataFrame | ArrayLike, strata: RowArgument, offset: RowArgument) -> Placed:
    """Encode rows as the fit did and find their stratum; a fit with an offset or strata needs them again."""
    frame = feature_frame(X, model.feature_names_in_)
    z = model.encoder_.design(frame) - model.center_.to_numpy()
    log_ratio = z @ model.coef_.to_numpy()
    shift = offset_argument(model.remembered("offset", offset, frame), frame)
    if shift is None and "offset" in model.argument_columns_:
        raise DataError("The model was fitted with an offset: pass offset= for the new rows too.")
    # beyond e^±600 the curve is at 0 or 1 anyhow; products with hazards must stay numbers
    ratio = np.exp(np.clip(log_ratio if shift is None else log_ratio + shift - model.offset_center_, -600, 600))
    stratum = np.zeros(len(frame), dtype=np.int64)
    if model.strata_ is not None:
        stratum = known_codes(model.remembered("strata", strata, frame), frame, model.strata_, "strata")
    return Placed(z, ratio, stratum, frame.index)


def predicted_hazard(
    model: CoxPrediction,
    X: pd.DataFrame | ArrayLike,
    times: ArrayLike | None,
    *,
    start: ArrayLike | None,
    strata: RowArgument,
    offset: RowArgument,
) -> Predicted:
    """Give the cumulative hazard since `start` of rows whose covariates stay as they are."""
    placed = placed_rows(model, X, strata, offset)
    ratio, stratum = placed.ratio, placed.stratum
    grid = requested_times(times, model.event_times_)
    check_size(len(ratio), 2, len(grid), asked=times is not None)
    origin = requested_start(start, len(ratio), np.asarray(model.first_)[stratum])
    hazard = np.empty((len(ratio), len(grid)))
    for code in np.unique(stratum):
        rows = np.flatnonzero(stratum == code)
        step_time, step_hazard = hazard_steps(model, int(code))
        on_grid = step_values(step_time, step_hazard, grid, before=0.0)
        if start is None:  # from the first age on; exits at a closed origin 0 count
            hazard[rows] = on_grid[None, :] * ratio[rows, None]
            continue
        at_origin = step_values(step_time, step_hazard, origin[rows], before=0.0)
        hazard[rows] = np.clip(on_grid[None, :] - at_origin[:, None], 0.0, None) * ratio[rows, None]
    return Predicted(hazard, grid, origin, np.asarray(model.last_)[stratum], placed)


def hazard_steps(model: CoxPrediction, stratum: int) -> tuple[Floats, Floats]:
    """Give times and cumulative hazard at the centre of the covariates, of the stratum with this code."""
    frame = model.centred_hazard_
    if model.strata_ is not None:
        frame = frame[(frame["stratum"] == model.strata_[stratum]).to_numpy()]
    return frame["time"].to_numpy(), frame["hazard"].to_numpy()
