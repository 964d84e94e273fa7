"""Performance against the development, control charts of exits, vintages rolled forward: parts of the section on stability."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd

from churnsurv.evaluation import control_chart, performance_drift, roll_forward
from churnsurv.evaluation import performance as measured
from churnsurv.exceptions import ChurnSurvError, SupportWarning
from churnsurv.plot import control_chart as chart_plot
from churnsurv.plot import roll_forward as roll_plot
from churnsurv.report.analysis import Analysis
from churnsurv.report.content import Block, Cell, Column, Finding, Table, Text
from churnsurv.report.disclosure import notes_if_hidden, suppressed, suppressed_column
from churnsurv.report.estimates import bounds, number, records
from churnsurv.report.exit_counts import quarter_of
from churnsurv.report.figures import drawn
from churnsurv.report.trial import CHAMPION, Trial, evaluated
from churnsurv.report.words import level_words, listed, percent, periods

#: measures whose drift is judged; the Brier score moves with the number that leave
_MEASURES = ("concordance", "auc", "observed_expected")


def performance(analysis: Analysis, trial: Trial) -> list[Block]:
    """Compare how the model did in the last horizon with how it had done in the one before, fitted a horizon earlier."""
    config, cause = analysis.config, trial.causes[0]
    earlier = _earlier_date(analysis, trial)
    if earlier is None:
        text = (
            f"No date of the backtest lies {periods(trial.horizon, config.unit)} before {trial.date:%d %B %Y}: there is "
            "nothing to compare the performance with that shares no exits with it."
        )
        return [Text(text)]
    y, risk, groups = _judged_then(analysis, trial, earlier, cause)
    options: dict[str, Any] = {"cause": cause, "level": config.level}
    development = measured(y, risk, trial.horizon, cluster=groups, measures=_MEASURES, **options)
    found = performance_drift(
        trial.cohort.y,
        trial.risk(cause),
        trial.horizon,
        development,
        cluster=trial.cohort.groups,
        false_alarm_rate=config.stability.false_alarm_rate,
        **options,
    )
    rows = tuple(_drift_cells(row) for row in records(found.table))
    level = level_words(config.level)
    columns = (
        Column("measure", "Measure"),
        Column("then", f"Fitted {earlier:%B %Y}", "number:3"),
        Column("now", f"Fitted {trial.date:%B %Y}", "number:3"),
        Column("change", "Change", "number:3"),
        Column("interval", f"{level} CI", "interval:3"),
        Column("p", "p, adjusted", "p"),
        Column("alarm", "Alarm"),
        Column("detectable", "Would be found", "number:3"),
    )
    note = (
        "Each model is judged by the loans open when it was fitted, over the same horizon; the two share no exits. Change: "
        "difference, of observed/expected the ratio. p: Holm's rule over all measures. Would be found: the smallest change "
        "that raises an alarm in 80% of samples of this size. The cohorts are taken as independent; as customers are in both, "
        f"alarms without a change are rarer than {percent(config.stability.false_alarm_rate, 0)}."
    )
    alarms = found.alarms
    said = (
        f"For {cause}, the performance changed in {listed([_own_name(n) for n in alarms['name']])}."
        if len(alarms)
        else f"For {cause}, no measure changed by more than chance between the two dates."
    )
    if any(_is_better(row) for row in records(alarms)):
        said += " The observed/expected is nearer to 1 than before, so that this asks for nothing."
    title = f"Performance for {cause} against that of a model of {earlier:%B %Y}"
    table = Table("performance-drift", title, columns, rows, (), (note,))
    return [Text(said), table, *_drift_findings(alarms, cause, table.key)]


def _earlier_date(analysis: Analysis, trial: Trial) -> pd.Timestamp | None:
    months = trial.horizon * (1 if analysis.config.unit == "month" else 3)
    latest = trial.date + pd.Timedelta(days=1) - pd.DateOffset(months=months) - pd.Timedelta(days=1)
    try:
        dates = [pd.Timestamp(day) for day in analysis.origins.folds["fold"].unique()]
    except ChurnSurvError:  # the backtest says why
        return None
    usable = [day for day in dates if day <= latest]
    return max(usable) if usable else None


def _judged_then(analysis: Analysis, trial: Trial, date: pd.Timestamp, cause: str) -> tuple[Any, Any, Any]:
    """Give outcome, predictions and customers of the backtest's cohort of a date."""
    from churnsurv.data.calendar_splits import out_of_time

    table = analysis.origins.predictions_
    rows = table[(table["fold"] == date) & (table["model"] == CHAMPION) & (table["cause"] == cause)]
    _, cohort = out_of_time(evaluated(analysis)[0].complete(), date, horizon=trial.horizon)
    position = rows["row"].to_numpy()
    return cohort.y[position], rows[f"risk_{trial.horizon}"].to_numpy(dtype=float), cohort.groups[position]


def _drift_cells(row: dict[str, Any]) -> tuple[Cell, ...]:
    return (
        str(row["name"]), number(row["development"]), number(row["current"]), number(row["value"]),
        bounds(row["lower"], row["upper"]), number(row["p_adjusted"]), "alarm" if row["alarm"] else "",
        number(row["detectable"]),
    )  # fmt: skip


