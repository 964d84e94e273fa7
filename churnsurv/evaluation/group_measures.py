"""How well predictions serve one group of customers: values with their standard errors, from influence functions."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from churnsurv.curves import Curves
from churnsurv.exceptions import ChurnSurvError, ChurnSurvWarning
from churnsurv.kernels.pseudo import pseudo_values
from churnsurv.kernels.times import slack
from churnsurv.metrics import brier_score, concordance_index, cumulative_dynamic_auc, observed_expected
from churnsurv.metrics.inputs import cluster_sums
from churnsurv.metrics.ipcw import censoring_influence, known_by, sandwich_error, scored_cohort
from churnsurv.metrics.recalibration import in_the_large
from churnsurv.nonparametric import AalenJohansen
from churnsurv.outcome import Outcome
from churnsurv.results import Estimate

Floats = NDArray[np.float64]

#: measures whose differences are taken, in the order of tables
MEASURES = (
    "concordance", "auc", "brier", "observed", "predicted", "calibration_error", "true_positive_rate",
    "false_positive_rate", "offer_rate",
)  # fmt: skip


class Measured(NamedTuple):
    """A value with its standard error and interval; NaN where it cannot be estimated, and then why."""

    value: float
    se: float
    lower: float
    upper: float
    why_not: str = ""


class Rows(NamedTuple):
    """What is known of the rows of all customers."""

    y: Outcome
    risk: Floats
    expected: Floats | None
    offered: NDArray[np.bool_] | None
    cluster: NDArray[np.int64] | None
    horizon: float
    cause: str
    threshold: float | None
    level: float

    def of(self, rows: NDArray[np.bool_]) -> Rows:
        """Give those of some customers."""
        cut: dict[str, Any] = {
            name: None if (v := getattr(self, name)) is None else v[rows] for name in ("expected", "offered", "cluster")
        }
        return self._replace(y=self.y[rows], risk=self.risk[rows], **cut)


def measures_of(rows: Rows) -> dict[str, Measured]:
    """Give all measures of a group."""
    t, cause = rows.horizon, rows.cause
    common: dict[str, Any] = {"cause": cause, "cluster": rows.cluster, "level": rows.level}
    found = {
        "concordance": _tried(lambda: _of(concordance_index(rows.y, rows.risk, tau=t, **common))),
        "auc": _tried(lambda: _of(cumulative_dynamic_auc(rows.y, rows.risk, t, **common))),
        "brier": _tried(lambda: _of(brier_score(rows.y, rows.risk, t, **common))),
        "observed": _tried(lambda: _observed(rows)),
        "predicted": _mean(rows.risk, rows, "plain"),
    }
    found["calibration_error"], found["observed_expected"] = _calibration(rows, found["observed"], found["predicted"])
    if rows.expected is not None:
        found["observed_expected_events"] = _tried(lambda: _events_ratio(rows))
    if rows.threshold is not None:
        found["true_positive_rate"] = _tried(lambda: _error_rate(rows, of_cases=True))
        found["false_positive_rate"] = _tried(lambda: _error_rate(rows, of_cases=False))
    if rows.offered is not None:
        found["offer_rate"] = _mean(rows.offered.astype(float), rows, "wilson")
    return found


def _tried(measure: Callable[[], Measured]) -> Measured:
    """Give the measure, or why it cannot be estimated in a group: the outcome as a whole has been checked before."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ChurnSurvWarning)
        try:
            return measure()
        except ChurnSurvError as error:
            return Measured(np.nan, np.nan, np.nan, np.nan, str(error))


def _of(estimate: Estimate | pd.DataFrame) -> Measured:
    assert isinstance(estimate, Estimate)  # of one time
    return Measured(estimate.value, estimate.se, estimate.lower, estimate.upper)


def _observed(rows: Rows) -> Measured:
    """Give the Aalen–Johansen probability of having left by the horizon."""
    fit = AalenJohansen().fit(rows.y, cluster=rows.cluster, level=rows.level, conf_type="log")
    mine = fit.table_[(fit.table_["state"] == rows.cause) & (fit.table_["time"] <= rows.horizon)]
    if mine.empty or mine["estimate"].iloc[-1] == 0:
        return Measured(0.0, np.nan, np.nan, np.nan, "nobody has left by this cause by the horizon")
    last = mine.iloc[-1]
    value, se, lower, upper = (float(last[name]) for name in ("estimate", "se", "lower", "upper"))
    return Measured(value, se, lower, upper)


def _calibration(rows: Rows, observed: Measured, predicted: Measured) -> tuple[Measured, Measured]:
    """Give observed − predicted and observed / predicted (interval on the log scale), the model taken as given.

    Observed and predicted vary together, as who is predicted much leaves more often: the standard error is of their influence.
    """
    z, gap = float(ndtri((1 + rows.level) / 2)), observed.value - predicted.value
    unknown = Measured(np.nan, np.nan, np.nan, np.nan, observed.why_not or "all predictions are 0")
    if not observed.se > 0:
        return unknown._replace(value=gap, why_not=observed.why_not), unknown
    y, t = rows.y, rows.horizon
    try:
        cohort = scored_cohort(y, np.array([t]), rows.cause, None, None, rows.cluster, "calibration")
    except ChurnSurvError as error:
        return (unknown._replace(why_not=str(error)),) * 2
    pseudo = pseudo_values(y.stop, y.event, cohort.weight, y.cause_code(rows.cause), t)
    large = in_the_large(cohort, rows.risk, pseudo, t)
    se, _ = sandwich_error(large.of_observed - large.of_expected, cohort.judged)
    apart = Measured(gap, se, gap - z * se, gap + z * se)
    if not predicted.value > 0:
        return apart, unknown
    ratio, (of_ratio, _) = observed.value / predicted.value, sandwich_error(large.of_ratio, cohort.judged)
    factor = float(np.exp(z * of_ratio / ratio))
    return apart, Measured(ratio, of_ratio, ratio / factor, ratio * factor)


