"""What the rules of the linter work on: spells in order, exits by cause, and the columns as numbers, prepared once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from churnsurv.data.linting.values import Coded, Floats, coded
from churnsurv.data.periods import period_numbers
from churnsurv.data.rules import OPEN, SpellRules

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

#: above this number of spells, rules work on a sample of the loans
MOST_SPELLS = 500_000
#: spells without an exit that those with one are compared with; precision depends on the exits
MOST_COMPARED = 30_000
#: values of a column that are looked at one by one
MOST_LEVELS = 50
#: numbers with at most this many values may be codes
_MOST_CODES = 10


class Mark(NamedTuple):
    """Rows in which a column says one thing; ``on`` unless it says that something is not there."""

    text: str
    rows: Bools
    on: bool = True


@dataclass(frozen=True, eq=False)
class Column:
    """One column of the spells.

    Attributes
    ----------
    values : (n,) of the spells, NaN where missing; see :func:`churnsurv.data.linting.values.coded`
    ahead : (m,) the same of the periods ahead
    source : "loans", "performance", "macro", "calendar" or "other", by the rules
    lag : its lag by the rules; None where the rules say nothing about it
    expected : (n,) False where the value is missing because its lag reaches back before the loan was observed
    moved : (n,) the value differs from the one of the loan's spell before
    static : whether every loan has one value throughout
    """

    name: str
    kind: str
    levels: tuple[str, ...]
    values: Floats
    ahead: Floats
    source: str
    lag: int | None
    expected: Bools
    moved: Bools
    static: bool

    @property
    def lagged(self) -> bool:
        """Whether the values are those of an earlier period, and so known before the spell."""
        return not self.static and self.lag is not None and self.lag > 0

    @cached_property
    def known(self) -> Bools:
        """Where a value is there."""
        return np.isfinite(self.values)

    @cached_property
    def distinct(self) -> Floats:
        """The different values, in ascending order."""
        return np.unique(self.values[self.known])

    @property
    def few_levels(self) -> bool:
        """Whether the column is a category with few enough levels to look at each."""
        return self.kind == "category" and 1 < len(self.levels) <= MOST_LEVELS

    def marks(self, at: Ints | slice) -> Iterator[Mark]:
        """Give what marks some rows and not others: a value (other than 0), none, each value of a code."""
        return (mark for mark in self._all_marks(at) if mark.rows.any() and not mark.rows.all())

    def _all_marks(self, at: Ints | slice) -> Iterator[Mark]:
        values = self.values[at]
        nothing = "missing or 0" if self.kind == "number" else "missing"
        # blank text is the first level
        blank = self.kind == "number" or self.levels[:1] == ("",)
        filled = np.isfinite(values) & ((values != 0) | (not blank))
        yield Mark(f"not {nothing}", filled)
        yield Mark(nothing, ~filled & self.expected[at], on=False)
        if self.few_levels or (self.kind != "category" and len(self.distinct) <= _MOST_CODES):
            for value in self.distinct:
                on = self.kind == "category" or value != 0
                yield Mark(f"equal to {self.text(value)}", values == value, on=on)

    def text(self, value: float) -> str:
        """Give a value as it stands in the table."""
        if self.kind == "category":
            return repr(self.levels[int(value)])
        if self.kind == "date":
            return str((pd.Timestamp(1970, 1, 1) + pd.Timedelta(days=value)).date())
        return f"{value:.6g}"


@dataclass(frozen=True, eq=False)
class Material:
    """Spells in the order of loan and age, with what the rules ask of them.

    Attributes
    ----------
    loan : (n,) number of the loan, ascending
    ids : identifier of each loan
    start : (n,) loan age at the start
    age : (n,) number of the risk set by age, from 0
    period : (n,) number of the calendar period
    cause : (n,) 0 or the number of the cause the spell ends with
    ended : (n,) the spell ends at maturity or by a stated censoring
    before : (n,) position of the loan's spell before, −1 for its first
    cohort : number of the vintage of each loan
    origination : calendar period of each loan's origination
    stratum : (n,) number of the stratum
    """

    rules: SpellRules
    frame: pd.DataFrame
    columns: dict[str, Column]
    strata: tuple[str, ...]
    loan: Ints
    ids: NDArray[Any]
    ahead_loan: Ints
    start: Floats
    age: Ints
    period: Ints
    cause: Ints
    ended: Bools
    before: Ints
    stratum: Ints
    sample: str

    @cached_property
    def first(self) -> Ints:
        """Position of each loan's first spell."""
        return np.flatnonzero(self.before < 0)

    @cached_property
    def last(self) -> Ints:
        """Position of each loan's last spell."""
        return np.append(self.first[1:], len(self.loan)) - 1

    @cached_property
    def cohort(self) -> Ints:
        """Number of each loan's vintage."""
        return _numbered(self.frame["vintage"].to_numpy()[self.first])

    @cached_property
    def origination(self) -> Floats:
        """Calendar period of each loan's origination."""
        return np.asarray(self.period[self.first] - self.start[self.first])

    @cached_property
    def risk_set(self) -> Ints:
        """Number of each spell's risk set: its stratum and age."""
        return _numbered(self.stratum * (self.age.max() + 1) + self.age)

    @cached_property
    def calendar(self) -> Ints:
        """Number of each spell's stratum and calendar period."""
        period = self.period - self.period.min()
        return _numbered(self.stratum * (period.max() + 1) + period)

    @cached_property
    def compared(self) -> Ints:
        """Spells for concordances: those that end in an exit, and of those that do not a random part, always the same."""
        stay = np.flatnonzero((self.cause == 0) & ~self.ended)
        some = np.random.default_rng(0).permutation(stay)[:MOST_COMPARED]
        return np.sort(np.concatenate([np.flatnonzero(self.cause > 0), some]))

    def targets(self, cause: Ints) -> list[tuple[str, Bools]]:
        """Give each cause that occurs with its exits, and where there are several, any exit."""
        found = [(name, cause == k + 1) for k, name in enumerate(self.rules.cause_names) if np.any(cause == k + 1)]
        return [*found, ("any cause", cause > 0)] if len(found) > 1 else found

    def examples(self, loans: Ints) -> tuple[Any, ...]:
        """Give the identifiers of the first few of these loans."""
        return tuple(self.ids[np.unique(loans)[:5]].tolist())


