"""Tables inside the rules of a portfolio: covariates by their source, exits by conditions, derived columns."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from churnsurv.data.config import ConfigTable
from churnsurv.exceptions import ConfigError

#: databases know no character 0
Text = Annotated[str, StringConstraints(pattern=r"^[^\x00]*$")]
Name = Annotated[str, StringConstraints(min_length=1, pattern=r"^[^\x00]*$")]
Names = tuple[Name, ...]
Values = tuple[Text | int | float | bool, ...]
#: in periods
Lag = Annotated[int, Field(ge=0, le=600)]
Bound = Annotated[float, Field(allow_inf_nan=False)]


class Covariates(ConfigTable):
    """Columns that become covariates, by the table they come from."""

    table: ClassVar[str] = "spells.covariates"

    loans: Names = ()
    performance: Names = ()
    macro: Names = ()


class MacroKeys(ConfigTable):
    """Columns by which the macro table is joined: its period, and a region that the loans also have."""

    table: ClassVar[str] = "spells.macro"

    period: Name
    region: Name | None = None


class RateIncentive(ConfigTable):
    """Columns whose difference is the rate incentive: the loan's own rate, and the market rate of the macro table."""

    table: ClassVar[str] = "spells.rate_incentive"

    own: Name
    market: Name


class Window(ConfigTable):
    """A statistic over the last ``width`` periods of a column of the performance table, up to its lag.

    ``change`` is the last value minus the one ``width`` periods before it, missing unless both were observed. The others are
    of the values observed in the window, and missing when fewer than ``least`` are; ``slope`` is the least-squares slope per
    period.
    """

    table: ClassVar[str] = "spells.windows"

    column: Name
    width: int = Field(ge=2, le=120)
    statistic: Literal["mean", "sum", "min", "max", "change", "slope"]
    least: int = Field(default=1, ge=1)


class Condition(ConfigTable):
    """What a column of the performance table must be: one of ``values``, between bounds, or there at all."""

    table: ClassVar[str] = "spells.exits.when"

    column: Name
    values: Annotated[Values, Field(min_length=1)] | None = None
    at_least: Bound | None = None
    at_most: Bound | None = None
    present: bool | None = None

    @model_validator(mode="after")
    def _asks_something(self) -> Self:
        if self.values is None and self.at_least is None and self.at_most is None and self.present is None:
            raise ConfigError(
                f"[spells.exits.when] of column {self.column!r} asks nothing: give values, at_least, at_most or present."
            )
        if self.at_least is not None and self.at_most is not None and self.at_least > self.at_most:
            raise ConfigError(
                f"[spells.exits.when] of column {self.column!r} never holds: at_least = {self.at_least:g} is more than "
                f"at_most = {self.at_most:g}."
            )
        return self


class ExitRule(ConfigTable):
    """How an exit is read where no single status column tells it: ``as`` what, and the conditions that all hold.

    The first rule that applies to a row counts; rows to which none applies are read by the status, or are open.
    """

    table: ClassVar[str] = "spells.exits"

    cause: Name
    when: tuple[Condition, ...] = Field(min_length=1)
