"""Bins in which two samples of one characteristic are counted."""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from churnsurv.exceptions import DataError
from churnsurv.messages import numeric_column, refuse_mixture

MISSING, UNSEEN = "missing", "not in the reference"


class Binned(NamedTuple):
    """Bin of each row of the reference and of the current sample, and the names of the bins that are not empty in both."""

    reference: NDArray[np.int64]
    current: NDArray[np.int64]
    labels: tuple[str, ...]


def binned(reference: pd.Series, current: pd.Series, bins: int, name: str) -> Binned:
    """Put two samples into the bins that the reference suggests.

    Numbers: intervals (a, b] between quantiles of the reference; equal quantiles are one edge, and a number of at most `bins`
    different values is a label. Labels: the levels of the reference, one bin for all levels it does not have. Missing values
    are a bin of their own.
    """
    for which, values in (("reference", reference), ("current", current)):
        refuse_mixture(values, f"{name} ({which})")
    numbers = _is_number(reference) and _is_number(current)
    if (
        not numbers
        and _is_number(reference) != _is_number(current)
        and not (reference.isna().all() or current.isna().all())
    ):
        raise DataError(
            f"Column {name!r} is {reference.dtype} in the reference and {current.dtype} in the current sample: give both as "
            "numbers, or both as labels."
        )
    codes, labels = _of_numbers(reference, current, bins, name) if numbers else _of_labels(reference, current)
    used, inverse = np.unique(np.concatenate(codes), return_inverse=True)
    kept = inverse.astype(np.int64)
    return Binned(kept[: len(codes[0])], kept[len(codes[0]) :], tuple(labels[code] for code in used))


def _is_number(values: pd.Series) -> bool:
    return bool(pd.api.types.is_numeric_dtype(values.dtype)) or (
        values.dtype == np.dtype(object)
        and pd.api.types.infer_dtype(values, skipna=True) in ("integer", "floating", "decimal")
    )


def _of_numbers(
    reference: pd.Series, current: pd.Series, bins: int, name: str
) -> tuple[list[NDArray[np.int64]], list[str]]:
    samples = [numeric_column(values, name) for values in (reference, current)]
    for values in samples:
        if np.isinf(values).any():
            raise DataError(f"Column {name!r} holds infinite values: make them missing.")
    known = samples[0][~np.isnan(samples[0])]
    values = np.unique(known)
    if len(values) <= bins:
        return _of_labels(pd.Series(samples[0]), pd.Series(samples[1]), [f"{value:g}" for value in values])
    # an observed value as edge, so that a tied value lies on one side of it whatever the rounding
    edges = np.unique(np.quantile(known, np.arange(1, bins) / bins, method="inverted_cdf"))
    edges = edges[edges < values[-1]]
    codes = [
        np.where(np.isnan(sample), len(edges) + 1, np.searchsorted(edges, sample, side="left")).astype(np.int64)
        for sample in samples
    ]
    shown = [f"{edge:.6g}" for edge in edges]
    middle = [f"{low} to {high}" for low, high in pairwise(shown)]
    return codes, [f"up to {shown[0]}", *middle, f"above {shown[-1]}", MISSING]


def _of_labels(
    reference: pd.Series, current: pd.Series, names: list[str] | None = None
) -> tuple[list[NDArray[np.int64]], list[str]]:
    levels = pd.Index(reference.dropna().unique())
    levels = levels.sort_values() if names is not None or levels.inferred_type == "string" else levels
    unseen, missing = len(levels), len(levels) + 1
    codes = []
    for values in (reference, current):
        found = levels.get_indexer(pd.Index(values.astype(object) if names is None else values))
        codes.append(np.where(values.isna(), missing, np.where(found < 0, unseen, found)).astype(np.int64))
    return codes, [*(names or [str(level) for level in levels]), UNSEEN, MISSING]
