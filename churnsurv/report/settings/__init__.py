"""The tables of a report's configuration file, one module per group of sections.

Every key has a description, which ``docs/report-configuration.md`` repeats.
"""

from __future__ import annotations

from churnsurv.report.settings.assumptions import Assumptions
from churnsurv.report.settings.attrition import Incidence
from churnsurv.report.settings.data_quality import DataQuality
from churnsurv.report.settings.evaluation import Evaluation, Forest
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
from churnsurv.report.settings.interventions import Intervention, RandomisedOffer, StaggeredRollout
from churnsurv.report.settings.model import ModelSettings, Term, Thresholds
from churnsurv.report.settings.sections import Sections

__all__ = [
    "Assumptions",
    "Benchmark",
    "Change",
    "DataFiles",
    "DataQuality",
    "Definitions",
    "EarlyWarning",
    "Evaluation",
    "Forest",
    "Governance",
    "Incidence",
    "Intervention",
    "Limitation",
    "ModelSettings",
    "Override",
    "Overrides",
    "RandomisedOffer",
    "Sections",
    "StaggeredRollout",
    "Target",
    "Term",
    "Thresholds",
]
