"""Tables and figures of the section on assumptions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from churnsurv.data.reasons import LOANS_IN, OPEN_AT_END
from churnsurv.data.rules import MATURED, OPEN
from churnsurv.estimators.assumptions import departure_from_line
from churnsurv.plot import functional_form, hazard_ratio_over_time
from churnsurv.report.analysis import Analysis
from churnsurv.report.content import Block, Cell, Column, Figure, Table, Text
from churnsurv.report.disclosure import HIDDEN, count_words, notes_if_hidden
from churnsurv.report.figures import drawn
from churnsurv.report.forms import pairs
from churnsurv.report.words import level_words, percent

if TYPE_CHECKING:
    from churnsurv.report.sections.assumptions import Examined


def tested(table: pd.DataFrame) -> pd.DataFrame:
    """Give statistic, df and p of a table of tests, robust where it has that."""
    prefix = "robust_" if "robust_p_value" in table.columns else ""
    return pd.DataFrame({"statistic": table[f"{prefix}statistic"], "df": table["df"], "p": table[f"{prefix}p_value"]})


def change_table(found: Examined, analysis: Analysis) -> Table:
    """Give the test of proportional hazards and the range of each ratio over time, the largest range of a term first."""
    tests = tested(found.tables["proportional_hazards"])
    columns = (
        Column("term", "Term"),
        Column("unit", "Ratio of"),
        Column("ratio", "Model", "number:2", "Hazard ratio"),
        Column("early", "Early", "number:2", "Hazard ratio"),
        Column("late", "Late", "number:2", "Hazard ratio"),
        Column("between", "Lowest to highest", "interval:2", "Hazard ratio"),
        Column("range", "Factor", "number:2", "Hazard ratio"),
        Column("statistic", "Chi-squared", "number:1", "Test"),
        Column("df", "df", "integer", "Test"),
        Column("p", "p", "p", "Test"),
    )
    rows: list[tuple[Cell, ...]] = []
    for term, at in found.model.encoder_.columns_by_term().items():
        ranges = found.ranges.iloc[at]
        widest = ranges.loc[ranges["range"].idxmax()]
        unit = "yes vs no" if _is_indicator(found, str(widest.name)) else f"{_size(float(widest['unit']))} (SD)"
        name = found.labels[term]
        name += "" if len(at) == 1 else f" (widest: {found.labels[str(widest.name)]})"
        ratios = [float(widest[column]) for column in ("ratio", "early", "late")]
        between = (float(widest["lowest"]), float(widest["highest"]))
        rows.append((name, unit, *ratios, between, float(widest["range"]), *_test(tests, term)))
    rows.sort(key=lambda row: -float(row[6]))  # type: ignore[arg-type]
    rows.append(("All terms together", *[""] * 6, *_test(tests, "GLOBAL")))
    notes = (
        "Early and late: at the tenth and ninetieth percentile of the ages of exit. Numeric covariates per "
        "standard deviation (SD), "
        "so that terms can be compared. The smooth curves vary by chance too, more so with few exits: read the "
        "factor beside the test.",
        f"{analysis.config.assumptions.alpha:g} / {len(tests) - 1} = "
        f"{analysis.config.assumptions.alpha / (len(tests) - 1):.2g} is the "
        "p-value below which a term counts as beyond chance.",
    )
    title = f"Proportional hazards of {found.cause}: ratios over age and their test"
    return Table(f"changes-{found.cause}", title, columns, tuple(rows), notes=notes, emphasis=(len(rows) - 1,))


def _size(unit: float) -> str:
    """Give a standard deviation: "0.26", "64.2", "208,511"."""
    return f"{unit:,.0f}" if unit >= 1000 else f"{unit:.3g}"


def _is_indicator(found: Examined, coefficient: str) -> bool:
    return bool(found.ranges.loc[coefficient, "unit"] == 1.0)


def _test(tests: pd.DataFrame, term: str) -> tuple[Cell, Cell, Cell]:
    statistic, df, p = (tests[column].to_dict()[term] for column in ("statistic", "df", "p"))
    return (float(statistic), int(df), float(p)) if pd.notna(p) else (None, int(df), None)


def change_figure(found: Examined, term: str, analysis: Analysis) -> Figure:
    """Draw a hazard ratio over age, in the unit of the table above."""
    unit, label = found.ranges["unit"].to_dict()[term], found.labels[term]
    table = found.over_time[term].copy()
    for name in ("hazard_ratio", "hr_lower", "hr_upper"):
        table[name] = table[name] ** unit
    constant = float(found.ranges["ratio"].to_dict()[term])
    per = "" if _is_indicator(found, term) else f" per {_size(unit)} (one standard deviation)"
    first, last = table.to_dict("records")[0], table.to_dict("records")[-1]
    age = f"Loan age in {analysis.config.unit}s"
    return drawn(
        f"change-{found.cause}-{term}",
        f"Hazard ratio of {label} for {found.cause} over age",
        lambda ax: hazard_ratio_over_time(table, constant=constant, ax=ax, xlabel=age),
        height=3.0,
        alt=(
            f"Curve of the hazard ratio of {label}{per} over age: {first['hazard_ratio']:.2f} at {first['time']:g}, "
            f"{last['hazard_ratio']:.2f} at {last['time']:g}; {constant:.2f} in the model."
        ),
        caption=(
            f"Smoothed scaled Schoenfeld residuals{per}, pointwise {level_words(analysis.config.level)} band; "
            "dashed: the ratio of "
            f"the model. Drawn are the terms with the smallest p-values of {{ref:changes-{found.cause}}}, whether "
            "beyond chance or not."
        ),
    )


def shape_table(found: Examined, analysis: Analysis) -> list[Block]:
    """Give the test of linearity of each numeric covariate, the most doubtful first."""
    tests = tested(found.tables["linearity"]).sort_values("p", kind="stable")
    if tests.empty:
        return []
    columns = (
        Column("term", "Covariate"),
        Column("departure", "Largest departure from a line (factor)", "number:2"),
        Column("statistic", "Chi-squared", "number:1"),
        Column("df", "df", "integer"),
        Column("p", "p", "p"),
    )
    rows = tuple(
        (
            found.labels[c],
            departure_from_line(found.shapes[c]) if c in found.shapes else None,
            *_test(tests, c),
        )
        for c in map(str, tests.index)
    )
    alpha = analysis.config.assumptions.alpha
    notes = (
        "Departure: factor between the smoothed hazard and the log-linear one nearest to it, over the middle 90% "
        "of the spells; of "
        f"the covariates that are drawn. p-values below {alpha:g} / {len(tests)} = {alpha / len(tests):.2g} count "
        "as beyond chance.",
    )
    return [
        Table(
            f"shapes-{found.cause}",
            f"Functional form of numeric covariates of {found.cause}",
            columns,
            rows,
            notes=notes,
        )
    ]


def shape_figure(found: Examined, column: str, analysis: Analysis) -> Figure:
    """Draw the hazard over a column, against that expected without it."""
    table, label = found.shapes[column], found.labels[column]
    first, last = table.to_dict("records")[0], table.to_dict("records")[-1]
    return drawn(
        f"shape-{found.cause}-{column}",
        f"Shape of the hazard of {found.cause} over {label}",
        lambda ax: functional_form(table, ax=ax, xlabel=label),
        height=3.0,
        alt=(
            f"Curve of observed to expected exits over {label}: {first['hazard_ratio']:.2f} at {first['value']:.4g}, "
            f"{last['hazard_ratio']:.2f} at {last['value']:.4g}."
        ),
        caption=(
            f"Exits against those expected by the model without {label}, smoothed, with the pointwise "
            f"{level_words(analysis.config.level)} band, on a logarithmic axis: a covariate that may enter as it "
            "is gives a straight line."
        ),
    )


def other_checks(found: Examined, analysis: Analysis) -> Table:
    """Give influence, tie rule and variance in a few lines."""
    model, smallest = found.model, analysis.config.smallest_cell
    influence = found.tables["influence"]["dfbetas"].abs()
    worst = str(found.tables["influence"].loc[influence.idxmax(), "term"]) if influence.index.is_unique else ""
    moved = int((influence >= 0.5).sum())
    shift = found.ties.rules["shift"].abs()
    ratio = np.sqrt(np.diag(model.covariance_) / np.diag(model.naive_covariance_))
    rows = [
        (
            "Influence of single customers",
            f"At most {influence.max():.2f} standard errors{f' (on {found.labels[worst]})' if worst else ''}; "
            f"{count_words(moved, smallest)} of the {len(influence)} most influential customers move a "
            "coefficient by half of one or more",
        ),
        ("Exits at an age shared with others", f"{percent(found.ties.share)} of the exits of {found.cause}"),
        (
            "Rule for ties",
            f"{model.ties.capitalize()}'s; by the other rule no coefficient differs by more than "
            f"{shift.max():.2f} standard errors "
            f"(largest: {found.labels[str(shift.idxmax())]})",
        ),
        (
            "Independence of loans",
            f"Standard errors by customer are {ratio.min():.2f} to {ratio.max():.2f} times those for independent "
            "loans, median "
            f"{np.median(ratio):.2f}; the report uses the former",
        ),
    ]
    return pairs(f"other-checks-{found.cause}", f"Further checks of the model of {found.cause}", rows)


def _endings(analysis: Analysis) -> list[Cell]:
    """Give the numbers of loans open at the end, matured, and otherwise not observed to the end, as the reconciliation does."""
    spells, shown = analysis.spells, analysis.exits
    endings = [str(reason) for reason in spells.reconciliation["reason"] if reason not in (LOANS_IN, *spells.left_out)]
    others = [r for r in endings if r not in (OPEN_AT_END, MATURED, *spells.rules.cause_names)]
    cells: list[Cell] = [shown.cells.get((reason, "reason"), 0) for reason in (OPEN_AT_END, MATURED)]
    rest = [shown.cells.get((reason, "reason"), 0) for reason in others]
    if len(rest) == 1:
        return [*cells, rest[0]]
    known = [cell for cell in rest if isinstance(cell, int)]
    return [*cells, sum(known) if len(known) == len(rest) else HIDDEN]


def censoring_table(analysis: Analysis) -> list[Block]:
    """Say how observation ended without an exit: what ends with the data cannot depend on the loan, other ends may."""
    # of all loans, not of those with complete covariates only: so the numbers are those of the reconciliation
    frame, smallest = analysis.spells.frame, analysis.config.smallest_cell
    last = frame.drop_duplicates("loan_id", keep="last")
    kept = last[~last["cause"].isin(analysis.config.spells.cause_names)]
    matured = (kept["cause"] != OPEN).to_numpy()
    at_end = ~matured & (kept["period"] == frame["period"].max()).to_numpy()
    counts = [int(at_end.sum()), int(matured.sum()), int((~matured & ~at_end).sum())]
    total = sum(counts)
    if not total:
        return []
    cells = _endings(analysis)
    names = ("Still open when the data end", "Reached the scheduled end", "Observation ended earlier")
    meanings = (
        "set by the calendar: independent of the loan given its covariates",
        "set by the contract; the term is a covariate, or the hazard is read at ages before it",
        "independent of leaving only if loans that drop out of the data are like those that stay",
    )
    rows = tuple(
        (name, cell, counts[i] / total if cell == counts[i] else None, meaning)
        for i, (name, cell, meaning) in enumerate(zip(names, cells, meanings, strict=True))
    )
    columns = (
        Column("how", "End of observation without an exit"),
        Column("loans", "Loans", "integer"),
        Column("share", "Share", "percent:1"),
        Column("meaning", "What is assumed"),
    )
    table = Table("censoring", "Censoring", columns, rows, notes=notes_if_hidden(rows, smallest))
    text = (
        "Censoring: the models take loans whose observation ends without an exit to leave as often as the others "
        "with the same "
        "covariates. The data cannot test this; {ref:censoring} says for how many loans it is more than a matter "
        "of the calendar. "
        "Exits by another cause are censored too, which is what makes the hazards cause-specific and assumes nothing."
    )
    return [Text(text), table]
