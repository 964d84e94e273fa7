"""The tables of a report's configuration file, one module per group of sections.

Every key has a description, which ``docs/report-configuration.md`` repeats.
"""

from __future__ import annotations

from churnsurv.report.settings.attrition import Incidence
from churnsurv.report.settings.evaluation import Evaluation, Forest
from churnsurv.report.settings.files import DataFiles
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
from churnsurv.report.settings.sections import Sections

__all__ = [
    "DataFiles",
    "DatedTreatment",
    "Drawn",
    "Evaluation",
    "Forest",
    "Incidence",
    "Intervention",
    "LandmarkTrials",
    "ModelSettings",
    "Observational",
    "RandomisedInvitation",
    "RandomisedOffer",
    "Sections",
    "StaggeredRollout",
    "Term",
    "Thresholds",
]
