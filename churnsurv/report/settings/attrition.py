"""How attrition is shown."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from churnsurv.report.settings.numbers import Periods
from churnsurv.report.settings.tables import SettingsTable


class Incidence(SettingsTable):
    """Cumulative incidence of leaving by each cause."""

    table: ClassVar[str] = "incidence"

    horizons: tuple[Periods, ...] = Field(
        default=(12, 24, 36), description="horizons of the table, in periods of [spells]"
    )
    horizon: Periods = Field(default=24, description="the one of the headlines, vintages and segments")
    min_at_risk: Periods = Field(default=30, description="loans at risk from which on a curve is drawn")
    segments: tuple[str, ...] = Field(default=(), description="columns that make segments: kept columns or covariates")
    balance: str | None = Field(default=None, description="column with the outstanding balance, for attrition in money")

    def columns(self) -> tuple[str, ...]:
        """Give the segments and the balance."""
        return (*self.segments, *(() if self.balance is None else (self.balance,)))
