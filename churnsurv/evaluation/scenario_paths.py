"""Paths of external series by period (and region): the standard shocks, and the reading of paths that users give."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from churnsurv.data.catalogue import covariates
from churnsurv.data.config import did_you_mean
from churnsurv.data.periods import as_dates, last_complete_period, period_numbers, period_starts
from churnsurv.data.rules import SpellRules
from churnsurv.exceptions import DataError, NotIdentifiedError
from churnsurv.messages import counted, first_of, numeric_column, one_number

Floats = NDArray[np.float64]

#: scenario → series → change against the base, in the series' unit, once it is reached
STANDARD_SHOCKS: dict[str, dict[str, float]] = {
    "rates +100 bp": {"market_rate": 1.0, "policy_rate": 1.0},
    "rates −100 bp": {"market_rate": -1.0, "policy_rate": -1.0},
    "recession": {"unemployment_rate": 3.0, "market_rate": -1.5, "policy_rate": -1.5, "gdp_growth": -4.0},
}


def shock_paths(
    macro: pd.DataFrame,
    rules: SpellRules,
    *,
    date: Any,
    horizon: int,
    shocks: Mapping[str, Mapping[str, float]] | None = None,
    ramp: int | Mapping[str, int] | None = None,
) -> dict[str, pd.DataFrame]:
    """Build the standard paths from the last known rows of a macro table.

    The base holds every series at its last known value. A shock is a change against the base from the period after the date
    on: at once, or in equal steps over `ramp` periods.

    Parameters
    ----------
    macro : DataFrame
        As given to :func:`churnsurv.data.build_spells`: a column of periods, the region if the rules have one, series.
        Later rows than the date are not looked at.
    rules : SpellRules
        Say which columns are period, region, market rate and macro covariates, and with which lag they act.
    date : date or str
        The landmark.
    horizon : int
        Periods after it.
    shocks : mapping, optional
        Scenario → series → change in the unit of the series. Default: rates (market and policy) up or down by one
        percentage point; a recession with unemployment +3, rates −1.5 and growth −4 points. Of the default, series that the
        table lacks are passed over.
    ramp : int or mapping, optional
        Periods until a shock is reached, for all scenarios or by scenario; default 1 (at once), the default recession 6.

    Returns
    -------
    dict of DataFrame
        "base" and a frame per shock: period (first day), region if there is one, the series the rules use. They begin as
        many periods before the date as the longest lag needs.

    Raises
    ------
    DataError
        Columns or series that the table lacks, a horizon or ramp that is no positive whole number, no known value.

    Examples
    --------
    >>> import pandas as pd, churnsurv as cs
    >>> rules = cs.data.SpellRules(origination="opened", observed="month", status="status", open=["open"],
    ...     causes={"attrition": ["prepaid"]}, covariates={"macro": ["unemployment_rate"]}, macro={"period": "month"})
    >>> macro = pd.DataFrame({"month": pd.date_range("2026-01-31", periods=6, freq="ME"), "unemployment_rate": 5.0})
    >>> paths = cs.evaluation.shock_paths(macro, rules, date="2026-06-30", horizon=2,
    ...                                   shocks={"slump": {"unemployment_rate": 2.0}})
    >>> paths["slump"]["unemployment_rate"].tolist()
    [5.0, 7.0, 7.0]
    """
    if not isinstance(macro, pd.DataFrame) or not isinstance(rules, SpellRules):
        raise DataError(
            "macro: give the DataFrame of macro series, and rules: the SpellRules that the spells were built by."
        )
    horizon, names = positive_integer(horizon, "horizon"), series_of(rules)
    _check_shocks(shocks, ramp)
    known = _known_rows(macro, rules, names, date)
    last = last_complete_period(date, rules)
    back = max([rules.lag_of(name) for name in names], default=1)
    periods = np.arange(last - max(back - 1, 0), last + horizon + 1)
    base = _held(known, periods, names, rules)
    found = {"base": base}
    ahead = np.maximum(period_numbers(base[rules.macro.period], rules) - last, 0)  # type: ignore[union-attr]
    for name, changes in (STANDARD_SHOCKS if shocks is None else shocks).items():
        missing = [series for series in changes if series not in names]
        if missing and (shocks is not None or len(missing) == len(changes)):
            raise DataError(
                f"Scenario {name!r} changes {missing[0]!r}, which is no macro column of the rules. "
                f"{did_you_mean(missing[0], names)}"
            )
        given = ramp.get(name) if isinstance(ramp, Mapping) else ramp
        steps = positive_integer(
            (6 if name == "recession" and shocks is None else 1) if given is None else given, "ramp"
        )
        share = np.minimum(ahead / steps, 1.0)
        found[name] = base.assign(**{s: base[s] + share * change for s, change in changes.items() if s in names})
    return found


def _check_shocks(shocks: Any, ramp: Any) -> None:
    if shocks is not None and not isinstance(shocks, Mapping):
        raise DataError(
            f"shocks={shocks!r}: give scenario → series → change, e.g. {{'slump': {{'unemployment_rate': 2.0}}}}."
        )
    for name, changes in (shocks or {}).items():
        if name == "base":
            raise DataError("shocks name 'base', which is the path without a shock: rename it.")
        if not isinstance(changes, Mapping):
            raise DataError(f"shocks[{name!r}] = {changes!r}: give series → change.")
        for series, change in changes.items():
            one_number(change, f"The change of {series!r} in {name!r}")
    unknown = (
        [name for name in ramp if name not in (STANDARD_SHOCKS if shocks is None else shocks)]
        if isinstance(ramp, Mapping)
        else []
    )
    if unknown:
        raise DataError(f"ramp names {unknown[0]!r}, which is no scenario of the shocks.")


def positive_integer(value: Any, argument: str) -> int:
    """Give a whole number of at least 1 passed as an option."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
        raise DataError(f"{argument}={value!r}: give a whole number of periods, 1 or more.")
    return int(value)


