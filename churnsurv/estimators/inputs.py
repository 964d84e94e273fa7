"""Reading the arguments of estimators: outcomes, and per-row arguments given as arrays or as columns of X.

Strata, weights, clusters and offsets are arrays of n values, or names of columns of X, which then are no covariates.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from churnsurv.exceptions import DataError, NotIdentifiedError, UnseenCategoryError
from churnsurv.kernels.times import slack
from churnsurv.messages import counted, first_of, numeric_column
from churnsurv.outcome import Outcome
from churnsurv.rows import as_outcome, row_labels, row_numbers, row_weights

__all__ = [
    "RowArgument",
    "as_outcome",
    "check_rows",
    "codes_argument",
    "columns_named",
    "formulas_of_causes",
    "known_codes",
    "offset_argument",
    "remembered",
    "requested_start",
    "requested_times",
    "resolved",
    "row_values",
    "weights_argument",
]

#: an array of n values, or the name(s) of column(s) of X
RowArgument = ArrayLike | pd.DataFrame | str | Sequence[str] | None


def check_rows(X: pd.DataFrame, y: Outcome) -> None:
    """Refuse X and y of different length."""
    if len(X) != len(y):
        raise DataError(f"X has {counted(len(X), 'row')}, y has {len(y):,}; they must match row for row.")


def columns_named(value: RowArgument, X: pd.DataFrame) -> tuple[str, ...]:
    """Give the names of the columns that a row argument refers to; () when it is an array or None."""
    if isinstance(value, str):
        if value not in X.columns:
            raise DataError(f"No column {value!r} in X; its columns are {first_of(X.columns, 12)}.")
        return (value,)
    if isinstance(value, list | tuple) and value and all(isinstance(v, str) and v in X.columns for v in value):
        return tuple(str(v) for v in value)
    return ()


def resolved(value: RowArgument, X: pd.DataFrame) -> Any:
    """Give the values of a row argument: the column(s) of X that it names, else what was passed."""
    named = columns_named(value, X)
    if not named:
        return value
    return X[named[0]] if len(named) == 1 else X[list(named)]


def row_values(value: RowArgument, X: pd.DataFrame, argument: str) -> pd.DataFrame | pd.Series | None:
    """Give a row argument as a frame or series of n rows, so that it can be cut like X."""
    values = resolved(value, X)
    if values is None:
        return None
    if np.ndim(values) == 0 or len(values) != len(X):
        shape = np.shape(values)
        raise DataError(f"{argument} has shape {shape}, X has {counted(len(X), 'row')}; give one value per row.")
    return values if isinstance(values, pd.DataFrame | pd.Series) else pd.Series(np.asarray(values))


def weights_argument(
    value: RowArgument, X: pd.DataFrame, argument: str = "sample_weight"
) -> NDArray[np.float64] | None:
    """Give weights as doubles, checked by :func:`churnsurv.rows.row_weights`."""
    return row_weights(resolved(value, X), len(X), argument)


def offset_argument(value: RowArgument, X: pd.DataFrame, argument: str = "offset") -> NDArray[np.float64] | None:
    """Give one finite number per row."""
    return row_numbers(resolved(value, X), len(X), argument)


def codes_argument(value: RowArgument, X: pd.DataFrame, argument: str) -> tuple[NDArray[np.int64], list[Any]] | None:
    """Give codes 0…G−1 and the sorted labels of strata or clusters; None stays None."""
    if value is None:
        return None
    codes, labels = row_labels(resolved(value, X), len(X), argument)
    return codes, labels.tolist()


def remembered(columns: Mapping[str, list[str]], argument: str, value: RowArgument, frame: pd.DataFrame) -> RowArgument:
    """Give the argument, or the column(s) of X that had this role in the fit; `columns` holds their names by argument."""
    names = columns.get(argument, [])
    if value is not None or not names:
        return value
    absent = [c for c in names if c not in frame.columns]
    if absent:
        raise DataError(f"X lacks the column {absent[0]!r}, which was {argument} in the fit.")
    return names


def known_codes(value: RowArgument, X: pd.DataFrame, labels: list[Any], argument: str) -> NDArray[np.int64]:
    """Give the codes of labels known from the fit; others are an error naming them."""
    if value is None:
        raise DataError(f"The model was fitted with {argument}: pass {argument}= for the new rows too.")
    codes, given = row_labels(resolved(value, X), len(X), argument)
    known = pd.Index(labels).get_indexer(given)
    if np.any(known < 0):
        rows = np.flatnonzero(known[codes] < 0)
        raise UnseenCategoryError(
            f"{argument} {first_of([repr(v) for v in given[known < 0]])} (row {first_of(rows)}) not seen in training "
            f"(known: {first_of(labels, 12)}); there is no baseline hazard for it."
        )
    return np.asarray(known[codes], dtype=np.int64)


def formulas_of_causes(formula: str | Mapping[str, str] | None, causes: Sequence[str]) -> dict[str, str | None]:
    """Give the formula of each cause: one for all, or by the name of the cause (None: every column)."""
    if formula is None or isinstance(formula, str):
        return dict.fromkeys(causes, formula)
    if not isinstance(formula, Mapping):
        raise DataError(f"formula={formula!r}: give text such as 'x + z', or a mapping of cause to text.")
    unknown = [c for c in formula if c not in causes]
    if unknown:
        raise DataError(f"formula names the cause {unknown[0]!r}; the outcome has {list(causes)}.")
    return {cause: formula.get(cause) for cause in causes}


def requested_times(times: ArrayLike | None, default: NDArray[np.float64]) -> NDArray[np.float64]:
    """Give the sorted distinct times asked for, or the default."""
    if times is None:
        return default
    asked = np.asarray(times)
    if asked.ndim > 1:
        raise DataError(f"times has {asked.ndim} dimensions; give a number or a list of numbers.")
    if asked.size == 0:
        raise DataError("times is empty: give at least one, or leave it out.")
    grid = np.unique(numeric_column(np.atleast_1d(asked), "times"))
    if not np.all(np.isfinite(grid)) or np.any(grid < 0):
        raise DataError("times must be finite and not negative.")
    return grid


def requested_start(start: ArrayLike | None, n: int, first: NDArray[np.float64]) -> NDArray[np.float64]:
    """Give the age from which each row is predicted; `first` (n,) is the first age at which customers were watched.

    Default: the first age. Hazards before it are unknown, so an earlier start is refused.
    """
    if start is None:
        return first.copy()
    given = np.asarray(start)
    if given.shape not in ((), (n,)):
        raise DataError(f"start has shape {given.shape}, X has {counted(n, 'row')}; give one age, or one per row.")
    origin = np.broadcast_to(numeric_column(given.reshape(-1), "start"), (n,)).copy()
    bad = np.flatnonzero(~(np.isfinite(origin) & (origin >= 0)))
    if len(bad):
        raise DataError(f"start is not a finite age >= 0 in {counted(len(bad), 'row')} (row {first_of(bad)}).")
    early = np.flatnonzero(origin < first - slack(np.unique(first)))
    if len(early):
        raise NotIdentifiedError(
            f"start is {origin[early[0]]:g} in {counted(len(early), 'row')} (row {first_of(early)}), but nobody was watched "
            f"before the age of {first[early[0]]:g}: the risk up to then is unknown. Pass a later start, or leave it out."
        )
    return origin
