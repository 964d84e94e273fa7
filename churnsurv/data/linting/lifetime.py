"""Static columns that hold what only the whole life of a loan tells: its length, its last date, sums and last values."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from churnsurv.data.linting.material import Bools, Column, Ints, Material
from churnsurv.data.linting.names import outcome_words, snapshot_words
from churnsurv.data.linting.signs import ERROR, WARNING, Sign, share
from churnsurv.data.linting.values import Floats

LIFETIME = "lifetime aggregate"

#: loans that the comparison must rest on, and share of them in which it holds
_FEWEST_LOANS, _IN_MOST = 10, 0.95
#: rank correlation with the time observed that no static column has, and what its lower limit must exceed
_CORRELATED, _AT_LEAST = 0.95, 0.9
#: loans for an elasticity, and the range around 1 in which a sum over time lies with three standard errors
_FEWEST_FOR_GROWTH, _ELASTIC = 30, (0.6, 1.6)

_REMEDY = "leave it out, or use the value at origination; a running value belongs to the performance table, lagged"

_SUMMARIES = {
    "last value of": "last",
    "highest value of": "max",
    "lowest value of": "min",
    "sum of": "sum",
    "mean of": "mean",
}


class _Summary(NamedTuple):
    """A summary of a column over the life of each open loan, and the column's first value."""

    text: str
    kind: str
    loans: Ints
    values: Floats
    first: Floats


class _Lives(NamedTuple):
    """How long each loan that left was observed, and when it began."""

    loans: Ints
    clocks: dict[str, Floats]
    origination: Floats
    entry: Floats


def lifetime_aggregates(m: Material) -> list[Sign]:
    """Find static columns that are a function of how long the loan was observed: payments made, last date, totals.

    Why it leaks: a value known at origination cannot know how long the loan will last; one that does was summed or read
    off at the end, and a short life is an exit. Only loans that left are compared, since how long the others were
    observed follows from their origination. Seen by: equality with the age or period of the exit (up to a constant) in
    95 % of the loans; a rank correlation with it above 0.95 given origination and entry (lower limit 0.9); equality with
    the last, highest or lowest value, the sum or the mean of a column of the spells (errors). Growth in proportion to the
    time observed (elasticity 1 within three standard errors, none below 0.6), or a name that speaks of a last date: warnings.
    """
    static = [c for c in m.columns.values() if c.static and c.kind != "category" and c.name != m.rules.term]
    lives = _lives(m)
    summaries = list(_summaries(m)) if static else []
    signs = []
    for column in static:
        sign = _equals_end(m, column, lives) or _follows_length(m, column, lives)
        sign = sign or _equals_summary(m, column, summaries) or _grows(m, column, lives)
        words = "" if outcome_words(column.name, lagged=False) else snapshot_words(column.name)
        if sign is None and words:
            evidence = f"the same in all spells of a loan, and its name speaks of a later date ({words!r})"
            sign = Sign(WARNING, LIFETIME, column.name, evidence, _REMEDY)
        signs += [sign] if sign else []
    return signs


def _lives(m: Material) -> _Lives:
    loans = np.flatnonzero(m.cause[m.last] > 0)
    last = m.last[loans]
    first = m.first[loans]
    clocks = {
        "age at exit": m.start[last] + 1,
        "period of exit": m.period[last].astype(float),
        "periods observed": (last - first + 1).astype(float),
    }
    return _Lives(loans, clocks, m.origination[loans], m.period[first].astype(float))


def _of_loans(m: Material, column: Column) -> Floats:
    return column.values[m.last]


def _equals_end(m: Material, column: Column, lives: _Lives) -> Sign | None:
    """Compare with the end itself, up to a constant (counting from 0 or 1, the day within the month)."""
    values = _of_loans(m, column)[lives.loans]
    if column.kind == "date":
        # a day within the period of the exit
        values = _months(values)
        values = values if m.rules.period == "month" else values // 3
    known = np.isfinite(values)
    if known.sum() < _FEWEST_LOANS:
        return None
    for clock, time in lives.clocks.items():
        difference = np.round(values[known] - time[known], 6)
        offsets, n = np.unique(difference, return_counts=True)
        if len(np.unique(time[known])) > 2 and n.max() >= _IN_MOST * known.sum():
            constant = f" {offsets[n.argmax()]:+.6g}" if column.kind != "date" and offsets[n.argmax()] else ""
            evidence = f"equals the {clock}{constant} in {share(n.max(), known.sum())} loans that left{m.sample}"
            return Sign(ERROR, LIFETIME, column.name, evidence, _REMEDY, m.examples(lives.loans[known]))
    return None


def _months(days: Floats) -> Floats:
    """Give the number of the month of days since 1970."""
    known = np.isfinite(days)
    months = np.where(known, days, 0).astype("datetime64[D]").astype("datetime64[M]").astype(np.int64)
    return np.where(known, months, np.nan)