def _events_ratio(rows: Rows) -> Measured:
    """Give observed over expected events within the horizon, exact Poisson interval (Garwood 1936)."""
    by_then = np.where(rows.y.stop <= rows.horizon, rows.y.event, 0)
    cut = Outcome(np.minimum(rows.y.stop, rows.horizon), by_then, subject=rows.y.subject, causes=rows.y.causes)
    row = observed_expected(cut, rows.expected, cause=rows.cause, level=rows.level).iloc[0]  # type: ignore[arg-type]
    return Measured(float(row["ratio"]), np.nan, float(row["lower"]), float(row["upper"]))


def _error_rate(rows: Rows, *, of_cases: bool) -> Measured:
    """Give the share flagged (risk at or above the threshold) of those who leave by the horizon, or of the others.

    Weighted by the inverse probability of being uncensored; who leaves by another cause is one of the others.
    """
    t, cluster = rows.horizon, rows.cluster
    cohort = scored_cohort(rows.y, np.array([t]), rows.cause, None, None, cluster, "an error rate")
    by_then, known = known_by(cohort, t)
    case = by_then & (cohort.y.event == cohort.y.cause_code(rows.cause))
    weight = np.where(case == of_cases, cohort.weight * known, 0.0)
    if weight.sum() <= 0:
        return Measured(np.nan, np.nan, np.nan, np.nan, "nobody is known to stay beyond the horizon")
    flagged = rows.risk >= float(rows.threshold or 0.0)
    value = float(weight @ flagged / weight.sum())
    part = weight * (flagged - value) / weight.sum()
    sums, _ = cluster_sums(part + censoring_influence(cohort, part, t), cohort.judged)
    se = float(np.sqrt(len(sums) / (len(sums) - 1) * (sums @ sums)))
    return _proportion(value, se, len(sums), rows.level)


def _mean(values: Floats, rows: Rows, scale: str) -> Measured:
    """Give the mean over rows with the standard error between clusters."""
    value, units = float(values.mean()), rows.cluster
    codes = (
        np.unique(rows.y.subject, return_inverse=True)[1] if units is None else np.unique(units, return_inverse=True)[1]
    )
    sums = np.bincount(codes, (values - value) / len(values))
    m = len(sums)
    if m < 2:
        return Measured(value, np.nan, np.nan, np.nan, "one customer")
    se = float(np.sqrt(m / (m - 1) * (sums @ sums)))
    if scale == "wilson":
        return _proportion(value, se, m, rows.level)
    half = float(ndtri((1 + rows.level) / 2)) * se
    return Measured(value, se, max(value - half, 0.0), min(value + half, 1.0))


def _proportion(value: float, se: float, units: int, level: float) -> Measured:
    """Give Wilson's interval (1927) for as many independent customers as have this standard error."""
    z = float(ndtri((1 + level) / 2))
    n = value * (1 - value) / se**2 if se > 0 else float(units)
    middle = (value + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * float(np.sqrt(value * (1 - value) / n + z**2 / (4 * n**2)))
    return Measured(value, se, max(middle - half, 0.0), min(middle + half, 1.0))


def expected_events(curves: Curves, y: Outcome, cause: str, horizon: float) -> Floats | None:
    """Give each row's expected events of the cause while watched, Σ dF_k(u)/S(u−) up to min(T, horizon); None if unknown."""
    if not curves.complete or not curves.steps or cause not in curves.causes:
        return None
    end = curves.origin + np.minimum(y.stop, horizon)
    inside = (curves.times > curves.origin[:, None]) & (curves.times <= end[:, None] + slack(curves.times))
    survival = np.hstack([np.ones((len(curves), 1)), curves.survival[:, :-1]])
    jump = np.diff(curves.cumulative_incidence(cause), axis=1, prepend=0.0)
    rate = np.divide(jump, survival, out=np.zeros(jump.shape), where=survival > 0)
    return np.asarray(np.where(inside, rate, 0.0).sum(axis=1))


def difference(first: Measured, second: Measured, level: float) -> tuple[float, float, float, float, float]:
    """Give first − second of separate customers: value, se, lower, upper and two-sided p-value."""
    value, se = first.value - second.value, float(np.hypot(first.se, second.se))
    z = float(ndtri((1 + level) / 2))
    # a rate of 0 or 1 shows no variation between customers, and its error is not 0 for that
    if not (first.se > 0 and second.se > 0):
        return value, np.nan, np.nan, np.nan, np.nan
    return value, se, value - z * se, value + z * se, float(2 * ndtr(-abs(value / se)))


def rate_ratio(first: Measured, second: Measured, level: float) -> Measured:
    """Give the ratio of two rates of separate customers, interval on the log scale (Katz et al. 1978)."""
    if not first.value > 0 or not second.value > 0:
        return Measured(np.nan, np.nan, np.nan, np.nan, "a rate of 0 has no ratio with an interval")
    ratio = first.value / second.value
    spread = float(np.hypot(first.se / first.value, second.se / second.value))
    factor = float(np.exp(float(ndtri((1 + level) / 2)) * spread))
    return Measured(ratio, ratio * spread, ratio / factor, ratio * factor)
