"""How the assumptions of the models are examined."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from churnsurv.report.settings.tables import SettingsTable


class Assumptions(SettingsTable):
    """What is examined of the assumptions of the Cox models."""

    table: ClassVar[str] = "assumptions"

    of_causes: tuple[str, ...] = Field(default=(), description="causes whose models are examined; empty: main_cause")
    most_loans: int = Field(
        default=20_000,
        ge=100,
        description="with more loans the models are fitted to a sample of this size and examined there",
    )
    seed: int = Field(default=20260930, ge=0, description="the same seed draws the same sample")
    alpha: float = Field(
        default=0.01, gt=0, lt=1, description="chance of a false alarm over all tests of one kind (Bonferroni)"
    )
    figures: int = Field(
        default=2, ge=0, description="terms that are drawn for each assumption, the most doubtful ones"
    )

    def causes(self) -> tuple[str, ...]:
        """Give the causes that the table names."""
        return self.of_causes
