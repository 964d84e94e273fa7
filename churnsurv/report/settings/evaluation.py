"""How predictions are measured."""

from __future__ import annotations

from datetime import date
from typing import ClassVar

from pydantic import Field

from churnsurv.report.settings.numbers import Periods
from churnsurv.report.settings.tables import SettingsTable


class Forest(SettingsTable):
    """The random survival forest, challenger of the Cox models."""

    table: ClassVar[str] = "evaluation.forest"

    n_estimators: Periods = Field(default=100, description="number of trees")
    min_samples_leaf: Periods = Field(default=30, description="least number of loans in a leaf")
    seed: int = Field(default=20260930, description="the same seed grows the same forest")


class Evaluation(SettingsTable):
    """Out-of-time evaluation; without the table there is no such section."""

    table: ClassVar[str] = "evaluation"

    development_until: date = Field(description="models are fitted on what was known then (end of a complete period)")
    horizon: Periods = Field(description="periods after it in which the predictions are measured")
    forest: Forest = Field(default=Forest(), description="see [evaluation.forest]")
