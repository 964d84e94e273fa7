"""Regimes: the headings of a supervisory framework for the sections of a report, and the sections it must have.

A regime maps names, nothing more: it is no legal advice, and a report that has every section it asks for may still lack
what a supervisor wants to see.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field

from churnsurv.data.config import ConfigTable, did_you_mean, read_toml
from churnsurv.exceptions import ConfigError
from churnsurv.report.settings.governance import Role, Tier
from churnsurv.report.settings.sections import Sections

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
