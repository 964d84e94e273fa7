"""Reading the arguments of :func:`churnsurv.evaluation.fairness`: predictions, offers, groups, thresholds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from churnsurv.curves import Curves
from churnsurv.evaluation.group_measures import Rows, expected_events
from churnsurv.exceptions import DataError
from churnsurv.messages import first_of, one_number
from churnsurv.metrics.inputs import finite_numbers
from churnsurv.metrics.ipcw import predicted_risk, scored_cohort
from churnsurv.outcome import Outcome
from churnsurv.rows import meant_times, row_labels

ALL, REST, MISSING = "all", "the rest", "(missing)"


def read_rows(
    y: Outcome,
    curves_or_risk: Curves | ArrayLike,
    horizon: float,
    cause: str | None,
    offered: ArrayLike | None,
    threshold: float | None,
    cluster: ArrayLike | None,
    level: float,
) -> Rows:
    """Check the whole outcome and the predictions."""
    t = meant_times(np.array([horizon]), y)
    cohort = scored_cohort(y, t, cause, None, None, cluster, "fairness by group")
    risk = predicted_risk(curves_or_risk, y, cohort, t)[:, 0]
    if threshold is not None:
        threshold = one_number(threshold, "threshold")
        if not 0 < threshold < 1:
            raise DataError(f"threshold={threshold:g}: give a predicted probability between 0 and 1.")
    flags = None if threshold is None else risk >= threshold
    if offered is not None:
        numbers = finite_numbers(offered, len(y), "offered")
        if not np.isin(numbers, (0.0, 1.0)).all():
            raise DataError("offered must be 0 or 1 (or bool) for every row.")
        flags = numbers == 1
    expected = (
        expected_events(curves_or_risk, y, cohort.cause, float(t[0])) if isinstance(curves_or_risk, Curves) else None
    )
    return Rows(y, risk, expected, flags, cohort.judged.cluster, float(t[0]), cohort.cause, threshold, level)


def read_groups(groups: ArrayLike, n: int) -> tuple[NDArray[np.int64], list[Any]]:
    """Give codes and labels of the groups; missing values are the last."""
    if isinstance(groups, pd.DataFrame) and groups.shape[1] == 1:
        groups = groups.iloc[:, 0]
    if np.ndim(groups) != 1:
        raise DataError(
            f"groups has shape {np.shape(groups)}: give one label per row, e.g. age + ' ' + region of two columns."
        )
    values = pd.Series(groups if isinstance(groups, pd.Series) else np.asarray(groups))
    missing = values.isna().to_numpy()
    codes = np.full(len(values), -1, dtype=np.int64)
    labels: list[Any] = []
    if not missing.all() and len(values) == n:
        codes[~missing], index = row_labels(values[~missing], int((~missing).sum()), "groups")
        labels = index.tolist()
    elif len(values) != n:
        row_labels(values, n, "groups")
    if missing.any():
        codes[missing] = len(labels)
        labels = [*labels, MISSING]
    taken = [name for name in labels if name in (ALL, REST)]
    if taken or labels.count(MISSING) > 1:
        raise DataError(
            f"A group is called {first_of(taken or [MISSING])!r}, which stands for something else here: rename it."
        )
    if len(labels) < 2:
        raise DataError(f"groups has one label only ({first_of(labels)}): there is nothing to compare.")
    return codes, labels


def smallest_count(smallest_cell: Any) -> int:
    """Give the smallest count that is shown."""
    if isinstance(smallest_cell, bool) or not isinstance(smallest_cell, int | np.integer) or smallest_cell < 0:
        raise DataError(f"smallest_cell={smallest_cell!r}: give a whole number, 0 or more.")
    return int(smallest_cell)


def ratio_limit(value: Any) -> float:
    """Give the ratio of rates from which on they count as alike."""
    number = one_number(value, "ratio_threshold")
    if not 0 < number < 1:
        raise DataError(f"ratio_threshold={number:g}: give a number between 0 and 1, such as 0.8.")
    return number
