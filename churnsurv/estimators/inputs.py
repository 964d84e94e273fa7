"""Reading the arguments of estimators: outcomes, and per-row arguments given as arrays or as columns of X.

Strata, weights, clusters and offsets are arrays of n values, or names of columns of X, which then are no covariates.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from churnsurv.exceptions import DataError, UnseenCategoryError
from churnsurv.messages import counted, first_of, numeric_column
from churnsurv.outcome import Outcome

#: an array of n values, or the name(s) of column(s) of X
RowArgument = ArrayLike | pd.DataFrame | str | Sequence[str] | None


def as_outcome(y: Outcome | NDArray[Any]) -> Outcome:
    """Give an Outcome: as it is, or made of scikit-survival's structured array."""
    return y if isinstance(y, Outcome) else Outcome.from_sksurv(np.asarray(y))


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


def row_frame(value: RowArgument, X: pd.DataFrame, argument: str) -> pd.DataFrame | None:
    """Give a row argument as a frame of n rows with a clean index; None stays None. Missing values are refused."""
    if value is None:
        return None
    named = columns_named(value, X)
    if named:
        frame = X[list(named)]
    elif isinstance(value, pd.DataFrame | pd.Series):
        frame = value.to_frame() if isinstance(value, pd.Series) else value
    else:
        frame = pd.DataFrame(np.asarray(value))
    if len(frame) != len(X):
        raise DataError(
            f"{argument} has {counted(len(frame), 'value')}, X has {counted(len(X), 'row')}; they must match."
        )
    missing = np.flatnonzero(frame.isna().any(axis=1))
    if len(missing):
        raise DataError(f"{argument} is missing in {counted(len(missing), 'row')} (row {first_of(missing)}).")
    return frame.reset_index(drop=True)


def weights_argument(
    value: RowArgument, X: pd.DataFrame, argument: str = "sample_weight"
) -> NDArray[np.float64] | None:
    """Give weights as doubles; negative, infinite and missing ones, and all zero, are refused."""
    weights = offset_argument(value, X, argument)
    if weights is None:
        return None
    negative = np.flatnonzero(weights < 0)
    if len(negative):
        raise DataError(
            f"{argument} has {counted(len(negative), 'negative value')} (row {first_of(negative)}; "
            f"{weights[negative[0]]:g}): a weight is the number of customers a row stands for."
        )
    if not np.any(weights > 0):
        raise DataError(f"Every {argument} is zero: no row is left.")
    return weights


def offset_argument(value: RowArgument, X: pd.DataFrame, argument: str = "offset") -> NDArray[np.float64] | None:
    """Give one finite number per row."""
    if value is not None and not columns_named(value, X):
        plain = np.asarray(value) if not isinstance(value, pd.Series | pd.DataFrame) else value.to_numpy()
        if plain.dtype.kind == "f" and np.isnan(plain).any():
            rows = np.flatnonzero(np.isnan(plain))
            raise DataError(f"{argument} is missing in {counted(len(rows), 'row')} (row {first_of(rows)}).")
    frame = row_frame(value, X, argument)
    if frame is None:
        return None
    if frame.shape[1] != 1:
        raise DataError(f"{argument} has {frame.shape[1]} columns; give one value per row.")
    numbers = numeric_column(frame.iloc[:, 0], argument)
    infinite = np.flatnonzero(np.isinf(numbers))
    if len(infinite):
        raise DataError(f"{argument} has {counted(len(infinite), 'infinite value')} (row {first_of(infinite)}).")
    return numbers


def labels_of(frame: pd.DataFrame) -> pd.Series:
    """Give one label per row: the value of a single column, else "column=value, …" of several."""
    if frame.shape[1] == 1:
        single = frame.iloc[:, 0]
        return single.astype(object) if isinstance(single.dtype, pd.CategoricalDtype) else single
    parts = [str(name) + "=" + frame[name].astype(str) for name in frame.columns]
    joined = parts[0]
    for part in parts[1:]:
        joined = joined + ", " + part
    return joined


def codes_argument(value: RowArgument, X: pd.DataFrame, argument: str) -> tuple[NDArray[np.int64], list[Any]] | None:
    """Give codes 0…G−1 and the sorted labels of strata or clusters; None stays None."""
    frame = row_frame(value, X, argument)
    if frame is None:
        return None
    codes, labels = pd.factorize(labels_of(frame), sort=True)
    return np.asarray(codes, dtype=np.int64), list(labels)


def known_codes(value: RowArgument, X: pd.DataFrame, labels: list[Any], argument: str) -> NDArray[np.int64]:
    """Give the codes of labels known from the fit; others are an error naming them."""
    frame = row_frame(value, X, argument)
    if frame is None:
        raise DataError(f"The model was fitted with {argument}: pass {argument}= for the new rows too.")
    given = labels_of(frame)
    codes = pd.Index(labels).get_indexer(pd.Index(given))
    unseen = np.flatnonzero(codes < 0)
    if len(unseen):
        raise UnseenCategoryError(
            f"{argument} {first_of([repr(v) for v in given.iloc[unseen].unique()])} (row {first_of(unseen)}) not seen in "
            f"training (known: {first_of(labels, 12)}); there is no baseline hazard for it."
        )
    return np.asarray(codes, dtype=np.int64)


def requested_times(times: ArrayLike | None, default: NDArray[np.float64]) -> NDArray[np.float64]:
    """Give the sorted distinct times asked for, or the default."""
    if times is None:
        return default
    grid = np.unique(np.atleast_1d(np.asarray(times, dtype=np.float64)))
    if not np.all(np.isfinite(grid)) or np.any(grid < 0):
        raise DataError("times must be finite and not negative.")
    return grid


def requested_start(start: ArrayLike | None, n: int) -> NDArray[np.float64]:
    """Give the current age of each row, 0 by default."""
    origin = np.zeros(n) if start is None else np.broadcast_to(np.asarray(start, dtype=np.float64), (n,)).copy()
    bad = np.flatnonzero(~(np.isfinite(origin) & (origin >= 0)))
    if len(bad):
        raise DataError(f"start is not a finite age >= 0 in {counted(len(bad), 'row')} (row {first_of(bad)}).")
    return origin