def _own_name(name: Any) -> str:
    """Give the name of a measure within a sentence."""
    return str(name) if str(name).startswith("AUC") else str(name).lower()


def _is_better(row: dict[str, Any]) -> bool:
    """Whether the level came nearer to 1; how far it is off now is a matter of the calibration."""
    return bool(row["measure"] == "observed_expected" and abs(np.log(row["current"])) < abs(np.log(row["development"])))


def _drift_findings(alarms: pd.DataFrame, cause: str, evidence: str) -> list[Finding]:
    findings = []
    for row in records(alarms):
        if _is_better(row):
            continue
        text = f"The {_own_name(row['name'])} of {cause} went from {row['development']:.3f} to {row['current']:.3f}."
        if row["measure"] == "concordance" and row["value"] > 0:
            text += " A ranking that gets better by itself is a reason to look for a covariate that knows the outcome."
        if row["measure"] == "observed_expected":
            text += " That is further from 1: recalibrate."
        threshold = f"from {row['threshold_lower']:.3f} to {row['threshold_upper']:.3f}"
        findings.append(Finding(text, "amber", threshold, evidence, float(row["value"]), "number:3"))
    return findings


def control_charts(analysis: Analysis, trial: Trial) -> list[Block]:
    """Chart the exits by quarter against the model's expectation, scaled to the quarters of the development."""
    spells, frame = analysis.spells, analysis.spells.frame
    expected, told = _expected(analysis, trial)
    rows = np.flatnonzero(expected.notna().all(axis=1))
    blocks: list[Block] = []
    rate = analysis.config.stability.false_alarm_rate / len(expected.columns)
    for cause in map(str, expected.columns):
        found = control_chart(
            spells.y[rows],
            by="quarter",
            period=frame["period"].iloc[rows],
            baseline=trial.date,
            expected={cause: expected[cause].to_numpy()[rows]},
            cause=cause,
            groups=spells.groups[rows],
            false_alarm_rate=rate,
        )
        blocks += _chart(analysis, trial, cause, found, (len(expected.columns), told))
    return blocks


def _expected(analysis: Analysis, trial: Trial) -> tuple[pd.DataFrame, float]:
    """Give the expected exits of every spell by cause, and the share of spells of which the model can tell them.

    The others (a covariate unknown, ages beyond the development) have the mean of their quarter: so the chart counts every
    exit, as the table by quarter does, and no difference between the two tells of a few loans.
    """
    frame, columns = analysis.spells.frame, list(trial.covariates)
    known = (frame["stop"] <= trial.development.frame["stop"].max()) & frame[columns].notna().all(axis=1)
    own = frame.loc[known, [*columns, "start", "stop"]]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SupportWarning)
        of_known = {
            cause: model.expected_events(own[columns], own["stop"], start=own["start"])["estimate"].to_numpy()
            for cause, model in trial.champion.models_.items()
            if cause in trial.causes
        }
    expected = pd.DataFrame(of_known, index=own.index).reindex(frame.index)
    expected[~np.isfinite(expected).all(axis=1)] = np.nan
    share = float(expected.notna().all(axis=1).mean())
    of_quarter = expected.groupby(quarter_of(frame)).transform("mean")
    return expected.fillna(of_quarter), share


def _chart(analysis: Analysis, trial: Trial, cause: str, found: Any, made: tuple[int, float]) -> list[Block]:
    n_charts, known = made
    table, summary = found.to_frame(), found.summary.iloc[0]
    hidden = np.array([not analysis.exits.is_shown(cause, "quarter", quarter) for quarter in table["period"]])
    alarms = table[table["alarm"] & ~hidden]
    quarters = [str(period).replace("Q", " Q") for period in alarms["period"]]
    when = f"{len(quarters)} quarters from {quarters[0]} to {quarters[-1]}" if len(quarters) > 4 else ""
    when = when or (listed(quarters) if quarters else "")
    watched = table[~table["baseline"]]
    summed = not hidden[~table["baseline"]].any()
    said = f"Since {trial.date:%B %Y}, exits by {cause}: "
    if summed:
        said = (
            f"Since {trial.date:%B %Y}, {int(watched['observed'].sum()):,} exits by {cause} against "
            f"{watched['expected'].sum():.1f} expected: "
        )
    side = "more" if watched["observed"].sum() > watched["expected"].sum() else "fewer"
    said += (
        f"an alarm in {when}, {side} than expected in all."
        if when
        else "within the limits of chance in every quarter that can be shown."
    )
    blocks: list[Block] = [Text(said)]
    if hidden.all() or len(table) < 3 or hidden.sum() > 0.5 * len(table):
        blocks.append(Text(f"The chart of {cause} is not shown: most quarters have small counts.", "note"))
    else:
        shown = table.assign(
            observed=np.where(hidden, np.nan, table["observed"]), alarm_by=np.where(hidden, "", table["alarm_by"])
        )
        rate = percent(analysis.config.stability.false_alarm_rate, 0)
        charts = "both charts" if n_charts == 2 else "the chart"
        blocks.append(
            drawn(
                f"control-chart-{cause}",
                f"Exits by {cause} per quarter",
                lambda ax: chart_plot(shown, cause, ax=ax),
                alt=(
                    f"Observed and expected exits by {cause} in {len(table)} quarters, with limits since {trial.date:%B %Y}; "
                    f"{'alarms in ' + when if when else 'no alarm'}."
                ),
                caption=(
                    f"Expected: the Cox model of {trial.date:%B %Y}, scaled to the exits until then. Points and moving average "
                    f"of {charts} together raise any alarm in {rate} of reports without a change; a false alarm comes every "
                    f"{summary['run_length']:.0f} quarters on average."
                    + (
                        f" {percent(1 - known)} of the loan-{analysis.config.unit}s, of which the model cannot tell it, count "
                        "with the mean of their quarter."
                        if known < 1
                        else ""
                    )
                    + (" Quarters with small counts are left out." if hidden.any() else "")
                ),
                height=3.4,
            )
        )
    if when:
        text = f"{side.capitalize()} exits by {cause} than expected: an alarm of the control chart in {when}."
        ratio = float(watched["observed"].sum() / watched["expected"].sum())
        threshold = "no alarm of the control chart"
        figure = ratio if summed else None
        blocks.append(Finding(text, "amber", threshold, "stability", figure, "number:2"))
    return blocks


