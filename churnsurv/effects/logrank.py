"""The log-rank test and its weighted relatives."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.special import chdtrc

from churnsurv.effects.comparison import exponent, read_comparison
from churnsurv.exceptions import DataError
from churnsurv.kernels.logrank import LogRank, fleming_harrington, named_weights, quadratic_form
from churnsurv.outcome import Outcome
from churnsurv.results import TestResult

#: name of a weighting → name of the test, and its weight in words
WEIGHTINGS = {
    "gehan": ("Gehan-Breslow", "weights n(t), those at risk"),
    "tarone-ware": ("Tarone-Ware", "weights √n(t)"),
    "peto-peto": ("Peto-Peto-Prentice", "weights Π(1 − d/(n + 1)) up to and with t"),
}


def logrank_test(
    y: Outcome | NDArray[Any],
    arm: ArrayLike,
    *,
    rho: float = 0,
    gamma: float = 0,
    strata: ArrayLike | pd.DataFrame | None = None,
    cause: str | None = None,
    trend: bool = False,
    weighting: Literal["gehan", "tarone-ware", "peto-peto"] | None = None,
    sample_weight: ArrayLike | None = None,
    weight_type: Literal["sampling", "case"] = "sampling",
    cluster: ArrayLike | None = None,
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
    weighting : {"gehan", "tarone-ware", "peto-peto"}, optional
        In the place of rho and gamma: weights n(t), the number at risk (Gehan 1965, Breslow 1970; "n" of R's ``survMisc``),
        √n(t) (Tarone & Ware 1977; "sqrtN"), or Π(1 − d/(n + 1)) up to and with t (Peto & Peto 1972, Prentice 1978; "S1").
        The first two depend on the pattern of censoring too. R's ``survdiff(rho = 1)``, also called Peto–Peto, is
        ``rho=1`` here.
    sample_weight : (n,), optional
        Weights above 0 of sampling or of propensity. The variance is then the sum of squared influences by subject, or
        cluster (Lin & Wei 1989); estimated propensities are taken as known, which is conservative (Xie & Liu 2005).
    weight_type : {"sampling", "case"}
        ``"case"``: whole numbers, each row stands for that many customers; the variance is that of the copies.
    cluster : (n,), optional
        Rows of a cluster (the loans of a customer, a branch) may depend on each other: variance by cluster, as above.

    Returns
    -------
    TestResult
        χ² statistic, its degrees of freedom and two-sided p-value.

    Raises
    ------
    NoEventsError
        No event at all.
    NotIdentifiedError
        No two arms are ever at risk together (in one stratum) when somebody leaves; recurrent events; not more clusters
        than arms.
    DataError
        One arm, or an arm of one customer or cluster; arms or strata missing or of another length; negative exponents;
        weights of 0 or less.

    Warns
    -----
    SmallSampleWarning
        An arm has no event, or is never at risk together with the others; fewer than 40 clusters.

    Examples
    --------
    >>> import churnsurv as cs
    >>> y = cs.Outcome(stop=[2, 4, 5, 8, 1, 2, 3, 6], event=[1, 1, 0, 1, 1, 1, 1, 1])
    >>> result = cs.effects.logrank_test(y, ["offer"] * 4 + ["none"] * 4)
    >>> result.df, round(result.statistic, 3), round(result.p_value, 3)
    (1, 1.669, 0.196)
    """
    rho, gamma = exponent(rho, "rho"), exponent(gamma, "gamma")
    if weighting is not None and weighting not in list(WEIGHTINGS):
        raise DataError(f"weighting={weighting!r} is not known: use one of {list(WEIGHTINGS)}, or rho and gamma.")
    if weighting is not None and (rho or gamma):
        raise DataError(f"weighting={weighting!r} and rho={rho:g}, gamma={gamma:g} are two weights: give one of them.")
    rows = read_comparison(
        y, arm, "A log-rank test", strata=strata, cause=cause, sample_weight=sample_weight, weight_type=weight_type,
        cluster=cluster,
    )  # fmt: skip
    counts = rows.counts()
    time_weight = fleming_harrington(counts, rho, gamma) if weighting is None else named_weights(counts, weighting)
    parts = rows.log_rank(counts, time_weight)
    statistic, df = (
        _trend(parts, rows.labels) if trend else quadratic_form(parts.observed - parts.expected, parts.covariance)
    )
    if df == 0:
        raise rows.not_together()
    if not trend:
        rows.warn_of_lost_arms(df, parts.covariance)
    name, words = _words(weighting, rho, gamma)
    return TestResult(
        name=name + (" test for trend" if trend else " test"),
        statistic=statistic,
        df=df,
        p_value=float(chdtrc(df, statistic)),
        method=rows.method(*words),
        estimand=rows.hypothesis(),
        n=rows.y.n_subjects,
        n_events=rows.n_events,
    )


def _trend(parts: LogRank, labels: pd.Index) -> tuple[float, int]:
    numeric = pd.api.types.is_numeric_dtype(labels) and not pd.api.types.is_bool_dtype(labels)
    score = labels.to_numpy(dtype=np.float64) if numeric else np.arange(len(labels), dtype=np.float64)
    score = score - score.mean()  # the rows of the covariance sum to 0: a shift changes nothing but rounding
    variance = float(score @ parts.covariance @ score)
    if variance <= 1e-12 * float(score @ score) * float(np.trace(parts.covariance)):
        return np.nan, 0
    return float(score @ (parts.observed - parts.expected)) ** 2 / variance, 1


def _words(weighting: str | None, rho: float, gamma: float) -> tuple[str, list[str]]:
    """Give the name of the test and its weights in words."""
    if weighting is not None:
        name, words = WEIGHTINGS[weighting]
        return name, [words]
    if rho == gamma == 0:
        return "Log-rank", []
    return f"Fleming-Harrington G({rho:g}, {gamma:g})", ["weights from the pooled left-continuous Kaplan-Meier curve"]
