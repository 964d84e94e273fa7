"""Effects of interventions: did attrition change, and by how much.

Lives here: tests and effect estimates of arms, on the time since assignment. Models of covariates are in ``estimators``.
"""

from churnsurv.effects.cox import cox_test
from churnsurv.effects.gray import gray_test
from churnsurv.effects.logrank import logrank_test
from churnsurv.effects.maxcombo import maxcombo_test
from churnsurv.effects.pairwise import pairwise_tests
from churnsurv.effects.power import SimulatedSize, power_curve, sample_size_by_simulation, simulated_power
from churnsurv.effects.rmst import rmst_difference
from churnsurv.effects.sample_size import SampleSize, required_events, sample_size
from churnsurv.effects.sequential import SequentialPlan, group_sequential
from churnsurv.effects.trials import Trial, TrialScenario

__all__ = [
    "SampleSize",
    "SequentialPlan",
    "SimulatedSize",
    "Trial",
    "TrialScenario",
    "cox_test",
    "gray_test",
    "group_sequential",
    "logrank_test",
    "maxcombo_test",
    "pairwise_tests",
    "power_curve",
    "required_events",
    "rmst_difference",
    "sample_size",
    "sample_size_by_simulation",
    "simulated_power",
]
