"""How predictions are measured: discrimination, calibration, stability, rolling origins, challengers."""

from __future__ import annotations

from datetime import date
from typing import Any, ClassVar

from pydantic import Field

from churnsurv.exceptions import ConfigError
from churnsurv.report.settings.numbers import Periods
from churnsurv.report.settings.tables import SettingsTable


class Forest(SettingsTable):
    """The random survival forest, challenger of the Cox models."""

    table: ClassVar[str] = "evaluation.forest"

    n_estimators: Periods = Field(default=100, description="number of trees")
    min_samples_leaf: Periods = Field(default=30, description="least number of loans in a leaf")
    seed: int = Field(default=20260930, description="the same seed grows the same forest")


class Evaluation(SettingsTable):
    """Out-of-time evaluation; without the table there is none of the sections on prediction."""

    table: ClassVar[str] = "evaluation"

    development_until: date = Field(description="models are fitted on what was known then (end of a complete period)")
    horizon: Periods = Field(description="periods after it in which the predictions are measured")
    horizons: tuple[Periods, ...] = Field(
        default=(), description="shorter horizons of the AUC; empty: a third and two thirds of the horizon"
    )
    highest_concordance: float = Field(
        default=0.97,
        gt=0.5,
        le=1,
        description="a concordance or AUC above it is a finding: no honest model is that good",
    )
    most_loans: int = Field(
        default=25_000,
        ge=100,
        description="of more loans a random sample of customers is evaluated, and the text says so",
    )
    forest: Forest = Field(default=Forest(), description="see [evaluation.forest]")

    def model_post_init(self, _context: Any) -> None:
        """Check that the other horizons are shorter."""
        if any(h >= self.horizon for h in self.horizons):
            raise ConfigError(
                f"[evaluation] horizons = {list(self.horizons)}: give shorter ones than horizon = {self.horizon}."
            )

    @property
    def steps(self) -> tuple[int, ...]:
        """Horizons of the AUC, the main one last."""
        shorter = self.horizons or (round(self.horizon / 3), round(2 * self.horizon / 3))
        return (*sorted({h for h in shorter if 0 < h < self.horizon}), self.horizon)


class CalibrationSettings(SettingsTable):
    """Whether as many leave as predicted."""

    table: ClassVar[str] = "calibration"

    bands: Periods = Field(default=10, description="bands of predicted risk, of equal numbers of loans")
    segments: tuple[str, ...] = Field(
        default=(), description="columns by which observed and expected are compared; empty: those of [incidence]"
    )
    tolerance: float = Field(
        default=0.10, ge=0, description="observed/expected within this share of 1 is no finding, however sure it is"
    )

    def columns(self) -> tuple[str, ...]:
        """Give the segments."""
        return self.segments


class StabilitySettings(SettingsTable):
    """Whether customers, performance and exits are as at the development."""

    table: ClassVar[str] = "stability"

    covariates: tuple[str, ...] = Field(
        default=(), description="characteristics compared; empty: those of the models that are no series of the market"
    )
    bins: int = Field(default=10, ge=2, description="bins of a number, between quantiles of the development")
    false_alarm_rate: float = Field(
        default=0.05, gt=0, lt=1, description="probability of any alarm of a table or chart when nothing has changed"
    )
    least_index: float = Field(
        default=0.02, ge=0, description="an alarm of a smaller stability index is shown, but is no finding"
    )

    def columns(self) -> tuple[str, ...]:
        """Give the characteristics."""
        return self.covariates


class BacktestSettings(SettingsTable):
    """The evaluation repeated at earlier dates (rolling origin)."""

    table: ClassVar[str] = "backtest"

    dates: tuple[date, ...] = Field(default=(), description="dates; empty: counted back from development_until")
    origins: Periods = Field(default=5, description="number of dates counted back, as far as the data allow")
    step: Periods = Field(default=3, description="periods from one date to the next")
    least_auc: float = Field(default=0.5, ge=0, le=1, description="an interval of the AUC below it is a finding")


class ChallengerSettings(SettingsTable):
    """What the champion is compared with, and whether other programs get its numbers."""

    table: ClassVar[str] = "challengers"

    forest: bool = Field(default=True, description="the forest of [evaluation.forest]")
    fine_gray: bool = Field(default=False, description="Fine and Gray's model of the main cause")
    peers: dict[str, dict[str, Any]] = Field(
        default_factory=dict,
        description='models of lifelines and scikit-survival with their parameters: "lifelines.WeibullAFTFitter" = {}',
    )
    margin: float = Field(
        default=0.0, ge=0, description="a challenger surely better by more than this in AUC is a finding"
    )
    replicate: bool = Field(default=True, description="fit the champion again with other programs")
    replicated_loans: Periods = Field(
        default=5_000, description="of more loans a random sample of customers is replicated, and the text says so"
    )
