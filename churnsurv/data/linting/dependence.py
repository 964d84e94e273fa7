"""Columns that the others determine, alone or within risk sets: their effects are not identified."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.linalg import qr, solve_triangular

from churnsurv.data.linting.material import Column, Ints, Material
from churnsurv.data.linting.signs import ERROR, WARNING, Sign
from churnsurv.data.linting.values import Floats

COLLINEAR, CALENDAR = "collinear columns", "calendar-only column"

#: relative size of what a combination leaves: exact in double precision, and rounded to a few digits
_EXACT, _ROUNDED = 1e-6, 1e-2
#: relative difference of values that are the same but for rounding
_SAME = 1e-9
#: loans per column below which columns may determine each other by accident, and loans that a column must tell apart
_LOANS_PER_COLUMN, _FEWEST_LOANS = 3, 10
#: share of a column that may be missing; rows that risk sets with several loans must have
_MOST_MISSING, _FEWEST_ROWS = 0.5, 50
#: share of the variance within risk sets of a column that is not identified, or weakly, and of what strata may take away
_NOT_IDENTIFIED, _WEAKLY, _MOST_LOST = 0.01, 0.1, 0.5


def collinear_columns(m: Material) -> list[Sign]:
    """Find columns that are a linear combination of others, of the loan age, or of what a risk set has in common.

    Why it matters: all loans of one risk set have the same age (and, with strata of monthly vintages, the same calendar
    month), so a remaining term, which is the term minus the age, says there just what the term says; one of the two
    effects then takes whatever value rounding gives it, and a derived column hides the leak of another. Seen by: QR with
    pivoting of the columns about their means in each risk set; what is left of a column is below 1e-6 (error) or 1e-2 of
    its spread (rounded: warning). A category is compared with each static column: one that has one value in each of its
    levels adds nothing. Needs three loans for each column, and ten that differ from the most frequent value.
    """
    columns = [c for c in m.columns.values() if c.kind != "category" and _varied(m, c)]
    signs = list(_same_age(m, columns))
    done = {sign.column for sign in signs}
    columns = [c for c in columns if c.name not in done]
    if len(m.ids) >= _LOANS_PER_COLUMN * max(len(columns), 4):
        signs += _combinations(m, columns)
    return [*signs, *_nested(m)]


def _varied(m: Material, column: Column) -> bool:
    """Tell whether enough loans tell the values of a column apart for a resemblance to be none by accident."""
    if len(column.distinct) < 2 or column.known.mean() < 1 - _MOST_MISSING:
        return False
    # of a rare mark the median is the usual value
    usual = np.median(column.values[column.known])
    return len(np.unique(m.loan[column.known & (column.values != usual)])) >= _FEWEST_LOANS


def _same_age(m: Material, columns: list[Column]) -> Iterator[Sign]:
    """Give the columns that are a function of the loan age alone, or of the strata."""
    for column in columns:
        if not _constant_within(column, m.risk_set):
            continue
        if _constant_within(column, m.age):
            rows = column.known
            values = column.values[rows]
            what = _remainder(values, m.start[rows], m.period[rows], _SAME * float(np.abs(values).max()))
            what = what or "a function of the loan age"
            remedy = "leave it out: the loan age is the time scale of the model, its effect is the baseline hazard"
            yield Sign(ERROR, COLLINEAR, column.name, f"{column.name} = {what}{m.sample}", remedy)
        elif not _calendar_only(m, column):
            evidence = f"the same for all loans of a risk set with strata {', '.join(m.strata)}{m.sample}"
            yield Sign(
                ERROR, COLLINEAR, column.name, evidence, "leave it out, or do not stratify by what determines it"
            )


def _constant_within(column: Column, group: Ints) -> bool:
    """Tell whether a column is the same in all rows of each group; groups of one row say nothing."""
    several = column.known & (np.bincount(group[column.known], minlength=int(group.max()) + 1)[group] > 1)
    if several.sum() < _FEWEST_ROWS:
        return False
    values, group = column.values[several], group[several]
    # one value of each group, to compare the others with
    one = np.zeros(int(group.max()) + 1)
    one[group] = values
    return bool(np.abs(values - one[group]).max() <= _SAME * np.abs(values).max())


def _calendar_only(m: Material, column: Column) -> bool:
    return not column.static and _constant_within(column, m.calendar)


def _centred(values: Floats, group: Ints) -> Floats:
    """Give values about the mean of their group."""
    centred = values - values.mean()
    n = np.maximum(np.bincount(group), 1)
    return np.asarray(centred - (np.bincount(group, centred) / n)[group])


def _combinations(m: Material, columns: list[Column]) -> list[Sign]:
    """Find the columns of which the others leave nothing within risk sets."""
    rows = np.logical_and.reduce([column.known for column in columns]) if columns else np.zeros(len(m.loan), bool)
    if rows.sum() < max(_FEWEST_ROWS, 10 * len(columns)):
        return []
    values = np.column_stack([column.values[rows] for column in columns])
    within = np.column_stack([_centred(x, m.risk_set[rows]) for x in values.T])
    signs = []
    for found in _dependencies(within, _SAME * np.abs(values).max(axis=0) * np.sqrt(len(values))):
        terms = [(columns[i].name, c) for i, c in zip(found.others, found.coefficients, strict=True)]
        remainder = values[:, found.column] - values[:, found.others] @ np.array(found.coefficients)
        size = float(np.abs(values[:, [found.column, *found.others]]).max())
        tolerance = found.left / np.sqrt(len(values)) + _SAME * size
        what = _remainder(remainder, m.start[rows], m.period[rows], tolerance, terms)
        what = what or f"{_sum(terms)} + what all loans of a risk set share"
        signs.append(_dependent(columns[found.column].name, [name for name, _ in terms], what, found.share, m.sample))
    return signs


class _Dependency(NamedTuple):
    """A column as a combination of others: what is left of it, as a norm and as a share of its own."""

    column: int
    others: list[int]
    coefficients: list[float]
    left: float
    share: float


def _dependencies(within: Floats, smallest: Floats) -> list[_Dependency]:
    """Give the columns that pivoting leaves without anything of their own; those below their smallest norm are passed over."""
    norm = np.linalg.norm(within, axis=0)
    free = np.flatnonzero(norm > smallest)
    unit = within[:, free] / norm[free]
    # no column has less of its own than the smallest eigenvalue
    if len(free) < 2 or np.linalg.eigvalsh(unit.T @ unit)[0] > _ROUNDED**2:
        return []
    triangle, order = qr(unit, mode="r", pivoting=True)
    rank = int(np.count_nonzero(np.abs(np.diag(triangle)) > _ROUNDED))
    found = []
    for j in range(rank, len(free)):
        weight = solve_triangular(triangle[:rank, :rank], triangle[:rank, j])
        share = float(np.linalg.norm(triangle[rank : len(free), j]))
        used = np.abs(weight) > max(3 * share, _EXACT)
        column, others = int(free[order[j]]), free[order[:rank][used]]
        coefficients = weight[used] * norm[column] / norm[others]
        found.append(_Dependency(column, others.tolist(), coefficients.tolist(), share * float(norm[column]), share))
    return found


def _dependent(name: str, others: list[str], what: str, left: float, sample: str) -> Sign:
    exact = left < _EXACT
    accuracy = "" if exact else f", up to {left:.1%} of its spread within risk sets"
    remedy = f"leave one of them out: {name} has no effect of its own beside the others"
    level = ERROR if exact else WARNING
    evidence = f"{name} = {what}{accuracy}{sample}"
    return Sign(level, COLLINEAR, name, evidence, remedy, beside=tuple(others))


def _remainder(
    values: Floats, start: Floats, period: Ints, tolerance: float, terms: Sequence[tuple[str, float]] = ()
) -> str:
    """Give terms and what is left of a column as a sum with a constant, the loan age and the calendar period, if it is one."""
    clocks = {"start": start, "calendar period": period.astype(float)}
    for more in ((), ("start",), ("start", "calendar period")):
        design = np.column_stack([np.ones(len(values)), *(clocks[name] for name in more)])
        fitted = np.linalg.lstsq(design, values, rcond=None)[0]
        if np.sqrt(np.mean((values - design @ fitted) ** 2)) <= 2 * tolerance:
            constant = float(fitted[0]) if abs(fitted[0]) > 3 * tolerance else 0.0
            return _sum([*terms, *zip(more, map(float, fitted[1:]), strict=True)], constant)
    return ""


def _sum(terms: Sequence[tuple[str, float]], constant: float = 0.0) -> str:
    """Give "2 a − b + 3"."""
    parts = [(value, ("" if f"{abs(value):.5g}" == "1" else f"{abs(value):.5g} ") + name) for name, value in terms]
    if constant or not parts:
        parts.append((constant, f"{abs(constant):.5g}"))
    text = " ".join(f"{'−' if value < 0 else '+'} {words}" for value, words in parts)
    return text.removeprefix("+ ").replace("− ", "−", 1) if text.startswith("−") else text.removeprefix("+ ")


def _nested(m: Material) -> list[Sign]:
    """Find static columns that have one value in each level of a category."""
    static = [c for c in m.columns.values() if c.static and (c.kind != "category" or c.few_levels) and _varied(m, c)]
    signs = []
    for fine in static:
        if not fine.few_levels or len(m.ids) < _FEWEST_LOANS * len(fine.levels):
            continue
        levels = np.where(fine.known, fine.values, -1)[m.last].astype(np.int64) + 1
        for coarse in static:
            values = coarse.values[m.last]
            spread = pd.Series(values).groupby(levels).agg(["min", "max"])
            finer = coarse.kind != "category" or len(coarse.levels) < len(fine.levels)
            twin = coarse.kind == "category" and len(coarse.levels) == len(fine.levels) and coarse.name > fine.name
            if (finer or twin) and np.isfinite(values).all() and (spread["min"] == spread["max"]).all():
                evidence = (
                    f"each of the {len(fine.levels)} levels of {fine.name} has one value of {coarse.name}{m.sample}"
                )
                remedy = f"leave {coarse.name} out, or {fine.name}: the levels of {fine.name} say it already"
                signs.append(Sign(ERROR, COLLINEAR, coarse.name, evidence, remedy, beside=(fine.name,)))
    return signs


def calendar_only_columns(m: Material) -> list[Sign]:
    """Find columns that are the same for all loans of a calendar period, with little variation left in the risk sets.

    Why it matters: macro series of the whole country, news and new rules differ between periods only. In strata of
    monthly (or quarterly) vintages all loans of one age share the calendar period, so the column is constant in each risk
    set and its effect is not identified; with yearly vintages it is estimated from what little the months of a year
    differ. Seen by: one value for each period (and stratum), and the share of its variance in the strata that lies within
    risk sets: below 1 % an error; below 10 %, or less than half of that share without strata (standard errors 1.4 times as
    large), a warning.
    """
    signs = []
    remedy = "use coarser strata, a series by region, or a column that differs between loans (the rate incentive)"
    everywhere = np.zeros_like(m.stratum)
    for column in m.columns.values():
        if len(column.distinct) < 2 or not _calendar_only(m, column) or _constant_within(column, m.age):
            continue
        part = _share_within(column, m.risk_set, m.stratum)
        if part < max(_WEAKLY, _MOST_LOST * _share_within(column, m.age, everywhere)):
            level = ERROR if part < _NOT_IDENTIFIED else WARNING
            strata = f" in strata of {', '.join(m.strata)}" if m.strata else ""
            evidence = f"one value for each {m.rules.period}; {part:.1%} of its variance{strata} lies within risk sets"
            signs.append(Sign(level, CALENDAR, column.name, evidence + m.sample, remedy))
    return signs


def _share_within(column: Column, risk_set: Ints, stratum: Ints) -> float:
    """Give the share of the variance in strata that lies within risk sets; of a category, whether any does."""
    if column.kind == "category":
        return 0.0 if _constant_within(column, risk_set) else 1.0
    left, whole = (_centred(column.values[column.known], group[column.known]) for group in (risk_set, stratum))
    total = float(whole @ whole)
    return float(left @ left) / total if total else 0.0
