"""Rates of leaving: by vintage and age, over the last two years, by season, and of loans, customers and money."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from churnsurv.data import Spells
from churnsurv.data.frames import selected
from churnsurv.evaluation.rates import exit_rate, exit_rates, rate_ratio
from churnsurv.exceptions import DataError
from churnsurv.plot.heat import heat
from churnsurv.report.analysis import Analysis
from churnsurv.report.content import Block, Cell, Column, Figure, Table, Text
from churnsurv.report.disclosure import notes_if_hidden
from churnsurv.report.exit_counts import LAST_BAND, YEAR, band_of, quarter_of, quarters_of, years_of
from churnsurv.report.figures import drawn
from churnsurv.report.words import is_clear, level_words, p_words, percent
from churnsurv.results import Estimate

#: quarters from which on seasons are compared: each season twice
_SEASONS_FROM = 2 * YEAR


def rates_of_leaving(analysis: Analysis) -> list[Block]:
    """Give the blocks on rates."""
    return [*_by_age(analysis), *_trend(analysis), *_by_season(analysis), *_in_money(analysis)]


def last_year(analysis: Analysis) -> tuple[Spells, list[pd.Period]]:
    """Give the spells of the last four quarters, and these."""
    quarters = quarters_of(analysis.spells.frame)[-YEAR:]
    return restricted(analysis, is_within(analysis.spells.frame, quarters)), quarters


def is_within(frame: pd.DataFrame, quarters: list[pd.Period]) -> NDArray[np.bool_]:
    """Tell which spells are of some calendar quarters."""
    return np.isin(quarter_of(frame), [quarter.ordinal for quarter in quarters])


def restricted(analysis: Analysis, inside: NDArray[np.bool_]) -> Spells:
    """Give some rows of the spells, for rates: without covariates, and what was left out is not counted again."""
    balance = analysis.config.incidence.balance
    used = ["loan_id", "customer_id", "period", "start", "stop", "cause", *([] if balance is None else [balance])]
    return replace(analysis.spells, frame=selected(analysis.spells.frame[used], inside))


def _by_age(analysis: Analysis) -> list[Figure]:
    """Draw the yearly rate of the main cause by vintage and year of age."""
    config, spells = analysis.config, analysis.spells
    cause, vintage = config.main_cause, analysis.groups["vintage"]
    band = band_of(spells.frame["start"], config.unit)
    keys = pd.MultiIndex.from_arrays([vintage, band])
    codes, unique = pd.factorize(keys)
    table = exit_rates(spells, codes, level=config.level)
    labels, ages = sorted(vintage.unique()), sorted(set(band))
    shown = pd.DataFrame(np.nan, index=labels, columns=ages)
    for position, (label, age) in enumerate(unique):
        enough = table["loans"].iloc[position] >= config.incidence.min_at_risk
        if enough and analysis.exits.is_shown(cause, "cell", label, age):
            shown.loc[label, age] = table[f"{cause} rate"].iloc[position]
    shown = shown.dropna(how="all").dropna(how="all", axis=1)
    if shown.size == 0:
        return []
    row, column = (int(i) for i in np.unravel_index(np.nanargmax(shown.to_numpy()), shown.shape))
    top = percent(float(shown.to_numpy()[row, column]))
    shown.columns = pd.Index([_age_words(int(age)) for age in ages if age in shown.columns])
    return [
        drawn(
            "vintage-age",
            f"Yearly rate of {cause} by vintage and loan age",
            lambda ax: heat(shown, ax=ax, xlabel="Year of loan age", ylabel="Year of origination"),
            height=1.0 + 0.34 * len(shown),
            alt=(
                f"Table of {len(shown)} vintages by {shown.shape[1]} years of age, shaded by the yearly rate of {cause}: "
                f"highest in the {shown.columns[column]} year of vintage {shown.index[row]}, {top}."
            ),
            caption=(
                f"Exits by {cause} per loan-year at risk. Down a column: whether later vintages leave faster at the same age; "
                f"along a row: how the pace changes with age. Empty: fewer than {config.incidence.min_at_risk} loans at risk, "
                "or exits too few to be shown."
            ),
        )
    ]


def _age_words(age: int) -> str:
    words = ("1st", "2nd", "3rd", "4th", "5th")
    return f"{LAST_BAND + 1}th on" if age >= LAST_BAND else words[age]


def _trend(analysis: Analysis) -> list[Block]:
    """Compare the last four quarters with the four before, by cause, exactly."""
    config, spells = analysis.config, analysis.spells
    quarters = years_of(quarters_of(spells.frame))
    if not quarters:
        return [Text("Fewer than eight quarters are observed: the last year is not compared with the one before yet.")]
    last, before = (is_within(spells.frame, those) for those in quarters)
    year = np.where(last, 0, np.where(before, 1, 2))
    table = exit_rates(spells, year, level=config.level)
    rows: list[tuple[Cell, ...]] = []
    for cause in analysis.exits.published(config.spells.cause_names, "year"):
        counts = [analysis.exits[cause, "year", back] for back in (1, 0)]
        if not all(isinstance(n, int) for n in counts):
            rows.append((cause.capitalize(), *counts, None, None, None, None, None))
            continue
        events, exposure = (table.loc[[0, 1], name].tolist() for name in (cause, "exposure"))
        ratio, p_value = rate_ratio(tuple(events), tuple(exposure), level=config.level)
        rates = table.loc[[1, 0], f"{cause} rate"].tolist()
        estimable = np.isfinite(ratio.value)
        interval = (ratio.lower, ratio.upper) if np.isfinite(ratio.upper) else None
        rows.append((cause.capitalize(), *counts, *rates, ratio.value if estimable else None, interval, p_value))
    columns = (
        Column("cause", "Cause"),
        Column("before", "Exits, year before", "integer"),
        Column("last", "Exits, last year", "integer"),
        Column("rate before", "Per year, before", "percent:1"),
        Column("rate", "Per year, last", "percent:1"),
        Column("ratio", "Ratio", "number:2"),
        Column("interval", f"{level_words(config.level)} CI", "interval:2"),
        Column("p", "p", "p"),
    )
    note = (
        "Last year: the last four quarters; ratio of the yearly rates with the exact conditional interval and test "
        "(Przyborowski and Wilenski, 1940), loans taken as independent. Same seasons on both sides, but not the "
        "same mix of loan ages. Whether the latest quarter is unusual is told by the control charts of the section on "
        "stability, where there is one."
    )
    title = "Is leaving on the rise? The last four quarters against the four before"
    left_out = analysis.exits.withheld_notes(config.spells.cause_names, "year")
    notes = (note, *notes_if_hidden(rows, config.smallest_cell), *left_out)
    shown = Table("trend", title, columns, tuple(rows), notes=notes)
    return [Text(_trend_words(rows, config.main_cause, config.level)), shown]


def _trend_words(rows: list[tuple[Cell, ...]], cause: str, level: float) -> str:
    row = next((row for row in rows if row[0] == cause.capitalize()), (None,) * 8)
    if not isinstance(row[6], tuple) or not isinstance(row[5], float) or not isinstance(row[7], float):
        return f"{cause.capitalize()}: too few exits to compare the last year with the one before ({{ref:trend}})."
    lower, upper = (float(bound or 0) for bound in row[6])
    size = f"ratio {row[5]:.2f}, {level_words(level)} CI {lower:.2f} to {upper:.2f}, {p_words(row[7])}"
    if not is_clear(lower, upper):
        return f"No trend in {cause} is distinguishable between the last four quarters and the four before: {size}."
    way = "higher" if row[5] > 1 else "lower"
    return (
        f"The yearly rate of {cause} was {percent(abs(row[5] - 1), 0)} {way} in the last four quarters than in "
        f"the four before: {size}."
    )


def _by_season(analysis: Analysis) -> list[Block]:
    """Give the yearly rate of the main cause by quarter of the year."""
    config, spells = analysis.config, analysis.spells
    cause = config.main_cause
    if len(quarters_of(spells.frame)) < _SEASONS_FROM:
        return []
    if not analysis.exits.published([cause], "season"):
        return [
            Text(f"{cause.capitalize()} by season is left out: exits are so few that customers could be recognised.")
        ]
    season = spells.frame["period"].dt.quarter
    table = exit_rates(spells, season, level=config.level)
    rows = []
    for quarter in table.index:
        n = analysis.exits[cause, "season", int(quarter)]
        rate: tuple[Cell, ...] = (None, None)
        if isinstance(n, int):
            row = table.loc[quarter]
            rate = (float(row[f"{cause} rate"]), (float(row[f"{cause} lower"]), float(row[f"{cause} upper"])))
        rows.append((f"Q{quarter}", n, *rate))
    if not any(isinstance(row[1], int) for row in rows):
        return []
    columns = (
        Column("season", "Quarter of the year"),
        Column("exits", "Exits", "integer"),
        Column("rate", "Per year", "percent:1"),
        Column("interval", f"{level_words(config.level)} CI", "percent interval:1"),
    )
    note = (
        "All years together, exact Poisson intervals; years weigh as many loans as they had, so a trend shows here too."
    )
    title = f"{cause.capitalize()} by season"
    return [Table("season", title, columns, tuple(rows), notes=(note, *notes_if_hidden(rows, config.smallest_cell)))]


def _in_money(analysis: Analysis) -> list[Table]:
    """Give the yearly rates of the last four quarters of loans, customers and balances, by cause."""
    config = analysis.config
    spells, quarters = last_year(analysis)
    balance = config.incidence.balance
    rows: list[tuple[Cell, ...]] = []
    for cause in config.spells.cause_names:
        if len(quarters) < YEAR or not analysis.exits.is_shown(cause, "year", 0):
            continue
        rows += [_rate_row(cause, "loans", exit_rate(spells, cause, level=config.level))]
        customers = exit_rate(spells, cause, unit="customer", level=config.level)
        if customers.n_events >= config.smallest_cell:
            rows.append(_rate_row(cause, "customers", customers))
        if balance is not None:
            try:
                money = exit_rate(spells, cause, weight=spells.frame[balance], level=config.level)
            except DataError:
                continue
            if money.n_events >= config.smallest_cell:
                rows.append(_rate_row(cause, "balance", money))
    if not rows:
        return []
    columns = (
        Column("cause", "Cause"),
        Column("of", "Of"),
        Column("rate", "Per year", "percent:1"),
        Column("interval", f"{level_words(config.level)} CI", "percent interval:1"),
    )
    note = (
        "Exits of the last four quarters over years at risk; intervals allow loans of one customer to leave together. A "
        "customer with several loans leaves with the first of them in a period. Balance: each loan weighs what it owed before "
        "the period, where that is known: more than for loans means that large loans leave faster."
    )
    title = "Loans, customers and money: what left in the last four quarters"
    return [Table("measures", title, columns, tuple(rows), notes=(note,))]


def _rate_row(cause: str, of: str, rate: Estimate) -> tuple[Cell, ...]:
    interval = (rate.lower, rate.upper) if np.isfinite(rate.lower) else None
    return cause.capitalize(), of, rate.value, interval
