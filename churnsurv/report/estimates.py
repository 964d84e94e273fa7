"""Numbers of results as cells of a table and words of a sentence: what is not estimated is empty, not NaN."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd

from churnsurv.report.content import Cell


def records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Give the rows of a table by the names of its columns."""
    return [{str(name): value for name, value in row.items()} for row in table.to_dict("records")]


def number(value: Any) -> float | None:
    """Give a number for a table; None where it is missing or infinite."""
    return float(value) if value is not None and math.isfinite(value) else None


def bounds(lower: Any, upper: Any) -> Cell:
    """Give an interval for a table; None where neither end is known."""
    pair = (number(lower), number(upper))
    return None if pair == (None, None) else pair


def bounded(estimate: Any) -> tuple[float, float, float] | None:
    """Give value and interval of an estimate (record or row) for a headline; None where one is missing."""
    read = estimate.get if isinstance(estimate, dict) else lambda name: getattr(estimate, name)
    found = [number(read(name)) for name in ("value", "lower", "upper")]
    return None if None in found else (found[0], found[1], found[2])  # type: ignore[return-value]


def in_words(value: float, lower: float, upper: float, digits: int = 2) -> str:
    """Give "0.63 (0.60 to 0.66)".

    >>> in_words(0.631, 0.6, 0.66)
    '0.63 (0.60 to 0.66)'
    """
    shown = [f"{round(v, digits) + 0.0:,.{digits}f}".replace("-", "\u2212") for v in (value, lower, upper)]
    return f"{shown[0]} ({shown[1]} to {shown[2]})"
