"""One intervention in full: flow, balance, curves by arm, effects, sensitivity, subgroups."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd

from churnsurv import effects
from churnsurv.effects import SubgroupEffects
from churnsurv.nonparametric import AalenJohansen
from churnsurv.plot import cumulative_incidence, love_plot, subgroup_forest
from churnsurv.report.analysis import Analysis
from churnsurv.report.content import Block, Cell, Column, Figure, Table, Text
from churnsurv.report.disclosure import merged_small_groups, notes_if_hidden, suppressed_column, told
from churnsurv.report.figures import drawn
from churnsurv.report.incidence import risk_at
from churnsurv.report.sections.intervention_findings import findings
from churnsurv.report.sections.intervention_sensitivity import sensitivity
from churnsurv.report.sections.intervention_words import arm_name, hidden_causes, question_and_design, result, saved
from churnsurv.report.settings import Drawn
from churnsurv.report.studies import PER, Study
from churnsurv.report.words import level_words, listed, percent, periods
from churnsurv.results import Estimate

#: standardised difference above which arms count as apart
APART = 0.1


def page(analysis: Analysis, study: Study) -> list[Block]:
    """Give the blocks of an intervention."""
    key = key_of(study.settings.name)
    heading = f"{study.settings.name} ({study.settings.reference})" if study.settings.reference else study.settings.name
    blocks: list[Block] = [
        Text(heading, "subheading"),
        Text(question_and_design(analysis, study)),
        Text(result(analysis, study), "headline"),
        *findings(analysis, study, f"{key}-effects" if study.effects else "interventions-register"),
        _flow(analysis, study, key),
    ]
    if not study.effects:
        return blocks
    curves = _curves(analysis, study)
    blocks += _balance(analysis, study, key)
    main = analysis.config.main_cause
    if curves is not None and main not in hidden_causes(study, analysis.config.smallest_cell):
        blocks.append(_figure(analysis, study, curves, key))
    blocks += [_arms(analysis, study, curves, key), _effects(analysis, study, key)]
    said = sensitivity(analysis, study)
    blocks += [Text(f"Sensitivity: {said}")] if said else []
    return [*blocks, *_subgroups(analysis, study, key)]


def key_of(name: str) -> str:
    """Give the anchor of an intervention."""
    return re.sub(r"\W+", "-", name.lower()).strip("-")


def _flow(analysis: Analysis, study: Study, key: str) -> Block:
    """Lay out what became of the loans on the way into the cohort; a sentence where all were kept."""
    smallest, counts = analysis.config.smallest_cell, dict(study.cohort.counts)
    steps, numbers = list(counts), list(counts.values())
    used = analysis.complete.frame["loan_id"].nunique()
    if numbers[0] == used and not analysis.exits.is_shown("loans", "complete"):
        return Text("How many loans were lost on the way is not shown: all but a few have complete covariates.")
    if numbers[0] == numbers[-1]:
        given = steps[0].removeprefix("loans ")
        return Text(f"{told(numbers[0], 'loan', smallest)} {given}, all of them compared: none is lost on the way.")
    several = study.follows_arms and not isinstance(study.settings, Drawn)
    cells: list[Cell] = [numbers[0], *suppressed_column(numbers[1:], smallest)]
    rows = tuple((step[0].upper() + step[1:], n) for step, n in zip(steps, cells, strict=True))
    notes = ("A loan counts once for every date at which it is looked at.",) if several else ()
    return Table(
        f"{key}-flow",
        f"{study.settings.name}: from the loans given to those compared",
        (Column("step", "Step"), Column("loans", "Loans", "integer")),
        rows,
        notes=(*notes, *notes_if_hidden(rows, smallest)),
        emphasis=(len(rows) - 1,),
    )


def _curves(analysis: Analysis, study: Study) -> AalenJohansen | None:
    """Fit the cumulative incidences of the arms, where a loan has one arm."""
    if not study.follows_arms:
        return None
    # the treated first, as in the table
    arm = pd.Series(study.cohort.arm, name="arm")
    return AalenJohansen().fit(
        study.cohort.y,
        by=arm,
        sample_weight=study.weights,
        cluster=study.cohort.cluster,
        level=analysis.config.level,
    )


def _figure(analysis: Analysis, study: Study, aj: AalenJohansen, key: str) -> Figure:
    config, horizon = analysis.config, study.settings.horizon
    main, unit = config.main_cause, config.unit
    found = {arm: risk_at(aj.curves_, row, main, horizon) for row, arm in enumerate(aj.curves_.index)}
    labels = {arm: arm_name(arm) for arm in found}
    said = "; ".join(f"{labels[arm]} {percent(risk[0])}" for arm, risk in found.items() if risk is not None)
    weighted = study.weights is not None
    how = (
        "Arms weighted to be alike; intervals take the weights as known. Counts are not shown: weighted rows are no loans."
        if weighted
        else "Below the axis: loans at risk, censored and left by arm."
    )
    return drawn(
        f"{key}-curves",
        f"{study.settings.name}: {main} by arm",
        lambda ax: cumulative_incidence(
            aj,
            cause=main,
            ax=ax,
            labels=labels,
            counts=not weighted,
            xlabel=f"{unit.capitalize()}s since time zero",
            ylabel=f"Left by {main}",
            smallest=config.smallest_cell,
        ),
        alt=f"Step curves of the cumulative incidence of {main} by arm. After {periods(horizon, unit)}: {said}.",
        caption=f"Aalen–Johansen estimates, all causes at once, with pointwise {level_words(config.level)} intervals. {how}",
    )


def _arms(analysis: Analysis, study: Study, aj: AalenJohansen | None, key: str) -> Table:
    """Lay out numbers, exits and risks by arm; of arms that loans change, loan-years and rates."""
    config, cohort, smallest = analysis.config, study.cohort, analysis.config.smallest_cell
    arms, horizon, unit = (cohort.treated, cohort.control), study.settings.horizon, analysis.config.unit
    causes = [c for c in (config.main_cause, config.safety_cause) if c is not None]
    columns = [Column("arm", "Arm")]
    years = (cohort.y.stop - cohort.y.start) / (12 if unit == "month" else 4)
    if aj is None:
        columns.append(Column("years", "Loan-years", "integer"))
        sizes: list[Cell] = [round(float(years[cohort.arm == arm].sum())) for arm in arms]
    else:
        columns.append(Column("loans", "Loans", "integer"))
        sizes = suppressed_column([int(np.sum(cohort.arm == arm)) for arm in arms], smallest)
    body: list[list[Cell]] = [[arm_name(arm), size] for arm, size in zip(arms, sizes, strict=True)]
    hidden = hidden_causes(study, smallest)
    for cause in causes:
        columns.append(Column(f"{cause} events", f"Left by {cause}", "integer"))
        events = study.events(cause)
        for row, arm in zip(body, arms, strict=True):
            row.append(f"<{smallest}" if 0 < events[arm] < smallest else events[arm])
        if aj is None:
            columns.append(Column(f"{cause} rate", f"Per {PER:,} loan-years", "number:0"))
            for row, arm in zip(body, arms, strict=True):
                time = float(years[cohort.arm == arm].sum())
                row.append(None if 0 < events[arm] < smallest else PER * events[arm] / time)
            continue
        columns += [
            Column(f"{cause} share", f"Within {periods(horizon, unit)}", "percent:1"),
            Column(f"{cause} interval", f"{level_words(config.level)} CI", "percent interval:1"),
        ]
        index = [str(arm) for arm in aj.curves_.index]
        for row, arm in zip(body, arms, strict=True):
            found = risk_at(aj.curves_, index.index(str(arm)), cause, horizon)
            show = found is not None and not 0 < events[arm] < smallest
            row += [found[0], (found[1], found[2])] if show and found is not None else [None, None]
    rows = tuple(tuple(row) for row in body)
    notes = list(notes_if_hidden(rows, smallest))
    if study.weights is not None:
        notes.insert(0, "Loans and exits are counted; shares are weighted.")
    if aj is None and hidden:
        notes.append("A rate is left out where its exits are not shown.")
    return Table(f"{key}-arms", f"{study.settings.name}: arms", tuple(columns), rows, notes=tuple(notes))


def _effects(analysis: Analysis, study: Study, key: str) -> Table:
    """Lay out every effect of the main cause and the safety cause with its interval."""
    config, settings = analysis.config, study.settings
    unit, horizon = config.unit, periods(settings.horizon, config.unit)
    hidden = hidden_causes(study, config.smallest_cell)
    rows: list[tuple[Cell, ...]] = []
    for cause in [c for c in (config.main_cause, config.safety_cause) if c is not None]:
        ratio = study.ratio(cause)
        if ratio is not None:
            rows.append((f"Hazard ratio of {cause}", *_cells(ratio, 2, signed=False), study.p_values.get(cause)))
        if cause in hidden:
            continue
        number, of = saved(study, cause)
        if number is not None:
            what = f"within {horizon}" if of == "loans" else "of the treated"
            rows.append((f"Fewer by {cause} per {PER:,} {of} {what}", *_cells(number, 0), None))
        for measure, name, scale in (
            ("standardised", f"The same for the treated, by models of leaving, {cause}", -PER),
            ("complier", f"The same for compliers, {cause}", -PER),
            ("retained", f"{unit.capitalize()}s not lost to {cause} per {PER:,} loans within {horizon}", 1),
        ):
            found = study.effects.get((measure, cause))
            if found is not None:
                rows.append((name, *_cells(found, 0, scale=scale), None))
    stage = study.effects.get(("first_stage", "uptake"))
    if stage is not None:
        rows.append(("More of the invited take part, percentage points", *_cells(stage, 1, scale=100), None))
    columns = (
        Column(
            "measure", f"{arm_name(study.cohort.treated).capitalize()} compared with {arm_name(study.cohort.control)}"
        ),
        Column("estimate", "Estimate", "value"),
        Column("interval", f"{level_words(config.level)} CI", "value"),
        Column("p", "p", "p"),
    )
    methods = {
        "ratio": study.ratio(config.main_cause),
        "risk": study.effects.get(("risk_difference", config.main_cause)),
    }
    how = [f"{name.capitalize()}: {found.method}." for name, found in methods.items() if found is not None]
    reading = (
        f"p: {study.test}, not adjusted (see {{ref:interventions-effects}}). A ratio whose interval includes 1, or a number "
        "whose interval includes 0, is compatible with no effect."
    )
    return Table(f"{key}-effects", f"{settings.name}: effects", columns, tuple(rows), notes=(reading, " ".join(how)))


def _cells(found: Estimate, digits: int, *, scale: float = 1, signed: bool = True) -> tuple[Cell, Cell]:
    """Give estimate and interval as they are shown; a negative scale turns the interval around."""

    def shown(value: float) -> str:
        # no minus before a zero
        rounded = round(value, digits) + 0.0
        return (f"{rounded:+,.{digits}f}" if signed and rounded else f"{rounded:,.{digits}f}").replace("-", "\u2212")

    low, high = sorted((scale * found.lower, scale * found.upper))
    return shown(scale * found.value), f"{shown(low)} to {shown(high)}"


def _balance(analysis: Analysis, study: Study, key: str) -> list[Block]:
    """Compare the arms at time zero: a love plot where arms are weighted, else a sentence on the models' covariates."""
    cohort, settings = study.cohort, study.settings
    if study.weights is not None:
        others = [c for c in analysis.covariates if c in cohort.X.columns and c not in settings.adjust]
        table = effects.balance_table(
            cohort.X[[*settings.adjust, *others]], cohort.arm, study.weights, reference=cohort.control
        )
        of = table["term"].isin(settings.adjust)
        apart = table["weighted_smd"].abs() > APART
        table["term"] = [_label(analysis, str(term)) for term in table["term"]]
        words = (
            f"Before weighting {int((table['smd'].abs() > APART).sum())} of {len(table)} covariates differ by more than "
            f"{APART:g} standard deviations, after it {int(apart.sum())}. Overlap weights make the means of the "
            f"{int(of.sum())} adjusted for equal by construction; of the others, covariates of the models, they need not."
        )
        return [_love(study, table, key, words), _smd_table(study, table[of | apart], key)]
    if not study.follows_arms:
        return []
    columns = [c for c in analysis.covariates if c in cohort.X.columns]
    differences = cohort.baseline_table(columns)["standardised_difference"].abs().dropna()
    if differences.empty:
        return []
    n, label = int((differences > APART).sum()), _label(analysis, str(differences.idxmax()))
    return [
        Text(
            f"At time zero {n} of {len(differences)} covariates of the models differ between the arms by more than {APART:g} "
            f"standard deviations; the largest difference is {differences.max():.2f} ({label})."
        )
    ]


