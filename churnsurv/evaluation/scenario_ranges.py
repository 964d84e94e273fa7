"""How much of a scenario lies outside what the model was fitted to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from churnsurv.evaluation.scenario_rows import Book
from churnsurv.exceptions import DataError
from churnsurv.messages import first_of, numeric_column, one_number

Ranges = dict[str, tuple[float, float]]
COLUMNS = ["scenario", "variable", "lowest", "highest", "share_outside"]


def development_ranges(
    development: pd.DataFrame | Mapping[str, tuple[float, float]] | None, features: Sequence[str]
) -> Ranges:
    """Give the lowest and highest value of each numeric covariate of the model in development."""
    if development is None:
        return {}
    if isinstance(development, pd.DataFrame):
        numeric = [c for c in features if c in development.columns and pd.api.types.is_numeric_dtype(development[c])]
        return {name: (float(development[name].min()), float(development[name].max())) for name in numeric}
    if not isinstance(development, Mapping):
        raise DataError(
            f"development is a {type(development).__name__}: give a DataFrame, or covariate → (lowest, highest)."
        )
    found = {}
    for name, bounds in development.items():
        if name not in features:
            raise DataError(
                f"development names {name!r}, which is no covariate of the model ({first_of(features, 30)})."
            )
        if np.shape(bounds) != (2,):
            raise DataError(f"development[{name!r}] = {bounds!r}: give (lowest, highest).")
        low, high = (one_number(bound, f"A bound of {name}") for bound in bounds)
        if not low <= high:
            raise DataError(f"development[{name!r}] = ({low:g}, {high:g}): give (lowest, highest).")
        found[name] = (low, high)
    return found


def outside_ranges(book: Book, values: dict[str, NDArray[Any]], ranges: Ranges, scenario: str) -> pd.DataFrame:
    """Give the share of loan-periods until maturity outside each range, by covariate."""
    exposed = book.ages > np.hstack([book.age[:, None], book.ages[:, :-1]])
    rows = []
    for name, (low, high) in ranges.items():
        each = values[name] if name in values else numeric_column(book.frame[name], name)[:, None]
        slack = 1e-9 * max(abs(low), abs(high), 1.0)
        outside = np.broadcast_to((each < low - slack) | (each > high + slack), exposed.shape)
        rows.append((scenario, name, low, high, float(outside[exposed].mean())))
    return pd.DataFrame(rows, columns=COLUMNS)
