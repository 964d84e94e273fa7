"""Calibration at a horizon: whether as many leave as was predicted, among those for whom it was predicted."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtri
from scipy.stats import rankdata

from churnsurv.curves import Curves
from churnsurv.exceptions import DataError, SmallSampleWarning, TooFewEventsError
from churnsurv.kernels.nonparametric import interval
from churnsurv.kernels.pseudo import pseudo_values
from churnsurv.messages import confidence_level, counted, one_number
from churnsurv.metrics.ipcw import Cohort, predicted_risk, scored_cohort
from churnsurv.metrics.recalibration import SmoothCurve, fit_link, in_the_large, inverse_link, link, smooth_curve
from churnsurv.nonparametric import AalenJohansen
from churnsurv.outcome import Outcome
from churnsurv.results import Estimate
from churnsurv.rows import as_outcome, meant_times, refuse_one_cluster

Floats = NDArray[np.float64]

#: the smooth curve has four coefficients
_LEAST_EVENTS = 5
#: an intercept on the complementary log-log scale further out than all predictions (1e-6 … 1 − 1e-6) has run away
_DIVERGED = 20.0
#: draws of the smooth curve for the intervals of the ICI, E50 and E90
_DRAWS = 1_000


@dataclass(frozen=True, eq=False)
class Calibration:
    r"""How predicted probabilities of leaving by a horizon compare with what happened.

    Parameters
    ----------
    observed_expected : Estimate
        Aalen–Johansen estimate of having left over the mean prediction (calibration in the large); 1 is right.
    slope, intercept : Estimate
        Of the regression of the outcome on the predictions, both on the complementary log-log scale: a slope below 1 tells
        predictions that are too extreme (overfitted), an intercept (with the slope held at 1) above 0 that more leave.
        The slope is NaN where all predictions are the same.
    ici, e50, e90 : Estimate
        Mean (integrated calibration index), median and 90th percentile of \|smooth curve − prediction\| over the rows
        (Austin, Harrell & van Klaveren 2020). They are above 0 by chance alone, the more so in small samples.
    table : DataFrame
        One row per bin of the predictions: bin, n, n_events, mean_predicted, observed, se, lower, upper.
    curve : DataFrame
        The smooth curve: predicted, observed, lower, upper (pointwise).
    """

    horizon: float
    cause: str
    observed_expected: Estimate
    slope: Estimate
    intercept: Estimate
    ici: Estimate
    e50: Estimate
    e90: Estimate
    table: pd.DataFrame
    curve: pd.DataFrame

    def summary(self) -> pd.DataFrame:
        """Give the single numbers, one per row."""
        names = ("observed_expected", "slope", "intercept", "ici", "e50", "e90")
        columns = ["value", "se", "lower", "upper", "n", "n_events"]
        rows = [(name, *(getattr(getattr(self, name), column) for column in columns)) for name in names]
        return pd.DataFrame(rows, columns=["measure", *columns])


def calibration(
    y: Outcome | NDArray[Any],
    curves_or_risk: Curves | ArrayLike,
    horizon: float,
    *,
    cause: str | None = None,
    bins: int = 10,
    sample_weight: ArrayLike | None = None,
    cluster: ArrayLike | None = None,
    level: float = 0.95,
) -> Calibration:
    """Compare predicted probabilities of leaving by a horizon with what happened, overall, by bin and along a curve.

    What happened is the Aalen–Johansen estimate in the bins, and the customers' pseudo-values of it in the regressions.
    Assumes that censoring depends neither on the covariates nor on the time of leaving.

    Parameters
    ----------
    y : Outcome or scikit-survival's structured array, n rows
        A landmark cohort: one row per loan, time counted from the moment of prediction.
    curves_or_risk : Curves of n rows, or array (n,)
        The predicted probability of having left by the cause within the horizon.
    horizon : float
        On the scale of ``y.stop``.
    cause : str, optional
        Cause to be measured; needed when there are several.
    bins : int
        Number of groups of equal size; rows with the same prediction stay together, so that there may be fewer.
    sample_weight : (n,), optional
        Case weights; 0 leaves a row out.
    cluster : (n,) labels, optional
        Independent units of the variance, e.g. customers; default: the rows.
    level : float
        Confidence level. Bins: on the complementary log-log scale; observed/expected: on the log scale; ICI, E50, E90:
        percentiles of curves drawn from the smooth curve's normal distribution (fixed seed).

    Raises
    ------
    NotIdentifiedError
        Rows begin after time 0 (delayed entry, split spells); recurrent events.
    NoEventsError
        No event of the cause by the horizon.
    TooFewEventsError
        Fewer than five events by the horizon.
    DataError
        A horizon past the follow-up or at which the curves were not evaluated; predictions that are missing, outside
        0…1 or of other rows; fewer than one bin.

    References
    ----------
    Gerds, Andersen, Kattan (2014) Stat Med 33:3191. Austin, Harrell, van Klaveren (2020) Stat Med 39:2714.

    Examples
    --------
    >>> import churnsurv as cs, numpy as np
    >>> rng = np.random.default_rng(0)
    >>> risk = rng.uniform(0.1, 0.6, 500)
    >>> y = cs.Outcome(np.minimum(np.ceil(12 * rng.exponential(-1 / np.log1p(-risk))), 24), rng.random(500) < 2)
    >>> judged = cs.metrics.calibration(y, risk, 12)
    >>> judged.observed_expected.lower < 1 < judged.observed_expected.upper
    True
    """
    if isinstance(bins, bool) or not isinstance(bins, int | np.integer) or bins < 1:
        raise DataError(f"bins={bins!r}: give a whole number of at least 1.")
    facts = _read(y, curves_or_risk, horizon, cause, sample_weight, cluster, level)
    curve = smooth_curve(facts.outcome, facts.predicted, facts.cohort.weight, facts.unit)
    slope, intercept = _slope_and_intercept(facts)
    return Calibration(
        facts.t, facts.cohort.cause, _observed_expected(facts), slope, intercept, *_distances(facts, curve),
        _bins(facts, int(bins)), _drawn_curve(facts, curve),
    )  # fmt: skip


def calibration_line(
    y: Outcome | NDArray[Any],
    curves_or_risk: Curves | ArrayLike,
    horizon: float,
    *,
    cause: str | None = None,
    cluster: ArrayLike | None = None,
    level: float = 0.95,
) -> tuple[Estimate, Estimate]:
    """Give slope and observed/expected of :func:`calibration` alone, without drawing curves: for alarms that ring often."""
    facts = _read(y, curves_or_risk, horizon, cause, None, cluster, level)
    return _slope_and_intercept(facts)[0], _observed_expected(facts)


def _read(
    y: Outcome | NDArray[Any],
    curves_or_risk: Curves | ArrayLike,
    horizon: float,
    cause: str | None,
    sample_weight: ArrayLike | None,
    cluster: ArrayLike | None,
    level: float,
) -> _Facts:
    level, y = confidence_level(level), as_outcome(y)
    t = float(meant_times(np.array([one_number(horizon, "horizon")]), y)[0])
    cohort = scored_cohort(y, np.array([t]), cause, None, sample_weight, cluster, "calibration")
    predicted = predicted_risk(curves_or_risk, y, cohort, np.array([t]))[:, 0]
    unit = pd.factorize(cohort.y.subject if cohort.judged.cluster is None else cohort.judged.cluster)[0]
    refuse_one_cluster(unit)
    outcome = pseudo_values(cohort.y.stop, cohort.y.event, cohort.weight, cohort.y.cause_code(cohort.cause), t)
    n_events = int(np.count_nonzero((cohort.y.event == cohort.y.cause_code(cohort.cause)) & (cohort.y.stop <= t)))
    if n_events < _LEAST_EVENTS:
        raise TooFewEventsError(
            f"{counted(n_events, 'event')} of {cohort.cause!r} by {t:g}: a calibration curve needs at least "
            f"{_LEAST_EVENTS}. Ask for a later horizon, or compare the counts (observed and expected) alone."
        )
    return _Facts(cohort, t, predicted, outcome, unit, level, n_events)


@dataclass(frozen=True)
class _Facts:
    cohort: Cohort
    t: float
    predicted: Floats
    outcome: Floats
    unit: NDArray[np.int64]
    level: float
    n_events: int

    def estimate(self, name: str, value: float, se: float, lower: float, upper: float, method: str) -> Estimate:
        return Estimate(name, value, se, lower, upper, self.level, len(self.predicted), self.n_events, method)

    @property
    def z(self) -> float:
        return float(ndtri((1 + self.level) / 2))


def _incidence(facts: _Facts, rows: NDArray[np.bool_] | slice) -> tuple[float, float]:
    """Give the Aalen–Johansen estimate of having left by t, and its standard error."""
    cohort = facts.cohort
    robust = cohort.judged.cluster is not None or not np.all(cohort.weight == 1)
    with warnings.catch_warnings():  # a bin without event is seen in its row of the table
        warnings.simplefilter("ignore", SmallSampleWarning)
        fit = AalenJohansen().fit(
            cohort.y[rows],
            sample_weight=cohort.weight[rows] if robust else None,
            cluster=facts.unit[rows] if robust and len(np.unique(facts.unit[rows])) > 1 else None,
            variance="robust" if robust else "greenwood",
        )
    by_then = fit.table_[(fit.table_["state"] == cohort.cause) & (fit.table_["time"] <= facts.t)]
    return (float(by_then["estimate"].iloc[-1]), float(by_then["se"].iloc[-1])) if len(by_then) else (0.0, 0.0)


def _bins(facts: _Facts, bins: int) -> pd.DataFrame:
    n = len(facts.predicted)
    group = np.ceil(rankdata(facts.predicted) * bins / n - 1e-9).astype(int)
    rows = []
    for number, g in enumerate(np.unique(group), 1):
        inside = group == g
        observed, se = _incidence(facts, inside)
        upper, lower = (1 - b for b in interval(np.array([1 - observed]), np.array([se]), facts.level, "log-log"))
        y = facts.cohort.y[inside]
        events = np.count_nonzero((y.event == y.cause_code(facts.cohort.cause)) & (y.stop <= facts.t))
        mean = float(np.average(facts.predicted[inside], weights=facts.cohort.weight[inside]))
        rows.append((number, int(inside.sum()), int(events), mean, observed, se, float(lower[0]), float(upper[0])))
    columns = ["bin", "n", "n_events", "mean_predicted", "observed", "se", "lower", "upper"]
    return pd.DataFrame(rows, columns=columns)


def _observed_expected(facts: _Facts) -> Estimate:
    large = in_the_large(facts.cohort, facts.predicted, facts.outcome, facts.t)
    if large.expected <= 0:
        raise DataError("All predictions are 0: there is no ratio of observed to expected.")
    sums = np.bincount(facts.unit, large.of_ratio)
    se, ratio = float(np.sqrt(len(sums) / (len(sums) - 1) * (sums @ sums))), large.ratio
    factor = float(np.exp(facts.z * se / ratio)) if ratio > 0 else np.nan
    method = (
        "Aalen-Johansen estimate over the mean prediction; influence function, model taken as given; log-scale interval"
    )
    return facts.estimate(f"Observed / expected by {facts.t:g}", ratio, se, ratio / factor, ratio * factor, method)


def _slope_and_intercept(facts: _Facts) -> tuple[Estimate, Estimate]:
    eta, one = link(facts.predicted), np.ones((len(facts.predicted), 1))
    weight, method = (
        facts.cohort.weight,
        "least squares on pseudo-values, complementary log-log link; sandwich variance",
    )
    level = fit_link(facts.outcome, one, eta, weight, facts.unit, np.zeros(1))
    if abs(level.coef[0]) > _DIVERGED:
        # predictions of 0 and 1 leave no slope at 0 to descend: begin at the best of a grid
        grid = np.linspace(-_DIVERGED, _DIVERGED, 41)
        loss = [float(weight @ (facts.outcome - inverse_link(eta + b)) ** 2) for b in grid]
        level = fit_link(facts.outcome, one, eta, weight, facts.unit, grid[[int(np.argmin(loss))]])
    if abs(level.coef[0]) > _DIVERGED:
        words = "not identified: no finite intercept fits best"
        intercept = facts.estimate("Calibration intercept", np.nan, np.nan, np.nan, np.nan, words)
        return facts.estimate("Calibration slope", np.nan, np.nan, np.nan, np.nan, words), intercept
    intercept = _normal(facts, "Calibration intercept", level.coef[0], level.covariance[0, 0], method + "; slope 1")
    if np.ptp(eta) < 1e-9:
        words = "not identified: all predictions are the same"
        return facts.estimate("Calibration slope", np.nan, np.nan, np.nan, np.nan, words), intercept
    both = fit_link(
        facts.outcome, np.column_stack((one, eta)), np.zeros(len(eta)), weight, facts.unit, np.array([0, 1.0])
    )
    return _normal(facts, "Calibration slope", both.coef[1], both.covariance[1, 1], method), intercept


def _normal(facts: _Facts, name: str, value: float, variance: float, method: str) -> Estimate:
    value, se = float(value), float(np.sqrt(variance))
    return facts.estimate(name, value, se, value - facts.z * se, value + facts.z * se, method)


def _distances(facts: _Facts, curve: SmoothCurve) -> tuple[Estimate, Estimate, Estimate]:
    """Give ICI, E50 and E90 with percentile intervals over curves drawn from the normal distribution of the fit."""
    weight, share = facts.cohort.weight, facts.cohort.weight / facts.cohort.weight.sum()
    # large cohorts: the distances of evenly spaced quantiles stand for those of all rows
    at = np.sort(facts.predicted) if len(share) <= 2_000 and np.all(weight == weight[0]) else _quantiles(facts)

    def three(coef: Floats) -> tuple[float, float, float]:
        distance = np.abs(curve.at(at, coef) - at)
        half, nine_tenths = np.quantile(distance, [0.5, 0.9])
        return float(distance.mean()), float(half), float(nine_tenths)

    rng = np.random.default_rng(0)
    draws = rng.multivariate_normal(
        curve.fit.coef, curve.fit.covariance, size=_DRAWS, method="eigh", check_valid="ignore"
    )
    drawn = np.array([three(coef) for coef in draws])
    tail = (1 - facts.level) / 2
    lower, upper = np.quantile(drawn, [tail, 1 - tail], axis=0)
    method = "|smooth calibration curve - prediction| over the rows; percentiles of drawn curves"
    names = ("Integrated calibration index", "E50", "E90")
    found = zip(names, three(curve.fit.coef), drawn.std(axis=0), lower, upper, strict=True)
    ici, e50, e90 = (facts.estimate(n, v, float(s), float(lo), float(hi), method) for n, v, s, lo, hi in found)
    return ici, e50, e90


def _quantiles(facts: _Facts) -> Floats:
    order = np.argsort(facts.predicted, kind="stable")
    cumulated = np.cumsum(facts.cohort.weight[order])
    at = (np.arange(2_000) + 0.5) / 2_000 * cumulated[-1]
    return np.asarray(facts.predicted[order][np.searchsorted(cumulated, at)])


def _drawn_curve(facts: _Facts, curve: SmoothCurve) -> pd.DataFrame:
    low, high = np.quantile(facts.predicted, [0.005, 0.995])
    at = np.linspace(low, high, 101) if high > low else np.array([low])
    lower, upper = curve.bounds(at, facts.z)
    return pd.DataFrame({"predicted": at, "observed": curve.at(at), "lower": lower, "upper": upper})
