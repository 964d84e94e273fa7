"""Confidence bounds of the cumulative incidence predicted by a Fine–Gray model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.stats import norm

from churnsurv.data.features import feature_frame
from churnsurv.estimators.inputs import RowArgument, known_codes, offset_argument
from churnsurv.kernels.times import step_values
from churnsurv.messages import confidence_level

if TYPE_CHECKING:
    from churnsurv.estimators.fine_gray import FineGray

Floats = NDArray[np.float64]


def incidence_bounds(
    model: FineGray,
    X: pd.DataFrame | ArrayLike,
    hazard: Floats,
    grid: Floats,
    level: float,
    *,
    strata: RowArgument,
    offset: RowArgument,
) -> dict[str, Any]:
    r"""Give lower, upper (n, 1, T) and level: :math:`1 - \exp(-\Lambda e^{\pm z\, se(\Lambda) / \Lambda})`.

    With ratio :math:`r = e^{(x - c)'\beta}` and the baseline :math:`\Lambda_c` at the centre c, the influence on
    :math:`\Lambda = r \Lambda_c` is r times that on the baseline for known β, plus :math:`b'` times that on β, where
    :math:`b = r \{\Lambda_c (x - c) + \partial \Lambda_c / \partial \beta\}`.
    """
    quantile = norm.ppf(0.5 + confidence_level(level) / 2)
    frame = feature_frame(X, model.feature_names_in_)
    away = model.encoder_.design(frame) - model.center_.to_numpy()
    stratum = np.zeros(len(frame), dtype=np.int64)
    if model.strata_ is not None:
        stratum = known_codes(model.remembered("strata", strata, frame), frame, model.strata_, "strata")
    shift = offset_argument(model.remembered("offset", offset, frame), frame)
    log_ratio = away @ model.coef_.to_numpy() + (0.0 if shift is None else shift - model.offset_center_)
    ratio = np.exp(np.clip(log_ratio, -600, 600))
    covariance, parts = model.covariance_.to_numpy(), model.curve_parts_
    variance = np.zeros(hazard.shape)
    for code in np.unique(stratum):
        rows = np.flatnonzero(stratum == code)
        frame_rows = model.stratum_rows(int(code))
        steps, heights = model.hazard_steps(int(code))

        def on_grid(values: Floats, steps: Floats = steps) -> Floats:
            return step_values(steps, values, grid, before=0.0)

        baseline = on_grid(heights)
        own, cross = on_grid(parts["variance"][frame_rows]), on_grid(parts["cross"][frame_rows].T)
        slope = on_grid(parts["slope"][frame_rows].T)
        b = away[rows][:, :, None] * baseline + slope
        through_coef = np.einsum("ipt,pq,iqt->it", b, covariance, b)
        variance[rows] = ratio[rows, None] ** 2 * (own + 2 * np.einsum("ipt,pt->it", b, cross) + through_coef)
    with np.errstate(divide="ignore", invalid="ignore"):
        relative = np.where(hazard > 0, np.sqrt(np.maximum(variance, 0.0)) / hazard, 0.0)
    relative[np.isnan(hazard)] = np.nan
    with np.errstate(over="ignore"):
        ends = [-np.expm1(-hazard * np.exp(sign * quantile * relative))[:, None, :] for sign in (-1, 1)]
    return {"lower": ends[0], "upper": ends[1], "level": float(level)}
