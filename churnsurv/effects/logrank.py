"""The log-rank test and its weighted relatives."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.special import chdtrc

from churnsurv.effects.arms import read_arms
from churnsurv.exceptions import DataError, NoEventsError, NotIdentifiedError, SmallSampleWarning
from churnsurv.kernels.logrank import LogRank, log_rank, quadratic_form
from churnsurv.messages import first_of, one_number
from churnsurv.outcome import Outcome
from churnsurv.results import TestResult
from churnsurv.rows import as_outcome, refuse_recurrent, row_labels


def logrank_test(
    y: Outcome | NDArray[Any],
    arm: ArrayLike,
    *,
    rho: float = 0,
    gamma: float = 0,
    strata: ArrayLike | pd.DataFrame | None = None,
    cause: str | None = None,
    trend: bool = False,
) -> TestResult:
    """Test whether the hazard of leaving is the same in all arms.

    At each event time the events of an arm are compared with its share of those at risk (Mantel 1966). The weights
    S(t−)^rho (1 − S(t−))^gamma (Fleming & Harrington 1991) stress early differences (rho = 1, the Peto–Peto test of R's
    ``survdiff``) or late ones (gamma = 1); S is the Kaplan–Meier curve of all arms, within strata. Rows are at risk on
    (start, stop], so entry is accounted for; customers are taken as independent and censoring as unrelated to leaving,
    given arm and stratum. Splitting rows changes nothing.

    Parameters
    ----------
    y : Outcome or scikit-survival's structured array, of n rows
        On time since assignment for interventions.
    arm : (n,)
        Two or more arms.
    rho, gamma : float
        Exponents of the weight, 0 or more; both 0 is the log-rank test.
    strata : (n,) or frame of n rows, optional
        Arms are compared within strata, then summed.
    cause : str, optional
        Compare this cause's hazard; leaving by the others is censoring. Default: leaving by any cause.
    trend : bool
        One degree of freedom for a hazard that rises or falls with the arm: its number, or its place in sorted order.

    Returns
    -------
    TestResult
        χ² statistic, its degrees of freedom and two-sided p-value.

    Raises
    ------
    NoEventsError
        No event at all.
    NotIdentifiedError
        No two arms are ever at risk together (in one stratum) when somebody leaves; recurrent events.
    DataError
        One arm, or an arm of one customer; arms or strata missing or of another length; negative exponents.

    Warns
    -----
    SmallSampleWarning
        An arm has no event.

    Examples
    --------
    >>> import churnsurv as cs
    >>> y = cs.Outcome(stop=[2, 4, 5, 8, 1, 2, 3, 6], event=[1, 1, 0, 1, 1, 1, 1, 1])
    >>> result = cs.effects.logrank_test(y, ["offer"] * 4 + ["none"] * 4)
    >>> result.df, round(result.statistic, 3), round(result.p_value, 3)
    (1, 1.669, 0.196)
    """
    y = as_outcome(y)
    refuse_recurrent(y, "A log-rank test")
    rho, gamma = one_number(rho, "rho"), one_number(gamma, "gamma")
    if rho < 0 or gamma < 0:
        raise DataError(f"rho={rho:g} and gamma={gamma:g} must be numbers of 0 or more.")
    event = y.event > 0 if cause is None else y.event == y.cause_code(cause)
    codes, labels = read_arms(y, arm)
    stratum = np.zeros(len(y), dtype=np.int64) if strata is None else row_labels(strata, len(y), "strata")[0]
    n_events = int(np.count_nonzero(event))
    if n_events == 0:
        raise NoEventsError(
            f"No event{f' of cause {cause!r}' if cause else ''} among {len(y):,} rows: nothing to test."
        )
    without = labels[np.bincount(codes[event], minlength=len(labels)) == 0]
    if len(without):
        warnings.warn(
            f"Arm {first_of([repr(v) for v in without])} has no event: the χ² approximation of the p-value is rough.",
            SmallSampleWarning,
            stacklevel=2,
        )
    parts = log_rank(y.entry, y.stop, event.astype(np.int64), codes, stratum, len(labels), rho=rho, gamma=gamma)
    statistic, df = (
        _trend(parts, labels) if trend else quadratic_form(parts.observed - parts.expected, parts.covariance)
    )
    if df == 0:
        raise NotIdentifiedError(
            "At no event are customers of two arms at risk together"
            f"{' in one stratum' if strata is not None else ''} with positive weight: the arms cannot be compared. "
            "Check the entry times, or use fewer strata."
        )
    return TestResult(
        name=_name(rho, gamma) + (" test for trend" if trend else " test"),
        statistic=statistic,
        df=df,
        p_value=float(chdtrc(df, statistic)),
        method=_method(y, rho, gamma, strata is not None),
        estimand=f"equal hazards of leaving by {cause or 'any cause'} in the arms {first_of(labels)}",
        n=y.n_subjects,
        n_events=n_events,
    )


def _trend(parts: LogRank, labels: pd.Index) -> tuple[float, int]:
    numeric = pd.api.types.is_numeric_dtype(labels) and not pd.api.types.is_bool_dtype(labels)
    score = labels.to_numpy(dtype=np.float64) if numeric else np.arange(len(labels), dtype=np.float64)
    score = score - score.mean()  # the rows of the covariance sum to 0: a shift changes nothing but rounding
    variance = float(score @ parts.covariance @ score)
    if variance <= 1e-12 * float(score @ score) * float(np.trace(parts.covariance)):
        return np.nan, 0
    return float(score @ (parts.observed - parts.expected)) ** 2 / variance, 1


def _name(rho: float, gamma: float) -> str:
    return "Log-rank" if rho == gamma == 0 else f"Fleming-Harrington G({rho:g}, {gamma:g})"


def _method(y: Outcome, rho: float, gamma: float, stratified: bool) -> str:
    words = ["stratified" if stratified else "unstratified", "hypergeometric variance"]
    words += ["weights from the pooled left-continuous Kaplan-Meier curve"] if rho or gamma else []
    words += ["delayed entry"] if np.any(y.entry > 0) else []
    return ", ".join(words)