def series_of(rules: SpellRules) -> list[str]:
    """Give the columns of the macro table that spells use."""
    market = [rules.rate_incentive.market] if rules.rate_incentive else []
    names = list(dict.fromkeys([*market, *rules.covariates.macro]))
    if not names or rules.macro is None:
        raise DataError("The rules use no macro column: no covariate could follow a path of one.")
    return names


def is_external(name: str, rules: SpellRules) -> bool:
    """Tell whether a covariate is what it is whatever the customer does: of the macro table, or M or X in the catalogue."""
    known = covariates().set_index("column")["letter"]
    return name in rules.covariates.macro or known.get(name, "") in ("M", "X")


def _known_rows(macro: pd.DataFrame, rules: SpellRules, names: Sequence[str], date: Any) -> pd.DataFrame:
    keys = rules.macro
    assert keys is not None
    wanted = [keys.period, *([keys.region] if keys.region else []), *names]
    absent = [name for name in wanted if name not in macro.columns]
    if absent:
        raise DataError(f"The macro table lacks {absent[0]!r}. {did_you_mean(absent[0], list(macro.columns))}")
    for name in names:
        if not pd.api.types.is_numeric_dtype(macro[name]):
            raise DataError(f"Column {name!r} of the macro table is {macro[name].dtype}: give numbers.")
    number = period_numbers(as_dates(macro[keys.period], keys.period), rules)
    known = macro[wanted].assign(**{keys.period: number})[number <= last_complete_period(date, rules)]
    if known.empty:
        raise DataError(f"The macro table has no row up to {date}.")
    return known


def _held(known: pd.DataFrame, periods: NDArray[np.int64], names: list[str], rules: SpellRules) -> pd.DataFrame:
    """Give the series at the periods, each at its last known value."""
    keys = rules.macro
    assert keys is not None
    parts = []
    groups: Iterable[tuple[Any, pd.DataFrame]] = known.groupby(keys.region, sort=True) if keys.region else [("", known)]
    for region, rows in groups:
        by_period = rows.groupby(keys.period)[names].mean().sort_index().ffill()
        held = by_period.reindex(np.union1d(by_period.index.to_numpy(), periods)).ffill().loc[periods]
        empty = held.columns[held.isna().any()]
        if len(empty):
            where = f" of {keys.region} {region!r}" if keys.region else ""
            raise DataError(f"The macro table has no value of {empty[0]!r}{where} as early as the lag needs one.")
        part = held.reset_index(names=keys.period)
        part[keys.period] = period_starts(periods, rules)
        if keys.region:
            part.insert(1, keys.region, region)
        parts.append(part)
    return pd.concat(parts, ignore_index=True)


