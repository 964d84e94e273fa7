"""How far an effect could be due to something else: E-values and negative controls."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from churnsurv.effects.arms import values_of
from churnsurv.effects.named import checked_options, effect_named, is_ratio, normal_scale, options_of, two_sided
from churnsurv.exceptions import DataError
from churnsurv.messages import one_number
from churnsurv.outcome import Outcome
from churnsurv.results import Estimate, TestResult
from churnsurv.rows import as_outcome

#: an outcome is common when more than this share have it by the end of follow-up (VanderWeele 2017)
COMMON = 0.15
#: what the names of Estimates of each measure have in them
_RATIOS = {"risk ratio": ("risk ratio", "ratio of the risk of"), "hazard ratio": ("hazard ratio",)}


@dataclass(frozen=True)
class EValue:
    """How strong confounding would have to be.

    Attributes
    ----------
    value : float
        E-value of the estimate: the least risk ratio with which an unmeasured confounder must be associated with both the
        arm and leaving, given what is adjusted for, to explain the estimate away.
    limit : float
        The same for the end of the interval that is nearer to 1; 1 where the interval includes 1.
    risk_ratio, lower, upper : float
        The ratio and its interval on the scale of risks.
    method : str
        Which transformation was used.
    """

    value: float
    limit: float
    risk_ratio: float
    lower: float
    upper: float
    method: str


def e_value(
    ratio: Estimate | float,
    lower: float | None = None,
    upper: float | None = None,
    *,
    measure: Literal["risk ratio", "hazard ratio"],
    common: bool | None = None,
) -> EValue:
    """Give the E-value of a ratio and of its interval (VanderWeele & Ding 2017).

    For a risk ratio R ≥ 1 it is R + √(R (R − 1)); below 1 that of 1/R. A hazard ratio H stands for a risk ratio as it is where
    leaving is rare (at most 15 % by the end of follow-up); where it is common for (1 − 0.5^√H) / (1 − 0.5^√(1/H))
    (VanderWeele 2017). An E-value says nothing of whether such a confounder exists, nor of other biases.

    Parameters
    ----------
    ratio : Estimate or float
        The ratio; an Estimate brings its interval.
    lower, upper : float, optional
        Ends of the interval of a ratio given as a number.
    measure : {"risk ratio", "hazard ratio"}
        What the ratio is of.
    common : bool, optional
        Whether more than 15 % have left (by the cause) by the end of follow-up; needed for a hazard ratio given as a number.
        Default for an Estimate: by its numbers of events and subjects.

    Raises
    ------
    DataError
        A ratio or an end that is not positive, ends that do not enclose it, an unknown measure, `common` not known; an
        Estimate of something else (a difference, a ratio of mean times, a number needed to treat).

    Examples
    --------
    >>> import churnsurv as cs
    >>> found = cs.effects.e_value(3.9, 1.8, 8.7, measure="risk ratio")
    >>> round(found.value, 2), round(found.limit, 2)
    (7.26, 3.0)
    """
    if measure not in _RATIOS:
        raise DataError(f"measure={measure!r} is not known: use 'risk ratio' or 'hazard ratio'.")
    if isinstance(ratio, Estimate):
        if not any(words in ratio.name.lower() for words in _RATIOS[measure]):
            raise DataError(
                f"This Estimate is no {measure} by its name, {ratio.name!r}: pass a {measure}, or the numbers as ratio, lower "
                "and upper where the name does not say it."
            )
        if common is None:
            common = ratio.n_events > COMMON * ratio.n
        lower, upper, ratio = ratio.lower, ratio.upper, ratio.value
    if lower is None or upper is None:
        raise DataError("Give the interval too: e_value(ratio, lower, upper, measure=...), or pass an Estimate.")
    point, low, high = (one_number(v, name) for v, name in ((ratio, "ratio"), (lower, "lower"), (upper, "upper")))
    if not 0 < low <= point <= high:
        raise DataError(
            f"A ratio of {point:g} with the interval {low:g} to {high:g}: 0 < lower <= ratio <= upper must hold."
        )
    how = "risk ratio as it is"
    if measure == "hazard ratio":
        if common is None:
            raise DataError(
                "For a hazard ratio say common=True or False: whether more than 15 % leave within follow-up."
            )
        how = "hazard ratio taken as a risk ratio: at most 15 % leave"
        if common:
            point, low, high = (_risk_ratio(v) for v in (point, low, high))
            how = (
                "hazard ratio turned into a risk ratio by (1 - 0.5^sqrt(HR))/(1 - 0.5^sqrt(1/HR)): more than 15 % leave"
            )
    nearer = max(low, 1.0) if point >= 1 else min(high, 1.0)
    return EValue(_needed(point), _needed(nearer), point, low, high, how)


def _risk_ratio(hazard_ratio: float) -> float:
    return float((1 - 0.5 ** np.sqrt(hazard_ratio)) / (1 - 0.5 ** np.sqrt(1 / hazard_ratio)))


def _needed(ratio: float) -> float:
    ratio = ratio if ratio >= 1 else 1 / ratio
    return float(ratio + np.sqrt(ratio * (ratio - 1)))


@dataclass(frozen=True)
class NegativeControl:
    """An effect where there can be none.

    Attributes
    ----------
    estimate : Estimate
        The effect on the control outcome or in the control period.
    test : TestResult
        Wald test of no effect there: a small p-value says that the arms differ for another reason than the intervention.
    """

    estimate: Estimate
    test: TestResult


def negative_control(
    y: Outcome | NDArray[Any],
    arm: ArrayLike,
    *,
    effect: str = "risk_difference",
    period: tuple[float, float] | None = None,
    **options: Any,
) -> NegativeControl:
    """Estimate an effect where the intervention can have none, and test that it is none (Lipsitch et al. 2010).

    A negative-control *outcome* shares the confounders of leaving but cannot be moved by the intervention: pass its own `y`, or
    its ``cause=``. A negative-control *period* is one in which the intervention cannot act (yet): pass `period`, which keeps
    what happens in it. An effect found there is bias; none found is no proof of none, least of all with a wide interval.

    Parameters
    ----------
    y : Outcome or scikit-survival's structured array, of n rows
        The control outcome.
    arm : (n,)
        The same two arms as in the main analysis.
    effect : str
        As of :func:`effect_by_subgroup`, the effect of the main analysis.
    period : (from, to), optional
        Times in y's unit; who is not watched in it drops out, and what happens later is censored at its end.
    **options
        Options of the effect: horizon (counted from the period's begin), cause, cluster, sample_weight, strata, …

    Raises
    ------
    DataError, TooFewEventsError, NotIdentifiedError
        What the effect raises; a period that is empty.

    Examples
    --------
    >>> import numpy as np, churnsurv as cs
    >>> rng = np.random.default_rng(0)
    >>> arm, leave = rng.integers(0, 2, 600), rng.exponential(30, 600)
    >>> y = cs.Outcome(np.minimum(leave, 24), leave <= 24)
    >>> control = cs.effects.negative_control(y, arm, effect="hazard_ratio", period=(0, 3))
    >>> control.test.df
    1
    """
    y = as_outcome(y)
    estimator = effect_named(effect)
    checked_options(estimator, options, effect)
    labels: Any = arm
    if period is not None:
        n = len(y)
        y, rows = _within(y, period)
        labels, options = values_of(arm, rows, n, "arm"), options_of(options, rows, n)
    found = estimator(y, labels, **options)
    value, se = normal_scale(effect, found)
    z = value / se
    null = "1" if is_ratio(effect) else "0"
    test = TestResult(
        name="Negative control",
        statistic=z**2,
        df=1,
        p_value=two_sided(z),
        method=f"Wald test; {found.method}",
        estimand=f"{found.name} is {null} where the intervention cannot act",
        n=found.n,
        n_events=found.n_events,
    )
    return NegativeControl(found, test)


def _within(y: Outcome, period: Any) -> tuple[Outcome, NDArray[np.int64]]:
    """Keep what happens in (begin, end], 0 included where the outcome begins at it; give the rows kept too."""
    if isinstance(period, str) or np.shape(period) != (2,):
        raise DataError(f"period={period!r}: give its two ends, such as period=(0, 3).")
    begin, end = (one_number(v, "period") for v in period)
    if not 0 <= begin < end:
        raise DataError(f"period=({begin:g}, {end:g}): give 0 <= from < to.")
    rows = np.flatnonzero((y.entry < end) & ((y.stop > begin) | (y.from_origin & (begin == 0))))
    if not len(rows):
        raise DataError(f"Nobody is watched in the period ({begin:g}, {end:g}].")
    part = y[rows]
    event = np.where(part.stop <= end, part.event, 0)
    start = None if y.from_origin and begin == 0 else np.maximum(part.start, begin)
    return Outcome(np.minimum(part.stop, end), event, start, part.subject, y.causes, y.recurrent), rows
