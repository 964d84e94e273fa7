"""State probabilities by cause-specific Cox models along paths of covariates, with bounds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from churnsurv.curves import Curves, check_size, within_support
from churnsurv.data.features import feature_frame
from churnsurv.estimators.hazard_paths import HazardPaths, baselines, derivatives, gradients, hazard_paths
from churnsurv.estimators.inputs import RowArgument, requested_times
from churnsurv.estimators.path_rows import path_rows
from churnsurv.kernels.nonparametric import interval
from churnsurv.kernels.times import slack
from churnsurv.messages import confidence_level

if TYPE_CHECKING:
    from churnsurv.estimators.cause_specific import CauseSpecificCox

Floats = NDArray[np.float64]


def predicted_path(
    model: CauseSpecificCox,
    X: pd.DataFrame | ArrayLike,
    start: RowArgument,
    stop: RowArgument,
    subject: RowArgument,
    times: ArrayLike | None,
    *,
    strata: RowArgument,
    offset: RowArgument,
    level: float | None,
) -> Curves:
    """Give curves along paths, see :meth:`CauseSpecificCox.predict_path`."""
    level = None if level is None else confidence_level(level)
    frame = feature_frame(X, model.feature_names_in_)
    paths = path_rows(frame, start, stop, subject)
    found = hazard_paths(model, frame, paths, strata=strata, offset=offset)
    grid = requested_times(times, found.steps)
    if times is None:
        grid = grid[grid <= found.last.max() + slack(grid)]
    check_size(len(paths.labels), 1 + len(model.causes_), len(grid), asked=times is not None)
    probability, total = found.states()
    at = np.broadcast_to(grid, (len(paths.labels), len(grid)))
    wanted = np.take_along_axis(probability, found.until(at)[:, None, :], axis=2)
    lower, upper = (None, None)
    if level is not None:
        se = np.sqrt(_variance(model, found, probability, total, at))
        with np.errstate(over="ignore"):
            lower, upper = interval(wanted, se, level, "log-log")
        sure = ((wanted == 0) | (wanted == 1)) & (se == 0)
        lower, upper = np.where(sure, wanted, lower), np.where(sure, wanted, upper)
    curves = Curves(
        grid,
        wanted,
        found.origin,
        found.last,
        tuple(model.causes_),
        paths.labels,
        lower=lower,
        upper=upper,
        level=level,
    )
    return within_support(curves, times is not None, found.steps, stacklevel=3)


def _variance(model: CauseSpecificCox, found: HazardPaths, probability: Floats, total: Floats, at: Floats) -> Floats:
    """Give the variance of the states, (n, 1 + K, T), path by path: paths are few where bounds are asked for."""
    variance = np.empty((len(at), probability.shape[1], at.shape[1]))
    for s in np.unique(found.stratum):
        base = baselines(model, int(s), found.steps)
        for i in np.flatnonzero(found.stratum == s):
            row = np.array([i])
            one = found._replace(origin=found.origin[row], place=found.place.of(row))
            by_step = derivatives(one, probability[row], total[row], at[row])
            flat = by_step.reshape(1, -1, *by_step.shape[3:])
            on_steps, on_coef = gradients(found, flat, row, base)
            spread = on_steps * base.own if base.own.ndim == 1 else on_steps @ base.own
            found_variance = np.einsum("ij,ij->i", spread, on_steps)
            found_variance += np.einsum("ij,ij->i", on_coef @ base.coef, on_coef)
            if base.cross is not None:
                found_variance += 2 * np.einsum("ij,ij->i", on_steps @ base.cross, on_coef)
            variance[i] = found_variance.reshape(variance.shape[1:])
    return np.asarray(np.maximum(variance, 0.0))
