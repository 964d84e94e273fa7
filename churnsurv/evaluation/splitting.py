"""Splits of rows into folds, with warnings of those that let a model see the customers, or the time, that it is judged by."""

from __future__ import annotations

import warnings
from numbers import Integral
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from churnsurv.data.periods import as_dates
from churnsurv.data.splits import CustomerKFold
from churnsurv.evaluation.trials import positions
from churnsurv.exceptions import DataError, LeakageWarning
from churnsurv.messages import counted, first_of
from churnsurv.outcome import Outcome

Ints = NDArray[np.int64]
Parts = list[tuple[Ints, Ints]]


def read_splits(
    cv: Any, X: pd.DataFrame, y: Outcome, unit: Ints, random_state: int | None, stacklevel: int = 3
) -> Parts:
    """Give the positions of the rows to fit and to test, fold by fold.

    A number makes folds of whole customers; else `cv` is a splitter of scikit-learn, which is given the codes of the events as
    its y and the customers as groups, or an iterable of pairs.
    """
    if isinstance(cv, Integral) and not isinstance(cv, bool):
        cv = CustomerKFold(int(cv), random_state=random_state)
    if hasattr(cv, "split") and not isinstance(cv, str | type):
        target = y if isinstance(cv, CustomerKFold) else y.event
        with warnings.catch_warnings():
            # a splitter that needs no groups says so; what follows from it is said below
            warnings.filterwarnings("ignore", "The groups parameter is ignored", UserWarning)
            parts = list(positions(cv.split(X, target, unit)))
    elif hasattr(cv, "__iter__") and not isinstance(cv, str | type):
        parts = list(positions(cv))
    else:
        raise DataError(f"cv={cv!r}: give a number of folds, a splitter of scikit-learn, or pairs of positions.")
    if not parts:
        raise DataError("cv gives no fold.")
    for number, (train, test) in enumerate(parts, start=1):
        _check(number, train, test, len(y))
    _warn_of_shared(parts, unit, stacklevel + 1)
    return parts


def _check(number: int, train: Ints, test: Ints, n: int) -> None:
    for name, rows in (("development", train), ("test", test)):
        if not len(rows):
            raise DataError(f"Fold {number} has no {name} rows.")
        if rows.min() < 0 or rows.max() >= n:
            raise DataError(f"Fold {number} names {name} rows from {rows.min()} to {rows.max()}, there are {n:,}.")
    both = np.intersect1d(train, test)
    if len(both):
        raise DataError(f"{counted(len(both), 'row')} of fold {number} (row {first_of(both)}) are on both sides.")


def _warn_of_shared(parts: Parts, unit: Ints, stacklevel: int) -> None:
    shared = [len(np.intersect1d(unit[train], unit[test])) for train, test in parts]
    if any(shared):
        worst = int(np.argmax(shared))
        warnings.warn(
            f"{counted(shared[worst], 'customer')} of fold {worst + 1} are on both sides ({sum(s > 0 for s in shared)} of "
            f"{counted(len(parts), 'fold')}): a model is judged by customers it has seen, which flatters it. Use cv=5 or "
            "churnsurv.data.CustomerKFold.",
            LeakageWarning,
            stacklevel=stacklevel,
        )


def warn_of_later(parts: Parts, dates: ArrayLike | None, n: int, stacklevel: int = 3) -> None:
    """Warn of folds whose development rows are of later dates than the first test row."""
    if dates is None:
        return
    if np.shape(dates) != (n,):
        raise DataError(f"dates has shape {np.shape(dates)}: give a date for each of the {n:,} rows.")
    when = as_dates(dates.reset_index(drop=True) if isinstance(dates, pd.Series) else pd.Series(dates), "dates")
    if when.isna().any():
        raise DataError(
            f"dates has {len(when):,} values, {int(when.isna().sum()):,} missing; give one for each of {n:,} rows."
        )
    late = [int((when.iloc[train] >= when.iloc[test].min()).sum()) for train, test in parts]
    if any(late):
        worst = int(np.argmax(late))
        first = when.iloc[parts[worst][1]].min().date()
        warnings.warn(
            f"{counted(late[worst], 'development row')} of fold {worst + 1} are of the test's first date ({first}) or later: "
            "the test does not show how the model does on time to come. Use churnsurv.evaluation.backtest.",
            LeakageWarning,
            stacklevel=stacklevel,
        )
