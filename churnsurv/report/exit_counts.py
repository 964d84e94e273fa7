"""The numbers of loans and exits that the data sections show, made safe together.

The same exits stand in several tables: by reason, by quarter, by vintage, by segment, by vintage and age. A count hidden in
one of them must not follow from the others, so all are cells of one system of sums
(:func:`churnsurv.small_counts.protected_cells`).
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from churnsurv.data import Spells
from churnsurv.data.reasons import LOANS_IN
from churnsurv.data.rules import MATURED
from churnsurv.report.content import Cell
from churnsurv.report.disclosure import HIDDEN
from churnsurv.small_counts import Sum, is_small, protected_cells

#: loan-age bands are years; the last one is open
LAST_BAND = 5
#: quarters of a year, and of the table of exits by quarter
YEAR, QUARTERS_SHOWN = 4, 8
Key = tuple[Hashable, ...]


@dataclass(frozen=True)
class ExitCounts:
    """Counts by key, as the reader may see them.

    Keys are (reason, "reason"), ("loans", group column, label), (cause, group column, label), (cause, "quarter", period),
    (cause, "year", 0 for the last four quarters, 1 for those before), (cause, "season", quarter of the year), (cause,
    "cell", vintage, age band), and ("loans", "complete") for loans with complete spells.
    """

    cells: Mapping[Key, Cell]

    def __getitem__(self, key: Key) -> Cell:
        return self.cells[key]

    def is_shown(self, *key: Hashable) -> bool:
        """Whether the count may be shown; one that is not in the system is not."""
        return isinstance(self.cells.get(key), int)


class _Cells:
    def __init__(self) -> None:
        self.position: dict[Key, int] = {}
        self.counts: list[int] = []
        self.sums: list[Sum] = []
        self.fixed: list[int] = []

    def add(self, key: Key, count: int) -> int:
        if key not in self.position:
            self.position[key] = len(self.counts)
            self.counts.append(int(count))
        return self.position[key]

    def split(self, total: Key | None, parts: Mapping[Any, int]) -> None:
        """Add the parts of a total that is a cell already; None: a total that is known."""
        positions = tuple(self.add(key, count) for key, count in parts.items())
        if positions:
            self.sums.append(Sum(positions, None if total is None else self.position[total]))


def exit_counts(spells: Spells, complete: Spells, groups: Mapping[str, pd.Series], smallest: int) -> ExitCounts:
    """Count the exits of spells in every way in which the sections show them, and hide what has to be.

    Parameters
    ----------
    spells, complete : Spells
        All, and those with complete covariates.
    groups : mapping
        Column → label of each spell (small groups taken together); "vintage" among them.
    smallest : int
        Counts from 1 to one less are hidden.
    """
    cells = _Cells()
    frame = spells.frame
    _loans(cells, spells, complete)
    for name, labels in groups.items():
        of_loans = frame["loan_id"].groupby(labels.to_numpy()).nunique()
        cells.split(("analysed", "reason"), {("loans", name, label): int(n) for label, n in of_loans.items()})
    # the models say how many events they rest on: every reader knows the exits by cause, and they protect nothing
    of_causes = [
        cells.position[key] for cause in spells.rules.cause_names if (key := (cause, "reason")) in cells.position
    ]
    cells.fixed += [i for i in of_causes if not is_small(cells.counts[i], smallest)]
    for cause in (*spells.rules.cause_names, MATURED):
        _exits(cells, cause, frame[(frame["cause"] == cause).to_numpy()], frame, groups, spells.rules.period)
    _leavers(cells, spells)
    small, others = protected_cells(cells.counts, cells.sums, smallest, fixed=cells.fixed)
    shown: list[Cell] = list(cells.counts)
    for position in small:
        shown[position] = f"<{smallest}"
    for position in others:
        shown[position] = HIDDEN
    return ExitCounts({key: shown[position] for key, position in cells.position.items()})


def _loans(cells: _Cells, spells: Spells, complete: Spells) -> None:
    """Add the reasons of the reconciliation: loans in = excluded + analysed, analysed = the sum of the endings."""
    reasons = dict(zip(spells.reconciliation["reason"].astype(str), spells.reconciliation["loans"], strict=True))
    n = spells.frame["loan_id"].nunique()
    cells.fixed.append(cells.add(("analysed", "reason"), n))
    cells.add((LOANS_IN, "reason"), reasons.pop(LOANS_IN))
    cells.split(
        (LOANS_IN, "reason"),
        {("analysed", "reason"): n, ("excluded", "reason"): sum(spells.left_out.values())},
    )
    out = {(reason, "reason"): count for reason, count in reasons.items() if reason in spells.left_out}
    cells.split(("excluded", "reason"), out)
    cells.split(("analysed", "reason"), {(r, "reason"): c for r, c in reasons.items() if r not in spells.left_out})
    used = complete.frame["loan_id"].nunique()
    cells.split(("analysed", "reason"), {("loans", "complete"): used, ("loans", "incomplete"): n - used})


def _exits(
    cells: _Cells, cause: str, exits: pd.DataFrame, frame: pd.DataFrame, groups: Mapping[str, pd.Series], unit: str
) -> None:
    """Add the exits by one cause: by quarter, season, year, group, and by vintage and age."""
    total: Key = (cause, "reason")
    quarter, quarters = exits["period"].dt.to_period("Q"), quarters_of(frame)
    by_quarter = {(cause, "quarter", q): int((quarter == q).sum()) for q in quarters}
    cells.split(total, by_quarter)
    seasons = {(cause, "season", q): int((quarter.dt.quarter == q).sum()) for q in range(1, 5)}
    cells.split(total, seasons)
    for key in seasons:
        cells.split(key, {k: n for k, n in by_quarter.items() if k[2].quarter == key[2]})
    for back, those in enumerate(years_of(quarters)):
        parts = {(cause, "quarter", q): by_quarter[cause, "quarter", q] for q in those}
        cells.add((cause, "year", back), sum(parts.values()))
        cells.split((cause, "year", back), parts)
    where = exits.index.to_numpy()
    for name, labels in groups.items():
        mine = labels.to_numpy()[where]
        cells.split(total, {(cause, name, label): int((mine == label).sum()) for label in sorted(labels.unique())})
    if "vintage" in groups:
        vintage, band = groups["vintage"].to_numpy()[where], band_of(exits["start"], unit)
        for label in sorted(groups["vintage"].unique()):
            by_age = {
                (cause, "cell", label, b): int(np.sum((vintage == label) & (band == b))) for b in range(LAST_BAND + 1)
            }
            cells.split((cause, "vintage", label), by_age)


def _leavers(cells: _Cells, spells: Spells) -> None:
    """Add what the loans at risk tell: those of a quarter less those of the next have left, where none came in."""
    for quarter in quarters_of(spells.frame)[-QUARTERS_SHOWN:-1]:
        causes = (*spells.rules.cause_names, MATURED)
        cells.sums.append(Sum(tuple(cells.position[cause, "quarter", quarter] for cause in causes)))


def quarters_of(frame: pd.DataFrame) -> list[pd.Period]:
    """Give the calendar quarters with spells."""
    return sorted(frame["period"].dt.to_period("Q").unique())


def years_of(quarters: list[pd.Period]) -> list[list[pd.Period]]:
    """Give the last four quarters and the four before; nothing where there are fewer than eight."""
    return [quarters[-YEAR:], quarters[-2 * YEAR : -YEAR]] if len(quarters) >= 2 * YEAR else []


def band_of(start: pd.Series, unit: str) -> NDArray[np.int64]:
    """Give the year of loan age of spells, 0 for the first; :data:`LAST_BAND` and older together."""
    years = start.to_numpy(dtype=float) // (12 if unit == "month" else 4)
    bands: NDArray[np.int64] = np.minimum(years, LAST_BAND).astype(np.int64)
    return bands
