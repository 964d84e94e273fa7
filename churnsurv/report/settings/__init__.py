"""The tables of a report's configuration file, one module per group of sections.

Every key has a description, which ``docs/report-configuration.md`` repeats.
"""

from __future__ import annotations

from churnsurv.report.settings.attrition import Incidence
from churnsurv.report.settings.evaluation import (
    BacktestSettings,
    CalibrationSettings,
    ChallengerSettings,
    Evaluation,
    Forest,
    StabilitySettings,
)
from churnsurv.report.settings.files import DataFiles
from churnsurv.report.settings.interventions import Intervention, RandomisedOffer, StaggeredRollout
from churnsurv.report.settings.model import ModelSettings, Term, Thresholds
from churnsurv.report.settings.scenarios import FairnessSettings, ScenarioSettings
from churnsurv.report.settings.sections import Sections

__all__ = [
    "BacktestSettings",
    "CalibrationSettings",
    "ChallengerSettings",
    "DataFiles",
    "Evaluation",
    "FairnessSettings",
    "Forest",
    "Incidence",
    "Intervention",
    "ModelSettings",
    "RandomisedOffer",
    "ScenarioSettings",
    "Sections",
    "StabilitySettings",
    "StaggeredRollout",
    "Term",
    "Thresholds",
]
