"""What attrition is compared with: targets of ours, figures of others."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from churnsurv.exceptions import ConfigError
from churnsurv.report.settings.numbers import Periods
from churnsurv.report.settings.tables import SettingsTable


class _Measured(SettingsTable):
    """A measure of attrition that something is compared with."""

    cause: str = Field(description="cause of [spells.causes]")
    horizon: Periods | None = Field(
        default=None,
        description="share that has left within these periods; none: yearly rate of the last four quarters",
    )
    segment: str | None = Field(
        default=None, description="one of the segments of [incidence], or vintage; none: all loans"
    )
    group: str | None = Field(default=None, description="the group of the segment")

    def model_post_init(self, _context: object) -> None:
        """Check that a segment comes with its group."""
        if (self.segment is None) != (self.group is None):
            raise ConfigError(f"[[{self.table}]] of {self.cause}: give segment and group together, or neither.")

    def columns(self) -> tuple[str, ...]:
        """Give the segment."""
        return () if self.segment is None else (self.segment,)

    def causes(self) -> tuple[str, ...]:
        """Give the cause."""
        return (self.cause,)


class Target(_Measured):
    """A target for attrition, shown against the estimate and its interval."""

    table: ClassVar[str] = "targets"

    value: float = Field(ge=0, description="the target: a share or a rate per year, 0.12 for 12%")
    direction: Literal["at most", "at least"] = Field(
        default="at most", description="on which side of it we want to be"
    )


class Benchmark(_Measured):
    """A figure of others, shown beside ours with the difference; the report vouches for ours only."""

    table: ClassVar[str] = "benchmarks"

    name: str = Field(min_length=1, description="whose figure it is")
    value: float = Field(ge=0, description="the figure: a share or a rate per year, 0.12 for 12%")
    source: str = Field(min_length=1, description="where it was published, with the year; shown as given")
