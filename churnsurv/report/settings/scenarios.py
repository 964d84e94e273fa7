"""Scenarios of the portfolio, and groups of customers."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from churnsurv.report.settings.numbers import Periods
from churnsurv.report.settings.tables import SettingsTable


class ScenarioSettings(SettingsTable):
    """Expected exits under paths of rates and unemployment; without the table there is no such section."""

    table: ClassVar[str] = "scenarios"

    horizon: Periods = Field(description="periods ahead of the report")
    shocks: dict[str, dict[str, float]] = Field(
        default_factory=dict,
        description="scenario → series → change in its unit; empty: rates up and down by 100 bp, and a recession",
    )
    ramp: dict[str, Periods] = Field(
        default_factory=dict, description="scenario → periods until its changes are reached; default 1, the recession 6"
    )
    most_loans: int = Field(
        default=25_000,
        ge=100,
        description="of more loans open a random sample of customers is followed, and the text says so",
    )
    largest_change: float = Field(
        default=0.25, ge=0, description="a surely larger share more exits of a cause than in the base is a finding"
    )
    most_extrapolated: float = Field(
        default=0.10,
        ge=0,
        le=1,
        description="share of loan-periods outside the range of the data above which is a finding",
    )


class FairnessSettings(SettingsTable):
    """How the model serves groups of customers; without the table there is no such section."""

    table: ClassVar[str] = "fairness"

    groups: Annotated[tuple[str, ...], Field(min_length=1)] = Field(description="columns whose values are the groups")
    threshold: float | None = Field(
        default=None,
        gt=0,
        lt=1,
        description="predicted risk from which a customer gets an offer; none: offers are not looked at",
    )
    ratio: float = Field(
        default=0.8, gt=0, lt=1, description="a ratio of offer rates below it, or above its inverse, is a finding"
    )

    def columns(self) -> tuple[str, ...]:
        """Give the groups."""
        return self.groups
