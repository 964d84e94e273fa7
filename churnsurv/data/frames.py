"""Arguments of the data layer: tables as pandas frames, rules as the model that checked them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from churnsurv.data.rules import SpellRules
from churnsurv.exceptions import ConfigError, DataError


def as_table(table: Any, name: str) -> pd.DataFrame:
    """Give a table as a pandas frame; polars and Arrow tables are converted."""
    if isinstance(table, pd.DataFrame):
        return table
    if hasattr(table, "to_pandas"):
        converted = table.to_pandas()
        if isinstance(converted, pd.DataFrame):
            return converted
    raise DataError(
        f"The {name} table is a {type(table).__name__}; give a DataFrame, e.g. pd.read_parquet('{name}.parquet')."
    )


def as_rules(rules: Any) -> SpellRules:
    """Give rules as :class:`SpellRules`; a mapping, such as a parsed TOML table, is checked and converted."""
    if isinstance(rules, SpellRules):
        return rules
    if isinstance(rules, Mapping):
        return SpellRules(**cast(Mapping[str, Any], rules))
    raise ConfigError(f"rules is a {type(rules).__name__}; give SpellRules(...) or a mapping of its keys.")


def selected(frame: pd.DataFrame, kept: NDArray[np.bool_]) -> pd.DataFrame:
    """Give the rows that are kept, numbered anew and copied once (``reset_index`` copies twice more)."""
    rows = frame.take(np.flatnonzero(kept))
    rows.index = pd.RangeIndex(len(rows))
    return rows


def parted(frame: pd.DataFrame, first: NDArray[np.bool_]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Give the rows marked and the others, each numbered anew; `frame` is emptied, so that it is never there twice."""
    halves: tuple[dict[str, Any], dict[str, Any]] = {}, {}
    places = np.flatnonzero(first), np.flatnonzero(~first)
    for name in list(frame.columns):
        column = frame.pop(name).array
        for half, rows in zip(halves, places, strict=True):
            half[name] = column.take(rows)
    marked, others = (pd.DataFrame(half, copy=False) for half in halves)
    return marked, others