def material_of(
    frame: pd.DataFrame, ahead: pd.DataFrame, rules: SpellRules, columns: Sequence[str], strata: Sequence[str]
) -> Material:
    """Prepare spells for the rules, on a sample of the loans where there are very many."""
    loan, found = pd.factorize(frame["loan_id"])
    start = frame["start"].to_numpy(dtype=float)
    order = np.lexsort((start, loan))
    kept = _sampled(loan, len(found))
    order = order[kept[loan[order]]]
    frame = frame.iloc[order].reset_index(drop=True)
    loan = np.cumsum(np.diff(loan[order], prepend=-1) != 0) - 1
    ids = np.asarray(found)[kept]
    ahead = ahead[ahead["loan_id"].isin(ids)]
    position = np.arange(len(loan))
    before = np.where(np.diff(loan, prepend=-1) != 0, -1, position - 1)
    cause = pd.Index(rules.cause_names).get_indexer(pd.Index(frame["cause"].astype(object))).astype(np.int64) + 1
    start = start[order]
    since_entry = start - frame["entry"].to_numpy(dtype=float)
    return Material(
        rules=rules,
        frame=frame,
        columns={name: _column(name, frame, ahead, rules, before, since_entry) for name in columns},
        strata=tuple(strata),
        loan=loan,
        ids=ids,
        ahead_loan=pd.Index(ids).get_indexer(pd.Index(ahead["loan_id"])).astype(np.int64),
        start=start,
        age=np.unique(frame["stop"], return_inverse=True)[1].astype(np.int64),
        period=period_numbers(frame["period"], rules),
        cause=cause,
        ended=(cause == 0) & (frame["cause"].astype(object) != OPEN).to_numpy(),
        before=before,
        stratum=_strata(frame, strata),
        sample="" if kept.all() else f" (in a sample of {kept.sum():,} of {len(kept):,} loans)",
    )


def _sampled(loan: Ints, n_loans: int) -> Bools:
    """Choose loans at random, the same ones every time, where there are more spells than the rules work on."""
    kept = np.ones(n_loans, bool)
    if len(loan) > MOST_SPELLS:
        n = max(1, round(n_loans * MOST_SPELLS / len(loan)))
        kept[np.random.default_rng(0).permutation(n_loans)[n:]] = False
    return kept


def _strata(frame: pd.DataFrame, strata: Sequence[str]) -> Ints:
    if not strata:
        return np.zeros(len(frame), np.int64)
    return _numbered(frame.groupby(list(strata), dropna=False, observed=True, sort=False).ngroup().to_numpy())


def _numbered(values: NDArray[Any]) -> Ints:
    """Give numbers from 0 for values, in the order in which they come first."""
    return np.asarray(pd.factorize(values)[0], dtype=np.int64)


def _column(
    name: str, frame: pd.DataFrame, ahead: pd.DataFrame, rules: SpellRules, before: Ints, since_entry: Floats
) -> Column:
    read, next_values = _read(name, frame, ahead)
    values = read.values
    source, lag = source_of(name, rules)
    known = np.isfinite(values)
    expected = np.ones(len(values), bool)
    if source != "loans":
        expected = known | (since_entry >= max(1, lag or 1))
    earlier = np.maximum(before, 0)
    same = (values == values[earlier]) | (~known & ~known[earlier])
    moved = (before >= 0) & expected & expected[earlier] & ~same
    static = not np.any(moved)
    return Column(name, read.kind, read.levels, values, next_values, source, lag, expected, moved, static)


def _read(name: str, frame: pd.DataFrame, ahead: pd.DataFrame) -> tuple[Coded, Floats]:
    """Give a column of the spells, and the same of the periods ahead (missing where they do not have it)."""
    if name not in ahead.columns or ahead[name].dtype != frame[name].dtype or ahead.empty:
        return coded(frame[name]), np.full(len(ahead), np.nan)
    # categories of both need one numbering
    both = coded(pd.concat([frame[name], ahead[name]], ignore_index=True))
    n = len(frame)
    return Coded(both.values[:n], both.kind, both.levels), both.values[n:]


def source_of(name: str, rules: SpellRules) -> tuple[str, int | None]:
    """Give the table that a column comes from, by the rules, and its lag."""
    names = rules.covariates
    if name in names.loans:
        return "loans", None
    if name in names.performance:
        return "performance", rules.lag_of(name)
    if name in names.macro:
        return "macro", rules.lag_of(name)
    if name in rules.windows:
        return "performance", rules.lag_of(rules.windows[name].column)
    if name in ("rate_incentive", "burnout") and rules.rate_incentive is not None:
        return "performance", min(rules.lag_of(rules.rate_incentive.own), rules.lag_of(rules.rate_incentive.market))
    if name == "season" and rules.season:
        return "calendar", None
    return "other", None
