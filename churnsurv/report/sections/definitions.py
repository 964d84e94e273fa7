"""What the model is for, and what its words mean: events, censoring, time and population, as the rules of the spells say."""

from __future__ import annotations

from churnsurv.data.reasons import LOANS_IN, excluded_by
from churnsurv.data.rule_tables import Condition, ExitRule
from churnsurv.data.rules import MATURED, OPEN, SpellRules
from churnsurv.report import forms
from churnsurv.report.analysis import Analysis, Part
from churnsurv.report.content import Block, Cell, Column, Finding, Section, Table, Text
from churnsurv.report.disclosure import notes_if_hidden
from churnsurv.report.words import listed, periods

TITLE = "Purpose, use and definitions"

_GLOSSARY = (
    ("Cause", "One of the ways in which a loan leaves; each has a hazard of its own."),
    ("Competing cause", "A cause that makes the one of interest impossible from then on."),
    ("Cause-specific hazard", "The rate of leaving by one cause, among the loans still there."),
    ("Late entry", "A loan is at risk only from the age at which it was first observed."),
    ("Spell", "One observed period of one loan, with what was known before it began."),
    ("Stratum", "A group with a baseline hazard of its own."),
    ("Concordance", "How often, of two loans, the one that leaves first had the higher predicted risk; 0.5 is chance."),
    ("Brier score", "Mean squared distance between the predicted probability and what happened; 0 is best."),
    ("Calibration", "Whether as many leave as were predicted to."),
)


def definitions(analysis: Analysis) -> Part:
    """Say what the model is for, which exits are events, what is censored, and how time is counted."""
    rules = analysis.config.spells
    blocks: list[Block] = [
        forms.pairs("use", "Purpose and use", _uses(analysis)),
        *_use_finding(analysis),
        Text("Events and censoring", "subheading"),
        _events(analysis),
        Text(censoring_words(rules)),
        Text("Time, entry and population", "subheading"),
        forms.pairs("time-scale", "Time scale and entry", _time(rules)),
        _population(analysis),
        *_data_rules(rules),
        forms.pairs("horizons", "Dates and horizons", _horizons(analysis)),
        _glossary(analysis),
    ]
    return Part(Section("definitions", TITLE, tuple(blocks)))


def _uses(analysis: Analysis) -> list[tuple[str, str]]:
    given = analysis.config.definitions
    asked = {
        "Intended use": given.intended,
        "Prohibited use": given.prohibited,
        "Users": given.users,
        "Portfolios in scope": given.in_scope,
        "Portfolios out of scope": given.out_of_scope,
    }
    return [(name, "; ".join(values) or "not stated") for name, values in asked.items()]


def _use_finding(analysis: Analysis) -> list[Finding]:
    """Find a use that is not stated, where the regime asks for this section."""
    given = analysis.config.definitions
    missing = [key for key in ("intended", "prohibited", "users") if not getattr(given, key)]
    if not missing or "definitions" not in analysis.regime.required:
        return []
    return [
        Finding(
            f"The configuration does not state: {listed(missing)}. Give them in [definitions].",
            "amber",
            "intended use, prohibited use and users are stated",
            "use",
            len(missing),
            "integer",
        )
    ]


def _events(analysis: Analysis) -> Table:
    config, rules = analysis.config, analysis.config.spells
    rows: list[tuple[Cell, ...]] = []
    for cause in rules.cause_names:
        role = "main event" if cause == config.main_cause else "competing event"
        role = "competing event, safety endpoint" if cause == config.safety_cause else role
        told = _recognised(rules, cause, rules.causes.get(cause, ()))
        if cause in rules.paid_at_term:
            told += "; in the last scheduled period it is the scheduled end"
        rows.append((cause.capitalize(), role, told))
    for name, values in rules.censored.items():
        rows.append((name.capitalize(), "censored: a stated end of observation", _recognised(rules, name, values)))
    rows.append((MATURED.capitalize(), "censored: the scheduled end", _scheduled_end(rules)))
    rows.append(
        (OPEN.capitalize(), "censored: the end of the data", _recognised(rules, OPEN, rules.open, "when last observed"))
    )
    columns = (Column("ending", "Ending"), Column("role", "Counts as"), Column("rule", "Recognised by"))
    notes: tuple[str, ...] = ("Generated from the rules by which the spells were built.",)
    if rules.exits:
        notes += (
            "The first rule that applies to a row counts; only rows to which none applies are read by the status.",
        )
    return Table("events", "How a loan's time under observation ends", columns, tuple(rows), notes=notes)


def _recognised(rules: SpellRules, name: str, values: tuple[object, ...], when: str = "") -> str:
    """Give the status values and the conditions by which an ending is read."""
    parts = [f"{rules.status} = {' or '.join(str(v) for v in values)}"] if values else []
    parts += [_rule(rule) for rule in rules.exits if rule.cause == name]
    return f"{'; or '.join(parts) or 'no other ending applies'}{f' {when}' if when else ''}"


def _rule(rule: ExitRule) -> str:
    return " and ".join(_condition(condition) for condition in rule.when)


def _condition(asked: Condition) -> str:
    parts = []
    if asked.values is not None:
        parts.append(f"{asked.column} = {' or '.join(str(v) for v in asked.values)}")
    if asked.at_least is not None:
        parts.append(f"{asked.column} \u2265 {asked.at_least:g}")
    if asked.at_most is not None:
        parts.append(f"{asked.column} \u2264 {asked.at_most:g}")
    if asked.present is not None:
        parts.append(f"{asked.column} is {'given' if asked.present else 'missing'}")
    return " and ".join(parts)


