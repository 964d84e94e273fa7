"""What makes a finding of the data."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from churnsurv.report.settings.tables import SettingsTable

Share = Annotated[float, Field(ge=0, le=1)]


class DataQuality(SettingsTable):
    """Thresholds of the data."""

    table: ClassVar[str] = "data_quality"

    most_missing: Share = Field(default=0.05, description="share of spells that may lack a covariate of the models")
    most_missing_rise: Share = Field(
        default=0.02, description="by how much that share may be higher in the last quarter than in all"
    )
    most_cleaned: Share = Field(
        default=0.01, description="share of rows or loans that a rule of the clean-up may have changed or left out"
    )
    most_unexplained: Share = Field(
        default=0.005, description="share of loans that may be without usable rows or not followed to the end"
    )
    false_alarm_rate: Annotated[float, Field(gt=0, lt=1)] = Field(
        default=0.05, description="probability of any alarm on the mix of new loans when it has not changed"
    )
