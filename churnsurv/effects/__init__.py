"""Effects of interventions: did attrition change, and by how much.

Lives here: tests and effect estimates of arms, on the time since assignment, and the designs that line cohorts up for them.
Models of covariates are in ``estimators``.
"""

from churnsurv.effects.design import DesignEstimate, StudyCohort
from churnsurv.effects.design_dated import TimeVaryingTreatment
from churnsurv.effects.design_encouragement import Encouragement
from churnsurv.effects.design_episodes import treatment_episodes
from churnsurv.effects.design_landmark import Landmark
from churnsurv.effects.design_randomised import Randomised
from churnsurv.effects.design_rollout import StaggeredRollout
from churnsurv.effects.logrank import logrank_test
from churnsurv.effects.register import InterventionRegister
from churnsurv.effects.register_entries import Entry as RegisterEntry
from churnsurv.effects.register_entries import Result as RegisterResult
from churnsurv.effects.rmst import rmst_difference

__all__ = [
    "DesignEstimate",
    "Encouragement",
    "InterventionRegister",
    "Landmark",
    "Randomised",
    "RegisterEntry",
    "RegisterResult",
    "StaggeredRollout",
    "StudyCohort",
    "TimeVaryingTreatment",
    "logrank_test",
    "rmst_difference",
    "treatment_episodes",
]
