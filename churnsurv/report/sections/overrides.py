"""Overrides and overlays: what people changed of what the model says, who approved it, how much it moves."""

from __future__ import annotations

from collections.abc import Hashable

import numpy as np
import pandas as pd

from churnsurv.exceptions import ChurnSurvError
from churnsurv.messages import counted
from churnsurv.report.adjustments import Adjustment, adjustments, union
from churnsurv.report.analysis import Analysis, Part
from churnsurv.report.content import Block, Cell, Column, Finding, Section, Table, Text
from churnsurv.report.disclosure import HIDDEN, is_small, notes_if_hidden, suppressed, told
from churnsurv.report.outlook import outlook, today
from churnsurv.report.words import percent, periods
from churnsurv.small_counts import Sum, protection

TITLE = "Overrides and overlays"


def overrides(analysis: Analysis) -> Part:
    """List the decisions, count them by kind, and say what those in force move."""
    frame = today(analysis).frame
    found = adjustments(analysis, frame)
    if not found:
        blocks: tuple[Block, ...] = (Text("No override or overlay is recorded: the results are the model's own."),)
        return Part(Section("overrides", TITLE, blocks))
    return Part(
        Section(
            "overrides",
            TITLE,
            (
                Text(_reading(found)),
                _list(found, analysis, len(frame)),
                _by_kind(found),
                *_share(found, analysis, len(frame)),
                *_effect(found, analysis),
                *_findings(found),
            ),
        )
    )


def _reading(found: list[Adjustment]) -> str:
    states = [a.state for a in found]
    others = [f"{states.count(state)} {state}" for state in ("expired", "not yet in force") if state in states]
    return (
        f"People changed what the model says in {counted(len(found), 'decision')}: {states.count('in force')} in force"
        f"{''.join(f', {words}' for words in others)}. The figures of the other sections are those of the model, without them."
    )


def _list(found: list[Adjustment], analysis: Analysis, n_open: int) -> Table:
    smallest = analysis.config.smallest_cell
    loans = loans_shown(found, n_open, smallest)
    columns = (
        Column("decision", "Decision"),
        Column("reason", "Reason"),
        Column("size", "Size", "percent:1"),
        Column("loans", "Loans now", "integer"),
        Column("holds", "Holds"),
        Column("approved", "Approved by"),
    )
    rows: tuple[tuple[Cell, ...], ...] = tuple(
        (
            f"{a.entry.kind.capitalize()}: {_scope(a)}",
            a.entry.reason,
            a.entry.size,
            n,
            f"{a.entry.date:%Y-%m-%d} to {a.entry.expires or 'no date'}: {a.state}",
            a.entry.approved_by or "not approved",
        )
        for a, n in zip(found, loans, strict=True)
    )
    note = (
        f"Size: change of the probability of leaving by {analysis.config.main_cause} within {_horizon_words(analysis)}, in "
        "percentage points; the mean where it differs by loan. Loans now: under observation at the date of the report."
    )
    return Table("override-list", "Decisions", columns, rows, notes=(note, *notes_if_hidden(rows, smallest)))


def _scope(a: Adjustment) -> str:
    return "listed loans" if a.listed is not None and a.entry.scope == "all" else a.entry.scope


def loans_shown(found: list[Adjustment], n_open: int, smallest: int) -> list[Cell]:
    """Give the numbers of loans of decisions, so that none that is hidden follows from the others and all loans open.

    Scopes of one column share no loan, so that with all loans without one they make up the loans open; so do the loans of
    any other decision and the rest. Where nothing is left to hide, no number of the column is given.
    """
    numbers: dict[Hashable, dict[Hashable, int]] = {}
    for i, a in enumerate(found):
        if a.loans is not None and a.loans.sum() < n_open:
            kind, scope = _kind_and_scope(a, i)
            numbers.setdefault(kind, {})[scope] = int(a.loans.sum())
    shown: dict[tuple[Hashable, Hashable], Cell] = {}
    for kind, of_scopes in numbers.items():
        counts = [*of_scopes.values(), n_open - sum(of_scopes.values())]
        small, others, computable = protection(counts, [Sum(tuple(range(len(counts))))], smallest)
        for i, scope in enumerate(of_scopes):
            cell: Cell = HIDDEN if i in others else suppressed(counts[i], smallest) if i in small else counts[i]
            shown[kind, scope] = None if computable else cell
    return [
        None if a.loans is None else shown.get(_kind_and_scope(a, i), suppressed(n_open, smallest))
        for i, a in enumerate(found)
    ]


def _kind_and_scope(a: Adjustment, position: int) -> tuple[Hashable, Hashable]:
    """Give the column of a scope, and its value; listed loans are of a kind of their own."""
    if a.listed is not None:
        return position, ""
    column, _, value = (part.strip() for part in a.entry.scope.partition("="))
    return column, value


def _by_kind(found: list[Adjustment]) -> Table:
    states = ("in force", "expired", "not yet in force")
    kinds = list(dict.fromkeys(a.entry.kind for a in found))
    rows: tuple[tuple[Cell, ...], ...] = tuple(
        (kind.capitalize(), *(sum(a.entry.kind == kind and a.state == state for a in found) for state in states))
        for kind in kinds
    )
    columns = (Column("kind", "Kind"), *(Column(state, state.capitalize(), "integer") for state in states))
    return Table("overrides-by-kind", "Decisions by kind", columns, rows)


