"""The regime's part in a report: its headings, and whether the sections that it requires are there."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from churnsurv.report.analysis import Part
from churnsurv.report.content import Block, Column, Finding, Section, Table, Text
from churnsurv.report.regimes import Regime


def renamed(parts: Iterable[Part], regime: Regime) -> list[Part]:
    """Give the sections under the headings of the regime."""
    return [
        replace(part, section=replace(part.section, title=regime.names.get(part.section.key, part.section.title)))
        for part in parts
    ]


def with_requirements(parts: Sequence[Part], regime: Regime) -> list[Part]:
    """Add the table of required sections, and a finding for each that is missing or failed, to the sign-off.

    Where a report has no sign-off they make a section of their own, so that switching sections off hides nothing.
    """
    if not regime.required:
        return list(parts)
    title = f"Sections required under {regime.title}"
    blocks = _requirements(parts, regime, title)
    for position, part in enumerate(parts):
        if part.section.key == "sign-off":
            below = (*part.section.blocks, Text(title, "subheading"), *blocks)
            whole = replace(part, section=replace(part.section, blocks=below))
            return [*parts[:position], whole, *parts[position + 1 :]]
    return [Part(Section("required", title, blocks)), *parts]


def _requirements(parts: Sequence[Part], regime: Regime, title: str) -> tuple[Block, ...]:
    made = {part.section.key: part for part in parts}
    rows: list[tuple[str, str]] = []
    findings: list[Finding] = []
    for key in regime.required:
        part = made.get(key)
        name = regime.names.get(key) or (part.section.title if part else key)
        rows.append((name, "missing" if part is None else "failed" if part.failed else "included"))
        if part is None or part.failed:
            findings.append(_finding(key, name, regime, missing=part is None))
    columns = (Column("section", "Section"), Column("state", "In this report"))
    note = "A mapping of headings, made by this software; whether the content meets the rules is for people to judge."
    table = Table("requirements", title, columns, tuple(rows), notes=(note,))
    return (*((Text(regime.about),) if regime.about else ()), table, *findings)


def _finding(key: str, name: str, regime: Regime, *, missing: bool) -> Finding:
    switch = key.replace("-", "_")
    said = (
        f"not in the report: \u201c{name}\u201d. Switch it on ([sections] {switch}) and give the table that it needs."
        if missing
        else f"it could not be made: \u201c{name}\u201d. The section gives the reason."
    )
    return Finding(
        f"Required under {regime.title}, but {said}",
        "amber" if missing else "red",
        f"every section required under {regime.title}",
        "requirements",
        "missing" if missing else "failed",
    )
