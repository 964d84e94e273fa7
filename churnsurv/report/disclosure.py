"""Small counts in the report: what stands where :mod:`churnsurv.small_counts` hides a cell, and the words around it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd

from churnsurv.messages import counted
from churnsurv.report.content import Cell
from churnsurv.small_counts import hidden_cells, is_small

__all__ = [
    "HIDDEN",
    "count_words",
    "is_small",
    "merged_small_groups",
    "notes_if_hidden",
    "suppressed",
    "suppressed_column",
    "suppression_notes",
    "told",
    "told_of_cause",
    "without_small",
]

#: what stands for a count that is hidden because another one could be computed from it
HIDDEN = "not shown"


def suppressed(count: int, smallest: int) -> Cell:
    """Give a count, or "<5" where it is small enough to tell of single customers.

    >>> suppressed(3, 5), suppressed(0, 5), suppressed(12, 5)
    ('<5', 0, 12)
    """
    return f"<{smallest}" if is_small(count, smallest) else int(count)


def count_words(count: int, smallest: int) -> str:
    """Give a count for a list in a sentence: "1,204", "<5"."""
    return f"<{smallest}" if is_small(count, smallest) else f"{count:,}"


def suppressed_column(counts: Sequence[int], smallest: int) -> list[Cell]:
    """Give the cells of a column whose total is known to the reader.

    One hidden count would be the total minus the others, so a second one, the next smallest, is hidden with it; likewise
    when the hidden ones can only be all 1 or all smallest − 1.

    >>> suppressed_column([3, 40, 12, 0], 5), suppressed_column([3, 2, 12], 5)
    (['<5', 40, 'not shown', 0], ['<5', '<5', 12])
    """
    cells = [suppressed(count, smallest) for count in counts]
    for position in hidden_cells(counts, smallest)[1]:
        cells[position] = HIDDEN
    return cells


def told(count: int, noun: str, smallest: int) -> str:
    """Give a count for a sentence: "12 loans", "fewer than 5 loans".

    >>> told(3, "loan", 5), told(12, "loan", 5)
    ('fewer than 5 loans', '12 loans')
    """
    return f"fewer than {counted(smallest, noun)}" if is_small(count, smallest) else counted(count, noun)


def told_of_cause(count: Cell, cause: str) -> str:
    """Give a count of :class:`ExitCounts` for a list in a sentence.

    >>> told_of_cause(1204, "attrition"), told_of_cause("<5", "default"), told_of_cause(HIDDEN, "default")
    ('1,204 attrition', '<5 default', 'default (number not shown)')
    """
    if count is None or count == HIDDEN:
        return f"{cause} (number {HIDDEN})"
    return f"{count:,} {cause}" if isinstance(count, int) else f"{count} {cause}"


def merged_small_groups(labels: pd.Series, loans: pd.Series, least: int, together: str) -> pd.Series:
    """Take groups of fewer than `least` loans together; a single small one joins the next smallest."""
    n = loans.groupby(labels).nunique().sort_values(kind="stable")
    small = list(n.index[n < least])
    if len(small) == 1 and len(n) > 2:
        small = list(n.index[:2])
    return labels.where(~labels.isin(small), together) if len(small) > 1 else labels


def without_small(table: pd.DataFrame, causes: Sequence[str], smallest: int) -> pd.DataFrame:
    """Blank the rates (with bounds) of the periods in which a cause has a small count."""
    blanked = table.copy()
    for cause in causes:
        small = table[cause].map(lambda n: is_small(n, smallest)).to_numpy(dtype=bool)
        for name in ("rate", "lower", "upper"):
            blanked[f"{cause} {name}"] = np.where(small, np.nan, table[f"{cause} {name}"])
    return blanked


def notes_if_hidden(rows: Iterable[Sequence[Cell]], smallest: int) -> tuple[str, ...]:
    """Give the notes of :func:`suppression_notes` for a table with hidden counts."""
    hidden = any(cell in (HIDDEN, f"<{smallest}") for row in rows for cell in row)
    return suppression_notes(smallest) if hidden else ()


def suppression_notes(smallest: int) -> tuple[str, ...]:
    """Say what "<5" in a table means; nothing where every count is shown."""
    if smallest < 2:
        return ()
    hidden = "Counts of 1" if smallest == 2 else f"Counts from 1 to {smallest - 1}"
    return (
        f"{hidden} are shown as \u201c<{smallest}\u201d. What could be computed from them is left out, and where a total is "
        f"known a second count is \u201c{HIDDEN}\u201d, so that no customer can be recognised.",
    )
