"""The loans most at risk, by hashed identifiers: who may leave within a horizon from now, and what the model sees in them."""

from __future__ import annotations

import os
import re

import numpy as np
import pandas as pd

from churnsurv.estimators.contributions import term_contributions
from churnsurv.exceptions import ConfigError
from churnsurv.messages import counted
from churnsurv.report.analysis import Analysis, Part, named
from churnsurv.report.content import Block, Cell, Column, Section, Table, Text
from churnsurv.report.disclosure import told
from churnsurv.report.early_signs import Sign, early_signs
from churnsurv.report.identifiers import LEAST_SALT, hashed_ids
from churnsurv.report.incidence import risk_at
from churnsurv.report.outlook import Outlook, outlook
from churnsurv.report.settings import EarlyWarning
from churnsurv.report.term_labels import label_of
from churnsurv.report.words import level_words, listed, percent, periods

TITLE = "Loans most at risk"

#: factor of the hazard from which on a term is a reason
LEAST_FACTOR = 1.05


def early_warning(analysis: Analysis) -> Part:
    """List the loans with the highest risk of the main and of the safety cause."""
    settings = analysis.config.early_warning
    assert settings is not None
    with named("[early_warning]"):
        salt = secret(settings)
        view = outlook(analysis, settings.horizon)
        if not len(view.cohort):
            return Part(Section("early-warning", TITLE, (Text(_left_out(view, analysis, settings)),)))
        signs = early_signs(view.cohort.frame, analysis, settings)
        blocks: list[Block] = [
            Text(_reading(view, analysis, settings)),
            Text(_left_out(view, analysis, settings), "note"),
        ]
        rows_of: dict[str, np.ndarray] = {}
        for cause in (analysis.config.main_cause, analysis.config.safety_cause):
            if cause is not None and cause not in rows_of:
                rows = rows_of[cause] = most_at_risk(view, cause, settings.loans)
                blocks += [Text(cause.capitalize(), "subheading"), Text(_caught(view, rows, cause))]
                blocks.append(_list(analysis, settings, view, rows, cause, signs, salt))
        blocks += _sign_table(signs, rows_of)
    return Part(Section("early-warning", TITLE, tuple(blocks)))


def secret(settings: EarlyWarning) -> str:
    """Give the secret of the hashed ids; without one there is no list."""
    salt = os.environ.get(settings.salt_variable, "")
    if len(salt) < LEAST_SALT:
        what = "is not set" if not salt else f"holds fewer than {LEAST_SALT} characters"
        raise ConfigError(
            f"the environment variable {settings.salt_variable} {what}. It holds the secret of the hashed ids: without one "
            'anybody could try ids one by one. Make one, e.g. python -c "import secrets; print(secrets.token_hex(32))", '
            "keep it, and set the variable."
        )
    return salt


def most_at_risk(view: Outlook, cause: str, n: int) -> np.ndarray:
    """Give the positions of the n loans with the highest risk; loans of the same risk by their identifiers."""
    ids = view.cohort.frame["loan_id"].astype(str).to_numpy()
    return np.lexsort((ids, -view.risk[cause].to_numpy()))[:n]


def _reading(view: Outlook, analysis: Analysis, settings: EarlyWarning) -> str:
    config = analysis.config
    return (
        f"Of {counted(view.n_open, 'loan')} under observation on {view.cohort.date:%d %B %Y}, these are the most likely to "
        f"leave within {periods(settings.horizon, config.unit)}, by the Cox models, given their age and what was known of "
        "them then. This list is about single loans, by intention: pass it on as you would a list of customers. Loans are "
        "named by a hash that only the holder of the secret can join back: churnsurv.report.hashed_ids(ids, secret). A "
        "reason is a term in which the loan differs from the mean of today's loans, with the factor by which that alone "
        "raises its hazard; it says what the model sees, not what would keep the customer."
    )


def _left_out(view: Outlook, analysis: Analysis, settings: EarlyWarning) -> str:
    unit, smallest = analysis.config.unit, analysis.config.smallest_cell
    lost = []
    if view.n_incomplete:
        lost.append(f"{told(view.n_incomplete, 'loan', smallest)} that lack a covariate")
    if view.n_beyond:
        lost.append(
            f"{told(view.n_beyond, 'loan', smallest)} whose hazard is not known up to {periods(settings.horizon, unit)} from "
            "now, being older then than any loan seen"
        )
    without = f"Without a prediction: {listed(lost)}. " if lost else ""
    return (
        f"{without}Covariates are taken to stay as they are. A loan that reaches its scheduled end before the horizon can "
        "leave only until then: its risk is somewhat too high."
    )


def _caught(view: Outlook, rows: np.ndarray, cause: str) -> str:
    risk = view.risk[cause].to_numpy()
    share = float(risk[rows].sum() / risk.sum()) if risk.sum() > 0 else 0.0
    return (
        f"The {counted(len(rows), 'loan')} below {'is' if len(rows) == 1 else 'are'} {percent(len(rows) / len(risk))} of those "
        f"with a prediction, and carry {percent(share)} of the exits by {cause} that the model expects."
    )


