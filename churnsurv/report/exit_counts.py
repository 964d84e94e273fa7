"""The numbers of loans and exits that the data sections show, made safe together.

The same exits stand in several tables: by reason, by quarter, by vintage, by segment, by vintage and age; and most of them
again as the events of models and cohorts, which a few exits are not part of. A count hidden in one of them must not follow
from the others, so all are cells of one system of sums (:func:`churnsurv.small_counts.protection`). Where exits are so few
that nothing is left to hide, a whole breakdown of a cause is withheld: its column or row is left out.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
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
from churnsurv.report.words import listed
from churnsurv.small_counts import Sum, is_small, protection

#: loan-age bands are years; the last one is open
LAST_BAND = 5
#: quarters of a year, and of the table of exits by quarter
YEAR, QUARTERS_SHOWN = 4, 8
#: exits of the models, of what the trial was fitted on, of all dates of the backtest together
COMPLETE, DEVELOPMENT, ALL_DATES = "complete", "development", "all dates"
#: cells that stand for what follows from others: they cannot be withheld
_DERIVED = ("reason", "outside", "trial", "part")
Key = tuple[Hashable, ...]
#: cause and what its exits are counted by
Breakdown = tuple[Hashable, Hashable]


@dataclass(frozen=True)
class ModelExits:
    """Exits by cause that a model or cohort rests on, of those in the periods after `after` and up to `until`.

    Parameters
    ----------
    name : hashable
        :data:`COMPLETE`, :data:`DEVELOPMENT`, or the date of a cohort.
    exits : mapping
        Cause → number.
    after, until : Timestamp, optional
        Ends of periods; None: from the first, to the last one.
    known : bool
        They stand in so many tables that every reader knows them: other counts are hidden rather than these.
    nested : bool
        All of them are exits of the models too.
    """

    name: Hashable
    exits: Mapping[str, int]
    after: pd.Timestamp | None = None
    until: pd.Timestamp | None = None
    known: bool = False
    nested: bool = False

    @property
    def kind(self) -> str:
        """Second part of the key of its cells."""
        return "trial" if self.known else "model"

    def holds(self, periods: pd.Series) -> pd.Series:
        """Tell which periods, by their first days, lie in its time."""
        inside = pd.Series(True, index=periods.index)
        if self.after is not None:
            inside &= periods > self.after
        return inside if self.until is None else inside & (periods <= self.until)


@dataclass(frozen=True)
class ExitCounts:
    """Counts by key, as the reader may see them.

    Keys are (reason, "reason"), ("loans", group column, label), (cause, group column, label), (cause, "quarter", period),
    (cause, "year", 0 for the last four quarters, 1 for those before), (cause, "season", quarter of the year), (cause,
    "cell", vintage, age band), (cause, "model", name of :class:`ModelExits`, or "all dates" of the backtest), (cause,
    "outside", name) for the exits of the same time that these leave out, and ("loans", "complete") for loans with complete
    spells.
    """

    cells: Mapping[Key, Cell]
    withheld: frozenset[Breakdown] = frozenset()
    """Cause and breakdown ("quarter", "year", "season", "cell", a group column) of which no cell is published."""

    def __getitem__(self, key: Key) -> Cell:
        return self.cells[key]

    def is_shown(self, *key: Hashable) -> bool:
        """Whether the count may be shown; one that is not in the system is not."""
        return isinstance(self.cells.get(key), int)

    def of_model(self, cause: str, name: Hashable) -> Cell:
        """Give the number of exits that a model or cohort rests on; None where it is withheld."""
        return self.cells.get((cause, "model", name), self.cells.get((cause, "trial", name)))

    def published(self, causes: Iterable[str], breakdown: str) -> list[str]:
        """Give the causes whose exits may be shown by quarter, by year, …: single ones of them may still be hidden."""
        return [cause for cause in causes if (cause, breakdown) not in self.withheld]

    def withheld_notes(self, causes: Iterable[str], breakdown: str) -> tuple[str, ...]:
        """Say which causes are left out of a breakdown; nothing where none is."""
        out = [cause for cause in causes if (cause, breakdown) in self.withheld]
        if not out:
            return ()
        return (f"Left out, because exits are so few that single customers could be recognised: {listed(out)}.",)


class _Cells:
    def __init__(self) -> None:
        self.position: dict[Key, int] = {}
        self.counts: list[int] = []
        self.sums: list[Sum] = []
        self.fixed: list[int] = []
        self.never: list[int] = []

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


def exit_counts(
    spells: Spells,
    complete: Spells,
    groups: Mapping[str, pd.Series],
    smallest: int,
    models: Sequence[ModelExits] = (),
) -> ExitCounts:
    """Count the exits of spells in every way in which the sections show them, and hide what has to be.

    Parameters
    ----------
    spells, complete : Spells
        All, and those with complete covariates.
    groups : mapping
        Column → label of each spell (small groups taken together); "vintage" among them.
    smallest : int
        Counts from 1 to one less are hidden.
    models : sequence of ModelExits
        What models and cohorts rest on.
    """
    cells = _Cells()
    frame = spells.frame
    _loans(cells, spells, complete)
    for name, labels in groups.items():
        of_loans = frame["loan_id"].groupby(labels.to_numpy()).nunique()
        cells.split(("analysed", "reason"), {("loans", name, label): int(n) for label, n in of_loans.items()})
    # a report without the number of exits by cause is none: they are always told, and protect nothing
    of_causes = [
        cells.position[key] for cause in spells.rules.cause_names if (key := (cause, "reason")) in cells.position
    ]
    cells.fixed += [i for i in of_causes if not is_small(cells.counts[i], smallest)]
    for cause in (*spells.rules.cause_names, MATURED):
        _exits(cells, cause, frame[(frame["cause"] == cause).to_numpy()], frame, groups, spells.rules.period)
    _leavers(cells, spells, groups)
    for cause in spells.rules.cause_names:
        _of_models(cells, cause, frame, models, smallest)
    # scheduled ends, which are no loss, can best be done without, then rare causes
    by_number = sorted(spells.rules.cause_names, key=lambda cause: cells.counts[cells.position[cause, "reason"]])
    return _made_safe(cells, [MATURED, *by_number], smallest)


def _made_safe(cells: _Cells, causes: list[str], smallest: int) -> ExitCounts:
    """Hide small counts and what protects them; while some stay computable, withhold one more breakdown of a cause."""
    keys = list(cells.position)
    withheld: set[Breakdown] = set()
    others: list[int] = []
    while True:
        out = [cells.position[key] for key in keys if key[:2] in withheld]
        small, others, computable = protection(
            cells.counts, cells.sums, smallest, fixed=cells.fixed, withheld=[*out, *cells.never], first=others
        )
        more = _next_to_withhold([keys[i] for i in computable], keys, causes, withheld)
        if more is None:
            break
        withheld.add(more)
    shown: list[Cell] = list(cells.counts)
    for position in small:
        shown[position] = f"<{smallest}"
    for position in others:
        shown[position] = HIDDEN
    gone = {*out, *cells.never}
    return ExitCounts({key: shown[i] for key, i in cells.position.items() if i not in gone}, frozenset(withheld))


def _next_to_withhold(
    computable: list[Key], keys: list[Key], causes: list[str], withheld: set[Breakdown]
) -> Breakdown | None:
    """Give cause and breakdown to withhold: of a computable count, else any of a cause whose total is computable."""
    every: set[Breakdown] = {(key[0], key[1]) for key in keys if key[0] in causes and key[1] not in _DERIVED}
    breakdowns = every - withheld
    totals = {key[0] for key in computable if key[1] in _DERIVED}
    found = breakdowns & {(key[0], key[1]) for key in computable} or {one for one in breakdowns if one[0] in totals}
    # the numbers of the models first; then, by chance of the alphabet, finer breakdowns: cells before vintages, quarters
    # before seasons and years
    return min(found, key=lambda one: (causes.index(str(one[0])), one[1] != "model", str(one[1])), default=None)


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


def _of_models(cells: _Cells, cause: str, frame: pd.DataFrame, models: Sequence[ModelExits], smallest: int) -> None:
    """Add the exits by one cause of models and cohorts, and those of the same time that they leave out.

    Both, with the exits of the other quarters, make up all exits by the cause.
    """
    total: Key = (cause, "reason")
    periods = frame["period"].drop_duplicates().reset_index(drop=True)
    quarter, exits = periods.dt.to_period("Q"), frame.loc[(frame["cause"] == cause).to_numpy(), "period"]
    of_dates: dict[Key, int] = {}
    for model in models:
        inside = model.holds(periods).groupby(quarter).agg(["any", "all"])
        others: list[Key] = [(cause, "quarter", q) for q in inside.index[~inside["any"]]]
        for q in inside.index[inside["any"] & ~inside["all"]]:
            mine = exits[(exits.dt.to_period("Q") == q).to_numpy()]
            n = int(model.holds(mine).sum())
            parts = {(cause, "part", model.name, q, 1): n, (cause, "part", model.name, q, 0): len(mine) - n}
            cells.split((cause, "quarter", q), parts)
            cells.never += [cells.position[key] for key in parts]
            others.append((cause, "part", model.name, q, 0))
        key: Key = (cause, model.kind, model.name)
        n = model.exits[cause]
        whole = int(model.holds(exits).sum())
        mine_and_others = {key: n, (cause, "outside", model.name): whole - n}
        cells.split(total, mine_and_others | {other: cells.counts[cells.position[other]] for other in others})
        if model.known and not is_small(n, smallest):
            cells.fixed.append(cells.position[key])
        if model.nested:
            _nested(cells, cause, model.name)
        if isinstance(model.name, pd.Timestamp):
            of_dates[key] = n
    if len(of_dates) > 1:
        cells.add((cause, "model", ALL_DATES), sum(of_dates.values()))
        cells.split((cause, "model", ALL_DATES), of_dates)


def _nested(cells: _Cells, cause: str, name: Hashable) -> None:
    """Add what the models have, and leave out, beyond their part `name`."""
    for kind in ("model", "outside"):
        own, part = (cells.counts[cells.position[cause, kind, n]] for n in (COMPLETE, name))
        cells.split((cause, kind, COMPLETE), {(cause, kind, name): part, (cause, kind, "later"): own - part})


def _leavers(cells: _Cells, spells: Spells, groups: Mapping[str, pd.Series]) -> None:
    """Add what the loans at risk tell: those of a quarter less those of the next have left, where none came in."""
    frame, causes = spells.frame, spells.rules.cause_names
    quarters = quarters_of(frame)[-QUARTERS_SHOWN:]
    for quarter in quarters[:-1]:
        cells.sums.append(Sum(tuple(cells.position[cause, "quarter", quarter] for cause in (*causes, MATURED))))
    at_risk = frame["loan_id"].groupby(quarter_of(frame)).nunique()
    for quarter in quarters:
        cells.fixed.append(cells.add(("loans", "quarter", quarter), int(at_risk[quarter.ordinal])))
    # no more leave than there are loans
    for name, labels in {
        **{name: sorted(labels.unique()) for name, labels in groups.items()},
        "quarter": quarters,
    }.items():
        for label in labels:
            parts = [cells.position[cause, name, label] for cause in causes]
            whole = cells.position["loans", name, label]
            rest = cells.add(("staying", name, label), cells.counts[whole] - sum(cells.counts[i] for i in parts))
            cells.never.append(rest)
            cells.sums.append(Sum((*parts, rest), whole))


def quarters_of(frame: pd.DataFrame) -> list[pd.Period]:
    """Give the calendar quarters with spells."""
    return sorted(pd.PeriodIndex(frame["period"].unique(), freq="Q").unique())


def quarter_of(frame: pd.DataFrame) -> NDArray[np.int64]:
    """Give the ordinal of the calendar quarter of each spell (millions of Period objects take long and much memory)."""
    code, periods = pd.factorize(frame["period"])
    return np.asarray(pd.PeriodIndex(periods, freq="Q").astype("int64"))[code]


def years_of(quarters: list[pd.Period]) -> list[list[pd.Period]]:
    """Give the last four quarters and the four before; nothing where there are fewer than eight."""
    return [quarters[-YEAR:], quarters[-2 * YEAR : -YEAR]] if len(quarters) >= 2 * YEAR else []


def band_of(start: pd.Series, unit: str) -> NDArray[np.int64]:
    """Give the year of loan age of spells, 0 for the first; :data:`LAST_BAND` and older together."""
    years = start.to_numpy(dtype=float) // (12 if unit == "month" else 4)
    bands: NDArray[np.int64] = np.minimum(years, LAST_BAND).astype(np.int64)
    return bands