class Path(NamedTuple):
    """A path as read: by series, a frame of periods (numbers) and regions ("" where there are none)."""

    values: dict[str, pd.DataFrame]
    rules: SpellRules

    def at(self, series: str, periods: NDArray[np.int64], region: NDArray[Any] | None, scenario: str) -> Floats:
        """Give the series (n, periods), for the regions of n rows; n = 1 where there are no regions."""
        table = self.values[series]
        regional = table.columns.tolist() != [""]
        if regional and region is None:
            raise DataError(
                f"Scenario {scenario!r} is by region, but the cohort has no such column: name it in `keep` of the rules."
            )
        columns = pd.Index(region) if regional and region is not None else table.columns
        unknown = pd.unique(columns[~columns.isin(table.columns)])
        if len(unknown):
            raise DataError(f"Scenario {scenario!r} has no {series!r} for the region {first_of(unknown)}.")
        used = table.reindex(index=periods, columns=pd.unique(columns))
        lacking = periods[used.isna().any(axis=1).to_numpy()]
        if len(lacking):
            starts = [str(day.date()) for day in period_starts(lacking, self.rules)]
            raise DataError(
                f"Scenario {scenario!r} has no value of {series!r} for {counted(len(lacking), 'period')} ({first_of(starts)}), "
                "which the loans need at the lag of the rules: add these rows."
            )
        found = used.to_numpy()[:, used.columns.get_indexer(columns)].T
        return np.asarray(found, dtype=np.float64)


def read_path(frame: Any, name: str, rules: SpellRules, features: Sequence[str], override: Sequence[str]) -> Path:
    """Read a path and refuse what it may not move: unknown series, internal covariates that are not overridden."""
    keys = rules.macro
    if not isinstance(frame, pd.DataFrame):
        raise DataError(f"Scenario {name!r} is a {type(frame).__name__}: give a DataFrame of series by period.")
    period, region = (keys.period, keys.region) if keys is not None else ("month", None)
    if period not in frame.columns:
        raise DataError(
            f"Scenario {name!r} lacks the column {period!r} of its periods (columns: {first_of(frame.columns)})."
        )
    has_region = region is not None and region in frame.columns
    market = rules.rate_incentive.market if rules.rate_incentive else None
    series = [str(c) for c in frame.columns if c not in (period, region)]
    for column in series:
        if column == market or is_external(column, rules) or column in override:
            continue
        if column in rules.covariate_names or column in features:
            raise NotIdentifiedError(
                f"Scenario {name!r} moves {column!r}, which customers or the lender bring about themselves: along a path of it "
                "the result is no probability of leaving. Leave it out (it stays at its value of the landmark), or, if it "
                f"is set from outside whatever customers do, say so with override=[{column!r}]."
            )
        known = [*([market] if market else []), *rules.covariate_names]
        raise DataError(f"Scenario {name!r} has the column {column!r}, no covariate. {did_you_mean(column, known)}")
    number = period_numbers(as_dates(frame[period], period), rules)
    place = frame[region].to_numpy() if has_region else np.full(len(frame), "")
    keyed = pd.MultiIndex.from_arrays([number, place])
    if keyed.has_duplicates:
        raise DataError(
            f"Scenario {name!r} has {counted(int(keyed.duplicated().sum()), 'row')} of a period (and region) twice."
        )
    values = {c: _by_region(numeric_column(frame[c], c), number, place) for c in series}
    for column, table in values.items():
        if np.isinf(table.to_numpy()).any():
            raise DataError(f"Scenario {name!r} has infinite values of {column!r}.")
    return Path(values, rules)


def _by_region(values: Floats, number: NDArray[np.int64], place: NDArray[Any]) -> pd.DataFrame:
    """Give a frame of periods by regions."""
    frame = pd.DataFrame({"period": number, "region": place, "value": values})
    return frame.pivot(index="period", columns="region", values="value")  # noqa: PD010
