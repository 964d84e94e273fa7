"""The models of a report, how their terms are shown, and what makes a finding of them."""

from __future__ import annotations

import math
from typing import Any, ClassVar, Literal

from pydantic import Field

from churnsurv.exceptions import ConfigError
from churnsurv.report.settings.tables import SettingsTable

Sign = Literal["+", "-", ""]


class ModelSettings(SettingsTable):
    """The cause-specific Cox models."""

    table: ClassVar[str] = "model"

    covariates: tuple[str, ...] = Field(
        default=(), description="columns of the models; empty: all covariates of [spells]"
    )
    formula: str | None = Field(default=None, description="right-hand side of a formula, in place of the plain columns")
    strata: tuple[str, ...] = Field(default=(), description="columns with a baseline hazard of their own")
    ties: Literal["efron", "breslow"] = Field(default="efron", description="rule for exits at the same age")
    univariable: bool = Field(default=False, description="show each term of main_cause in a model of its own as well")
    fine_gray: bool = Field(
        default=False, description="show the subdistribution hazard ratios of main_cause (Fine and Gray) as well"
    )

    def columns(self) -> tuple[str, ...]:
        """Give the covariates and strata."""
        return (*self.covariates, *self.strata)


class Term(SettingsTable):
    """How a covariate is shown, and the sign it should have by cause."""

    table: ClassVar[str] = "terms"

    label: str | None = Field(default=None, description="name shown; default: the column's")
    unit: str | None = Field(default=None, description="unit shown, such as pp; yes vs no for indicators")
    per: float = Field(default=1.0, description="number of units that the hazard ratio refers to; not 0")
    group: str | None = Field(default=None, description="heading under which the term stands")
    expected: dict[str, Sign] = Field(
        default_factory=dict, description="cause → + (leaves sooner) or - (later), stated before fitting"
    )

    def model_post_init(self, _context: Any) -> None:
        """Check the size of the step."""
        if not math.isfinite(self.per) or self.per == 0:
            raise ConfigError(f"[terms] per = {self.per:g}: give a finite number that is not 0.")


class Thresholds(SettingsTable):
    """What makes a finding."""

    table: ClassVar[str] = "thresholds"

    contrary_signs: int = Field(
        default=0, ge=0, description="signs contrary to expectation that are let pass, by cause"
    )
    least_events_per_parameter: float = Field(
        default=10.0, ge=0, description="least number of exits per coefficient of a Cox model"
    )
    max_vif: float = Field(default=5.0, ge=1, description="most variance inflation of a term by the other covariates")
    most_change_over_time: float = Field(
        default=1.5,
        ge=1,
        description="most factor by which a hazard ratio may change over time, where the test rejects",
    )
    most_departure_from_line: float = Field(
        default=1.25, ge=1, description="most factor by which the hazard may depart from a line, where the test rejects"
    )
    most_influence: float = Field(
        default=1.0, gt=0, description="standard errors by which one customer may move a coefficient"
    )
    most_tie_shift: float = Field(
        default=0.5, gt=0, description="standard errors by which the rule for ties may move a coefficient"
    )
    least_concordance: float = Field(default=0.55, ge=0.5, le=1, description="least Harrell's C of the Cox models")
