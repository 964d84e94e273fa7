"""Limits of a chart of counts, calibrated so that the whole chart alarms with a stated probability when nothing changes."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import nbinom, poisson

Floats = NDArray[np.float64]

_CHARTS = 20_000


class ChartLimits(NamedTuple):
    """Limits of T points and of their moving average.

    `lower`, `upper` (T,): a count below or above alarms; `ewma`: so does a moving average whose size is above it. `tail`: the
    probability on which the limits of the points are built; `rate`: how often a chart alarms without change, by simulation;
    `run_length`: mean number of points up to an alarm.
    """

    lower: Floats
    upper: Floats
    ewma: float
    tail: float
    rate: float
    run_length: float


def counts_of(mean: Floats, variance: Floats) -> Any:
    """Give the distribution of counts: Poisson, or where the variance is above the mean, negative binomial."""
    spread = variance - mean
    if np.all(spread <= 1e-9 * mean):
        return poisson(mean)
    size = mean**2 / np.maximum(spread, 1e-9 * mean)
    return nbinom(size, size / (size + mean))


def standardised(counts: Floats, mean: Floats, variance: Floats) -> Floats:
    """Give (count − mean) over its standard deviation, along the last axis."""
    return (counts - mean) / np.sqrt(variance)


def moving_average(z: Floats, weight: float) -> Floats:
    r"""Give the exponentially weighted moving average of z (..., T) from 0, over its own standard deviation at that point.

    :math:`e_t = w z_t + (1 - w) e_{t-1}` has variance :math:`w/(2 - w)\{1 - (1 - w)^{2t}\}` (Roberts 1959).
    """
    average = np.empty_like(z)
    last = np.zeros(z.shape[:-1])
    for t in range(z.shape[-1]):
        last = weight * z[..., t] + (1 - weight) * last
        average[..., t] = last
    step = np.arange(1, z.shape[-1] + 1)
    return average / np.sqrt(weight / (2 - weight) * (1 - (1 - weight) ** (2 * step)))


def tails(counts: Floats, distribution: Any) -> Floats:
    """Give twice the smaller tail probability of each count, at most 1."""
    return np.asarray(np.minimum(1.0, 2 * np.minimum(distribution.cdf(counts), distribution.sf(counts - 1))))


def chart_limits(
    mean: Floats, dispersion: float, base: float, weight: float, rate: float, seed: int, n_charts: int = _CHARTS
) -> ChartLimits:
    """Calibrate the limits of T points with expected counts `mean` to a probability `rate` of any alarm.

    Counts are Poisson, or negative binomial with variance `dispersion` times the mean. `base`: number of events from which
    the common level was estimated (infinite: known); the error of that level is common to all points of a chart, and is
    drawn with it. Points and moving average get limits of the same marginal rate.
    """
    rng = np.random.default_rng(seed)
    level = np.ones((n_charts, 1))
    if np.isfinite(base):
        level = rng.gamma(base / dispersion, dispersion / base, size=(n_charts, 1))
    true = mean * level
    drawn = np.asarray(counts_of(true, dispersion * true).rvs(random_state=rng), dtype=np.float64)
    variance = predictive_variance(mean, dispersion, base)
    distribution = counts_of(mean, variance)
    least = tails(drawn, distribution).min(axis=1)
    largest = np.abs(moving_average(standardised(drawn, mean, variance), weight)).max(axis=1)
    tail, ewma = _joint(least, largest, rate)
    reached = float(np.mean((least <= tail) | (largest > ewma)))
    lower, upper = _counts_at(distribution, tail)
    length = -len(mean) / np.log1p(-reached) if 0 < reached < 1 else np.inf
    return ChartLimits(lower, upper, ewma, tail, reached, float(length))


def predictive_variance(mean: Floats, dispersion: float, base: float) -> Floats:
    """Give the variance of a count around what is expected of it, the error of the expectation included."""
    return dispersion * mean * (1 + mean / base)


def _joint(least: Floats, largest: Floats, rate: float) -> tuple[float, float]:
    """Find limits of the smallest tail and the largest average, of one marginal rate, that are passed by `rate` together."""
    below, above = np.sort(least), np.sort(largest)[::-1]
    n = len(least)

    def limits(k: int) -> tuple[float, float]:
        # at most k charts at or below the tail, and k above the average; counts are discrete, so that ties are left out
        tail = below[k] * (1 - 1e-9)
        return float(tail), float(above[k])

    low, high = 0, min(n - 1, int(np.ceil(rate * n)) + 1)
    while high - low > 1:
        k = (low + high) // 2
        tail, ewma = limits(k)
        if np.mean((least <= tail) | (largest > ewma)) <= rate:
            low = k
        else:
            high = k
    return limits(low)


def _counts_at(distribution: Any, tail: float) -> tuple[Floats, Floats]:
    """Give the smallest and the largest count whose tail probability is above `tail`."""
    lower = np.asarray(distribution.ppf(tail / 2), dtype=np.float64)
    lower = np.where(2 * distribution.cdf(lower) > tail, lower, lower + 1)
    upper = np.asarray(distribution.isf(tail / 2), dtype=np.float64)
    upper = np.where(2 * distribution.sf(upper - 1) > tail, upper, upper - 1)
    return np.maximum(lower, 0.0), upper
