"""The maximum of several weighted log-rank statistics, for effects whose shape over time is not known before."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr

from churnsurv.effects.arms import read_two_arms
from churnsurv.effects.comparison import compared, exponent, read_comparison
from churnsurv.exceptions import DataError
from churnsurv.kernels.logrank import fleming_harrington, two_arm_scores
from churnsurv.kernels.normal_maximum import largest_exceeds
from churnsurv.kernels.times import Floats
from churnsurv.outcome import Outcome
from churnsurv.results import TestResult
from churnsurv.rows import as_outcome

ALTERNATIVES = ("two-sided", "less", "greater")


def maxcombo_test(
    y: Outcome | NDArray[Any],
    arm: ArrayLike,
    *,
    weights: Sequence[tuple[float, float]] = ((0, 0), (0, 1), (1, 0), (1, 1)),
    alternative: Literal["two-sided", "less", "greater"] = "two-sided",
    reference: Any = None,
    strata: ArrayLike | pd.DataFrame | None = None,
    cause: str | None = None,
    sample_weight: ArrayLike | None = None,
    weight_type: Literal["sampling", "case"] = "sampling",
    cluster: ArrayLike | None = None,
) -> TestResult:
    """Test whether the hazard of leaving is the same in two arms, against early, late, middle and constant differences.

    The largest of the standardised Fleming–Harrington statistics G(rho, gamma) (Lee 2007; Karrison 2016; Lin et al. 2020).
    They are jointly normal when the hazards are equal, with a covariance estimated from the same counts of those at risk
    and events, so that the level is kept without choosing a weight after seeing the curves. Under proportional hazards it
    loses little against the log-rank test; where curves cross or part late it gains much.

    Parameters
    ----------
    y : Outcome or scikit-survival's structured array, of n rows
        On time since assignment for interventions.
    arm : (n,)
        Two arms; of more, compare pairs by ``pairwise_tests(test=maxcombo_test)``.
    weights : sequence of (rho, gamma)
        Exponents of the weights of time, 0 or more; default: constant, late, early, middle. Not weights of rows, which are
        `sample_weight`.
    alternative : {"two-sided", "less", "greater"}
        One-sided: the (weighted) hazard of the other arm is less, or greater, than that of the reference. With a one-sided
        alternative and late weights, an arm that first harms and then helps can be found better: look at the curves.
    reference : label, optional
        Default: the first arm in sorted order.
    strata, cause, sample_weight, weight_type, cluster
        As in :func:`logrank_test`.

    Returns
    -------
    TestResult
        statistic: the largest (absolute) standardised difference; df: the number of statistics combined; p_value: the
        multivariate normal probability of a larger one (by directions from a fixed seed, off by some 1e-5 at 0.05, never
        outside the smallest single p-value and its Bonferroni bound).

    Raises
    ------
    DataError
        Not two arms; weights that are no pairs of numbers of 0 or more; as in :func:`logrank_test`.
    NotIdentifiedError, NoEventsError
        As in :func:`logrank_test`.

    Examples
    --------
    >>> import churnsurv as cs
    >>> y = cs.Outcome(stop=[2, 4, 5, 8, 1, 2, 3, 6], event=[1, 1, 0, 1, 1, 1, 1, 1])
    >>> result = cs.effects.maxcombo_test(y, ["offer"] * 4 + ["none"] * 4)
    >>> result.df, round(result.statistic, 3), round(result.p_value, 2)
    (4, 1.292, 0.34)
    """
    y = as_outcome(y)
    exponents = _exponents(weights)
    if alternative not in ALTERNATIVES:
        raise DataError(f"alternative={alternative!r} is not known: use one of {list(ALTERNATIVES)}.")
    rows = read_comparison(
        y, arm, "A MaxCombo test", strata=strata, cause=cause, sample_weight=sample_weight, weight_type=weight_type,
        cluster=cluster,
    )  # fmt: skip
    if len(rows.labels) > 2:
        raise DataError(
            f"There are {len(rows.labels)} arms, and a MaxCombo test compares two: use "
            "pairwise_tests(y, arm, test=maxcombo_test), which adjusts the p-values of the pairs."
        )
    codes, labels = read_two_arms(y, arm, reference)
    rows = rows._replace(arm=codes, labels=labels)
    counts = rows.counts()
    time_weights = np.stack([fleming_harrington(counts, *pair) for pair in exponents])
    score, covariance = two_arm_scores(counts, time_weights)
    meet = compared(counts, leaving=False)
    known = np.any(meet & (time_weights > 0), axis=1)  # a weight that is zero at every event says nothing
    if not known.any():
        raise rows.not_together()
    if rows.cluster is not None:
        u = np.stack([rows.influences(counts, w)[:, 1] for w in time_weights], axis=1)
        covariance = u.T @ u
    se = np.sqrt(np.diag(covariance)[known])
    z = score[known] / se
    directed = {"two-sided": np.abs(z), "less": -z, "greater": z}[alternative]
    return TestResult(
        name="MaxCombo test",
        statistic=float(directed.max()),
        df=len(z),
        p_value=exceedance(float(directed.max()), covariance[np.ix_(known, known)] / np.outer(se, se), alternative),
        method=rows.method(
            "maximum of " + ", ".join(f"G({r:g}, {g:g})" for (r, g), k in zip(exponents, known, strict=True) if k),
            alternative if alternative == "two-sided" else f"one-sided: hazard of {labels[1]} {alternative}",
        ),
        estimand=rows.hypothesis(),
        n=rows.y.n_subjects,
        n_events=rows.n_events,
    )


def _exponents(weights: Any) -> list[tuple[float, float]]:
    pairs = list(weights) if isinstance(weights, list | tuple | np.ndarray) else []
    if not pairs or any(np.shape(pair) != (2,) for pair in pairs):
        raise DataError(f"weights={weights!r}: give pairs (rho, gamma), such as [(0, 0), (0, 1)].")
    return [(exponent(rho, "rho of weights"), exponent(gamma, "gamma of weights")) for rho, gamma in pairs]


def exceedance(largest: float, correlation: Floats, alternative: str) -> float:
    """Give P(max > largest) of normal variables with this correlation, which may be singular (G(0,0) = G(0,1) + G(1,0))."""
    two_sided = alternative == "two-sided"
    one = float(ndtr(-largest)) * (2 if two_sided else 1)
    p = largest_exceeds(largest, correlation, two_sided=two_sided)
    return float(np.clip(p, one, min(len(correlation) * one, 1.0)))
