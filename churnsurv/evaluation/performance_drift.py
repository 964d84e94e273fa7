"""Whether a model discriminates and predicts today as well as at its development."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr, ndtri

from churnsurv.curves import Curves
from churnsurv.data.config import did_you_mean
from churnsurv.evaluation.inputs import rate_of
from churnsurv.evaluation.presented import Presented, Shown, alarms_in_words
from churnsurv.exceptions import DataError, NotIdentifiedError
from churnsurv.kernels.multiplicity import Adjustment, adjusted_p_values, check_adjustment, common_cut
from churnsurv.messages import first_of
from churnsurv.metrics import brier_score, concordance_index, cumulative_dynamic_auc
from churnsurv.metrics.calibration import calibration_line
from churnsurv.outcome import Outcome
from churnsurv.results import Estimate

#: measure → what it is called, and whether its logarithm is compared
MEASURES = {
    "concordance": ("Concordance", False),
    "auc": ("AUC at the horizon", False),
    "brier": ("Brier score", False),
    "slope": ("Calibration slope", False),
    "observed_expected": ("Observed/expected", True),
}
#: power at which the smallest drift is said that would have been found
_POWER = 0.8


@dataclass(frozen=True, repr=False, eq=False)
class PerformanceDrift(Presented):
    """Measures of a model today beside those of its development.

    Parameters
    ----------
    table : DataFrame
        One row per measure: name, current, development (values), value (difference current − development; of observed/expected
        the ratio current/development), se (of it; of a ratio, of its logarithm), lower, upper, threshold_lower,
        threshold_upper (alarm outside), p_value, p_adjusted, alarm, detectable (the smallest difference, of observed/expected
        the smallest ratio above 1, found with a probability of 80 %), false_alarm_rate, method.
    horizon : float
    level, false_alarm_rate : float
    adjust : str
        "holm" or "bonferroni": the rate bounds the probability of any false alarm among the measures.
    """

    table: pd.DataFrame
    horizon: float
    level: float
    false_alarm_rate: float
    adjust: str

    def to_frame(self) -> pd.DataFrame:
        """Give one row per measure."""
        return self.table.copy()

    @property
    def alarms(self) -> pd.DataFrame:
        """The measures with an alarm."""
        return self.table[self.table["alarm"]].reset_index(drop=True)

    def _shown(self) -> Shown:
        columns = ["name", "development", "current", "value", "lower", "upper", "p_adjusted", "alarm", "detectable"]
        head = f"Drift of performance at {self.horizon:g}: {alarms_in_words(self.alarms['name'].tolist())}"
        note = f"{self.level:.0%} intervals; false alarms {self.false_alarm_rate:.3g}, adjusted by {self.adjust}."
        return Shown(head, self.table[columns], (note,))


def performance(
    y: Outcome | NDArray[Any],
    curves_or_risk: Curves | ArrayLike,
    horizon: float,
    *,
    cause: str | None = None,
    cluster: ArrayLike | None = None,
    measures: Sequence[str] = tuple(MEASURES),
    level: float = 0.95,
) -> dict[str, Estimate]:
    """Measure a model on one cohort: concordance, AUC, Brier score, calibration slope, observed/expected at a horizon.

    To be kept with the model as what :func:`performance_drift` compares with. Take rows that the model has not seen (a later
    cohort, customers held out): on its own rows it looks better than it is, and the first quarter would show a drift.

    Parameters
    ----------
    y : Outcome or scikit-survival's structured array, n rows
        A landmark cohort.
    curves_or_risk : Curves of n rows, or array (n,)
        The predicted probability of having left by the cause within the horizon.
    horizon, cause, cluster, level
        As in :func:`churnsurv.metrics.calibration`.
    measures : sequence of str
        "concordance" (Harrell's, up to the horizon), "auc", "brier", "slope", "observed_expected".

    Returns
    -------
    dict
        Measure → Estimate.

    Raises
    ------
    DataError
        A measure that is not known; what the measures themselves refuse.

    Examples
    --------
    >>> import churnsurv as cs, numpy as np
    >>> rng = np.random.default_rng(0)
    >>> risk = rng.uniform(0.1, 0.6, 500)
    >>> y = cs.Outcome(np.minimum(np.ceil(12 * rng.exponential(-1 / np.log1p(-risk))), 24), rng.random(500) < 2)
    >>> sorted(cs.evaluation.performance(y, risk, 12))
    ['auc', 'brier', 'concordance', 'observed_expected', 'slope']
    """
    names = _known(measures)
    options: dict[str, Any] = {"cause": cause, "cluster": cluster, "level": level}
    found: dict[str, Estimate] = {}
    if "concordance" in names:
        # past the horizon the risk says nothing, and rows of other follow-up would not be comparable
        score = _risk(curves_or_risk, cause, horizon)
        found["concordance"] = concordance_index(y, score, tau=horizon, **options)
    for name, function in (("auc", cumulative_dynamic_auc), ("brier", brier_score)):
        if name in names:
            estimate = function(y, curves_or_risk, horizon, **options)
            assert isinstance(estimate, Estimate)  # one horizon
            found[name] = estimate
    if {"slope", "observed_expected"} & set(names):
        found["slope"], found["observed_expected"] = calibration_line(y, curves_or_risk, horizon, **options)
    return {name: found[name] for name in names}


def performance_drift(
    y: Outcome | NDArray[Any],
    curves_or_risk: Curves | ArrayLike,
    horizon: float,
    development: Mapping[str, Estimate],
    *,
    cause: str | None = None,
    cluster: ArrayLike | None = None,
    false_alarm_rate: float = 0.05,
    adjust: Adjustment = "holm",
    level: float = 0.95,
) -> PerformanceDrift:
    """Compare a model's measures on the current cohort with those of its development, with an alarm for the family.

    Each difference is judged by the standard errors of both sides; the two cohorts are taken as independent. Where the same
    customers are in both, the measures are usually positively correlated, so that the alarms come less often than stated.
    Alarms are two-sided: a concordance that rises is a reason to look for a leak.

    Parameters
    ----------
    y, curves_or_risk, horizon, cause, cluster
        The current cohort, as in :func:`performance`.
    development : mapping of measure to Estimate
        What :func:`performance` gave at the development. Only these measures are compared. An Estimate with a missing standard
        error is refused; a fixed target is given with ``se=0``.
    false_alarm_rate : float
        Probability of any alarm without drift ("holm", "bonferroni").
    adjust : {"holm", "benjamini-hochberg", "bonferroni"}
    level : float
        Confidence level of the differences.

    Returns
    -------
    PerformanceDrift

    Raises
    ------
    DataError
        A development that holds no known measure, or something else than estimates.
    NotIdentifiedError
        A measure that has no standard error.

    Examples
    --------
    >>> import churnsurv as cs, numpy as np
    >>> rng = np.random.default_rng(0)
    >>> def cohort(hazard_ratio):
    ...     risk = rng.uniform(0.1, 0.6, 1000)
    ...     left = np.ceil(12 * rng.exponential(-1 / np.log1p(-risk)) / hazard_ratio)
    ...     return cs.Outcome(np.minimum(left, 24), left <= 24), risk
    >>> development = cs.evaluation.performance(*cohort(1.0), 12)
    >>> cs.evaluation.performance_drift(*cohort(1.5), 12, development).alarms["measure"].tolist()
    ['brier', 'observed_expected']
    """
    rate_of(false_alarm_rate)
    check_adjustment(adjust)
    if not isinstance(development, Mapping):
        raise DataError(
            f"development is a {type(development).__name__}: give a mapping, as evaluation.performance makes it."
        )
    names = _known(list(development))
    other = [name for name in names if not isinstance(development[name], Estimate)]
    if other:
        raise DataError(f"development[{other[0]!r}] is no Estimate: give what evaluation.performance returned.")
    current = performance(y, curves_or_risk, horizon, cause=cause, cluster=cluster, measures=names, level=level)
    for name in names:
        _require_same_question(name, current[name], development[name])
    gaps = [_gap(name, current[name], development[name]) for name in names]
    p = np.array([2 * ndtr(-abs(gap.value) / gap.se) for gap in gaps])
    adjusted = adjusted_p_values(p, adjust)
    # what alarms: the cut of the family; what would have been found: the cut of its first step, known beforehand
    z_alarm = float(ndtri(1 - common_cut(adjusted, false_alarm_rate, adjust) / 2))
    z_found = float(ndtri(1 - false_alarm_rate / len(names) / 2) + ndtri(_POWER))
    z = float(ndtri((1 + level) / 2))
    rows = []
    for gap, p_value, p_adjusted in zip(gaps, p, adjusted, strict=True):
        back = np.exp if gap.log else (lambda value: value)
        rows.append(
            {
                "measure": gap.measure,
                "name": MEASURES[gap.measure][0],
                "current": current[gap.measure].value,
                "development": development[gap.measure].value,
                "value": float(back(gap.value)),
                "se": gap.se,
                "lower": float(back(gap.value - z * gap.se)),
                "upper": float(back(gap.value + z * gap.se)),
                "threshold_lower": float(back(-z_alarm * gap.se)),
                "threshold_upper": float(back(z_alarm * gap.se)),
                "p_value": p_value,
                "p_adjusted": p_adjusted,
                "alarm": bool(p_adjusted <= false_alarm_rate),
                "detectable": float(back(z_found * gap.se)),
                "false_alarm_rate": false_alarm_rate,
                "n": current[gap.measure].n,
                "n_events": current[gap.measure].n_events,
                "method": ("ratio of the ratios, by its logarithm" if gap.log else "difference")
                + f", normal, independent cohorts; {adjust} over {len(names)}",
            }
        )
    return PerformanceDrift(pd.DataFrame(rows), float(horizon), level, false_alarm_rate, adjust)


class _Gap(NamedTuple):
    measure: str
    value: float
    se: float
    log: bool


def _gap(name: str, current: Estimate, development: Estimate) -> _Gap:
    log = MEASURES[name][1]
    sides = []
    for which, one in (("current", current), ("development", development)):
        if not np.isfinite(one.value) or not np.isfinite(one.se) or one.se < 0 or (log and one.value <= 0):
            raise NotIdentifiedError(
                f"The {which} {name!r} is {one.value:g} with a standard error of {one.se:g}: nothing can be compared. "
                "Leave the measure out of `development`, or take a larger cohort."
            )
        sides.append((np.log(one.value), one.se / one.value) if log else (one.value, one.se))
    se = float(np.hypot(sides[0][1], sides[1][1]))
    if se == 0:
        raise NotIdentifiedError(f"{name!r} has no sampling error on either side: nothing can be tested.")
    return _Gap(name, float(sides[0][0] - sides[1][0]), se, log)


def _require_same_question(name: str, current: Estimate, development: Estimate) -> None:
    """Refuse a development of another horizon or cause, as far as the names of the estimates tell."""
    for what, pattern in (("horizon", r"(?:at|by|up to) ([\d.e+]+)"), ("cause", r" of (.+?)(?: up to .*)?$")):
        asked, was = (re.search(pattern, one.name) for one in (current, development))
        if asked and was and asked[1] != was[1]:
            raise DataError(
                f"development[{name!r}] is of the {what} {was[1]}, the current cohort is judged for {asked[1]}: "
                f"nothing can be compared. Measure both for the same {what}."
            )


def _known(measures: Sequence[str]) -> list[str]:
    names = [measures] if isinstance(measures, str) else list(measures) if isinstance(measures, Iterable) else []
    if not names or len(set(names)) < len(names):
        raise DataError(
            f"measures={measures!r}: No measure is named, or one twice; give some of {first_of(MEASURES, 9)}."
        )
    for name in names:
        if name not in MEASURES:
            raise DataError(f"There is no measure {name!r}. {did_you_mean(str(name), list(MEASURES))}")
    return names


def _risk(curves_or_risk: Curves | ArrayLike, cause: str | None, horizon: float) -> ArrayLike:
    return curves_or_risk.risk(cause, horizon) if isinstance(curves_or_risk, Curves) else curves_or_risk