def _label(analysis: Analysis, column: str) -> str:
    term = analysis.config.terms.get(column)
    words = column.replace("_", " ")
    return term.label if term is not None and term.label else words[0].upper() + words[1:]


def _love(study: Study, table: pd.DataFrame, key: str, words: str) -> Figure:
    return drawn(
        f"{key}-balance",
        f"{study.settings.name}: differences between the arms at time zero",
        lambda ax: love_plot(table, ax=ax, threshold=APART),
        alt=words,
        caption=words,
        height=1.3 + 0.26 * len(table),
    )


def _smd_table(study: Study, table: pd.DataFrame, key: str) -> Table:
    columns = (
        Column("term", "Covariate"),
        Column("smd", "Difference before weighting (SD)", "number:2"),
        Column("weighted", "After weighting (SD)", "number:2"),
    )
    rows = tuple((str(r["term"]), r["smd"], round(r["weighted_smd"], 6) + 0.0) for r in table.to_dict("records"))
    arms = f"{arm_name(study.cohort.treated).capitalize()} minus {arm_name(study.cohort.control)}"
    note = f"{arms}, standardised: the covariates adjusted for, and others that differ by more than {APART:g} after weighting."
    return Table(f"{key}-smd", f"{study.settings.name}: balance of the arms", columns, rows, notes=(note,))


