"""What the register of interventions knows of each: its plan, its result, its decision."""

from __future__ import annotations

import re
from datetime import date
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, Field

from churnsurv.data.config import ConfigTable
from churnsurv.exceptions import ConfigError

Design = Literal["randomised", "staggered rollout", "time-varying treatment", "landmark", "encouragement", "other"]
Decision = Literal["open", "keep", "change", "stop"]
#: numbers of the catalogue of interventions
CATALOGUE = tuple(f"I{k}" for k in range(1, 12))
_QUARTER = re.compile(r"\d{4} Q[1-4]")


def _quarter(text: str) -> str:
    if not _QUARTER.fullmatch(text):
        raise ValueError(f"{text!r} is no quarter; give one such as '2026 Q3'")
    return text


def _reference(text: str) -> str:
    if text and text not in CATALOGUE:
        raise ValueError(f"{text!r} is not in the catalogue of interventions; give one of I1 to I11, or leave it empty")
    return text


Share = Annotated[float, Field(ge=0, le=1)]


class Result(ConfigTable):
    """What came out: an estimate with its interval, on the scale that the estimand names."""

    table: ClassVar[str] = "interventions.result"

    estimated_on: date = Field(description="day of the analysis")
    estimate: float = Field(description="estimate of the estimand", allow_inf_nan=False)
    lower: float = Field(description="lower end of its interval")
    upper: float = Field(description="upper end of its interval")
    level: float = Field(default=0.95, gt=0, lt=1, description="confidence level of the interval")
    p_value: Share = Field(description="of the primary test")
    method: str = Field(default="", description="estimator, variance and test in words")

    def model_post_init(self, _context: Any) -> None:
        """Check that the estimate lies in its interval."""
        if not self.lower <= self.estimate <= self.upper:
            raise ConfigError(
                f"[interventions.result] estimate = {self.estimate:g} lies outside its interval {self.lower:g} to "
                f"{self.upper:g}."
            )


class Entry(ConfigTable):
    """One intervention in the register.

    Parameters
    ----------
    name : str
        Name; with the quarter it is unique.
    reference : str
        Its number in the catalogue, I1 to I11; empty if it is not in it.
    quarter : str
        Quarter whose family of tests it belongs to, e.g. "2026 Q3".
    what : str
        What was done, to whom.
    design : str
        "randomised", "staggered rollout", "time-varying treatment", "landmark", "encouragement" or "other".
    estimand : str
        Population, arms, endpoint, horizon and scale, as pre-specified.
    cause, safety : str
        Endpoint, and the one that must not get worse.
    specified_on, analysed_from : date
        When the estimand was written down, and the first day on which an outcome could be looked at.
    primary : bool
        It is one of the quarter's primary tests.
    result : Result
        None while it is running.
    decision, reason : str
        "open", "keep", "change" or "stop", and why.
    """

    table: ClassVar[str] = "interventions"

    name: str = Field(min_length=1, description="name; with the quarter it is unique")
    reference: Annotated[str, AfterValidator(_reference)] = Field(
        default="", description="number in the catalogue, I1 to I11"
    )
    quarter: Annotated[str, AfterValidator(_quarter)] = Field(description='quarter of the test, e.g. "2026 Q3"')
    what: str = Field(min_length=1, description="what was done, to whom")
    design: Design = Field(description="how the effect is identified")
    estimand: str = Field(min_length=1, description="population, arms, endpoint, horizon and scale, as pre-specified")
    cause: str = Field(default="attrition", description="endpoint")
    safety: str = Field(default="default", description="endpoint that must not get worse; empty: none")
    specified_on: date = Field(description="day on which the estimand was written down")
    analysed_from: date = Field(description="first day on which an outcome could be looked at")
    primary: bool = Field(default=True, description="one of the quarter's primary tests")
    result: Result | None = Field(default=None, description="see [interventions.result]")
    decision: Decision = Field(default="open", description="what was decided")
    reason: str = Field(default="", description="why")

    @property
    def is_prespecified(self) -> bool:
        """Whether the estimand was written down before an outcome could be looked at."""
        return self.specified_on < self.analysed_from

    def model_post_init(self, _context: Any) -> None:
        """Check the order of the dates, and that a decision has a result and a reason."""
        if self.result is not None and self.result.estimated_on < self.analysed_from:
            raise ConfigError(
                f"[interventions] {self.name!r}: estimated_on = {self.result.estimated_on} is before analysed_from = "
                f"{self.analysed_from}, the first day on which an outcome could be looked at; correct one of them."
            )
        if self.decision != "open" and (self.result is None or not self.reason.strip()):
            raise ConfigError(
                f"[interventions] {self.name!r}: decision = {self.decision!r} without a result or a reason; give both, or "
                'leave it "open".'
            )
