"""Standardisation with competing causes: the incidence that cause-specific Cox models predict for a whole portfolio."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from churnsurv.estimators.cause_specific import CauseSpecificCox, aalen_johansen_of
from churnsurv.estimators.cause_specific_bounds import baselines_of, prediction_parts
from churnsurv.estimators.hazard_paths import influences
from churnsurv.estimators.standardise import sampling_covariance
from churnsurv.kernels.absolute_risk import average_gradient
from churnsurv.kernels.times import steps_until

Floats = NDArray[np.float64]

#: rows times increments that are held at once
CELLS = 4_000_000
#: predictions from the first age on
NOTHING = {"start": None, "strata": None, "offset": None}


def average_incidences(
    model: CauseSpecificCox,
    settings: list[pd.DataFrame],
    cause: str | None,
    time: float,
    weight: Floats,
    cluster: NDArray[np.int64] | None,
) -> tuple[Floats, Floats]:
    r"""Average the cumulative incidence of a cause, or with None of leaving at all, over customers under G settings.

    :math:`\bar F_a(t) = \sum_i w_i F(t | x_i, \text{set to } a) / \sum_i w_i`. The covariance (G, G) is the delta method's: the
    averages' derivatives in every increment of the causes' baselines and in the coefficients, with the model's covariance of
    these (the jackknife by cluster if the fit is robust; Ozenne et al. 2017, 2020), and to it that of the mean over a sample
    of customers, which at the true model is uncorrelated with the errors of the fit.

    Parameters
    ----------
    model : fitted CauseSpecificCox
        Without strata and offset.
    settings : list of frames
        The customers' covariates (n, ...), with columns set.
    weight : (n,)
        How often each customer counts.
    cluster : (n,), optional
        Code of the rows that belong together.
    """
    weight = weight / weight.sum()
    models = list(model.models_.values())
    steps = np.unique(np.concatenate([m.event_times_ for m in models]))
    until = int(steps_until(steps, np.array([time]))[0])
    state = 0 if cause is None else 1 + model.causes_.index(cause)
    rows_at_once = max(1, CELLS // (len(steps) * len(models)))
    base = baselines_of(model, 0, steps)
    on_steps, on_coef = np.zeros((len(settings), len(base.step))), np.zeros((len(settings), len(base.of_cause)))
    weighted = np.empty((len(settings), len(weight), 1))
    for g, frame in enumerate(settings):
        for begin in range(0, len(weight), rows_at_once):
            rows = slice(begin, begin + rows_at_once)
            hazards = np.stack([m.predicted_hazard(frame.iloc[rows], steps, **NOTHING)[0] for m in models], axis=1)
            probability = aalen_johansen_of(hazards)
            now = probability[:, state, until]
            weighted[g, rows, 0] = weight[rows] * (now if state else 1 - now)
            total, ratio, _, away = prediction_parts(model, frame.iloc[rows], NOTHING, hazards)
            by_step, by_coef = average_gradient(base, probability, total, ratio, away, weight[rows], state, until)
            on_steps[g] += by_step
            on_coef[g] += by_coef
    estimate = weighted.sum(axis=1)
    # of leaving at all the sign is that of staying, in all settings: their covariance is the same
    influence = influences({0: base}, {0: on_steps}, {0: on_coef})
    covariance = influence @ influence.T + sampling_covariance(weighted, estimate, weight, cluster)[0]
    return estimate[:, 0], covariance
