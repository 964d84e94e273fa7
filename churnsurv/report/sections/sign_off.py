"""Who answers for the model and signs the report, and what changed in model and report."""

from __future__ import annotations

from datetime import date
from typing import get_args

from churnsurv.report import forms
from churnsurv.report.analysis import Analysis, Part
from churnsurv.report.content import Block, Finding, Section, Table, Text
from churnsurv.report.settings.governance import Governance, Role
from churnsurv.report.words import listed

TITLE = "Sign-off and change log"


def sign_off(analysis: Analysis) -> Part:
    """Show the model's card, the lines to sign, the change log, and what is not in order with them."""
    given = analysis.config.governance
    assert given is not None
    people: list[Role] = list(get_args(Role))
    rows = [(analysis.regime.role(role), getattr(given, role), _day(given.signed.get(role))) for role in people]
    blocks: list[Block] = [
        _card(analysis, given),
        forms.sign_off("signatures", rows),
        *_changes(given),
        *_independence(analysis, given),
        *_review(analysis, given),
        *_log_findings(given),
    ]
    return Part(Section("sign-off", TITLE, tuple(blocks)))


def _day(day: date | None) -> str:
    return "" if day is None else f"{day:%Y-%m-%d}"


def _card(analysis: Analysis, given: Governance) -> Table:
    items = (
        ("Model", given.model_id),
        ("Version", given.model_version),
        ("Tier", analysis.regime.tier(given.tier) if given.tier else ""),
        ("Materiality", given.materiality),
        ("Next review", _day(given.next_review)),
        ("Classification", given.classification),
        ("Headings", analysis.regime.title),
    )
    return forms.pairs("model-card", "The model", [(name, value or "not stated") for name, value in items])


def _changes(given: Governance) -> list[Block]:
    if not given.changes:
        return [Text("No change of model or report is recorded ([[governance.changes]]).")]
    newest = sorted(given.changes, key=lambda change: change.date, reverse=True)
    rows = [(f"{c.of.capitalize()} {c.version}", _day(c.date), c.what, c.approved_by or "not approved") for c in newest]
    return [forms.change_log("change-log", rows)]


def _independence(analysis: Analysis, given: Governance) -> list[Finding]:
    """Find a validator who is also owner or developer: no independent eye."""
    others: tuple[Role, ...] = ("owner", "developer")
    same = [role for role in others if given.validator.strip() and _same(getattr(given, role), given.validator)]
    if not same:
        return []
    validator, roles = analysis.regime.role("validator"), listed([analysis.regime.role(role) for role in same])
    return [
        Finding(
            f"One person stands for two roles ({validator}; {roles}): nobody independent has looked at the model. "
            "Name another validator.",
            "amber",
            "validator is neither owner nor developer",
            "signatures",
        )
    ]


def _same(one: str, other: str) -> bool:
    return " ".join(one.casefold().split()) == " ".join(other.casefold().split())


def _review(analysis: Analysis, given: Governance) -> list[Finding]:
    as_of = analysis.config.as_of
    if given.next_review is None or given.next_review >= as_of:
        return []
    return [
        Finding(
            f"The review of the model was due on {_day(given.next_review)}. Hold it, or set a new date with a reason.",
            "amber",
            f"next review on {_day(as_of)} or later",
            "model-card",
            _day(given.next_review),
            "text",
        )
    ]


def _log_findings(given: Governance) -> list[Finding]:
    found = []
    versions = [change.version for change in given.changes if change.of == "model"]
    if given.model_version and versions and given.model_version not in versions:
        found.append(
            Finding(
                f"The model is version {given.model_version}, which the change log does not have. Enter what changed.",
                "amber",
                "every version in use is in the change log",
                "change-log",
                given.model_version,
                "text",
            )
        )
    unapproved = [f"{c.of} {c.version}" for c in given.changes if not c.approved_by.strip()]
    if unapproved:
        found.append(
            Finding(
                f"Without approval in the change log: {listed(unapproved)}. Have the change approved, or withdraw it.",
                "amber",
                "every change is approved",
                "change-log",
                len(unapproved),
                "integer",
            )
        )
    return found