def _follows_length(m: Material, column: Column, lives: _Lives) -> Sign | None:
    """Correlate ranks with the age at exit, given origination and entry."""
    values = _of_loans(m, column)[lives.loans]
    known = np.isfinite(values)
    n = int(known.sum())
    if n < 2 * _FEWEST_LOANS:
        return None
    given = [lives.origination[known], lives.entry[known]]
    for clock in ("age at exit", "periods observed"):
        r = _partial_rank_correlation(values[known], lives.clocks[clock][known], given)
        if r >= _CORRELATED and np.tanh(np.arctanh(min(r, 1 - 1e-12)) - 4 / np.sqrt(n - 5)) >= _AT_LEAST:
            evidence = (
                f"rank correlation {r:.3f} with the {clock} of {n:,} loans that left, given origination{m.sample}"
            )
            return Sign(ERROR, LIFETIME, column.name, evidence, _REMEDY, m.examples(lives.loans[known]))
    return None


def _partial_rank_correlation(x: Floats, time: Floats, given: list[Floats]) -> float:
    design = np.column_stack([np.ones(len(x)), *map(rankdata, given)])
    both = np.column_stack([rankdata(x), rankdata(time)])
    rest = both - design @ np.linalg.lstsq(design, both, rcond=None)[0]
    norm = np.linalg.norm(rest, axis=0)
    # nothing is left where all are equal, or where origination and entry say it all
    if np.any(norm <= 1e-6 * len(x)):
        return 0.0
    return float(abs(rest[:, 0] @ rest[:, 1]) / np.prod(norm))


def _grows(m: Material, column: Column, lives: _Lives) -> Sign | None:
    """Tell whether the mean of a column grows in proportion to the time observed, as a sum over time does."""
    values = _of_loans(m, column)[lives.loans]
    known = np.isfinite(values)
    n = int(known.sum())
    if column.kind == "date" or n < _FEWEST_FOR_GROWTH or values[known].min() < 0 or values[known].max() == 0:
        return None
    x = values[known]
    for clock in ("age at exit", "periods observed"):
        time = lives.clocks[clock][known]
        design = np.column_stack([time, np.ones(n), lives.origination[known] - lives.origination.mean()])
        if np.linalg.matrix_rank(design) < design.shape[1]:
            continue
        inverse = np.linalg.pinv(design)
        fitted = inverse @ x
        # robust: a sum spreads more, the longer it runs
        se = float(np.sqrt(np.sum((inverse[0] * (x - design @ fitted)) ** 2)))
        scale = time.mean() / x.mean()
        low, value, high = (scale * (fitted[0] + k * se) for k in (-3, 0, 3))
        if low > _ELASTIC[0] and high < _ELASTIC[1]:
            elasticity = f"elasticity {value:.2f} ({low:.2f} to {high:.2f}){m.sample}"
            evidence = f"grows in proportion to the {clock} of {n:,} loans that left: {elasticity}"
            return Sign(WARNING, LIFETIME, column.name, evidence, _REMEDY)
    return None


def _equals_summary(m: Material, column: Column, summaries: list[_Summary]) -> Sign | None:
    """Compare with what the whole life of the loan gives of each column that varies."""
    values = _of_loans(m, column)
    for summary in summaries:
        x = values[summary.loans]
        known = np.isfinite(x) & np.isfinite(summary.values) & (summary.kind == column.kind)
        equal = known & _close(x, summary.values)
        telling = known & ~_close(summary.values, summary.first)
        # columns that are usually 0 are usually equal
        unusual = known & (x != np.median(x[known])) if known.any() else known
        if min(telling.sum(), unusual.sum()) < _FEWEST_LOANS:
            continue
        if min(equal[rows].mean() for rows in (known, telling, unusual)) >= _IN_MOST:
            evidence = (
                f"equals the {summary.text} in {share(equal.sum(), known.sum())} open loans, and where that differs from the "
                f"first value in {share((equal & telling).sum(), telling.sum())}{m.sample}"
            )
            examples = m.examples(summary.loans[telling & equal])
            return Sign(ERROR, LIFETIME, column.name, evidence, _REMEDY, examples)
    return None


def _close(x: Floats, y: Floats) -> Bools:
    return np.isclose(x, y, rtol=1e-6, atol=1e-9)


def _summaries(m: Material) -> Iterator[_Summary]:
    """Give summaries of each column that varies, of open loans: those of loans that left do not see the last value.

    The last value of an open loan lies in the period ahead.
    """
    open_ = np.unique(m.ahead_loan)
    loan = np.concatenate([m.loan, m.ahead_loan])
    for column in m.columns.values():
        if column.static or column.kind == "category":
            continue
        grouped = pd.Series(np.concatenate([column.values, column.ahead])).groupby(loan)
        first = grouped.first().to_numpy()
        for text, name in _SUMMARIES.items():
            values = grouped.agg(name).to_numpy()
            yield _Summary(f"{text} {column.name!r}", column.kind, open_, values[open_], first[open_])
