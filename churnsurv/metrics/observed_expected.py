"""Counts against what a model expected of the same customers under the same observation."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.special import gammaincinv
from scipy.stats import poisson

from churnsurv.exceptions import DataError
from churnsurv.messages import confidence_level, counted, first_of
from churnsurv.metrics.inputs import finite_numbers, the_cause
from churnsurv.outcome import Outcome
from churnsurv.rows import as_outcome, refuse_recurrent, row_labels

Floats = NDArray[np.float64]


def observed_expected(
    y: Outcome | NDArray[Any],
    expected: ArrayLike,
    *,
    cause: str | None = None,
    by: ArrayLike | pd.DataFrame | None = None,
    level: float = 0.95,
) -> pd.DataFrame:
    r"""Compare the number of customers who left with the number that a model expected, in all and by segment.

    Expected is the sum of the rows' cumulative hazards over the time each was under observation, so that late entry,
    split spells and censoring are accounted for: under the model observed − expected is a martingale, and the count close
    to Poisson with that mean (Breslow, Lubin, Marek & Langholz 1983; Berry 1983). The expectation is taken as known.

    Parameters
    ----------
    y : Outcome or scikit-survival's structured array, n rows
        Any outcome, with late entry and (start, stop] rows.
    expected : (n,)
        Expected number of events of the cause over each row's own time under observation, e.g.
        ``CoxPH.expected_events(X, y.stop)["estimate"]``; 0 or more.
    cause : str, optional
        Cause to be counted; needed when there are several.
    by : (n,) or frame of n rows, optional
        Segments; the line "all" comes first.
    level : float
        Confidence level.

    Returns
    -------
    DataFrame
        One row per segment: segment, n, observed, expected, ratio, lower, upper (exact Poisson, Garwood 1936), p_value of
        a ratio of 1 (twice the smaller Poisson tail). Nothing is corrected for the number of segments.

    Raises
    ------
    DataError
        Expected numbers that are missing or negative, or 0 where somebody left; segments missing or of another length.
    NotIdentifiedError
        Recurrent events.

    Examples
    --------
    >>> import churnsurv as cs
    >>> y = cs.Outcome(stop=[3, 5, 8, 12], event=[1, 1, 0, 1])
    >>> table = cs.metrics.observed_expected(y, [0.2, 0.5, 0.6, 0.7], by=["north", "north", "south", "south"])
    >>> table[["segment", "observed", "expected"]].round(2).values.tolist()
    [['all', 3, 2.0], ['north', 2, 0.7], ['south', 1, 1.3]]
    """
    level, y = confidence_level(level), as_outcome(y)
    refuse_recurrent(y, "A ratio of observed to expected")
    cause = the_cause(y, cause)
    event = (y.event == y.cause_code(cause)).astype(np.float64)
    means = finite_numbers(expected, len(y), "expected")
    negative = np.flatnonzero(means < 0)
    if len(negative):
        raise DataError(f"{counted(len(negative), 'row')} (row {first_of(negative)}) expect fewer than 0 events.")
    groups: list[tuple[Any, NDArray[np.bool_]]] = [("all", np.ones(len(y), dtype=bool))]
    if by is not None:
        codes, labels = row_labels(by, len(y), "by")
        groups += [(label, codes == code) for code, label in enumerate(labels)]
    subjects = pd.factorize(y.subject)[0]
    rows = [
        (
            name,
            len(np.unique(subjects[inside])),
            *poisson_ratio(int(event[inside].sum()), float(means[inside].sum()), name, level),
        )
        for name, inside in groups
    ]
    columns = ["segment", "n", "observed", "expected", "ratio", "lower", "upper", "p_value"]
    return pd.DataFrame(rows, columns=columns)


def poisson_ratio(
    observed: int, expected: float, name: Any, level: float
) -> tuple[int, float, float, float, float, float]:
    """Give observed, expected, their ratio with its exact Poisson interval, and the p-value of a ratio of 1."""
    if expected <= 0:
        if observed:
            raise DataError(
                f"Segment {name!r}: {counted(observed, 'event')} where 0 are expected. Is `expected` of these rows?"
            )
        return 0, 0.0, np.nan, np.nan, np.nan, np.nan
    tail = (1 - level) / 2
    lower = float(gammaincinv(observed, tail)) if observed else 0.0
    upper = float(gammaincinv(observed + 1, 1 - tail))
    smaller = min(poisson.cdf(observed, expected), poisson.sf(observed - 1, expected))
    return observed, expected, observed / expected, lower / expected, upper / expected, min(1.0, 2 * float(smaller))
