"""Regimes: the headings of a supervisory framework for the sections of a report, and the sections it must have.

A regime maps names, nothing more: it is no legal advice, and a report that has every section it asks for may still lack
what a supervisor wants to see.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from churnsurv.data.config import ConfigTable, did_you_mean, read_toml
from churnsurv.exceptions import ConfigError
from churnsurv.report.content import Block, Column, Finding, Section, Table, Text
from churnsurv.report.settings.governance import Role, Tier
from churnsurv.report.settings.sections import Sections

if TYPE_CHECKING:
    from churnsurv.report.analysis import Part

SHIPPED = Path(__file__).with_name("regimes.toml")

_ROLES: dict[Role, str] = {
    "owner": "Model owner",
    "developer": "Developer",
    "validator": "Validator",
    "approver": "Approver",
}


class Regime(ConfigTable):
    """The words of a regime.

    Parameters
    ----------
    title, about : str
        Its name, and what the headings follow.
    required : tuple of str
        Keys of the sections that a report must have.
    names : mapping
        Key of a section → its heading; the others keep theirs.
    roles, tiers : mapping
        Words for the roles of the sign-off and for the tiers high, medium, low.
    """

    table: ClassVar[str] = "regime"

    title: str = Field(min_length=1)
    about: str = ""
    required: tuple[str, ...] = ()
    names: dict[str, str] = Field(default_factory=dict)
    roles: dict[Role, str] = Field(default_factory=dict)
    tiers: dict[Tier, str] = Field(default_factory=dict)

    def model_post_init(self, _context: Any) -> None:
        """Refuse sections that no report has."""
        known = [name.replace("_", "-") for name in Sections.model_fields]
        for key in (*self.required, *self.names):
            if key not in known:
                raise ConfigError(f"[regime] names the section {key!r}. {did_you_mean(key, known)}")

    def role(self, role: Role) -> str:
        """Give the name of a role."""
        return self.roles.get(role, _ROLES[role])

    def tier(self, tier: Tier) -> str:
        """Give the word for a tier."""
        return self.tiers.get(tier, tier.capitalize())


def read_regime(name: str) -> Regime:
    """Give a shipped regime by its name, or that of a TOML file.

    Raises
    ------
    ConfigError
        Neither a known name nor a file; an unknown key or section.

    Examples
    --------
    >>> from churnsurv.report.regimes import read_regime
    >>> read_regime("ss1-23").tier("high"), read_regime("generic").required
    ('Tier 1', ())
    """
    shipped = not name.endswith(".toml")
    table = read_toml(SHIPPED if shipped else name)
    if shipped and name not in table:
        raise ConfigError(
            f"regime = {name!r} is not known. {did_you_mean(name, list(table))} A file of your own ends in .toml."
        )
    try:
        return Regime(**(table[name] if shipped else table))
    except ConfigError as error:
        raise ConfigError(f"regime = {Path(name).name!r}: {error}") from None


def renamed(parts: Iterable[Part], regime: Regime) -> list[Part]:
    """Give the sections under the headings of the regime."""
    return [
        replace(part, section=replace(part.section, title=regime.names.get(part.section.key, part.section.title)))
        for part in parts
    ]


def with_requirements(parts: Sequence[Part], regime: Regime) -> list[Part]:
    """Add the table of required sections, and a finding for each that is missing or failed, to the sign-off.

    Where a report has no sign-off they make a section of their own.
    """
    if not regime.required:
        return list(parts)
    blocks = _requirements(parts, regime)
    for position, part in enumerate(parts):
        if part.section.key == "sign-off":
            whole = replace(part, section=replace(part.section, blocks=(*part.section.blocks, *blocks)))
            return [*parts[:position], whole, *parts[position + 1 :]]
    title = f"Sections required by {regime.title}"
    return [
        replace(parts[0], section=Section("required", title, blocks), headlines=(), notices=(), failed=False),
        *parts,
    ]


def _requirements(parts: Sequence[Part], regime: Regime) -> tuple[Block, ...]:
    made = {part.section.key: part for part in parts}
    rows: list[tuple[str, str]] = []
    findings: list[Finding] = []
    for key in regime.required:
        part = made.get(key)
        name = regime.names.get(key) or (part.section.title if part else key)
        state = "missing" if part is None else "failed" if part.failed else "included"
        rows.append((name, state))
        if state != "included":
            switch = key.replace("-", "_")
            said = (
                f"is not in the report. Switch it on ([sections] {switch}) and give the table that it needs."
                if part is None
                else "could not be made. The section gives the reason."
            )
            findings.append(
                Finding(
                    f"The section \u201c{name}\u201d, which {regime.title} asks for, {said}",
                    "amber" if part is None else "red",
                    f"every section required by {regime.title}",
                    "requirements",
                    state,
                )
            )
    columns = (Column("section", "Section"), Column("state", "In this report"))
    note = "A mapping of headings, made by this software; whether the content meets the rules is for people to judge."
    title = f"Sections required by {regime.title}"
    about = (Text(regime.about),) if regime.about else ()
    return (
        Text(title, "subheading"),
        *about,
        Table("requirements", title, columns, tuple(rows), notes=(note,)),
        *findings,
    )