def _list(
    analysis: Analysis,
    settings: EarlyWarning,
    view: Outlook,
    rows: np.ndarray,
    cause: str,
    signs: list[Sign],
    salt: str,
) -> Table:
    frame = view.cohort.frame.iloc[rows].reset_index(drop=True)
    names = hashed_ids(frame["loan_id"], salt)
    reasons = _reasons(analysis, settings, view, frame, cause)
    shown = ["; ".join(s.label for s in signs if s.shown[row]) or "none" for row in rows]
    if settings.bands:
        risks: list[tuple[Cell, ...]] = [(band(r, settings.bands),) for r in view.risk[cause].to_numpy()[rows]]
        columns = [Column("risk", "Risk")]
    else:
        risks = _risks(analysis, frame, cause, settings.horizon)
        columns = [
            Column("risk", "Risk", "percent:1"),
            Column("interval", f"{level_words(analysis.config.level)} CI", "percent interval:1"),
        ]
    head = (Column("rank", "Rank", "integer"), Column("loan", "Loan (hashed)"))
    tail = [Column("reasons", "Reasons"), *([Column("signs", "Early-warning signs")] if signs else [])]
    table_rows = tuple(
        (rank, name, *risk, reason, *([flags] if signs else []))
        for rank, (name, risk, reason, flags) in enumerate(zip(names, risks, reasons, shown, strict=True), start=1)
    )
    note = (
        f"Risk: probability of leaving by {cause} within {periods(settings.horizon, analysis.config.unit)}, the other causes "
        "at work."
    )
    if signs:
        note += " Signs: the loan is in the worst tenth of today's loans, and worse than half of them."
    if not settings.bands:
        note += " The interval is that of the model's probability, not of what a single customer does."
    return Table(
        f"most-at-risk-{cause}", f"Loans most at risk of {cause}", (*head, *columns, *tail), table_rows, notes=(note,)
    )


def _risks(analysis: Analysis, frame: pd.DataFrame, cause: str, horizon: int) -> list[tuple[Cell, ...]]:
    age = frame["age"].to_numpy()
    curves = analysis.model.predict_curves(frame[analysis.model_columns], start=age, level=analysis.config.level)
    found: list[tuple[Cell, ...]] = []
    for row, since in enumerate(age):
        bounded = risk_at(curves, row, cause, float(since) + horizon)
        found.append((None, None) if bounded is None else (bounded[0], (bounded[1], bounded[2])))
    return found


def band(risk: float, limits: tuple[float, ...]) -> str:
    """Give the band of a risk.

    >>> band(0.12, (0.05, 0.1, 0.2)), band(0.03, (0.05, 0.1)), band(0.5, (0.05, 0.1))
    ('10% to below 20%', 'below 5%', '10% or more')
    """
    position = int(np.searchsorted(limits, risk, side="right"))
    shown = [f"{100 * limit:g}%" for limit in limits]
    if position == 0:
        return f"below {shown[0]}"
    return f"{shown[-1]} or more" if position == len(limits) else f"{shown[position - 1]} to below {shown[position]}"


def _reasons(analysis: Analysis, settings: EarlyWarning, view: Outlook, frame: pd.DataFrame, cause: str) -> list[str]:
    """Give the terms that raise a loan's hazard most; with bands without their factors, from which values could be told."""
    model = analysis.model.models_[cause]
    columns = analysis.model_columns
    added = term_contributions(model, frame[columns], reference=view.cohort.frame[columns])
    labels = {name: term.label for name, term in analysis.config.terms.items() if term.label is not None}
    words = [_short(label_of(str(term), {}, labels)) for term in added.columns]
    found = []
    for values in np.exp(added.to_numpy()):
        top = [at for at in np.argsort(-values, kind="stable")[: settings.reasons] if values[at] >= LEAST_FACTOR]
        each = [words[at] if settings.bands else f"{words[at]}\u00a0\u00d7{values[at]:.2f}" for at in top]
        found.append("; ".join(each) or "age alone")
    return found


def _short(label: str) -> str:
    """Give a label without the remark in parentheses at its end.

    >>> _short("Loyalty tier (0 to 3)")
    'Loyalty tier'
    """
    return re.sub(r"\s*\([^()]*\)$", "", label) or label


def _sign_table(signs: list[Sign], rows_of: dict[str, np.ndarray]) -> list[Block]:
    """Show how common the signs are among the listed loans and among all of today's."""
    if not signs:
        return [Text("No early-warning covariate (finances, arrears, balance) is among those of the spells.", "note")]
    columns = [Column("sign", "Sign"), Column("bad", "Worst tenth"), Column("all", "All loans", "percent:0")]
    columns += [Column(cause, f"Listed, {cause}", "percent:0") for cause in rows_of]
    rows: tuple[tuple[Cell, ...], ...] = tuple(
        (
            sign.label,
            sign.begins,
            float(sign.shown.mean()),
            *(float(sign.shown[rows].mean()) for rows in rows_of.values()),
        )
        for sign in signs
    )
    return [Table("early-warning-signs", "Early-warning signs among the listed loans", tuple(columns), rows)]
