"""The files of a portfolio."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from pydantic import Field

from churnsurv.report.settings.tables import SettingsTable


class DataFiles(SettingsTable):
    """Files of the portfolio (Parquet, or CSV by suffix); relative to the configuration, may hold ``${VARIABLE}``."""

    table: ClassVar[str] = "data"

    loans: str | None = Field(
        default=None, description="one row per loan; left out when performance repeats its columns"
    )
    performance: str = Field(description="one row per loan and observed period")
    macro: str | None = Field(default=None, description="one row per period (and region)")
    interventions: str | None = Field(default=None, description="one row per loan and intervention it was assigned to")

    overrides: str | None = Field(default=None, description="overrides and overlays, one row each; needs [overrides]")

    def files(self) -> dict[str, Path]:
        """Give role → path of the files that are used."""
        return {
            role: Path(path)
            for role in ("loans", "performance", "macro", "interventions", "overrides")
            if (path := getattr(self, role))
        }
