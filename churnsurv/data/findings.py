"""What a clean-up or a check found: which rule applied, where, how often, and what was done."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd


@dataclass(frozen=True)
class Finding:
    """One rule that applied: where, how often, to whom for example, and what was done."""

    rule: str
    table: str
    column: str
    count: int
    unit: str
    action: str
    examples: tuple[Any, ...] = ()


def findings_frame(findings: Sequence[Finding]) -> pd.DataFrame:
    """Give the findings as a frame: rule, table, column, count, unit, action."""
    columns = ["rule", "table", "column", "count", "unit", "action"]
    return pd.DataFrame([[getattr(finding, name) for name in columns] for finding in findings], columns=columns)
