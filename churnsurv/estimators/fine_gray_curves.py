"""Confidence bounds of the cumulative incidence predicted by a Fine–Gray model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.stats import norm

from churnsurv.data.features import feature_frame
from churnsurv.estimators.cox_variance import refuse_saved_without
from churnsurv.estimators.inputs import RowArgument, known_codes
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
    strata: RowArgument,
) -> dict[str, Any]:
    r"""Give lower, upper (n, 1, T) and level: :math:`1 - \exp(-\Lambda e^{\pm z\, se(\Lambda) / \Lambda})`.

    With :math:`\Lambda_c` the baseline at the centre c, the influence on :math:`\log \Lambda = (x - c)'\beta + \log \Lambda_c`
    is the one on :math:`\log \Lambda_c` for known β, plus :math:`(x - c + \partial \log \Lambda_c / \partial \beta)'` times the
    one on β.
    """
    quantile = norm.ppf(0.5 + confidence_level(level) / 2)
    frame = feature_frame(X, model.feature_names_in_)
    away = model.encoder_.design(frame) - model.center_.to_numpy()
    stratum = np.zeros(len(frame), dtype=np.int64)
    if model.strata_ is not None:
        stratum = known_codes(model.remembered("strata", strata, frame), frame, model.strata_, "strata")
    refuse_saved_without(model.curve_parts_)
    covariance, parts = model.covariance_.to_numpy(), model.curve_parts_
    relative = np.zeros(hazard.shape)
    for code in np.unique(stratum):
        rows = np.flatnonzero(stratum == code)
        table = model.centred_hazard_
        mine = slice(None) if model.strata_ is None else (table["stratum"] == model.strata_[code]).to_numpy()
        steps, _ = model.hazard_steps(int(code))

        def on_grid(values: Floats, steps: Floats = steps) -> Floats:
            return step_values(steps, values, grid, before=0.0)

        own, cross = on_grid(parts["variance"][mine]), on_grid(parts["cross"][mine].T)
        b = away[rows][:, :, None] + on_grid(parts["slope"][mine].T)
        through_coef = np.einsum("ipt,pq,iqt->it", b, covariance, b)
        relative[rows] = np.sqrt(np.maximum(own + 2 * np.einsum("ipt,pt->it", b, cross) + through_coef, 0.0))
    # exponents that no double holds stand for a bound at 0 or 1
    factors = [np.exp(np.clip(sign * quantile * relative, -600, 600)) for sign in (-1, 1)]
    with np.errstate(over="ignore"):
        lower, upper = (-np.expm1(-hazard * factor)[:, None, :] for factor in factors)
    return {"lower": lower, "upper": upper, "level": float(level)}