def _scheduled_end(rules: SpellRules) -> str:
    parts = []
    if rules.matured or any(rule.cause == MATURED for rule in rules.exits):
        parts.append(_recognised(rules, MATURED, rules.matured))
    if rules.term is not None:
        parts.append(f"age = {rules.term} ({rules.period}s)")
    if rules.maturity is not None:
        parts.append(f"the period {rules.maturity} is reached")
    if rules.paid_at_term:
        parts.append(f"exits by {listed(list(rules.paid_at_term))} in the last scheduled period")
    return "; or ".join(parts) or "not known: no term, maturity or status says when a loan is scheduled to end"


def censoring_words(rules: SpellRules) -> str:
    """Say what is censored, and what is assumed of it."""
    text = (
        "A loan that is open when the data end, and one that reaches its scheduled end, have not left by a cause: they count "
        "as at risk until then and are censored there, for reasons that lie outside the customer. "
    )
    if rules.censored:
        text += (
            f"Censored without being scheduled: {listed(list(rules.censored))}. If these loans are chosen by their risk (a "
            "sale of the worst, for instance), the results are distorted; the data cannot tell. "
        )
    return text + (
        "Hazards are estimated under the assumption that, given the covariates, loans that are censored, or come under "
        "observation late, are at the same risk as the others of their age. The other causes are no censoring in the "
        "probabilities of leaving: they compete. Periods in which a loan was not observed are not at risk."
    )


def _time(rules: SpellRules) -> list[tuple[str, str]]:
    unit = rules.period
    entry = "the age at which the loan is first observed" + (
        f", not before {rules.acquired}" if rules.acquired is not None else ""
    )
    if rules.rows == "loan":
        entry = f"origination, or {rules.acquired} where it is given" if rules.acquired else "origination"
    items = [
        ("Time scale", f"loan age in {unit}s since {rules.origination}; in that {unit} a loan is of age 0 to 1"),
        ("At risk from", entry),
        (
            "Observation",
            f"one row per loan and {unit} ({rules.observed})" if rules.rows == "period" else "one row per loan",
        ),
        ("Covariates", f"as known {periods(rules.lag, unit)} before the spell; those of the loan table at origination"),
    ]
    others = [f"{name} {periods(lag, unit)}" for name, lag in rules.lags.items() if lag != rules.lag]
    if others:
        items.append(("Other lags", "; ".join(others)))
    if rules.unlagged:
        items.append(("Of the same period", f"{listed(list(rules.unlagged))}: they may know the outcome"))
    dependence = (
        f"loans of one {rules.customer_id} may depend on each other" if rules.customer_id else "every loan by itself"
    )
    return [*items, ("Dependence", dependence)]


def _population(analysis: Analysis) -> Table:
    """Show which loans are in the report, and why others are not."""
    config, rules = analysis.config, analysis.config.spells
    shown = analysis.exits
    rows: list[tuple[Cell, ...]] = [("Loans given", "all rows of the loan table", shown[LOANS_IN, "reason"])]
    for column, values in rules.exclude.items():
        rule = f"{column} = {' or '.join(str(v) for v in values)}"
        reason = excluded_by(column)
        rows.append((f"Left out: {reason}", rule, shown.cells.get((reason, "reason"), 0)))
    others = [reason for reason in analysis.spells.left_out if reason not in map(excluded_by, rules.exclude)]
    rows += [(f"Left out: {reason}", "no spell can be made of it", shown[reason, "reason"]) for reason in others]
    rows.append(("In this report", "one spell or more", shown["analysed", "reason"]))
    columns = (Column("what", "Population"), Column("rule", "Rule"), Column("loans", "Loans", "integer"))
    notes = notes_if_hidden(rows, config.smallest_cell)
    return Table("population", "Population", columns, tuple(rows), notes=notes)


def _data_rules(rules: SpellRules) -> list[Table]:
    items = [
        (name, f"{low:g} to {high:g}; other values are made missing") for name, (low, high) in rules.plausible.items()
    ]
    items += [(name, "0 means missing") for name in rules.zero_is_missing]
    if not items:
        return []
    conflicts = "are an error" if rules.conflicts == "raise" else "are left out, and counted"
    items.append(("Rows that contradict each other", conflicts))
    return [forms.pairs("data-rules", "Rules of the clean-up", items)]


def _horizons(analysis: Analysis) -> list[tuple[str, str]]:
    config = analysis.config
    items = [
        ("Data as of", f"{config.as_of:%Y-%m-%d}"),
        ("Probability of leaving", f"within {listed([str(h) for h in config.incidence.horizons])} {config.unit}s"),
        ("Headlines", f"within {periods(config.incidence.horizon, config.unit)}"),
    ]
    if config.evaluation is not None:
        until = f"{config.evaluation.development_until:%Y-%m-%d}"
        items.append(("Prediction", f"{periods(config.evaluation.horizon, config.unit)} after {until}"))
    if config.early_warning is not None:
        items.append(("Early warning", f"{periods(config.early_warning.horizon, config.unit)} from now"))
    return items


def _glossary(analysis: Analysis) -> Table:
    words = {**dict(_GLOSSARY), **analysis.config.definitions.glossary}
    return forms.pairs("words", "Glossary", words.items())
