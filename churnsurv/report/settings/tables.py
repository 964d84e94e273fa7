"""What the tables of a report's configuration have in common."""

from __future__ import annotations

from churnsurv.data.config import ConfigTable


class SettingsTable(ConfigTable):
    """A table whose columns and causes must exist in [spells]; :class:`~churnsurv.report.ReportConfig` looks after it."""

    def columns(self) -> tuple[str, ...]:
        """Give the columns of the spells that the table names."""
        return ()

    def causes(self) -> tuple[str, ...]:
        """Give the causes that the table names."""
        return ()
