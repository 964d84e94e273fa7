"""Probabilities predicted from monthly hazards, and their standard errors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from churnsurv.estimators.cause_specific import states_of
from churnsurv.estimators.discrete_fit import CauseFit
from churnsurv.kernels.nonparametric import interval
from churnsurv.kernels.times import steps_until

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

#: numbers that are held at once
_MOST = 8_000_000


class _Cause(NamedTuple):
    """One cause on the common months: log hazards (S, U), and of the rows the covariates about the centre and log ratio."""

    log_hazard: Floats
    z: Floats
    log_ratio: Floats


def states(
    fits: Sequence[CauseFit],
    frame: pd.DataFrame,
    stratum: Ints,
    offset: Floats | None,
    origin: Floats,
    months: Floats,
    grid: Floats,
    level: float | None,
) -> tuple[Floats, Floats | None, Floats | None]:
    """Give state probabilities (n, 1 + K, T) at `grid` of rows at risk at `origin` (n,), with bounds when a level is given."""
    n, n_states = len(frame), 1 + len(fits)
    probability = np.empty((n, n_states, len(grid)))
    bounds = None if level is None else (np.empty(probability.shape), np.empty(probability.shape))
    until = steps_until(months, grid)
    chunk = max(1, _MOST // max(len(months) * (n_states + (sum(len(f.coef) for f in fits) if bounds else 0)), 1))
    for begin in range(0, n, chunk):
        rows = slice(begin, begin + chunk)
        shift = None if offset is None else offset[rows]
        causes = [_cause(f, frame.iloc[rows], shift, months, int(stratum.max()) + 1) for f in fits]
        passed = np.arange(len(months)) < steps_until(months, origin[rows])[:, None]
        # the expected exits within the month at a constant hazard: h = 1 − exp(−μ)
        with np.errstate(over="ignore", invalid="ignore"):
            mu = np.stack([np.exp(c.log_hazard[stratum[rows]] + c.log_ratio[:, None]) for c in causes], axis=1)
        mu = np.where(passed[:, None, :], 0.0, mu)
        hazard = -np.expm1(-mu)
        every = states_of(hazard)
        probability[rows] = every[:, :, until]
        if bounds is not None and level is not None:
            variance = _variance(fits, causes, stratum[rows], months, mu, hazard, every, until)
            with np.errstate(over="ignore", invalid="ignore"):
                lower, upper = interval(probability[rows], np.sqrt(variance), level, "log-log")
            near = np.minimum(probability[rows], 1 - probability[rows]) < 1e-12
            sure = near & (variance < 1e-20)
            bounds[0][rows] = np.where(sure, probability[rows], lower)
            bounds[1][rows] = np.where(sure, probability[rows], upper)
    return (probability, None, None) if bounds is None else (probability, *bounds)


def _cause(fit: CauseFit, frame: pd.DataFrame, offset: Floats | None, months: Floats, n_strata: int) -> _Cause:
    z = fit.encoder.design(frame) - fit.center
    log_ratio = z @ fit.coef.to_numpy()
    if offset is not None:
        log_ratio = log_ratio + offset - fit.offset_center
    log_hazard = np.full((n_strata, len(months)), -np.inf)
    mine = fit.stratum < n_strata
    log_hazard[fit.stratum[mine], np.searchsorted(months, fit.month[mine])] = fit.log_hazard[mine]
    # beyond e^±600 the probability is 0 or 1 anyhow
    return _Cause(log_hazard, z, np.clip(log_ratio, -600, 600))


def _variance(
    fits: Sequence[CauseFit],
    causes: Sequence[_Cause],
    stratum: Ints,
    months: Floats,
    mu: Floats,
    hazard: Floats,
    every: Floats,
    until: Ints,
) -> Floats:
    """Give variances (n, 1 + K, T) by the delta method, from those of the log hazards of the months and the coefficients.

    With y = 1/(1 − h(m)), h the hazard of all causes, and h_j that of cause j, for m ≤ t

        ∂S(t)/∂h_j(m) = −S(t) y,    ∂F_k(t)/∂h_j(m) = 1{j = k} S(m−) − (F_k(t) − F_k(m)) y,    ∂h_j/∂η_j = μ_j exp(−μ_j).

    Estimates of different causes are taken as uncorrelated: the exits of a month are, up to the product of their hazards.
    """
    n, n_states, n_times = len(mu), every.shape[1], len(until)
    remaining = 1.0 - hazard.sum(axis=1)
    y = np.where(remaining > 1e-12, 1.0 / np.where(remaining > 1e-12, remaining, 1.0), 0.0)
    before = every[:, 0, :-1]
    variance = np.zeros((n, n_states, n_times))
    for j, (fit, cause) in enumerate(zip(fits, causes, strict=True)):
        with np.errstate(invalid="ignore", over="ignore"):
            to_hazard = np.where(mu[:, j] > 600, 0.0, mu[:, j] * np.exp(-mu[:, j]))
        covariance = fit.covariance.to_numpy()
        cell = _cell_of(fit, months, int(stratum.max()) + 1)[stratum]
        present = cell >= 0
        slope = np.where(present[:, :, None], fit.slope[cell], 0.0)
        for t, end in enumerate(until):
            upto = slice(0, int(end))
            for s in range(n_states):
                value = every[:, s, end][:, None]
                if s == 0:
                    gradient = -value * y[:, upto]
                else:
                    gradient = (every[:, s, 1 : end + 1] - value) * y[:, upto]
                    if s == j + 1:
                        gradient = gradient + before[:, upto]
                gradient = gradient * to_hazard[:, upto]
                along = gradient.sum(axis=1)[:, None] * cause.z - np.einsum("nm,nmp->np", gradient, slope[:, upto])
                variance[:, s, t] += np.einsum("np,pq,nq->n", along, covariance, along)
                variance[:, s, t] += _of_baseline(fit, gradient, np.where(present, cell, 0)[:, upto])
    return variance


def _of_baseline(fit: CauseFit, gradient: Floats, cell: Ints) -> Floats:
    """Give the part of the variance that is due to the log hazards of the months; `gradient` is 0 where there is no cell."""
    if fit.root is None:
        return np.asarray((gradient**2 * fit.variance[cell]).sum(axis=1))
    return np.asarray((np.einsum("nm,nmq->nq", gradient, fit.root[cell]) ** 2).sum(axis=1))


def _cell_of(fit: CauseFit, months: Floats, n_strata: int) -> Ints:
    """Give the cell of each month by stratum (S, U), −1 where the hazard is 0."""
    cell = np.full((n_strata, len(months)), -1, dtype=np.int64)
    mine = np.flatnonzero(fit.stratum < n_strata)
    cell[fit.stratum[mine], np.searchsorted(months, fit.month[mine])] = mine
    return cell
