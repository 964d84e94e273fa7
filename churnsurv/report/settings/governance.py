"""Who answers for the model, what it is for, what limits it, and what people changed of its results."""

from __future__ import annotations

import datetime
from collections import Counter
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from churnsurv.exceptions import ConfigError
from churnsurv.report.settings.numbers import Periods
from churnsurv.report.settings.tables import SettingsTable

Role = Literal["owner", "developer", "validator", "approver"]
Tier = Literal["high", "medium", "low"]
Words = Annotated[str, Field(min_length=1)]


class Change(SettingsTable):
    """An entry of the change log."""

    table: ClassVar[str] = "governance.changes"

    of: Literal["model", "report"] = Field(default="model", description="what changed: model or report")
    version: Words = Field(description="version that the change led to")
    date: datetime.date = Field(description="day of the change")
    what: Words = Field(description="what changed, and why")
    approved_by: str = Field(default="", description="who approved it; an entry without approval is a finding")


class Governance(SettingsTable):
    """Who answers for the model; without the table there is no sign-off section."""

    table: ClassVar[str] = "governance"

    owner: str = Field(default="", description="name of the model's owner")
    developer: str = Field(default="", description="name of the developer")
    validator: str = Field(default="", description="name of the validator, who should not be owner or developer")
    approver: str = Field(default="", description="name of who approves the use")
    signed: dict[Role, datetime.date] = Field(default_factory=dict, description="role → day on which it was signed")
    model_id: str = Field(default="", description="identifier in the model inventory")
    model_version: str = Field(default="", description="version of the model, as in the change log")
    tier: Tier | None = Field(default=None, description="high, medium or low; shown in the regime's words")
    materiality: str = Field(default="", description="what depends on the model: volume, decisions")
    next_review: datetime.date | None = Field(
        default=None, description="day of the next review; one before as_of is a finding"
    )
    classification: str = Field(default="", description="who may read the report, such as Internal")
    changes: tuple[Change, ...] = Field(default=(), description="see [[governance.changes]]")

    def model_post_init(self, _context: Any) -> None:
        """Refuse two entries of one version."""
        for (of, version), n in Counter((change.of, change.version) for change in self.changes).items():
            if n > 1:
                raise ConfigError(
                    f"[[governance.changes]] has version {version!r} of the {of} {n} times: give each once."
                )


class Definitions(SettingsTable):
    """Purpose and words; the definitions of events and time come from [spells]."""

    table: ClassVar[str] = "definitions"

    intended: tuple[Words, ...] = Field(default=(), description="uses the model is meant for")
    prohibited: tuple[Words, ...] = Field(default=(), description="uses it must not be put to")
    users: tuple[Words, ...] = Field(default=(), description="who uses it")
    in_scope: tuple[Words, ...] = Field(default=(), description="portfolios it is for, in words")
    out_of_scope: tuple[Words, ...] = Field(default=(), description="portfolios it is not for, in words")
    glossary: dict[Words, Words] = Field(default_factory=dict, description="word → meaning, beside those of the report")


class Limitation(SettingsTable):
    """A limitation that people state, beside those that the software finds."""

    table: ClassVar[str] = "limitations"

    what: Words = Field(description="what the model cannot do, or was not shown to do")
    owner: Words = Field(description="who looks after it")
    mitigation: str = Field(default="", description="what is done about it")


class Override(SettingsTable):
    """A judgement that replaces or shifts what the model says."""

    table: ClassVar[str] = "overrides.entries"

    date: datetime.date = Field(description="day since which it holds")
    scope: Words = Field(default="all", description='"all", "column = value", or free words')
    kind: Literal["override", "overlay", "post-model adjustment"] = Field(
        description="override, overlay or post-model adjustment"
    )
    reason: Words = Field(description="why")
    size: float | None = Field(
        default=None,
        ge=-1,
        le=1,
        description="change of the probability of leaving by the main cause; 0.02 is two percentage points",
    )
    approved_by: str = Field(default="", description="who approved it; one without approval is a finding")
    expires: datetime.date | None = Field(
        default=None, description="last day on which it holds; an expired one is a finding"
    )


class Overrides(SettingsTable):
    """Overrides and overlays; without the table there is no such section."""

    table: ClassVar[str] = "overrides"

    entries: tuple[Override, ...] = Field(default=(), description="see [[overrides.entries]]; or give [data] overrides")
    horizon: Periods | None = Field(
        default=None, description="periods that the sizes refer to; default: that of [incidence]"
    )
    most: float = Field(
        default=0.05, ge=0, le=1, description="share of today's loans with an override in force that is let pass"
    )


class EarlyWarning(SettingsTable):
    """List of the loans most at risk; it speaks of single loans, so without the table there is none."""

    table: ClassVar[str] = "early_warning"

    salt_variable: Words = Field(
        description="environment variable that holds the secret key of the hashed ids, 16 characters or more"
    )
    horizon: Periods = Field(description="periods from now within which loans may leave")
    loans: Periods = Field(default=25, description="loans listed for each cause")
    bands: tuple[Annotated[float, Field(gt=0, lt=1)], ...] = Field(
        default=(), description="limits of risk bands, rising, shown in place of the risk itself"
    )
    reasons: Periods = Field(default=3, description="reasons given for each loan, at most")
    covariates: tuple[str, ...] = Field(
        default=(), description="early-warning covariates; default: C1 and C2 of the catalogue that the spells have"
    )

    def model_post_init(self, _context: Any) -> None:
        """Refuse bands out of order."""
        if list(self.bands) != sorted(set(self.bands)):
            raise ConfigError(
                f"[early_warning] bands = {list(self.bands)}: give rising limits, such as [0.05, 0.1, 0.2]."
            )

    def columns(self) -> tuple[str, ...]:
        """Give the early-warning covariates."""
        return self.covariates