def vintages(analysis: Analysis, trial: Trial) -> list[Block]:
    """Roll each vintage forward from the development date, and compare with what happened."""
    config = analysis.config
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SupportWarning)
        found = roll_forward(
            trial.champion,
            trial.cohort,
            horizon=trial.horizon,
            false_alarm_rate=config.stability.false_alarm_rate,
            level=config.level,
        )
    rows: list[tuple[Cell, ...]] = []
    groups: list[str] = []
    alarms: list[str] = []
    blank: list[str] = []
    for cause in trial.causes:
        lines = found.summary[(found.summary["cause"] == cause) & (found.summary["vintage"] != "all")]
        exits = suppressed_column([int(n) for n in lines["events"]], config.smallest_cell)
        for row, shown in zip(records(lines), exits, strict=True):
            known = not isinstance(shown, str)
            loans = suppressed(int(row["n"]), config.smallest_cell)
            cells: list[Cell] = [str(row["vintage"]), loans, shown, number(row["predicted"])]
            cells += [number(row["observed"]), bounds(row["lower"], row["upper"])] if known else [None, None]
            cells += [number(row["ratio"]), number(row["p_adjusted"])] if known else [None, None]
            rows.append(tuple(cells))
            groups.append(cause.capitalize())
            if known and row["alarm"]:
                alarms.append(f"{row['vintage']} ({cause}: exit ratio {row['ratio']:.2f})")
            if not known and cause == trial.causes[0]:
                blank.append(str(row["vintage"]))
    columns = (
        Column("vintage", "Vintage"),
        Column("loans", "Loans", "integer"),
        Column("exits", "Exits", "integer"),
        Column("predicted", "Predicted", "percent:1"),
        Column("observed", "Observed", "percent:1"),
        Column("interval", f"{level_words(config.level)} CI", "percent interval:1"),
        Column("ratio", "Exit ratio", "number:2"),
        Column("p", "p, adjusted", "p"),
    )
    n = int(found.summary["p_value"].notna().sum())
    note = (
        f"Predicted and observed probability of having left. Exit ratio: exits over those that the model's hazards let "
        f"expect while the loans were watched; "
        f"p by Holm's rule over all vintages and all causes of leaving ({n} lines, those of few expected exits not tested)."
    )
    said = (
        f"Rolled forward from {trial.date:%B %Y}, these vintages left otherwise than predicted: {listed(alarms)}."
        if alarms
        else f"Rolled forward from {trial.date:%B %Y}, no vintage left otherwise than predicted, beyond chance."
    )
    blocks: list[Block] = [Text(said)]
    curve = found.to_frame()
    curve = curve[~curve["vintage"].isin(blank)]
    own = curve[(curve["cause"] == trial.causes[0]) & (curve["horizon"] == trial.horizon)]
    if len(own) > 1:
        ends = listed([f"{r['vintage']} {r['predicted']:.1%} and {r['observed']:.1%}" for r in records(own)])
        blocks.append(
            drawn(
                "vintage-roll-forward",
                f"Predicted and observed {trial.causes[0]} by vintage, {periods(trial.horizon, config.unit)} ahead",
                lambda ax: roll_plot(curve, trial.causes[0], ax=ax).set_ylabel(
                    f"Left by {trial.causes[0]} within {periods(trial.horizon, config.unit)}", parse_math=False
                ),
                alt=f"Predicted and observed by vintage: {ends}.",
                caption=f"{level_words(config.level)} intervals of what was observed.",
                height=3.2,
            )
        )
    title = f"Vintages rolled forward {periods(trial.horizon, config.unit)} from {trial.date:%d %B %Y}"
    notes = (note, *notes_if_hidden(rows, config.smallest_cell))
    return [*blocks, Table("vintage-table", title, columns, tuple(rows), tuple(groups), notes)]
