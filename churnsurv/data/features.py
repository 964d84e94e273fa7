"""Frames of covariates: any table as a pandas frame with names, and which of its columns are categories."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from churnsurv.exceptions import DataError
from churnsurv.messages import counted, first_of, refuse_mixture

#: text columns with more levels than this, in more than half of the rows, are taken for identifiers
MOST_LEVELS = 200


def feature_frame(X: pd.DataFrame | ArrayLike, names: ArrayLike | None = None) -> pd.DataFrame:
    """Give covariates as a frame: a DataFrame as it is, polars and Arrow converted, arrays with columns x0, x1 and so on.

    Parameters
    ----------
    X : frame or array (n, p)
    names : sequence of str, optional
        Columns of the fit: an array without names has exactly these, in this order.

    Raises
    ------
    DataError
        No rows, no two dimensions, a sparse matrix, column names that repeat, an array of another width than at the fit.
    """
    if isinstance(X, pd.Series):
        X = X.to_frame()
    if not isinstance(X, pd.DataFrame):
        if hasattr(X, "toarray"):
            raise DataError("X is a sparse matrix, which is not supported: pass X.toarray(), or a frame with names.")
        if hasattr(X, "to_pandas"):
            X = cast(pd.DataFrame, cast(Any, X).to_pandas())
        else:
            X = _named_array(np.asarray(X), None if names is None else [str(n) for n in np.asarray(names)])
    if len(X) == 0:
        raise DataError("X has 0 rows: there is nothing to analyse. Was everything filtered out before?")
    if not all(isinstance(c, str) for c in X.columns):
        X = X.set_axis([str(c) for c in X.columns], axis=1)
    if not X.columns.is_unique:
        raise DataError(f"Column names repeat: {first_of(X.columns[X.columns.duplicated()])}. Rename them.")
    return X


def _named_array(values: NDArray[Any], names: list[str] | None) -> pd.DataFrame:
    if values.ndim != 2:
        raise DataError(f"X has {values.ndim} dimension(s); give a frame or a 2-d array (rows x columns).")
    if names is None:
        names = [f"x{i}" for i in range(values.shape[1])]
    if values.shape[1] != len(names):
        raise DataError(
            f"X has {counted(values.shape[1], 'column')} without names, the fit had {len(names)} ({first_of(names, 8)}). "
            "Pass the same columns in the same order, or a frame with names."
        )
    return pd.DataFrame(values, columns=names)


def is_categorical(values: pd.Series) -> bool:
    """Tell whether a column holds categories or text, not numbers, dates or durations."""
    dtype = values.dtype
    if isinstance(dtype, pd.CategoricalDtype | pd.StringDtype):
        return True
    if isinstance(dtype, pd.ArrowDtype):
        return dtype.type is str or str(dtype.pyarrow_dtype).startswith("dictionary")
    if dtype != np.dtype(object):
        return False
    return pd.api.types.infer_dtype(values, skipna=True) in ("string", "mixed", "categorical")


def levels_of(values: pd.Series) -> list[Any]:
    """Give the levels that occur: a categorical type's in their order, of other values sorted."""
    if isinstance(values.dtype, pd.CategoricalDtype):
        return values.cat.remove_unused_categories().cat.categories.tolist()
    try:
        return sorted(values.dropna().unique().tolist(), key=lambda v: (str(type(v)), v))
    except TypeError as error:
        raise no_levels(values) from error


def no_levels(values: pd.Series) -> DataError:
    """Give the error of a column of lists, dicts or the like."""
    example = next((v for v in values.dropna() if not isinstance(v, str)), None)
    return DataError(
        f"Column {values.name!r} holds values that are neither numbers nor levels (e.g. {example!r}): make columns of "
        "numbers or text of it, or leave it out of X."
    )


def refuse_text_that_is_no_category(values: pd.Series, levels: list[Any], column: str) -> None:
    """Refuse text that is numbers or an identifier; a categorical type is taken at its word."""
    if isinstance(values.dtype, pd.CategoricalDtype):
        return
    refuse_mixture(pd.Series(levels, dtype=object), column)
    if pd.to_numeric(pd.Series(levels), errors="coerce").notna().all():
        raise DataError(
            f"Column {column!r} holds numbers as text (e.g. {levels[0]!r}): convert it with pd.to_numeric(X[{column!r}]), "
            f"or write C({column}) in the formula if they are labels."
        )
    if len(levels) > MOST_LEVELS and len(levels) > len(values) / 2:
        raise DataError(
            f"Column {column!r} is text with {len(levels):,} different values in {counted(len(values), 'row')}: an "
            "identifier? Leave it out of X, or pass it as cluster= or as the outcome's subject."
        )