def _share(found: list[Adjustment], analysis: Analysis, n_open: int) -> list[Block]:
    """Say how many of today's loans are named one by one in a decision in force."""
    named = [a for a in found if a.listed is not None]
    if not named or not n_open:
        return []
    settings, smallest = analysis.config.overrides, analysis.config.smallest_cell
    assert settings is not None
    n = int(union(found, n_open).sum())
    # with the numbers of the other decisions, that of a small one could be narrowed down
    numbers = zip(found, loans_shown(found, n_open, smallest), strict=True)
    in_force = [cell for a, cell in numbers if a.listed is not None and a.state == "in force"]
    unclear = len(in_force) > 1 and any(not isinstance(cell, int) for cell in in_force)
    hidden = unclear or is_small(n, smallest) or is_small(n_open - n, smallest)
    share = "" if hidden else f" ({percent(n / n_open)})"
    count = "nearly all" if is_small(n_open - n, smallest) else told(n, "loan", smallest)
    count = "some" if unclear and count != "nearly all" else count
    blocks: list[Block] = [
        Text(f"Named one by one in decisions in force: {count} of {counted(n_open, 'loan')} under observation{share}.")
    ]
    unknown = sum(a.unknown for a in named)
    if unknown:
        blocks.append(
            Finding(
                f"{told(unknown, 'loan', smallest).capitalize()} in the overrides table are not in the portfolio. Check the "
                "identifiers, and the date of the table.",
                "amber",
                "every loan of the table is in the portfolio",
                "override-list",
                suppressed(unknown, smallest),
                "integer",
            )
        )
    if n / n_open > settings.most:
        blocks.append(
            Finding(
                f"The results of {count} of {counted(n_open, 'loan')} are overridden{share}. So many say that the model is "
                "not trusted, or not fit for these loans: find out why before the next quarter.",
                "amber",
                f"at most {percent(settings.most)} of the loans overridden",
                "override-list",
                None if hidden else n / n_open,
                "percent:1",
            )
        )
    return blocks


def _horizon_words(analysis: Analysis) -> str:
    return periods(_horizon(analysis), analysis.config.unit)


def _horizon(analysis: Analysis) -> int:
    settings = analysis.config.overrides
    assert settings is not None
    return settings.horizon or analysis.config.incidence.horizon


def _effect(found: list[Adjustment], analysis: Analysis) -> list[Block]:
    """Add up the sizes of decisions in force over the loans that they concern, beside what the model expects."""
    sized = [a for a in found if a.state == "in force" and a.entry.size is not None]
    known = [a for a in sized if a.loans is not None]
    if not known:
        return []
    try:
        view = outlook(analysis, _horizon(analysis))
    except ChurnSurvError:  # the sections on the models say why; the decisions stand without them
        return [Text("What the decisions move is not known: the models give no prediction for today's loans.")]
    cause = analysis.config.main_cause
    frame = view.cohort.frame
    # the model's own mean, and its shift, over the loans that have a prediction
    everybody = today(analysis).frame["loan_id"]
    predicted = np.asarray(everybody.isin(frame["loan_id"]))
    if not predicted.any():
        return []
    shown = dict(zip(map(id, found), loans_shown(found, len(predicted), analysis.config.smallest_cell), strict=True))
    if any(not isinstance(shown[id(a)], int) for a in known):
        # the number of loans is the change divided by the size
        return [
            Text("What the decisions move is not shown: one of them concerns so few loans that they could be told.")
        ]
    shift = np.zeros(int(predicted.sum()))
    for a in known:
        assert a.loans is not None
        shift += float(a.entry.size or 0.0) * a.loans[predicted]
    order = pd.Index(frame["loan_id"]).get_indexer(everybody[predicted])
    risk = view.risk[cause].to_numpy()[order]
    adjusted = np.clip(risk + shift, 0.0, 1.0)
    columns = (Column("what", "Mean over the loans"), Column("value", "Probability", "percent:2"))
    rows: tuple[tuple[Cell, ...], ...] = (
        ("Model", float(risk.mean())),
        ("Change by decisions in force", float(adjusted.mean() - risk.mean())),
        ("With decisions", float(adjusted.mean())),
    )
    notes = [
        f"Leaving by {cause} within {_horizon_words(analysis)} from the date of the report, over {counted(len(risk), 'loan')} "
        "with a prediction; each probability is kept between 0 and 1. Decisions are judgements: neither they nor this "
        "sum has a confidence interval."
    ]
    unsized = len(sized) - len(known)
    if unsized:
        notes.append(f"Without {counted(unsized, 'decision')} whose scope is in free words.")
    return [Table("override-effect", f"Expected {cause} with and without decisions", columns, rows, notes=tuple(notes))]


def _findings(found: list[Adjustment]) -> list[Finding]:
    expired = [a for a in found if a.state == "expired"]
    unapproved = [a for a in found if a.state != "expired" and not a.entry.approved_by.strip()]
    findings = []
    if expired:
        latest = max(f"{a.entry.expires:%Y-%m-%d}" for a in expired)
        findings.append(
            Finding(
                f"{counted(len(expired), 'decision')} expired (the last on {latest}) and still on the list. Withdraw, or "
                "renew with an approval.",
                "amber",
                "no expired decision on the list",
                "override-list",
                len(expired),
                "integer",
            )
        )
    if unapproved:
        findings.append(
            Finding(
                f"{counted(len(unapproved), 'decision')} without approval. Have them approved, or withdraw them.",
                "red",
                "every decision is approved",
                "override-list",
                len(unapproved),
                "integer",
            )
        )
    return findings
