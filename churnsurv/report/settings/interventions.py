"""The interventions of a report, by their design."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from churnsurv.report.settings.numbers import Periods
from churnsurv.report.settings.tables import SettingsTable


class RandomisedOffer(SettingsTable):
    """An offer assigned at random."""

    table: ClassVar[str] = "interventions"

    kind: Literal["randomised"] = Field(description='"randomised"')
    name: str = Field(min_length=1, description="name shown; no two interventions share one")
    intervention: str = Field(description="its name in the interventions table")
    control: str = Field(description="arm compared with")
    treated: str = Field(description="arm with the offer")
    horizon: Periods = Field(description="periods since assignment to look at")


class StaggeredRollout(SettingsTable):
    """A change that reaches units (branches) at different dates."""

    table: ClassVar[str] = "interventions"

    kind: Literal["rollout"] = Field(description='"rollout"')
    name: str = Field(min_length=1, description="name shown; no two interventions share one")
    indicator: str = Field(description="covariate that is 0 before and 1 since the change, never back to 0")
    unit: str = Field(description="column of the units that change as a whole")
    adjust: tuple[str, ...] = Field(default=(), description="covariates known before the change")

    def columns(self) -> tuple[str, ...]:
        """Give the indicator, the unit and what is adjusted for."""
        return (self.indicator, self.unit, *self.adjust)


Intervention = Annotated[RandomisedOffer | StaggeredRollout, Field(discriminator="kind")]
