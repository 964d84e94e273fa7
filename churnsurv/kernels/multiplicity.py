"""P-values adjusted for the number of tests."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import false_discovery_control

from churnsurv.exceptions import DataError

Adjustment = Literal["holm", "benjamini-hochberg", "bonferroni"]


def check_adjustment(adjust: object) -> None:
    """Refuse an adjustment that is not known."""
    if adjust not in get_args(Adjustment):
        raise DataError(f"adjust={adjust!r} is not known: use one of {list(get_args(Adjustment))}.")


def adjusted_p_values(p_values: ArrayLike, adjust: str) -> NDArray[np.float64]:
    """Adjust the p-values of m tests (m,), as R's ``p.adjust``; missing ones stay missing and do not count.

    Holm (1979) bounds the probability of any false finding, as Bonferroni's does with less power; Benjamini and Hochberg
    (1995) the expected share of false ones among the findings, for independent or positively dependent tests.
    """
    p = np.asarray(p_values, dtype=np.float64)
    known = np.flatnonzero(~np.isnan(p))
    adjusted = np.full(len(p), np.nan)
    if not len(known):
        return adjusted
    if adjust == "benjamini-hochberg":
        adjusted[known] = false_discovery_control(p[known])
    elif adjust == "bonferroni":
        adjusted[known] = np.minimum(1.0, len(known) * p[known])
    else:
        order = known[np.argsort(p[known], kind="stable")]
        steps = np.maximum.accumulate((len(order) - np.arange(len(order))) * p[order])
        adjusted[order] = np.minimum(1.0, steps)
    return adjusted


def common_cut(adjusted: NDArray[np.float64], rate: float, adjust: str) -> float:
    """Give the one cut that an unadjusted p-value has to reach to be a finding, given what was found at `rate`.

    With R findings among m tests, Holm's steps end at rate/(m − R) and Benjamini and Hochberg's at rate·R/m: a p-value up to
    there is a finding, any other is not. For critical values on the scale of a statistic.
    """
    m = int(np.sum(~np.isnan(adjusted)))
    found = int(np.sum(adjusted <= rate))
    if m == 0:
        return rate
    if adjust == "benjamini-hochberg":
        return rate * max(found, 1) / m
    return rate / m if adjust == "bonferroni" else rate / max(m - found, 1)
