"""The tables of a report's configuration file, one module per group of sections.

Every key has a description, which ``docs/report-configuration.md`` repeats.
"""

from __future__ import annotations

from churnsurv.report.settings.assumptions import Assumptions
from churnsurv.report.settings.attrition import Incidence
from churnsurv.report.settings.data_quality import DataQuality
from churnsurv.report.settings.evaluation import (
    BacktestSettings,
    CalibrationSettings,
    ChallengerSettings,
    Evaluation,
    Forest,
    StabilitySettings,
)
from churnsurv.report.settings.files import DataFiles
from churnsurv.report.settings.goals import Benchmark, Target
from churnsurv.report.settings.governance import (
    Change,
    Definitions,
    EarlyWarning,
    Governance,
    Limitation,
    Override,
    Overrides,
)
from churnsurv.report.settings.interventions import (
    DatedTreatment,
    Drawn,
    Intervention,
    LandmarkTrials,
    Observational,
    RandomisedInvitation,
    RandomisedOffer,
    StaggeredRollout,
)
from churnsurv.report.settings.model import ModelSettings, Term, Thresholds
from churnsurv.report.settings.scenarios import FairnessSettings, ScenarioSettings
from churnsurv.report.settings.sections import Sections

__all__ = [
    "Assumptions",
    "BacktestSettings",
    "Benchmark",
    "CalibrationSettings",
    "ChallengerSettings",
    "Change",
    "DataFiles",
    "DataQuality",
    "DatedTreatment",
    "Definitions",
    "Drawn",
    "EarlyWarning",
    "Evaluation",
    "FairnessSettings",
    "Forest",
    "Governance",
    "Incidence",
    "Intervention",
    "LandmarkTrials",
    "Limitation",
    "ModelSettings",
    "Observational",
    "Override",
    "Overrides",
    "RandomisedInvitation",
    "RandomisedOffer",
    "ScenarioSettings",
    "Sections",
    "StabilitySettings",
    "StaggeredRollout",
    "Target",
    "Term",
    "Thresholds",
]
