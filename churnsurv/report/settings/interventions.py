"""The interventions of a report, by their design."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from churnsurv.exceptions import ConfigError
from churnsurv.report.settings.numbers import Periods
from churnsurv.report.settings.tables import SettingsTable

Lever = Literal["", "I1", "I2", "I3", "I4", "I5", "I6", "I7", "I8", "I9", "I10", "I11"]
Decision = Literal["open", "continue", "extend", "change", "stop"]


class Tried(SettingsTable):
    """What is known of every intervention: what was tried, what was decided."""

    table: ClassVar[str] = "interventions"

    name: str = Field(min_length=1, description="name shown; no two interventions share one")
    reference: Lever = Field(default="", description="number in the catalogue of interventions, I1 to I11")
    what: str = Field(default="", description="what was done, to whom")
    specified_on: date | None = Field(default=None, description="day on which the estimand was written down")
    primary: bool = Field(default=True, description="one of the primary tests of the report, adjusted for their number")
    decision: Decision = Field(default="open", description="open, continue, extend, change or stop")
    reason: str = Field(default="", description="why it was decided so")
    margin: float | None = Field(
        default=None,
        gt=1,
        description="hazard ratio of the safety cause that would still be accepted; none: not tested",
    )
    eligible: str | None = Field(
        default=None, description='condition on what was known at time zero, such as "age >= 6"; none: all'
    )
    adjust: tuple[str, ...] = Field(default=(), description="covariates known before the change")

    def columns(self) -> tuple[str, ...]:
        """Give what is adjusted for."""
        return self.adjust

    @property
    def needs_assignments(self) -> bool:
        """Whether the interventions table is needed."""
        return True


class Drawn(Tried):
    """What a randomised offer and a randomised invitation have in common."""

    intervention: str = Field(description="its name in the interventions table")
    control: str = Field(description="arm compared with")
    treated: str = Field(description="arm with the offer")
    horizon: Periods = Field(description="periods since assignment to look at")
    unit: Literal["loan", "customer"] = Field(
        default="loan", description="whom the coin was tossed for: loan or customer"
    )
    subgroups: tuple[str, ...] = Field(default=(), description="columns in whose groups the effect is also estimated")

    def columns(self) -> tuple[str, ...]:
        """Give what is adjusted for, and the subgroups."""
        return (*self.adjust, *self.subgroups)


class RandomisedOffer(Drawn):
    """An offer assigned at random."""

    kind: Literal["randomised"] = Field(description='"randomised"')


class RandomisedInvitation(Drawn):
    """An invitation assigned at random, which some take up; the interventions table then has ``uptake_on``."""

    kind: Literal["encouragement"] = Field(description='"encouragement"')
    unit: Literal["loan", "customer"] = Field(
        default="customer", description="whom the coin was tossed for: loan or customer"
    )


class StaggeredRollout(Tried):
    """A change that reaches units (branches) at different dates."""

    kind: Literal["rollout"] = Field(description='"rollout"')
    indicator: str | None = Field(
        default=None, description="covariate that is 0 before and 1 since the change, never back to 0"
    )
    intervention: str | None = Field(
        default=None, description="in place of the indicator: its name in the interventions table"
    )
    unit: str = Field(description="column of the units that change as a whole")
    horizon: Periods = Field(default=12, description="periods after the switch that count")
    permutations: Periods = Field(default=999, description="orders of the units drawn for the permutation test")

    def model_post_init(self, _context: Any) -> None:
        """Check that the dates of the switches are given once."""
        if (self.indicator is None) == (self.intervention is None):
            raise ConfigError(
                f"[[interventions]] {self.name!r}: give either the indicator of the change, or the intervention as named in "
                "the interventions table."
            )

    def columns(self) -> tuple[str, ...]:
        """Give the indicator, the unit and what is adjusted for."""
        return (*([] if self.indicator is None else [self.indicator]), self.unit, *self.adjust)

    @property
    def needs_assignments(self) -> bool:
        """Whether the interventions table is needed."""
        return self.intervention is not None


class DatedTreatment(Tried):
    """A treatment that begins at a date of its own: untreated until then, treated from then on."""

    kind: Literal["time-varying"] = Field(description='"time-varying"')
    intervention: str = Field(description="its name in the interventions table")
    since: date = Field(description="time zero; loans treated before they enter are left out")
    horizon: Periods = Field(description="periods after the treatment that count")
    age_band: Periods = Field(default=3, description="periods of loan age within which loans are compared")


class Dated(Tried):
    """What trials that begin at one date or several have in common."""

    intervention: str = Field(description="its name in the interventions table")
    first: date = Field(description="first time zero, the end of a period")
    last: date | None = Field(default=None, description="last time zero; none: the first is the only one")
    every: Periods = Field(default=1, description="periods between times zero")
    horizon: Periods = Field(description="periods since time zero to look at")
    age_band: Periods = Field(default=3, description="periods of loan age within which loans are compared")


class LandmarkTrials(Dated):
    """Treated by a date or not yet, followed from the date."""

    kind: Literal["landmark"] = Field(description='"landmark"')


class Observational(Dated):
    """A treatment given by what is observed of a loan: a trial at each date, weighted to alike arms, and standardised."""

    kind: Literal["observational"] = Field(description='"observational"')
    adjust: tuple[str, ...] = Field(min_length=1, description="all that decides who is treated and bears on leaving")
    co_primary: bool = Field(default=True, description="the safety cause is a second primary endpoint")


Intervention = Annotated[
    RandomisedOffer | RandomisedInvitation | StaggeredRollout | DatedTreatment | LandmarkTrials | Observational,
    Field(discriminator="kind"),
]