def _subgroups(analysis: Analysis, study: Study, key: str) -> list[Block]:
    """Draw the difference of risks in the groups of the configuration, with the tests of interaction."""
    settings, config, cohort = study.settings, analysis.config, study.cohort
    if not isinstance(settings, Drawn) or not settings.subgroups:
        return []
    if config.main_cause in hidden_causes(study, config.smallest_cell):
        return []
    loans = pd.Series(cohort.y.subject)
    groups = pd.DataFrame(
        {
            c: merged_small_groups(cohort.X[c].astype(str), loans, config.smallest_cell, "others")
            for c in settings.subgroups
        }
    )
    found: SubgroupEffects = effects.effect_by_subgroup(
        cohort.y,
        cohort.arm,
        groups,
        effect="risk_difference",
        min_events=max(5, config.smallest_cell),
        reference=cohort.control,
        level=config.level,
        horizon=settings.horizon,
        cause=config.main_cause,
        cluster=cohort.cluster,
    )
    tests = found.interaction.dropna(subset=["p_holm"])
    differ = [str(v) for v in tests.loc[tests["p_holm"] < 1 - config.level, "variable"]]
    said = (
        f"The effect differs between the groups of {listed(differ)} (test of interaction, Holm)."
        if differ
        else "No test of interaction (Holm) shows that the effect differs between groups: the differences seen may be chance."
    )
    lines = 1 + len(found.table) + len(found.interaction)
    return [
        drawn(
            f"{key}-subgroups",
            f"{settings.name}: difference in {config.main_cause} within {periods(settings.horizon, config.unit)} by group",
            lambda ax: subgroup_forest(
                found, ax=ax, scale=100, left_hint="fewer leave", right_hint="more leave", xlabel="percentage points"
            ),
            alt=f"Forest plot of the risk difference in subgroups. {said}",
            caption=said,
            height=1.3 + 0.26 * lines,
        )
    ]
