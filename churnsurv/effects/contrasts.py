"""Differences and ratios of the numbers of two arms, as Estimates."""

from __future__ import annotations

import numpy as np
from scipy.special import ndtri

from churnsurv.effects.two_arms import ArmNumbers, TwoArms
from churnsurv.exceptions import DataError
from churnsurv.results import Estimate


def quantile_of(level: float) -> float:
    """Give the normal quantile of a two-sided interval."""
    return float(ndtri((1 + level) / 2))


def difference(arms: TwoArms, numbers: ArmNumbers, what: str, method: str, scale: float = 1.0) -> Estimate:
    """Give `scale` times (other arm − reference) with its normal interval."""
    value = scale * float(numbers.value[1] - numbers.value[0])
    se = abs(scale) * float(np.sqrt(max(numbers.variance.sum() - 2 * numbers.covariance, 0.0)))
    half = quantile_of(arms.level) * se
    name = f"{what}, {arms.labels[1]} - {arms.labels[0]}"
    return Estimate(name, value, se, value - half, value + half, arms.level, numbers.n, numbers.n_events, method)


def ratio(arms: TwoArms, numbers: ArmNumbers, what: str, method: str) -> Estimate:
    """Give other arm / reference, the interval being symmetric for its logarithm (delta method)."""
    if np.any(numbers.value <= 0):
        label = arms.labels[int(np.argmin(numbers.value))]
        raise DataError(f"{what} is 0 in arm {label!r}: no ratio can be formed. Ask for the difference instead.")
    of_log_ratio = np.sum(numbers.variance / numbers.value**2) - 2 * numbers.covariance / np.prod(numbers.value)
    log_se = float(np.sqrt(max(of_log_ratio, 0.0)))
    log_ratio = float(np.log(numbers.value[1] / numbers.value[0]))
    name = f"{what}, {arms.labels[1]} / {arms.labels[0]}"
    return of_log(name, log_ratio, log_se, arms.level, numbers.n, numbers.n_events, method)


def of_log(name: str, log_ratio: float, log_se: float, level: float, n: int, n_events: int, method: str) -> Estimate:
    """Give a ratio from its logarithm; ``se`` is the ratio's own, by the delta method."""
    half = quantile_of(level) * log_se
    value, lower, upper = (float(np.exp(log_ratio + shift)) for shift in (0.0, -half, half))
    return Estimate(name, value, value * log_se, lower, upper, level, n, n_events, method)
