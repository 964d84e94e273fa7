"""Values of a time that was not over yet: columns of the spell's own period, macro series not published or interpolated."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from churnsurv.data.linting.material import Column, Material
from churnsurv.data.linting.signs import ERROR, WARNING, Sign, share
from churnsurv.data.rules import SpellRules

UNLAGGED, FUTURE_MACRO = "unlagged column", "future macro value"

#: a kink of an interpolated series comes at one place of the cycle, this often at least
_FEWEST_KINKS = 6
_AT_ONE_PLACE = 0.95


def unlagged_columns(m: Material) -> list[Sign]:
    """Find columns of the performance table that are taken from the spell's own period (lag 0).

    Why it leaks: the value is written at the end of the period, after an exit in it; it can be part of the exit. Seen by
    the rules: lag 0, and not listed in ``known_ahead``. The data only say how bad it is; an error, if so, comes from the
    rules that look at them.
    """
    signs = []
    for column in m.columns.values():
        sources = [name for name in _sources(column.name, m.rules) if name in m.rules.unlagged]
        if column.source == "performance" and sources:
            where = "" if sources == [column.name] else f" of {' and '.join(map(repr, sources))}"
            remedy = "give it a lag of at least 1, or list it in known_ahead if a schedule or contract fixes it before"
            signs.append(Sign(WARNING, UNLAGGED, column.name, f"lag 0{where}; {_moves(m, column)}", remedy))
    return signs


def _sources(name: str, rules: SpellRules) -> list[str]:
    """Give the lagged columns that a covariate is made of."""
    if name in rules.covariates.performance or name in rules.covariates.macro:
        return [name]
    if name in rules.windows:
        return [rules.windows[name].column]
    if name in ("rate_incentive", "burnout") and rules.rate_incentive is not None:
        return [rules.rate_incentive.own, rules.rate_incentive.market]
    return []


def _moves(m: Material, column: Column) -> str:
    exits = m.cause > 0
    seen = (m.before >= 0) & ~m.ended
    at_exit, other = seen & exits, seen & ~exits
    return (
        f"changes in {share(np.sum(column.moved & at_exit), at_exit.sum())} spells of exit and in "
        f"{share(np.sum(column.moved & other), other.sum())} others{m.sample}"
    )


def future_macro_values(m: Material, published_after: Mapping[str, int]) -> list[Sign]:
    """Find macro columns that were not public when the spell began.

    Why it leaks: at the time of a prediction the value is not there, and revised or interpolated series carry what came
    later. Seen by the rules: lag 0 (warning); a lag shorter than the stated time until publication (error). Seen by data:
    a series that is straight between points one quarter, half-year or year apart was interpolated, so that each value uses
    the next publication (warning). That a series is shifted cannot be told from the data.
    """
    signs = []
    for column in m.columns.values():
        for name in _sources(column.name, m.rules):
            lag, delay = m.rules.lag_of(name), published_after.get(name)
            if delay is not None and lag <= delay:
                evidence = f"{name!r} has lag {lag}, but is published {delay} periods after the end of its period"
                signs.append(Sign(ERROR, FUTURE_MACRO, column.name, evidence, f"set lags.{name} = {delay + 1} or more"))
            elif column.source == "macro" and name in m.rules.unlagged:
                remedy = "give it the lag with which it is published, at least 1, or list it in known_ahead"
                signs.append(Sign(WARNING, FUTURE_MACRO, column.name, "lag 0: the period is not over", remedy))
        if column.source == "macro":
            signs += _interpolated(m, column)
    return signs


def _interpolated(m: Material, column: Column) -> list[Sign]:
    """Tell whether a series is straight between kinks that come at one place of the quarter or year."""
    steps = _steps(m, column)
    slope, bend = steps["slope"].to_numpy(), steps["bend"].to_numpy()
    scale = np.abs(slope).max(initial=0.0)
    # what is left of a straight line after rounding is no kink
    kink = np.abs(bend) > max(1e-6 * scale, 0.05 * np.abs(bend).max(initial=0.0))
    sloped = np.abs(slope) > 1e-6 * scale
    for length in (12, 6, 3) if m.rules.period == "month" else (4, 2):
        place = steps["period"].to_numpy() % length
        at = np.bincount(place[kink], minlength=length)
        others = place != at.argmax()
        straight = sloped[others].mean() if others.any() else 0.0
        if at.sum() >= _FEWEST_KINKS and at.max() >= _AT_ONE_PLACE * at.sum() and straight >= 0.5:
            evidence = (
                f"{share(at.max(), at.sum())} kinks of the series come every {length} {m.rules.period}s, between them it is "
                f"straight{m.sample}"
            )
            remedy = "use the last published value instead of an interpolated one, lagged by its time until publication"
            return [Sign(WARNING, FUTURE_MACRO, column.name, evidence, remedy)]
    return []


def _steps(m: Material, column: Column) -> pd.DataFrame:
    """Give the different slopes and bends of the series as the loans met it, by period; a bend at t is seen at t + 1."""
    one = np.maximum(m.before, 0)
    two = np.maximum(m.before[one], 0)
    running = (m.before >= 0) & (m.before[one] >= 0) & (m.period - m.period[two] == 2)
    slope = column.values[one] - column.values[two]
    steps = pd.DataFrame({"period": m.period, "slope": slope, "bend": column.values - column.values[one] - slope})
    return pd.DataFrame(steps[running].dropna().round(10).drop_duplicates())
