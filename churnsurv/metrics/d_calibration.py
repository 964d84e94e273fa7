"""Calibration of whole curves: the predicted probabilities at the times of leaving are spread evenly."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtrc

from churnsurv.curves import Curves
from churnsurv.exceptions import DataError, NoEventsError
from churnsurv.kernels.times import steps_until
from churnsurv.messages import counted, first_of
from churnsurv.outcome import Outcome
from churnsurv.results import TestResult
from churnsurv.rows import as_outcome, refuse_recurrent

Floats = NDArray[np.float64]


def d_calibration(y: Outcome | NDArray[Any], curves: Curves, *, bins: int = 10) -> TestResult:
    """Test whether the predicted survival at the time of leaving is uniform, as it is under a right model.

    Haider, Hoehn, Davis and Greiner (2020): the range of probabilities is cut into bins of equal width, in which equal
    numbers of customers are expected. Who is censored at c, with S(c) predicted, is spread evenly over (0, S(c)); who leaves
    at a step of the curve (a month) evenly over that step. Leaving by any cause counts. Spreading makes the statistic smaller
    than chi-square, so with much censoring the p-value is too large: a small one counts, a large one says little.

    Parameters
    ----------
    y : Outcome or scikit-survival's structured array, one row per customer
        With late entry where the curves start at it.
    curves : Curves of n rows
        On the scale of y, holding every step (``predict_curves`` without `times`), from each row's time of entry on.
    bins : int
        Number of bins.

    Returns
    -------
    TestResult
        χ² with bins − 1 degrees of freedom.

    Raises
    ------
    DataError
        Curves of other rows or evaluated at some times only, which start elsewhere than y, or are missing or end before a
        customer's exit; fewer than two bins.
    NoEventsError
        Nobody leaves.
    NotIdentifiedError
        Recurrent events, curves of one cause among several.

    Examples
    --------
    >>> import churnsurv as cs, numpy as np
    >>> y = cs.Outcome(np.arange(1, 101), np.ones(100))
    >>> curves = cs.KaplanMeier().fit(y).curves_[np.zeros(100, dtype=int)]
    >>> round(cs.metrics.d_calibration(y, curves).statistic, 6)
    0.0
    """
    y = as_outcome(y)
    refuse_recurrent(y, "The calibration of curves")
    if isinstance(bins, bool) or not isinstance(bins, int | np.integer) or bins < 2:
        raise DataError(f"bins={bins!r}: give a whole number of at least 2.")
    if not np.any(y.event > 0):
        raise NoEventsError(f"Nobody leaves among {counted(len(y), 'row')}: nothing to compare.")
    before, after = _survival_around(y, curves)
    low = np.where(y.event > 0, after, 0.0)
    high = np.where(y.event > 0, before, after)
    edges = np.linspace(0, 1, bins + 1)
    width = high - low
    inside = np.clip(np.minimum(high[:, None], edges[1:]) - np.maximum(low[:, None], edges[:-1]), 0, None)
    point = np.clip(np.ceil(high * bins).astype(int) - 1, 0, bins - 1)  # a step of no height lies in one bin
    share = np.where(width[:, None] > 0, inside / np.where(width > 0, width, 1.0)[:, None], np.eye(bins)[point])
    expected = len(y) / bins
    statistic = float(np.sum((share.sum(axis=0) - expected) ** 2) / expected)
    return TestResult(
        name="D-calibration",
        statistic=statistic,
        df=bins - 1,
        p_value=float(chdtrc(bins - 1, statistic)),
        method=f"{bins} bins of the predicted survival; censored customers spread over what is left (conservative)",
        estimand="the predicted survival at the time of leaving is uniform",
        n=len(y),
        n_events=int(np.count_nonzero(y.event > 0)),
    )


def _survival_around(y: Outcome, curves: Curves) -> tuple[Floats, Floats]:
    """Give the predicted survival just before and at each row's stop, (n,)."""
    if len(curves) != len(y):
        raise DataError(f"The curves have {counted(len(curves), 'row')}, the outcome has {len(y):,}.")
    if y.n_subjects < len(y):
        raise DataError("Some customers have several rows: give one row, and one curve, per customer.")
    survival = curves.survival
    if not curves.steps:
        raise DataError("These curves were evaluated at some times only: predict without `times`, to hold every step.")
    elsewhere = np.flatnonzero(~np.isclose(curves.origin, y.start))
    if len(elsewhere):
        raise DataError(
            f"{counted(len(elsewhere), 'curve')} (row {first_of(elsewhere)}) start elsewhere than their rows (at "
            f"{curves.origin[elsewhere[0]]:g}, the row at {y.start[elsewhere[0]]:g}): predict with start= the times of entry."
        )
    rows = np.arange(len(y))
    if not len(curves.times):
        return np.ones(len(y)), np.ones(len(y))
    position = steps_until(curves.times, y.stop)
    at = np.where(position > 0, survival[rows, np.maximum(position - 1, 0)], 1.0)
    # an event between two steps falls on none: it lies where the curve is flat
    on_step = (position > 0) & np.isclose(curves.times[np.maximum(position - 1, 0)], y.stop)
    earlier = position - on_step
    before = np.where(earlier > 0, survival[rows, np.maximum(earlier - 1, 0)], 1.0)
    unknown = np.flatnonzero(np.isnan(at) | np.isnan(before) | (y.stop > curves.last * (1 + 1e-9)))
    if len(unknown):
        raise DataError(
            f"{counted(len(unknown), 'row')} (row {first_of(unknown)}) have no prediction at their exit. Leave them out, or "
            "cut the follow-up (Outcome) at the end of the curves."
        )
    return before, at
